"""The peers: where they are installed, and how to install what is missing."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench.processes import BenchError
from local.paths import LOCAL

BENCH = LOCAL / "bench"
_AZCOPY_PACKAGE = "@azure-tools/azcopy-linux@10.32.2"
_READERS = ("pandas==3.1.1", "polars==2.1.0")
_AZCOPY, _READER_VENV = BENCH / "azcopy", BENCH / "readers"
HOW_TO_INSTALL = (
    "`python3 dev.py bench --install-peers` installs AzCopy (npm) and pandas and polars (a venv of their own) below "
    "`.local/bench`; rclone, and libsecret-1-0 for AzCopy, come with the system (Debian: `apt-get install rclone "
    "libsecret-1-0`)"
)


def azcopy() -> Path | None:
    """Return AzCopy's program, None where it is not installed."""
    found = sorted(_AZCOPY.glob("node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_*"))
    return found[0] if found else None


def rclone() -> Path | None:
    """Return rclone's program, None where it is not installed."""
    found = shutil.which("rclone")
    return Path(found) if found else None


def readers_python() -> Path | None:
    """Return the Python that has pandas and polars, None where they are not installed."""
    python = _READER_VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return python if python.exists() else None


def version_of(program: Path) -> str:
    """Return the first line that a program prints about its version."""
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0].strip() if done.stdout else "unknown version"


def install_peers() -> None:
    """Install what can be installed without the rights of an administrator.

    Raises:
        BenchError: A step failed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("AzCopy comes from npm, which this machine has not")
    _AZCOPY.mkdir(parents=True, exist_ok=True)
    _run([npm, "install", "--prefix", str(_AZCOPY), "--no-audit", "--no-fund", _AZCOPY_PACKAGE])
    if program := azcopy():
        program.chmod(0o755)
    venv.create(_READER_VENV, with_pip=True)
    _run([str(readers_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_READERS])


def _run(command: list[str]) -> None:
    print(f"bench: {subprocess.list2cmdline(command)}", flush=True)
    if subprocess.run(command, check=False).returncode:
        raise BenchError(f"that failed; repeat with: {subprocess.list2cmdline(command)}")

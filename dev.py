#!/usr/bin/env python3
"""The one command of a developer's day.

It needs nothing but a Python to start with: it looks for Python 3.13, makes `.venv` with it, installs what
the requirements files pin, and goes on inside. When nothing changed since the last time, that takes no time.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
WANTED = (3, 13)
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
LINT = (
    ("format", ["-m", "ruff", "format", "--check", "."]),
    ("ruff", ["-m", "ruff", "check", "."]),
    ("types", ["-m", "mypy"]),
    ("layers", ["-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache", "--no-logo"]),
    ("deployment", ["-m", "infra.check"]),
    ("hardening", ["-m", "infra.hardening"]),
    ("queries", ["-m", "infra.queries"]),
    ("workflows", ["-m", "infra.workflows"]),
)


def main() -> int:
    """Run one command; return its exit code."""
    command, rest = parsed()
    if not is_ready() and not make_ready():
        return 1
    if command == "lint":
        return lint()
    if command == "test":
        return go_on(["-m", "pytest", *selected(rest)])
    modules = {"bench": ["bench"], "catalog": ["shared.reconcile.rebuild"], "report": ["local.commands.report"]}
    return go_on(["-m", *modules.get(command, ["local", command]), *rest])


def parsed() -> tuple[str, list[str]]:
    """Read the command line; what follows the command belongs to it."""
    parser = argparse.ArgumentParser(prog="dev.py", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in (
        ("demo", "run the whole app on an embedded Azurite and a simulated Dev Center, and check every copied cab"),
        ("start", "run the app until Ctrl-C: on the storage that the environment names, or on the embedded default"),
        (
            "preflight",
            "ask everything that the app needs, and say what to do about what fails; --url asks a deployed app",
        ),
        ("report", "make, list, pause and resume the reports of drivers: `report create`, `report schedules`, .."),
        ("redrive", "send every Failed pull of an app back to its queue; --dry-run tells what it would do"),
        ("plan", "tell what the next run would take, and what the rules leave out; --rules FILE tries others"),
        ("catalog", "`catalog rebuild` makes the catalog of a cab storage anew from its tables"),
        ("test", "run all tests; --fast those of a minute; or what further arguments select (they go to pytest)"),
        (
            "bench",
            "measure the app beside what one would use instead; --quick for a short look, --chaos KILLS and --soak "
            "MINUTES for what it withstands",
        ),
        ("lint", "check format, style, types and deployment"),
    ):
        commands.add_parser(name, help=help_text, add_help=name == "lint")
    known, rest = parser.parse_known_args()
    if known.command == "lint" and rest:
        parser.error(f"lint takes no arguments, got {' '.join(rest)}")
    return known.command, rest


def selected(rest: list[str]) -> list[str]:
    """Return the arguments of pytest: all tests, those that need nothing but Python, or what somebody asks for."""
    cores = os.cpu_count() or 1
    if rest[:1] == ["--fast"]:
        return ["tests/unit", "tests/simulation", "-n", str(cores), "--dist", "worksteal", *rest[1:]]
    # Tests of the whole app wait more than they compute: two for each core keep it busy.
    return rest or ["-n", str(2 * cores), "--dist", "worksteal"]


def lint() -> int:
    """Run every check, and name the command that repeats a failed one."""
    failed = []
    for name, arguments in LINT:
        say(f"lint: {name}")
        if subprocess.run([str(PYTHON), *arguments], cwd=ROOT, check=False).returncode:
            failed.append(" ".join([str(PYTHON.relative_to(ROOT)), *arguments]))
    for repeat in failed:
        say(f"failed; repeat with: {repeat}")
    return 1 if failed else 0


def is_ready() -> bool:
    """Tell whether .venv holds what the requirements name now."""
    stamp = VENV / "cabferry.stamp"
    return PYTHON.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted_stamp()


def make_ready() -> bool:
    """Make .venv and install what the requirements name; tell what to do where that fails."""
    python = found_python()
    if python is None:
        say("Python 3.13 is needed and was not found: install it from https://www.python.org/downloads/ and try again.")
        return False
    if not PYTHON.exists() or version_of([str(PYTHON)]) != WANTED:
        shutil.rmtree(VENV, ignore_errors=True)
        if not step("making .venv with Python 3.13", [*python, "-m", "venv", str(VENV)]):
            return False
    install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Two steps, because pip wants hashes for all or for none.
    for name in REQUIREMENTS:
        if not step(f"installing {name} into .venv", [*install, "-r", name]):
            return False
    (VENV / "cabferry.stamp").write_text(wanted_stamp(), encoding="utf-8")
    return True


def wanted_stamp() -> str:
    """Return what identifies the requirements."""
    files = [ROOT / name for name in REQUIREMENTS]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def found_python() -> list[str] | None:
    """Return the command of a Python 3.13: the one that runs this, one on the path, pyenv's or uv's."""
    candidates = [[sys.executable], ["python3.13"], ["py", "-3.13"], ["python3"], ["python"]]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += [[str(path)] for path in sorted(pyenv.glob("3.13*/bin/python"), reverse=True)]
    uv = output_of(["uv", "python", "find", "3.13"])
    candidates += [[uv]] if uv else []
    return next((command for command in candidates if version_of(command) == WANTED), None)


def version_of(command: list[str]) -> tuple[int, ...]:
    """Return the version of a Python, () where the command is none; a shim may be there without its Python."""
    text = output_of([*command, "-c", "import sys; print(*sys.version_info[:2])"])
    return tuple(int(part) for part in text.split()) if text.replace(" ", "").isdigit() else ()


def output_of(command: list[str]) -> str:
    """Return what a command prints, empty where it cannot be run or fails."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def step(what: str, command: list[str]) -> bool:
    """Run one step of the set-up; name the command to repeat where it fails."""
    say(what)
    if subprocess.run(command, cwd=ROOT, check=False).returncode == 0:
        return True
    say(f"that failed; repeat with: {' '.join(command)}")
    return False


def go_on(arguments: list[str]) -> int:
    """Become the command, so that signals and the exit code are its own; where a process cannot, wait for it."""
    command = [str(PYTHON), *arguments]
    os.chdir(ROOT)
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)  # noqa: S606 - there is no shell to need
    with subprocess.Popen(command) as process:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child by itself, and it knows how to stop
        return process.wait()


def say(text: str) -> None:
    """Print one line."""
    print(f"dev.py: {text}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)

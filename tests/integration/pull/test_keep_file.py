"""The settings file as storage gives it: what is not there, is empty or too long must not stop a pull."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from shared.core import clock
from shared.core.keep_text import MOST_BYTES
from shared.pull import keep_file
from shared.pull.keep_file import KEEP_FILE, KeepFile
from tests.integration.app import App


def rules_of(app: App) -> KeepFile:
    """Return what reads the file, and has not read it."""
    tools = app.services.pull_tools
    return KeepFile(tools.container, tools.day, 0)


def test_no_file_and_no_container_are_no_rules(app: App) -> None:
    assert (rules_of(app).current().rules, rules_of(app).current().problem) == ((), "")
    app.container.delete_container()
    assert (rules_of(app).current().rules, rules_of(app).current().problem) == ((), "")


@pytest.mark.parametrize(
    ("text", "rules", "problem"),
    [
        (b"", 0, ""),
        (b'\xef\xbb\xbf[[rules]]\nname = "a"\naction = "skip"\r\n', 1, ""),
        (b"#" * MOST_BYTES, 0, ""),
        (b"#" * (MOST_BYTES + 1), 0, f"{KEEP_FILE}: it has more than {MOST_BYTES} bytes"),
    ],
    ids=["empty", "as Windows writes it", "long", "too long"],
)
def test_a_file_is_read_whole_in_one_request(app: App, text: bytes, rules: int, problem: str) -> None:
    app.container.upload_blob(KEEP_FILE, text)
    file = rules_of(app)
    assert (len(file.current().rules), file.current().problem) == (rules, problem)


class InAnHour(clock.Clock):
    def monotonic(self) -> float:
        return super().monotonic() + 3_600


def test_who_comes_while_the_file_is_read_waits_for_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules of hours ago once let a pull wait for a day, for bytes that nobody limited any more."""
    app.container.upload_blob(KEEP_FILE, b"bytes-a-day = 500")
    file = rules_of(app)
    assert file.current().bytes_a_day == 500
    app.container.delete_blob(KEEP_FILE)
    is_read, may_go_on, read = Event(), Event(), keep_file.read_keep_file

    def slowly(*container: object) -> bytes | None:
        is_read.set()
        assert may_go_on.wait(30)
        return read(app.services.pull_tools.container)

    monkeypatch.setattr(keep_file, "read_keep_file", slowly)
    with clock.using(InAnHour()), ThreadPoolExecutor(2) as pool:
        first = pool.submit(file.current)
        assert is_read.wait(30)
        second = pool.submit(file.current)
        may_go_on.set()
        assert [each.result(30).bytes_a_day for each in (first, second)] == [0, 0]

"""The settings file as storage gives it: what is not there, is empty or too long must not stop a pull."""

import pytest

from shared.core.keep import MOST_BYTES
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

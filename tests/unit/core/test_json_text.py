"""JSON from outside: one error for all that can be wrong with it, whichever thread meets it first."""

import subprocess
import sys

import msgspec
import pytest

from shared.core.json_text import JsonError, decoded

# In a process of its own, since what goes wrong ends the process. Threads change places as often as they can.
_FIRST_USES = """
import sys, threading, msgspec
from typing import Annotated
from shared.core.json_text import converted, decoded

sys.setswitchinterval(1e-6)
for _ in range(50):
    type Name = Annotated[str, msgspec.Meta(pattern="".join("x?" for _ in range(100)))]

    class Asked(msgspec.Struct):
        name: Name
        names: list[Name]

    seen, together = [], threading.Barrier(8)
    def decode():
        together.wait()
        seen.append({first_use})
    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [Asked("a", ["b"])] * 8, seen
"""


class Named(msgspec.Struct):
    """What is wanted."""

    name: str


@pytest.mark.parametrize(
    "first_use",
    ["""decoded(b'{"name": "a", "names": ["b"]}', Asked)""", """converted({"name": "a", "names": ["b"]}, Asked)"""],
    ids=["decoded", "converted"],
)
def test_threads_that_meet_a_type_for_the_first_time_together_all_get_it(first_use: str) -> None:
    """A worker that has just started gets many calls at once; it died of two that were the first of their kind."""
    text = _FIRST_USES.replace("{first_use}", first_use)
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"name": 1}', b'{"name": "\xff"}', b"[" * 100_000], ids=lambda text: text[:16]
)
def test_whatever_is_wrong_is_one_error(text: bytes) -> None:
    """Callers catch one error; another kind of it would end a pull in a way that nobody planned."""
    with pytest.raises(JsonError):
        decoded(text, Named)


def test_a_number_in_quotes_is_taken_where_that_is_asked_for() -> None:
    """TotalCount was seen as text too."""
    assert decoded(b'"12"', int, strict=False) == 12
    with pytest.raises(JsonError):
        decoded(b'"12"', int)

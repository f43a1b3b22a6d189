"""One refusal is chance; several in a row are remembered, and asked about again after some minutes, by one."""

from collections.abc import Iterator

import pytest

from shared.cabs.refusal_memory import RefusalMemory
from shared.core import clock


class Set(clock.Clock):
    """A clock that a test sets."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return what the test says."""
        return self.seconds


@pytest.fixture
def time() -> Iterator[Set]:
    with clock.using(Set()) as made:
        yield made


def test_several_refusals_in_a_row_are_remembered(time: Set) -> None:
    memory = RefusalMemory()
    assert [memory.note("a", "403") for _ in range(4)] == [False, False, True, False]
    assert (memory.known("a"), memory.known("b")) == ("403", "")
    time.seconds += 599
    assert memory.known("a") == "403"
    time.seconds += 2
    assert [memory.known("a") for _ in range(3)] == ["", "403", "403"], "one asks again"
    memory.note("a", "404")
    assert memory.known("a") == "404"
    memory.forget("a")
    assert memory.known("a") == ""


def test_a_success_in_between_begins_anew(time: Set) -> None:
    memory = RefusalMemory()
    for _ in range(5):
        for _ in range(2):
            memory.note("a", "403")
        assert memory.known("a") == ""
        memory.forget("a")


def test_names_without_end_fill_no_memory(time: Set) -> None:
    memory = RefusalMemory()
    for number in range(5_000):
        memory.note(str(number), "403")
    assert len(memory._refused) <= 1_000

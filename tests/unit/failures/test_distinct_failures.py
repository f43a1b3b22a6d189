"""A report may name any number of failures; each is pulled once, and none stays in memory."""

import tracemalloc

import pytest

from shared.core.errors import AgainLater
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.reports.distinct import DistinctFailures

NAMED = CabFacts("AV_contoso!Read", "contoso.sys")


def test_each_failure_comes_once_and_in_order() -> None:
    with DistinctFailures() as failures:
        failures.add(dict.fromkeys([Failure("2", "b"), Failure("10", "a")], NAMED))
        failures.add(dict.fromkeys([Failure("2", "a"), Failure("2", "b"), Failure("2", "B")], CabFacts()))
        assert len(failures) == 4
        assert [list(some.items()) for some in failures.batches(3)] == [
            [(Failure("10", "a"), NAMED), (Failure("2", "B"), CabFacts()), (Failure("2", "a"), CabFacts())],
            [(Failure("2", "b"), NAMED)],
        ]


def test_memory_stays_flat_however_many_there_are() -> None:
    tracemalloc.start()
    try:
        with DistinctFailures() as failures:
            for start in range(0, 100_000, 1_000):
                failures.add({Failure("13984104677400476", f"{start + number:032x}"): NAMED for number in range(1_000)})
            assert sum(map(len, failures.batches(1_000))) == 100_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


def test_what_the_disk_refuses_is_told_and_tried_again_later() -> None:
    with DistinctFailures() as failures:
        pass
    with pytest.raises(AgainLater, match="temporary files"):
        failures.add({Failure("1", "a"): NAMED})

"""A report may name any number of failures and cabs; each is listed and pulled once, and none stays in memory."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from shared.core.errors import AgainLater
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.reports.named import Named, NamedFailures
from shared.reports.reader import ReportPart
from shared.storage.table_rows import Row

NAMED = CabFacts("AV_contoso!Read", "contoso.sys")


def part(*failures: Failure, cabs: int = 0, expires: str = "", facts: CabFacts = NAMED) -> ReportPart:
    """Return a stretch of a report that names failures, each with cabs of its own."""
    named = {each: {f"{each.failure_hash}-{number}": facts for number in range(cabs)} for each in failures}
    told = {cab: expires for some in named.values() for cab in some if expires}
    return ReportPart(named, dict.fromkeys(failures, facts), told)


def test_each_failure_and_cab_comes_once_and_in_the_order_of_their_rows() -> None:
    with NamedFailures() as named:
        named.add(part(Failure("2", "b"), Failure("10", "a"), cabs=2, expires="2026-12-01 00:00:00"))
        named.add(part(Failure("2", "a"), Failure("2", "b"), Failure("2", "B"), cabs=1, facts=CabFacts()))
        assert (len(named), named.cabs) == (4, 6)
        found = [each for some in named.batches(3, 1_000) for each in some]
        assert [each.failure for each in found] == [Failure("10", "a"), *(Failure("2", key) for key in ("B", "a", "b"))]
        assert [each.facts for each in found] == [NAMED, CabFacts(), CabFacts(), NAMED]
        listed = named.cabs_of(found[3])
        assert listed.facts == {"b-0": NAMED, "b-1": NAMED}
        assert listed.expires == dict.fromkeys(listed.facts, datetime(2026, 12, 1, tzinfo=UTC))


def test_failures_of_many_cabs_come_in_smaller_batches() -> None:
    """Whoever looks them up holds the rows of all: some failures of thousands of cabs each took a worker's memory."""
    with NamedFailures() as named:
        for key, cabs in {"a": 9, "b": 5, "c": 1, "d": 0, "e": 0, "f": 0}.items():
            named.add(part(Failure("1", key), cabs=cabs))
        found = [[each.failure.failure_hash for each in some] for some in named.batches(3, 6)]
    assert found == [["a"], ["b", "c", "d"], ["e", "f"]]


def test_a_failure_is_found_under_the_spelling_that_its_pull_is_stored_under() -> None:
    """Another spelling would be another failure, whose cabs are all missing."""
    hashes = [f"{number}fd83f6d-9fe0-96ec-2c47-ef08b65ccbed" for number in range(3)]
    stored = [hashes[0].upper(), hashes[1].upper(), hashes[1]]
    with NamedFailures() as named:
        named.add(part(*(Failure("1", key) for key in hashes)))
        assert named.applications() == ["1"]
        named.note_pulls(Row("1", key, {"state": "Completed"}, "etag") for key in stored)
        found = [each for some in named.batches(10, 1_000) for each in some]
    assert {each.failure.failure_hash: each.pull for each in found} == {
        hashes[0].upper(): "Completed",
        hashes[1]: "Completed",
        hashes[2]: "",
    }


def test_a_pull_that_a_rule_skipped_has_asked_nobody() -> None:
    """A failure that happened often enough at last was taken for one that had been looked at, for a week."""
    columns = {"state": "Completed", "completedAt": datetime(2026, 11, 20, tzinfo=UTC)}
    with NamedFailures() as named:
        named.add(part(Failure("1", "a"), Failure("1", "b")))
        skipped = {**columns, "skippedBy": "rule 'often'"}
        named.note_pulls([Row("1", "a", {**columns, "hits": 7}, "etag"), Row("1", "b", skipped, "etag")])
        (found,) = named.batches(10, 1_000)
    assert [(each.pulled_at, each.hits_before) for each in found] == [(columns["completedAt"], 7), (None, None)]


def test_what_is_queued_comes_in_its_order_and_once() -> None:
    with NamedFailures() as named:
        named.add(part(*(Failure("1", str(number)) for number in range(5))))
        found = [each for some in named.batches(2, 1_000) for each in some]
        for each, due in zip(found, ("~2", "2026-12-02", "~1", "2026-12-01"), strict=False):
            named.queue(each, due)
            named.queue(each, due)
        assert named.queued == 4
        assert [[each.failure.failure_hash for each in some] for some in named.to_queue(3)] == [["3", "1", "2"], ["0"]]


def test_memory_stays_flat_however_many_there_are() -> None:
    tracemalloc.start()
    try:
        with NamedFailures() as named:
            for start in range(0, 10_000, 1_000):
                failures = [Failure("13984104677400476", f"{start + number:032x}") for number in range(1_000)]
                named.add(part(*failures, cabs=3, expires="2026-12-01 00:00:00"))
            for some in named.batches(64, 1_000):
                for each in some:
                    assert len(named.cabs_of(each).facts) == 3
                    named.queue(each, "~1")
            assert sum(map(len, named.to_queue(1_000))) == 10_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 1024 * 1024


A = Named(1, Failure("1", "a"), NAMED, 1, "", "", "", None, None)


@pytest.mark.parametrize(
    "call",
    [
        lambda named: named.begin(),
        lambda named: named.add(part(A.failure)),
        lambda named: named.applications(),
        lambda named: named.note_pulls([]),
        lambda named: list(named.batches(1, 1_000)),
        lambda named: named.cabs_of(A),
        lambda named: named.queue(A, "~1"),
        lambda named: list(named.to_queue(1)),
        len,
    ],
)
def test_what_the_disk_refuses_is_told_and_tried_again_later(call: Callable[[NamedFailures], object]) -> None:
    """To sort takes room as well as to write."""
    with NamedFailures() as named:
        pass
    with pytest.raises(AgainLater, match="temporary files"):
        call(named)

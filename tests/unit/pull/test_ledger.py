"""What a pull knows of each cab, and what the container makes of it."""

from __future__ import annotations

from copy import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, cast

import pytest

from shared.cabs.container import StoredCab
from shared.cabs.creation import Copied
from shared.cabs.labels import labels, lacks_a_name
from shared.core.clock import spelled
from shared.core.facts import CabFacts
from shared.progress.cab_row import CabRow, CabState
from shared.progress.pull_row import CabCounts
from shared.pull.ledger import CabLedger
from shared.pull.state import Checkpoint
from tests.unit.devcenter.devcenter_client import FAILURE

from .pull_game import NOW, cab

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from shared.progress.cabs import CabRows

CAB = cab(0)
NAME = f"{FAILURE.prefix}{CAB.cab_id_hash}.zip"
MONTH, DAY, HOUR = timedelta(days=30), timedelta(days=1), timedelta(hours=1)
IN_THE_WAY = f"{NAME} is in the container with 5 bytes, its source has 7: move the blob away and pull again"


pytestmark = pytest.mark.usefixtures("at_a_time")


def ledger(*rows: CabRow) -> CabLedger:
    """Return the ledger of a pull that began an hour ago, with the rows of cabs 0, 1, 2."""
    made = CabLedger(cast("CabRows", None), FAILURE, NOW - HOUR, cast("Executor", None))
    made.load((cab(number).cab_id_hash, row) for number, row in enumerate(rows))
    return made


def blob(age: timedelta) -> StoredCab:
    """Return the blob of cab 0, which was made so long ago."""
    return StoredCab(NAME, 5, "", format_datetime(NOW - age, usegmt=True), CAB.cab_id_hash)


@pytest.mark.parametrize(
    ("error", "age", "is_copy"),
    [
        ("no cabUrl", 3 * HOUR, True),
        ("no cabUrl", HOUR, True),
        (IN_THE_WAY, 3 * HOUR, False),
        (IN_THE_WAY, HOUR, True),
    ],
    ids=["copied before it failed", "copied since", "another's", "copied since another's was moved away"],
)
@pytest.mark.parametrize("state", [CabState.FAILED, CabState.EXPIRED, CabState.SKIPPED])
def test_the_blob_of_a_cab_that_failed_is_its_copy_where_it_was_not_in_the_way(
    state: CabState, error: str, age: timedelta, *, is_copy: bool
) -> None:
    """Also where its time is over since, or a rule skips it: its row tells of the last try."""
    of_it = ledger(CabRow(state, error=f"the last try: {error}", settled_at=NOW - 2 * HOUR))
    assert of_it.read_back([blob(age)], MONTH) == []
    assert of_it.cabs[CAB.cab_id_hash].state is (CabState.COPIED if is_copy else state)


@pytest.mark.parametrize("was_replaced", [False, True])
def test_a_blob_in_the_way_is_no_copy_though_later_tries_failed_in_other_ways(*, was_replaced: bool) -> None:
    """The true cab would never be copied again."""
    known = (
        CabRow(CabState.COPIED, NAME, 7, settled_at=NOW - 5 * DAY)
        if was_replaced
        else CabRow(CabState.FAILED, error=IN_THE_WAY, settled_at=NOW - 2 * HOUR)
    )
    of_it = ledger(known)
    for why in ["the source is busy", "no answer came"]:
        of_it.read_back([blob(3 * HOUR)], MONTH)
        of_it.record_missed(CAB, CabState.FAILED, why)
    of_it.read_back([blob(3 * HOUR)], MONTH)
    row = of_it.cabs[CAB.cab_id_hash]
    assert (row.state, row.error.startswith("no answer came; before that: ")) == (CabState.FAILED, True)
    assert "busy" not in row.error
    assert row.error.endswith("move the blob away and pull again")


def test_what_somebody_replaced_stays_failed() -> None:
    of_it = ledger(CabRow(CabState.FAILED, NAME, 7, error="somebody replaced it", settled_at=NOW - 2 * HOUR))
    of_it.read_back([blob(HOUR)], MONTH)
    assert of_it.cabs[CAB.cab_id_hash].state is CabState.FAILED


@pytest.mark.parametrize(
    ("age", "since", "counts"),
    [
        (3 * DAY, 3 * DAY, CabCounts(seen=1, already_held=1)),
        (HOUR + timedelta(minutes=3), HOUR, CabCounts(seen=1, copied=1, bytes=5)),
        (HOUR / 2, HOUR / 2, CabCounts(seen=1, copied=1, bytes=5)),
    ],
    ids=["before this pull", "as it began, by another clock", "by this pull"],
)
def test_a_cab_that_is_found_is_as_old_as_its_blob(age: timedelta, since: timedelta, counts: CabCounts) -> None:
    of_it = ledger()
    of_it.see(CAB)
    of_it.record_copied(CAB, NAME, Copied(5, since=NOW - age))
    assert of_it.cabs[CAB.cab_id_hash].settled_at == NOW - since
    assert of_it.counts(Checkpoint(named=1)) == counts


def test_a_cab_tells_more_of_itself_than_a_report_did() -> None:
    report, own = CabFacts(failure_name="of the report"), CabFacts(failure_name="its own")
    of_it = ledger(CabRow(CabState.LISTED, facts=report))
    assert of_it.facts(CAB) == report
    assert of_it.facts(replace(CAB, facts=own)) == own


def test_a_cab_that_came_by_itself_gets_what_the_next_batch_tells_of_it() -> None:
    """Only a batch tells its date: without it the catalog cannot sort the cab, nor anybody find it by its tag."""
    facts = CabFacts("AV_contoso!Read", "contoso.sys", "1.2.3", "10.0", "x64", "kernel")
    of_it = ledger(CabRow(CabState.COPIED, NAME, 5, facts=facts, settled_at=NOW - 2 * HOUR))
    of_it.see(CAB)
    row = of_it.cabs[CAB.cab_id_hash]
    assert (spelled(row.date), spelled(row.expires)) == (CAB.date, CAB.expires)
    assert of_it.unwritten
    made = labels(FAILURE, replace(CAB, date="", expires=""), facts, "cabs09.blob.core.windows.net/k/1.zip").metadata
    assert lacks_a_name(made)
    of_it.read_back([replace(blob(HOUR), metadata=made)], MONTH)
    ((name, told),) = of_it.unnamed
    assert (name, told.tags["date"]) == (NAME, CAB.date)
    assert told.metadata == {**made, "cabdate": CAB.date, "cabexpires": CAB.expires}
    assert not lacks_a_name(told.metadata)


def test_a_cab_that_was_missed_is_missed_until_a_page_names_it() -> None:
    missed = CabRow(CabState.LISTED, NAME)
    of_it = ledger(missed, CabRow(CabState.LISTED), CabRow(CabState.COPIED, "x"))
    assert of_it.missed_before(was_read_whole=False) == [f"{NAME} was copied, and is still to be copied again"]
    of_it.see(CAB)
    assert of_it.missed_before(was_read_whole=False) == []


def test_nobody_goes_back_for_a_cab_that_a_whole_batch_did_not_name() -> None:
    """A pull that had to wait for another cab once read its batch from the first row every few seconds, without end."""
    of_it = ledger(CabRow(CabState.LISTED, NAME))
    assert of_it.missed_before(was_read_whole=True) == []
    assert of_it.unwritten
    assert of_it.missed_before(was_read_whole=False) == []


def test_a_cab_counts_once_whatever_it_was_taken_for_before() -> None:
    """One that was called expired, and was in the container all the same, was once counted as both."""
    of_it = ledger(CabRow(CabState.EXPIRED, settled_at=NOW - DAY))
    of_it.see(CAB)
    assert of_it.counts(Checkpoint(named=1)) == CabCounts(seen=1, expired=1)
    of_it.read_back([blob(3 * DAY)], MONTH)
    assert of_it.counts(Checkpoint(named=1)) == CabCounts(seen=1, already_held=1)


def test_what_was_found_behind_the_checkpoint_counts_when_it_is_found_again() -> None:
    of_it = ledger(*(CabRow(CabState.COPIED, "x", 5, settled_at=NOW - DAY) for _ in range(3)))
    for number in range(3):
        of_it.see(cab(number))
    assert [of_it.counts(Checkpoint(named=named)).already_held for named in (0, 2, 3)] == [0, 2, 3]
    before = CabCounts(seen=2, already_held=2)
    assert of_it.counts(Checkpoint(100, before, named=3)) == CabCounts(seen=3, already_held=3), "two came again"


def test_what_rules_skip_is_seen_and_counts_once_though_it_comes_again() -> None:
    of_it = ledger(*(CabRow(CabState.SKIPPED, error="a rule", settled_at=NOW - DAY) for _ in range(3)))
    of_it.see(CAB)
    assert of_it.counts(Checkpoint(100, CabCounts(seen=1), named=1)) == CabCounts(seen=2)
    assert of_it.counts(Checkpoint(100, CabCounts(seen=3), named=1)) == CabCounts(seen=3), "it came again"


def test_what_a_report_told_of_a_cab_stays_with_it() -> None:
    told = CabFacts(failure_name="of the report")
    of_it = ledger(CabRow(CabState.LISTED, facts=told))
    of_it.record_copied(CAB, NAME, Copied(5))
    assert of_it.cabs[CAB.cab_id_hash].facts == told


@pytest.mark.parametrize(
    ("length", "md5", "is_told"), [(5, "aa", False), (5, "", False), (7, "aa", True), (5, "bb", True)]
)
def test_a_blob_that_is_other_than_what_was_copied_is_told(length: int, md5: str, *, is_told: bool) -> None:
    of_it = ledger(CabRow(CabState.COPIED, NAME, 5, "aa", settled_at=NOW - 2 * HOUR))
    assert of_it.read_back([replace(blob(HOUR), length=length, md5=md5)], MONTH) == []
    row = of_it.cabs[CAB.cab_id_hash]
    assert (row.state is CabState.FAILED, "somebody replaced it" in row.error) == (is_told, is_told)


def test_what_its_own_row_tells_later_of_a_held_cab_fills_in_row_and_blob() -> None:
    """Of an application, the batch is all that tells of a cab: who looks for a version must find it all the same."""
    facts = CabFacts("AV_contoso!Read", "contoso.exe", "1.2.3", "10.0", "x64", market="US")
    of_it = ledger(CabRow(CabState.COPIED, NAME, 5, settled_at=NOW - 2 * HOUR))
    of_it.see(replace(CAB, facts=facts))
    assert (of_it.cabs[CAB.cab_id_hash].facts, of_it.unwritten) == (facts, 1)
    made = labels(FAILURE, CAB, CabFacts(), "cabs09.blob.core.windows.net/k/1.zip").metadata
    of_it.read_back([replace(blob(HOUR), metadata=made)], MONTH)
    ((name, told),) = of_it.unnamed
    assert (name, told.tags["driverVersion"], told.metadata["drivername"]) == (NAME, "1.2.3", "contoso.exe")

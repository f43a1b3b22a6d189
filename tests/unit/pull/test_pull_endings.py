"""How a run ends is all that people and the next run know of it: each column of each ending, and what the log says."""

from __future__ import annotations

import logging
from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from shared.cabs.creation import Copied
from shared.core.errors import AgainLater, CircuitOpen, NeedsPerson, Never, OutOfTime
from shared.core.keep import Rule, Rules
from shared.progress.cab_row import CabRow, CabState
from shared.progress.pull_row import PullRow, queued
from shared.progress.tally import COLUMNS
from shared.pull import beginnings
from shared.pull.endings import GivenUp, ProcessEnds, ending_of
from shared.pull.keeping import Keeping, subject_of
from shared.pull.ledger import CabLedger
from shared.pull.state import Checkpoint
from shared.storage.table_rows import Row
from shared.storage.table_writes import NO_MOMENT, Long
from tests.unit.devcenter.devcenter_client import FAILURE, WINDOW

from .pull_game import NOW, SETTINGS, Inline, cab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from shared.progress.cabs import CabRows
    from shared.pull.endings import Ending
    from shared.pull.state import Pull

BEFORE = {"skip": 100, "copied": 3, "seen": 4, "alreadyHeld": 1, "attempts": 2, "stalled": 4}


pytestmark = pytest.mark.usefixtures("at_a_time")


class _Rows:
    def of(self, _: object) -> Iterator[tuple[str, CabRow]]:
        for number in range(3):
            yield cab(number).cab_id_hash, CabRow(CabState.COPIED, f"x/{number}", 5, settled_at=NOW)
        yield cab(3).cab_id_hash, CabRow(CabState.COPIED, "x/3", 5, settled_at=NOW - timedelta(days=1))

    def write(self, *_: object) -> None:
        pass


def pull(*, skip: int = 100, new: bool = False, **columns: object) -> Pull:
    """Return a run that went on at row 100 after three cabs and a held one, all rows written, and maybe one more."""
    stored: dict[str, Any] = {**queued(WINDOW, "a test"), **BEFORE, "startedAt": NOW, **columns}
    row = PullRow.of(Row.written(FAILURE.application_id, FAILURE.failure_hash, stored, "etag"))
    ledger = CabLedger(cast("CabRows", _Rows()), FAILURE, NOW, cast("Executor", Inline()))
    ledger.load()
    if new:
        ledger.record_copied(cab(7), "x/7", Copied(20, "aa"))
        ledger.write()
    made = beginnings.begun(row, ledger, Keeping.of(Rules(), subject_of(row), SETTINGS, for_whom=""), 100, 0.0)
    made.safe = made.reached = replace(made.safe, skip=skip, without_cab=2)
    made.total = 300
    return made


SAFE = {"skip": 100, "total": 300, "withoutCab": 2, "unreadable": 0, "expired": 0, "unavailable": 0, "failed": 0}
HELD = {**SAFE, "seen": 4, "copied": 3, "alreadyHeld": 1, "bytes": Long(15)}
MOVED = {**SAFE, "seen": 5, "copied": 4, "alreadyHeld": 1, "bytes": Long(35), "stalled": 0, "waitingSince": NO_MOMENT}
LATER = {"dayBytes": Long(0), "state": "Queued", "lastErrorKind": "later", "updatedAt": NOW}


def ended(state: str, error: str = "", kind: str = "") -> dict[str, object]:
    return {"state": state, "lastError": error, "lastErrorKind": kind, "updatedAt": NOW, "completedAt": NOW}


def of(made: Pull, error: Exception | None) -> Ending:
    """Return how a run ends, without how the failure's cabs stand, which is the same for each."""
    ending = ending_of(made, error, NOW)
    assert {"heldCabs", "copiedOn"} <= ending.columns.keys() or not made.ledger.is_written
    return replace(ending, columns={name: each for name, each in ending.columns.items() if name not in COLUMNS})


@pytest.mark.parametrize(
    ("error", "columns", "told", "level", "waits"),
    [
        (None, {**HELD, **ended("Completed")}, "Completed: CabCounts(seen=", logging.INFO, None),
        (
            OutOfTime("time is up"),
            {**HELD, "stalled": 5, "state": "Queued", "updatedAt": NOW},
            "handed on, since time is up, at row 100",
            logging.INFO,
            (0, 0),
        ),
        (
            ProcessEnds("the process ends"),
            {**HELD, "state": "Queued", "updatedAt": NOW},
            "handed on, since the process ends, at row 100",
            logging.INFO,
            (0, 0),
        ),
        (CircuitOpen("open"), {**HELD, **LATER, "lastError": "open"}, "goes on in 0:00:", logging.WARNING, (15, 22.5)),
        (
            CircuitOpen("open", timedelta(seconds=100)),
            {**HELD, **LATER, "lastError": "open"},
            "goes on in 0:0",
            logging.WARNING,
            (100, 150),
        ),
        (
            AgainLater("busy"),
            {**HELD, **LATER, "attempts": 3, "stalled": 5, "waitingSince": NO_MOMENT, "lastError": "busy"},
            "goes on in 0:0",
            logging.WARNING,
            (324, 486),
        ),
        (
            AgainLater("429", timedelta(seconds=9)),
            {**HELD, **LATER, "attempts": 3, "stalled": 4, "waitingSince": NOW, "lastError": "429"},
            "goes on in 0:00:",
            logging.WARNING,
            (9, 13.5),
        ),
        (NeedsPerson("403: the role"), {**HELD, **ended("Failed", "403: the role", "person")}, "Failed: 403", 40, None),
        (Never("400"), {**HELD, **ended("Failed", "400", "never")}, "Failed: 400", logging.ERROR, None),
    ],
    ids=repr,
)
def test_each_ending_is_told_whole(
    error: Exception | None, columns: dict[str, object], told: str, level: int, waits: tuple[float, float] | None
) -> None:
    ending = of(pull(), error)
    found = dict(ending.columns)
    if ending.again_in is None:
        assert waits is None
    else:
        assert waits is not None
        assert waits[0] <= ending.again_in.total_seconds() <= waits[1]
        if columns.get("lastError"):
            assert found.pop("nextTryAt") == NOW + ending.again_in
    assert found == columns
    assert ending.told.startswith(told)
    assert (ending.level, ending.error) == (level, None)
    assert ending.is_failure == (columns["state"] == "Failed")


def test_what_nobody_foresaw_is_told_with_its_kind_and_no_secret() -> None:
    error = ValueError("https://x/y?sig=abcdefghijkl")
    ending = of(pull(), error)
    shown = "ValueError: https://x/y?[redacted]"
    tries = {"attempts": 3, "stalled": 5, "state": "Queued", "lastErrorKind": "unforeseen", "lastError": shown}
    expected = {**HELD, **tries, "updatedAt": NOW}
    assert (ending.columns, ending.told, ending.level) == (expected, shown, logging.ERROR)
    assert (ending.error, ending.again_in) == (error, None), "the host tries its message again"
    last = of(pull(stalled=9), error)
    assert last.columns == {**HELD, "attempts": 3, "stalled": 10, **ended("Failed", shown, "unforeseen")}
    assert (last.told, last.error) == (f"Failed: {shown}", None)


@pytest.mark.parametrize(
    "error",
    [None, OutOfTime("t"), CircuitOpen("c"), NeedsPerson("n"), AgainLater("l"), ValueError("u")],
    ids=repr,
)
def test_a_new_cab_begins_the_tries_anew_however_the_run_ends(error: Exception | None) -> None:
    """A pull that brought thousands each time was once given up after ten unforeseen ends without a new cab."""
    columns = of(pull(new=True, stalled=9), error).columns
    tries = {"stalled": 1} if type(error) in {AgainLater, ValueError} else {}
    assert {name: columns[name] for name in MOVED} == {**MOVED, **tries}


@pytest.mark.parametrize("moved", [{"skip": 200}, {"new": True}])
def test_a_budget_that_brought_something_is_no_failed_try(moved: dict[str, Any]) -> None:
    ending = of(pull(stalled=9, **moved), OutOfTime("t"))
    assert ending.again_in == timedelta()
    assert ending.columns.get("stalled", 0) == 0


def test_a_budget_that_brings_nothing_again_and_again_is_failed_and_says_what_to_do() -> None:
    ending = of(pull(stalled=8), OutOfTime("the time is up"))
    assert (ending.columns["stalled"], ending.is_failure) == (9, False)
    ending = of(pull(stalled=9), OutOfTime("the time is up"))
    reason = "PULL_TIME_BUDGET was used 10 times in a row without a new cab: raise it (the time is up)"
    assert ending.columns == {**HELD, "stalled": 10, **ended("Failed", reason, "later")}


@pytest.mark.parametrize(("hours", "stalled", "least"), [(0.5, 4, 1800), (2.9, 4, 3600), (3, 5, 3600), (30, 5, 3600)])
def test_a_wait_that_was_asked_for_grows_while_it_does_not_help_and_is_no_try_for_three_hours(
    hours: float, stalled: int, least: float
) -> None:
    since = NOW - timedelta(hours=hours)
    ending = of(pull(waitingSince=since), AgainLater("429", timedelta(seconds=9)))
    assert (ending.columns["stalled"], ending.columns["waitingSince"]) == (stalled, since)
    assert ending.again_in is not None
    assert least <= ending.again_in.total_seconds() <= least * 1.5


def test_too_many_tries_in_a_row_are_failed_and_told() -> None:
    ending = of(pull(stalled=9), AgainLater("busy"))
    tries = {"attempts": 3, "stalled": 10, "waitingSince": NO_MOMENT}
    assert ending.columns == {**HELD, **tries, **ended("Failed", "busy (given up after 10 tries in a row)", "later")}


@pytest.mark.parametrize(
    ("last", "why"),
    [("no disk", "the last: no disk"), ("", "each time its host ended in the middle of it")],
)
def test_a_pull_that_hosts_die_over_is_given_up_and_says_so(last: str, why: str) -> None:
    assert beginnings.begins(pull(stalled=9, lastError=last))
    assert beginnings.begins(pull(stalled=10, lastError=last, new=True)), "they have copied cabs"
    with pytest.raises(GivenUp) as error:
        beginnings.begins(made := pull(stalled=10, lastError=last))
    ending = of(made, error.value)
    reason = f"given up after 10 tries in a row without a new cab; {why}"
    assert ending.columns == {**HELD, **ended("Failed", reason, "unforeseen")}
    assert ending.told == f"Failed: {reason}"


def test_what_failed_of_single_cabs_is_told_by_a_pull_that_is_completed() -> None:
    made = pull()
    made.ledger.record_missed(cab(8), CabState.FAILED, "no such host")
    made.reached = replace(made.reached, unreadable=2)
    made.ledger.write()
    ending = of(made, None)
    assert ending.columns["lastError"] == "3 cabs failed; the first: no such host"
    assert (ending.level, ending.columns["state"], ending.columns["unreadable"]) == (logging.WARNING, "Completed", 2)
    assert ending.told.endswith("3 cabs failed; the first: no such host")
    made = pull()
    made.unreadable, made.reached = "a row without an id", replace(made.reached, unreadable=1)
    assert of(made, None).columns["lastError"] == "1 cabs failed; the first: a row without an id"


def test_rows_that_could_not_be_read_count_as_they_did() -> None:
    """As no cabs at all, each of them would be a new one to the next try, and the pull would never be given up."""
    read = pull()
    unread = CabLedger(cast("CabRows", _Rows()), FAILURE, NOW, cast("Executor", Inline()))
    columns = of(beginnings.begun(read.row, unread, read.keeping, 100, 0.0), AgainLater("the table is busy")).columns
    assert (columns["copied"], columns["seen"], columns["alreadyHeld"]) == (3, 4, 1)


def test_who_begins_with_the_first_row_has_found_nothing_before() -> None:
    assert Checkpoint.of(replace(pull().row, skip=0)) == Checkpoint()
    assert Checkpoint.of(pull().row).before.already_held == 1


SKIPS, OF_A_DAY = Rules((Rule(name="none", action="skip"),)), Rules(bytes_a_day=10)


@pytest.mark.parametrize(
    ("rules", "skip", "stalled", "asks", "looks_back"),
    [
        (Rules(), 0, 0, True, False),
        (Rules(), 100, 0, False, False),
        (OF_A_DAY, 0, 0, False, False),
        (SKIPS, 0, 0, False, False),
        (Rules(), 0, 1, True, True),
        (Rules(), 0, 10, False, True),
    ],
    ids=["new", "goes on", "bytes a day", "skipped whole", "its host died", "its hosts died too often"],
)
def test_a_page_is_asked_for_before_the_rows_are_read_where_it_is_sure_to_be_needed(
    rules: Rules, skip: int, stalled: int, asks: bool, looks_back: bool
) -> None:
    row = replace(pull(stalled=stalled).row, skip=skip)
    keeping = Keeping.of(rules, subject_of(row), SETTINGS, for_whom="report 1")
    made = beginnings.begun(row, pull().ledger, keeping, 100, 0.0)
    assert beginnings.asks_ahead(made) == asks
    assert beginnings.looks_back_first(made, calls_for_urls=True) == looks_back
    assert beginnings.looks_back_first(made, calls_for_urls=False) == (stalled == 10)


def test_a_pull_that_waited_for_the_next_day_looks_into_the_container_first() -> None:
    """Its host died over a copy, and it waited until the retention rule took the blob: it was copied once more."""
    made = pull()
    made.row = replace(made.row, day_bytes=500)
    assert beginnings.looks_back_first(made, calls_for_urls=False)


def test_rows_that_could_not_be_written_are_not_counted() -> None:
    made = pull()
    made.ledger.record_copied(cab(7), "x/7", Copied(20, "aa"))
    columns = of(made, AgainLater("the table is busy")).columns
    assert (columns["copied"], columns["seen"], columns["bytes"]) == (3, 4, Long(0)), "as the row has them"
    assert columns["stalled"] == 5

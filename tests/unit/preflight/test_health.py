"""Health that says ok while cabs are being lost is worse than none."""

import re
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core import clock
from shared.preflight.health import Health, trouble_of
from shared.progress.failures import ApplicationCheck
from shared.progress.health import CheckedReports, Reconciled
from shared.progress.outages import Known, Outage
from shared.progress.overview import FailureSeen
from shared.storage.table_rows import Row
from shared.storage.table_writes import NO_MOMENT

AT = datetime(2025, 11, 27, 12, tzinfo=UTC)
WELL = Health(Known(), Reconciled(at=AT, missing=3, failed_pulls=1), CheckedReports(AT, 2, 0, ""))
CLOSED = Known(everybody=Outage("401", 2, "the Dev Center answered 401"))


def test_what_needs_nobody_is_no_problem() -> None:
    """A cab that is missing is asked for again by itself, and so is a pull that failed for a reason that passes."""
    assert (WELL.problems, WELL.is_down) == ([], False)
    assert replace(WELL, circuit=CLOSED).problems == []


@pytest.mark.parametrize(
    ("health", "told", "is_down"),
    [
        (replace(WELL, storage="it has not answered"), "storage cannot be asked: it has not answered", True),
        (replace(WELL, circuit=Known(everybody=CLOSED.everybody and CLOSED.everybody.opened())), "answered 401", True),
        (replace(WELL, overdue=("The reconcile is overdue",)), "overdue", False),
        (replace(WELL, checked=CheckedReports(AT, 2, 1, "report 7: is cut")), "report 7: is cut", False),
        (replace(WELL, checks=(ApplicationCheck("app", "9NB", None, AT, 0, 0, "forbidden"),)), "9NB: forbidden", False),
        (replace(WELL, pulls=("1 pull is Failed",)), "1 pull is Failed", False),
        (replace(WELL, reconciled=Reconciled(at=AT, expiring_within_48_hours=4)), "within 48 hours: 4", False),
        (replace(WELL, reconciled=Reconciled(at=AT, lost=2)), "2; their rows say why", False),
        (replace(WELL, reconciled=Reconciled(at=AT, broken=1, error="a row")), "1 failures; the first: a row", False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_problem_is_told_in_a_sentence(health: Health, told: str, is_down: bool) -> None:
    (problem,) = health.problems
    assert told in problem
    assert health.is_down == is_down


def pull(state: str, **columns: Any) -> FailureSeen:
    asked = {"state": state, "queuedAt": clock.now(), "countedAt": AT, **columns}
    return FailureSeen.of(Row("1", "a-failure", asked, "W/1"))


HOUR_AGO = clock.now() - timedelta(minutes=61)


@pytest.mark.parametrize(
    ("seen", "is_troubled"),
    [
        (pull("Failed"), True),
        (pull("Queued", stalled=3), True),
        (pull("Running", stalled=7), True),
        (pull("Queued", stalled=0, waitingSince=HOUR_AGO), True),
        (pull("Completed", failedCabs=1, stalled=0), True),
        (pull("Queued", stalled=1, failedCabs=4, waitingSince=NO_MOMENT), False),
        (pull("Queued", stalled=0, waitingSince=clock.now()), False),
        (pull("Completed", stalled=4, failedCabs=0, waitingSince=HOUR_AGO), False),
        (pull("Completed"), False),
        (pull("Done", stalled=9, lastErrorKind="written by hand"), False),
    ],
)
def test_pulls_in_trouble_are_found_and_no_others(seen: FailureSeen, is_troubled: bool) -> None:
    assert seen.is_troubled == is_troubled


@pytest.mark.parametrize(
    ("pulls", "told"),
    [
        ([pull("Failed", lastErrorKind="later")], []),
        ([pull("Failed", lastErrorKind="person"), pull("Failed", queuedAt=AT)], ["2 pulls are Failed until a person"]),
        (
            [pull("Queued", lastError="503: busy", stalled=3)],
            ["1 pull fails again and again, and will be tried on; the first: 503"],
        ),
        (
            [pull("Running", stalled=3), pull("Queued", stalled=3), pull("Queued")],
            ["2 pulls fail again and again, .* a host ended each time"],
        ),
        ([pull("Completed", failedCabs=2, lastError="2 cabs failed")], ["2 cabs were not copied, .*: 2 cabs failed"]),
        ([pull("Completed", failedCabs=1)], ["1 cab was not copied, .* the rows of these cabs say why"]),
    ],
)
def test_what_keeps_pulls_from_their_cabs_is_told_once_for_each_kind(pulls: list[FailureSeen], told: list[str]) -> None:
    """A copy that fails again and again loses its cab in the end, though its pull is only Queued."""
    found = list(trouble_of(pulls, timedelta(days=30)))
    assert len(found) == len(told)
    for sentence, pattern in zip(found, told, strict=True):
        assert re.match(pattern, sentence)

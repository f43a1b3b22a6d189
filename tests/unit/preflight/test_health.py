"""Health that says ok while cabs are being lost is worse than none."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.preflight.health import Health
from shared.progress.circuit import Known, Outage
from shared.progress.failures import ApplicationCheck
from shared.progress.health import CheckedReports, Reconciled

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
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
        (replace(WELL, failed_for_good=1), "1 pull is Failed", False),
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

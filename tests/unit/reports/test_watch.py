"""A report that is not made any more is the silent stop: somebody must hear of it, and not be told all day."""

from copy import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core import clock
from shared.core.failure import Failure
from shared.devcenter.reports import ReportRun, Schedule
from shared.reports.check import check_reports
from shared.reports.watch import standing_of
from tests.simulation.center import Run
from tests.support.memory_app import memory_app

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATE = 6 * HOUR


class _Noon(clock.Clock):
    def now(self) -> datetime:
        return NOW


def run(hours_ago: float, status: str = "Completed") -> ReportRun:
    location = "https://a/b" if status == "Completed" else ""
    return ReportRun("7", f"{NOW - hours_ago * HOUR:%Y-%m-%dT%H:%M:%S}", status, location)


def daily(started: float, runs: int = 90, *, is_active: bool = True, changed: float | None = None) -> Schedule:
    """A schedule that began so many hours ago."""
    changed_at = None if changed is None else NOW - changed * HOUR
    return Schedule("7", is_active, "5", NOW - started * HOUR, 24, runs, changed_at)


@pytest.mark.parametrize(
    ("schedule", "runs", "kind", "words"),
    [
        (None, [], "", ""),
        (None, [run(100)], "", ""),
        (Schedule("7", is_active=True), [run(100)], "", ""),
        (daily(48), [run(23.9)], "", ""),
        # Due five hours ago: it may still come.
        (daily(53), [run(29)], "", ""),
        (
            daily(55),
            [run(31)],
            "late",
            "Report 7: a run was due at 2026-11-20 05:00 UTC, and its last run is of 2026-11",
        ),
        (daily(55), [], "late", "no run was ever seen"),
        (daily(55, changed=3), [run(31)], "", ""),
        (daily(-1), [], "", ""),
        (daily(5), [], "", ""),
        (None, [run(5, "Pending")], "", ""),
        (None, [run(7, "Pending"), run(31)], "late", "its run of 2026-11-20T05:00:00 is still Pending"),
        (None, [run(7, "In Progress")], "late", "still In Progress"),
        (None, [run(30, "Pending"), run(6)], "", ""),
        (None, [run(2, "Failed"), run(26)], "failed", "its newest run, of 2026-11-20T10:00:00, failed"),
        (None, [run(26, "Failed"), run(2)], "", ""),
        (daily(48, is_active=False), [run(23)], "ended", "no run since 2026-11-19 13:00 UTC, the schedule is paused"),
        (daily(55, 3), [run(7)], "ended", "since 2026-11-20 05:00 UTC, the schedule has ended: it has made its 3 runs"),
        # Its last run may still be made.
        (daily(53, 3), [run(29)], "", ""),
        (daily(55, 3, is_active=False), [], "ended", "no run was ever seen, the schedule has ended"),
        # As somebody would write "without an end": no date is so far away, and no other report may suffer.
        (replace(daily(48), interval_hours=100_000, recurrence=100_000), [run(47)], "", ""),
        (replace(daily(48, 1), starts_at=datetime.max.replace(tzinfo=UTC)), [], "", ""),
        (None, [ReportRun("7", "9999-12-31T23:59:59", "Pending", "")], "", ""),
    ],
)
def test_what_is_wrong_with_a_schedule_is_told(
    schedule: Schedule | None, runs: list[ReportRun], kind: str, words: str
) -> None:
    with clock.using(_Noon()):
        last = max((each.made_at for each in runs if each.made_at), default=None)
        standing = standing_of("7", schedule, runs, last, LATE)
    assert standing.kind == kind
    assert words in standing.problem
    assert bool(standing.problem) == bool(kind)


def test_an_odd_schedule_keeps_no_run_from_being_read() -> None:
    """Somebody wrote into its row by hand, or its times are such as nobody thought of."""
    with memory_app() as app:
        app.change("health", "schedules", "1", mark="", lastRunAt="yesterday")
        app.world.center.runs.append(
            Run(app.world.tasks.now(), tuple(app.serve(Failure("1", "failure"), 2)), is_finished=True)
        )
        odd, read = app.do(lambda: check_reports(app.host.report_tools))
    assert (odd.report_id, odd.outcome, "TypeError" in odd.error) == ("1", "failed", True)
    assert (read.outcome, read.failures) == ("ingested", 1)

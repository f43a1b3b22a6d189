"""Watch the schedules: a run that is late or has failed, and a schedule that makes no runs any more.

Nobody else notices: a report that is not made names no failure, and everything seems well. What is wrong stands in the
table `health` until it is over, and is told once by an event.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import CabferryError
from shared.core.events import REPORT_RUN_LATE, SCHEDULE_ENDED
from shared.core.values import Immutable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from shared.core.settings import Settings
    from shared.devcenter.reports import ReportRun, Schedule
    from shared.progress.health import HealthRows
    from shared.storage.table_rows import Row

_log = logging.getLogger(__name__)
_FAILED, _LATE, _ENDED = "failed", "late", "ended"
NO_SCHEDULE = "No report is scheduled, so that no failure of a driver is found: POST /api/reports/schedules makes one"


class Standing(Immutable, frozen=True):
    """How a schedule stands.

    Args:
        kind: `failed` (its newest run), `late`, `ended`; empty where all is well.
        due: Of what is late, when it was due.
        problem: What a person should know, a sentence; empty where all is well.
    """

    kind: str = ""
    due: str = ""
    problem: str = ""

    @property
    def mark(self) -> str:
        """Return what tells it from what was told before."""
        return f"{self.kind} {self.due}".strip()


def standing_of(
    report_id: str, schedule: Schedule | None, runs: Sequence[ReportRun], last: datetime | None, late: timedelta
) -> Standing:
    """Return how a schedule stands.

    Args:
        report_id: Its id.
        schedule: As the Dev Center lists it; None where it does not.
        runs: Those of late.
        last: When its newest run was made that was ever seen; None where none was.
        late: How long after it is due a run is late.
    """
    now = clock.now()
    if schedule and (how := _end(schedule, now, late)):
        since = f"no run since {_told(last)}" if last else "no run was ever seen"
        return Standing(_ENDED, problem=f"Report {report_id}: {since}, the schedule {how}")
    newest = max(runs, key=lambda run: run.made_at or clock.FIRST_MOMENT, default=None)
    if newest and newest.has_failed:
        return Standing(_FAILED, problem=f"Report {report_id}: its newest run, of {newest.report_datetime}, failed")
    if newest and newest.made_at and not newest.is_finished and newest.made_at < now - late:
        told = f"its run of {newest.report_datetime} is still {newest.status}"
        return Standing(_LATE, newest.report_datetime, f"Report {report_id}: {told}")
    due = schedule.last_due(now - late) if schedule else None
    if due and (last is None or last < due):
        since = f"its last run is of {_told(last)}" if last else "no run was ever seen"
        return Standing(_LATE, _told(due), f"Report {report_id}: a run was due at {_told(due)}, and {since}")
    return Standing()


def _end(schedule: Schedule, now: datetime, late: timedelta) -> str:
    """Return how a schedule came to its end; empty while it goes on."""
    if (final := schedule.due(-1)) and final < now - late:
        return f"has ended: it has made its {schedule.recurrence} runs"
    return "" if schedule.is_active else "is paused"


def _told(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""


class Watch:
    """Look at the schedules during one check of the reports.

    Args:
        settings: How long a run may take, and how long cabs live.
        rows: What was known of them before.
    """

    def __init__(self, settings: Settings, rows: HealthRows) -> None:
        self._settings, self._rows = settings, rows
        self.problems = list[str]()
        # Templates of which a schedule makes runs: it stands in for one of the same that has ended.
        self.live = set[str]()

    @cached_property
    def _known(self) -> dict[str, Row] | None:
        """Return what is known of each schedule; None where storage does not tell, which the health says."""
        try:
            return self._rows.schedules()
        except CabferryError as refused:
            _log.warning("what was known of the schedules could not be read: %s", refused)
            return None

    def look(self, report_id: str, schedule: Schedule | None, runs: Sequence[ReportRun]) -> None:
        """Look at a schedule whose runs were listed.

        Args:
            report_id: Its id.
            schedule: As the Dev Center lists it; None where it does not.
            runs: As they were listed.
        """
        known = (self._known or {}).get(report_id)
        seen = known.set_moment("lastRunAt") if known else None
        last = max((at for at in (seen, *(run.made_at for run in runs)) if at), default=None)
        standing = standing_of(report_id, schedule, runs, last, self._settings.report_late)
        if standing.kind == _ENDED and schedule and schedule.template_id in self.live:
            standing = Standing()
        is_told = known is not None and known.text("mark") == standing.mark
        marked_at = known.set_moment("markedAt") if known and is_told else None
        # After so long no cab of the time since can be had any more.
        is_over = standing.kind == _ENDED and marked_at and marked_at + self._settings.cab_lookback < clock.now()
        if standing.problem and not is_over:
            self.problems.append(standing.problem)
        if self._known is None or (is_told and last in {None, seen}):
            return
        try:
            if not self._rows.note_schedule(report_id, known, standing.mark, last, is_new=not is_told) or is_told:
                return
        except CabferryError as refused:  # the problem is told by the health all the same
            _log.warning("how report %s stands could not be recorded: %s", report_id, refused)
            return
        if standing.kind == _LATE:
            REPORT_RUN_LATE.tell(reportId=report_id, due=standing.due, reason=standing.problem)
        elif standing.kind == _ENDED:
            SCHEDULE_ENDED.tell(reportId=report_id, reason=standing.problem)

    def look_at_silent(self, paused: Schedule) -> None:
        """Look at a schedule that is not asked for runs: one that was before has come to an end.

        Args:
            paused: As the Dev Center lists it.
        """
        if paused.report_id in (self._known or {}):
            self.look(paused.report_id, paused, ())

"""What a check of the reports decides, from top to bottom: functions that ask nobody but the clock.

1. Of which reports runs are listed: of those that REPORT_IDS names, else of every active schedule, and of one that has
   just made its last run.
2. What becomes of a run that is not read: an earlier check has read it, it is not finished, or it failed at the Dev
   Center. All others are (shared/reports/ingest.py).
3. Which failures of its file need a pull, and which first. A failure is left out where no pull could bring a cab that
   the report lists: all of them were copied, or are gone. What a report cannot tell must not be lost for that: cabs
   that are younger than it, and crashes whose row names no cab yet. So a failure of which it lists no cab at all is
   always pulled, and any other once a week: cabs live for thirty days. One that happened too seldom for a rule
   (at-least-hits) is pulled as soon as a report counts enough.
4. A failure that a rule skips whole (shared/core/keep.py) needs none, and the rows say so; but no rule leaves out what
   a person has asked for and has not got.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, NeedsPerson
from shared.core.failure import Window
from shared.core.keep import Subject
from shared.core.redaction import excerpt
from shared.progress.cab_row import CabRow, CabState
from shared.progress.pull_row import PullState
from shared.progress.tally import CabTally
from shared.pull.keeping import Keeping

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from shared.core.errors import CabferryError
    from shared.core.keep import Rules
    from shared.core.settings import Settings
    from shared.devcenter.reports import ReportRun, Schedule
    from shared.progress.reports import ReportRow
    from shared.reports.named import ListedCabs, Named
    from shared.reports.outcome import Outcome
    from shared.storage.table_writes import Columns

_LOOKED_AT = timedelta(days=7)
_WAITS = {PullState.QUEUED.value, PullState.RUNNING.value}
# What sorts behind every time: cabs of which nobody knows when they expire, and failures without a cab to save.
_UNKNOWN, _NOTHING = "~1", "~2"


def days_of_runs(settings: Settings) -> Window:
    """Return the days of which runs are listed."""
    today = clock.now().date()
    return Window(today - settings.report_lookback, today + timedelta(days=1))


def reports_with_runs(schedules: Iterable[Schedule], days: Window) -> tuple[str, ...]:
    """Return the reports of which runs are listed, where REPORT_IDS names none."""
    return tuple(each.report_id for each in schedules if each.is_active or _has_just_ended(each, days))


def _has_just_ended(schedule: Schedule, days: Window) -> bool:
    """Tell whether a schedule may have been set inactive when it made its last run, which is still to be read."""
    final = schedule.due(-1)
    return final is not None and days.start <= final.date() <= clock.now().date()


def ends_check(error: CabferryError) -> bool:
    """Tell whether what ended the call for a report's runs would end that for others as well."""
    return isinstance(error, NeedsPerson) or (isinstance(error, AgainLater) and error.wait is not None)


def unread(run: ReportRun, known: ReportRow | None) -> Outcome | None:
    """Return what becomes of a run that is not read; None where it is to be read.

    Args:
        run: As the Dev Center lists it.
        known: Its row; None where it has none.
    """
    if known and known.ingested_at:
        return "known"
    if run.is_finished:
        return None
    return "failed" if run.has_failed else "pending"


def due(
    named: Named, listed: ListedCabs, known: Mapping[str, CabRow], asks: str, *, has_passed: bool = False
) -> str | None:
    """Return what a failure is sorted by, when it is to be pulled; None where no pull is needed.

    Args:
        named: The failure.
        listed: Its cabs, as the report lists them.
        known: The rows that these had before.
        asks: What the pulls of this very run are asked for by. Its pull may have a row and no message, where a check
            died in between.
        has_passed: Whether it happens often enough by now for a rule that skipped cabs of it.
    """
    wanted = {CabState.LISTED, CabState.FAILED, *((CabState.SKIPPED,) if has_passed else ())}
    left = [cab for cab in listed.facts if _could_be_had(known.get(cab), listed.expires.get(cab), wanted)]
    is_new = len(listed.facts) > len(known)
    is_named = any(
        row.state is CabState.COPIED and row.facts.completed(listed.facts[cab]) != row.facts
        for cab, row in known.items()
    )
    if named.pull in _WAITS:
        # Whoever asked for it sends its message, and it takes whatever has a row by then; the reconcile sees to both.
        is_needed = is_new or is_named or named.asked_by == excerpt(asks)
    elif named.pull == PullState.COMPLETED:
        was_looked_at = named.pulled_at is not None and clock.now() - named.pulled_at < _LOOKED_AT
        is_needed = is_new or bool(left) or is_named or not listed.facts or not was_looked_at
    else:
        is_needed = True
    return _first(left, listed, known) if is_needed else None


def _could_be_had(row: CabRow | None, expires: datetime | None, wanted: Collection[CabState]) -> bool:
    """Tell whether a pull could bring a cab; one that was called expired is tried again where it expires later."""
    if row is None or row.state is not CabState.EXPIRED:
        return row is None or row.state in wanted
    return expires is not None and expires > clock.true_now()


def _first(left: list[str], listed: ListedCabs, known: Mapping[str, CabRow]) -> str:
    """Return when the first of these cabs expires that has not expired yet."""
    now = clock.true_now()
    limits = [listed.expires.get(cab) or (known[cab].expires if cab in known else None) for cab in left]
    if ahead := [limit for limit in limits if limit and limit > now]:
        return min(ahead).isoformat()
    return _UNKNOWN if None in limits else _NOTHING


def subject_of(named: Named) -> Subject:
    """Return what rules look at of a failure that a report names."""
    return Subject(named.failure.application_id, named.facts.failure_name, named.facts.driver_name, named.hits)


def skips_whole(named: Named, rules: Rules, settings: Settings, asks: str) -> str:
    """Return why nothing of a failure is kept for whoever its pull is; empty where something may be."""
    return Keeping.of(rules, subject_of(named), settings, for_whom=named.person or asks).skips_whole


def skipped_columns(named: Named, listed: ListedCabs, reason: str, settings: Settings) -> Columns:
    """Return what a failure's row tells of the rule that skips it whole, and of its cabs where it had no row before."""
    if named.pull:
        return {"skippedBy": reason}
    now = clock.now()
    rows = [
        CabRow(CabState.SKIPPED, error=reason, settled_at=now, facts=facts, expires=listed.expires.get(cab))
        for cab, facts in listed.facts.items()
    ]
    return {**CabTally.taken(rows, settings).columns(), "skippedBy": reason}

"""The check of the reports: list the runs of each, watch its schedule, and let what is finished be read.

What it decides is in shared/reports/policy.py, and what becomes of a finished run in shared/reports/ingest.py.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, CabferryError, unforeseen
from shared.core.events import REPORT_RUN_FAILED, REPORTS_CHECKED
from shared.core.metrics import CHECK_DURATION, REPORT_AGE
from shared.core.schedule import next_after
from shared.core.values import Immutable
from shared.devcenter.reports import Listed, ReportRun
from shared.progress.health import CheckedReports
from shared.progress.reports import key_of, odd_key
from shared.reports import policy
from shared.reports.ingest import ingest
from shared.reports.outcome import RunOutcome
from shared.reports.watch import NO_SCHEDULE, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from shared.core.failure import Window
    from shared.core.settings import Settings
    from shared.devcenter.client import DevCenter
    from shared.devcenter.reports import Schedule
    from shared.progress.asked_pulls import AskedPulls
    from shared.progress.cabs import CabRows
    from shared.progress.health import HealthRows
    from shared.progress.pulls import PullRows
    from shared.progress.reports import ReportRow, ReportRows
    from shared.progress.requests import PullRequests
    from shared.pull.keep_file import KeepFile
    from shared.reports.file import ReportFiles

_log = logging.getLogger(__name__)
# Keys of rows that stand for no run: of a report as a whole, and of a schedule that names no report.
_REPORT, _SCHEDULES = "report", "schedules"


class ReportTools(Immutable, frozen=True):
    """What a check works with."""

    settings: Settings
    devcenter: DevCenter
    files: ReportFiles
    reports: ReportRows
    pulls: PullRows
    asked: AskedPulls
    requests: PullRequests
    cabs: CabRows
    health: HealthRows
    executor: Executor
    keep: KeepFile


def check_reports(
    tools: ReportTools, is_last_try: Callable[[CabferryError], bool] = lambda _: True
) -> list[RunOutcome]:
    """Check every report once, and record in the table `health` how that went.

    Args:
        tools: What to work with.
        is_last_try: Tells of what ended the check whether no other follows soon: only then is it how the check went.

    Returns:
        One outcome for each run that the API lists within REPORT_LOOKBACK_DAYS, and one for each report whose runs it
        does not list and each item of a list that is odd. One that fails stops no other.

    Raises:
        CabferryError: The Dev Center did not list the schedules, needs a person, or asked to be left alone for a while:
            asking on would only be refused again. What storage or a file's host say ends no check.
    """
    if not tools.settings.checks_reports:
        # Who switched it off must not be told for ever that none succeeds.
        REPORTS_CHECKED.tell(runs=0, failed=0)
        return []
    began, outcomes, watch = clock.monotonic(), list[RunOutcome](), Watch(tools.settings, tools.health)
    try:
        outcomes.extend(_checked(tools, watch))
    except CabferryError as ended:
        if is_last_try(ended):
            _record(tools, outcomes, with_next_check(ended, tools.settings))
        raise
    except Exception:
        _record(tools, outcomes, "an unexpected error; the app's log has it")
        raise
    CHECK_DURATION.record(clock.monotonic() - began, check="reports")
    REPORTS_CHECKED.tell(runs=len(outcomes), failed=_record(tools, outcomes, "", tuple(watch.problems)))
    return outcomes


def with_next_check(error: CabferryError, settings: Settings) -> str:
    """Return what ended a check, and when the timer makes the next: a wait that is told may be over by then."""
    following = next_after(settings.report_schedule, clock.now()) if isinstance(error, AgainLater) else None
    return f"{error}; the reports are checked again at {following:%Y-%m-%d %H:%M} UTC" if following else str(error)


def _record(tools: ReportTools, outcomes: list[RunOutcome], error: str, problems: tuple[str, ...] | None = None) -> int:
    """Record in the table `health` how a check went; return how many runs could not be read."""
    unread = [each for each in outcomes if each.is_unread]
    error = error or (f"{unread[0]}: {unread[0].error}" if unread else "")
    try:
        tools.health.write_checked(CheckedReports(clock.now(), len(outcomes), len(unread), error, problems))
    except CabferryError as refused:  # what storage refuses here, it refuses health as well, which tells it
        _log.warning("how the check of the reports went could not be recorded: %s", refused)
    return len(unread)


def _checked(tools: ReportTools, watch: Watch) -> Iterator[RunOutcome]:
    ids, window = tools.settings.report_ids, policy.days_of_runs(tools.settings)
    schedules = _schedules(tools, is_needed=not ids)
    listed = {each.report_id: each for each in schedules.items}
    watch.live = {each.template_id for each in schedules.items if each.template_id and each.stands_in(clock.now())}
    if not ids:
        yield from _odd(tools, "", schedules.odd, tools.reports.of(_SCHEDULES) if schedules.odd else None)
        ids = policy.reports_with_runs(listed.values(), window)
        silent = [each for name, each in listed.items() if name not in ids]
        for each in silent:
            yield from _watched(each.report_id, partial(watch.look_at_silent, each))
        if not ids:
            _log.warning("the Dev Center lists no active report schedule: nothing can be pulled")
            watch.problems.append(NO_SCHEDULE)
    for report_id in ids:
        yield from _check_report(tools, report_id, window, watch, listed.get(report_id))


def _schedules(tools: ReportTools, *, is_needed: bool) -> Listed[Schedule]:
    """List the schedules; where REPORT_IDS names the reports, they only tell more of them."""
    try:
        return tools.devcenter.schedules()
    except CabferryError as error:
        if is_needed:
            raise
        _log.warning("whether the reports are still made is not known: %s", error)
        return Listed([], [])


def _check_report(
    tools: ReportTools, report_id: str, window: Window, watch: Watch, schedule: Schedule | None
) -> Iterator[RunOutcome]:
    whole = ReportRun(report_id, "", "", "")
    try:
        runs = tools.devcenter.report_runs(report_id, window)
    except CabferryError as error:
        if policy.ends_check(error):
            raise
        yield RunOutcome.failed(whole, str(error))
        _tell(tools, report_id, str(error))
        return
    try:
        known = tools.reports.of(report_id)
    except CabferryError as error:
        yield RunOutcome.failed(whole, str(error))
        return
    if (listing := known.get(_REPORT)) and listing.error:
        _tell(tools, report_id, "")
    yield from _odd(tools, report_id, runs.odd, known)
    if finished := [run.made_at for run in runs.items if run.is_finished and run.made_at]:
        REPORT_AGE.record((clock.now() - max(finished)).total_seconds(), report=report_id)
    yield from _watched(report_id, partial(watch.look, report_id, schedule, runs.items))
    for run in dict.fromkeys(runs.items):
        try:
            key = key_of(run, runs.items, known)
            yield _check_run(tools, run, key, known.get(key))
        except CabferryError as error:
            yield RunOutcome.failed(run, str(error))
        except Exception as error:  # noqa: BLE001 - it is logged whole, and told; the next check tries again
            _log.exception("%s failed in a way that nobody foresaw", run)
            yield RunOutcome.failed(run, unforeseen(error))


def _watched(report_id: str, look: Callable[[], None]) -> Iterator[RunOutcome]:
    """Look at a schedule; where that fails, its runs and its siblings are checked all the same."""
    try:
        look()
    except Exception as error:  # noqa: BLE001 - it is logged whole, and told; the next check tries again
        _log.exception("how report %s stands could not be told, for a reason that nobody foresaw", report_id)
        yield RunOutcome.failed(ReportRun(report_id, "", "", ""), unforeseen(error))


def _odd(
    tools: ReportTools, report_id: str, odd: list[str], known: Mapping[str, ReportRow] | None
) -> Iterator[RunOutcome]:
    """Tell what is odd about the items of a list, each in a row of its own."""
    for what in dict.fromkeys(odd):
        outcome = RunOutcome.failed(ReportRun(report_id, "", "", ""), what)
        if known is not None and odd_key(what) not in known:
            _tell(tools, report_id or _SCHEDULES, what, odd_key(what))
        yield outcome


def _tell(tools: ReportTools, report_id: str, error: str, key: str = _REPORT) -> None:
    try:
        tools.reports.tell(report_id, key, error)
    except CabferryError as refused:  # the outcome and the log tell it as well
        _log.warning("report %s: %s", report_id, refused)


def _check_run(tools: ReportTools, run: ReportRun, key: str, known: ReportRow | None) -> RunOutcome:
    outcome = policy.unread(run, known)
    if outcome is None:
        return ingest(tools, run, key)
    has_changed = outcome != "known" and (known is None or known.status != run.status)
    if has_changed and tools.reports.note(run, key) and outcome == "failed":
        reason = "the Dev Center could not make it"
        REPORT_RUN_FAILED.tell(reportId=run.report_id, reportDatetime=run.report_datetime, reason=reason)
    return RunOutcome.of(run, outcome)

"""The check of the reports: find finished runs, list what they name, and queue a pull for each failure.

A run is marked as ingested when the last of its messages was sent. A crash before that makes the next check do the run
again: cabs are listed only once, and a failure that is queued twice is pulled twice, which copies nothing twice.

1. Read the file, and gather what it names on disk (shared/reports/named.py).
2. Look up what is known of it: the pulls in one pass over each application's, and the cabs of those that have one.
3. Write a `listed` row for each new cab, and decide whether the failure needs a pull (shared/reports/news.py). Where a
   rule skips it whole (shared/core/keep.py), it needs none, and the rows say so.
4. Queue what does, the cabs that expire first in front.
"""

from __future__ import annotations

import logging
from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, BadInput, CabferryError, FreshUrl, NeedsPerson
from shared.core.events import REPORT_RUN_FAILED, REPORTS_CHECKED
from shared.core.failure import Window, default_window
from shared.core.keep import Subject
from shared.core.metrics import CHECK_DURATION, REPORT_AGE
from shared.core.schedule import next_after
from shared.core.values import Immutable, Mutable
from shared.devcenter.reports import Listed, ReportRun, Schedule
from shared.progress.cabs import CabRow, CabState, by_cab
from shared.progress.health import CheckedReports
from shared.progress.messages import new_pull_id
from shared.progress.reports import file_of, ingested, odd_key
from shared.progress.tally import CabTally
from shared.reports.named import PULL_COLUMNS, NamedFailures
from shared.reports.news import due
from shared.reports.reader import read_report
from shared.reports.watch import NO_SCHEDULE, Watch
from shared.storage.lease import HeldElsewhere
from shared.web.http_source import at_once_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor

    from shared.core.facts import CabFacts
    from shared.core.failure import Failure
    from shared.core.settings import Settings
    from shared.devcenter.client import DevCenter
    from shared.progress.cabs import CabRows
    from shared.progress.health import HealthRows
    from shared.progress.pulls import PullRows
    from shared.progress.reports import KnownRuns, Outcome, ReportRow, ReportRows
    from shared.progress.requests import PullRequests
    from shared.pull.keep_file import KeepFile
    from shared.reports.file import ReportFiles
    from shared.reports.named import ListedCabs, Named
    from shared.storage.lease import RowLease
    from shared.storage.table_writes import Columns

_log = logging.getLogger(__name__)
# Failures whose cabs are looked up together, and listed at once; each is a request of its own.
_AT_ONCE = 64
# Failures whose pulls are queued together: rows of some megabytes.
_QUEUED_AT_ONCE = 2_000
# Keys of rows that stand for no run: of a report as a whole, and of a schedule that names no report.
_REPORT, _SCHEDULES = "report", "schedules"


class ReportTools(Immutable, frozen=True):
    """What a check works with."""

    settings: Settings
    devcenter: DevCenter
    files: ReportFiles
    reports: ReportRows
    pulls: PullRows
    requests: PullRequests
    cabs: CabRows
    health: HealthRows
    executor: Executor
    keep: KeepFile


class RunOutcome(Immutable, frozen=True):
    """What a check did with one run.

    Args:
        report_id: The schedule's id.
        report_datetime: When the run was made.
        status: As the API names it.
        outcome: `ingested` (now), `known` (an earlier check did), `pending`, `busy` (another check reads it), `failed`.
        failures: How many failures were queued.
        cabs: How many cabs were listed.
        named: How many of them were known before, and lacked something that the report tells.
        error: Why it failed, or what could not be read.
        held: How many failures were not queued: no pull could bring a cab that the report lists, one waits that takes
            them, or a rule skips the failure.
    """

    report_id: str
    report_datetime: str
    status: str
    outcome: Outcome
    failures: int = 0
    cabs: int = 0
    error: str = ""
    named: int = 0
    held: int = 0

    @property
    def is_unread(self) -> bool:
        """Tell whether something of it could not be read; a run that the Dev Center calls Failed is told by itself."""
        return self.outcome == "failed" and bool(self.error)


def _is_last_try(_: CabferryError) -> bool:
    return True


def check_reports(tools: ReportTools, is_last_try: Callable[[CabferryError], bool] = _is_last_try) -> list[RunOutcome]:
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
    error = error or (f"{_named(unread[0])}: {unread[0].error}" if unread else "")
    try:
        tools.health.write_checked(CheckedReports(clock.now(), len(outcomes), len(unread), error, problems))
    except CabferryError as refused:  # what storage refuses here, it refuses health as well, which tells it
        _log.warning("how the check of the reports went could not be recorded: %s", refused)
    return len(unread)


def _checked(tools: ReportTools, watch: Watch) -> Iterator[RunOutcome]:
    ids, window = tools.settings.report_ids, _recent(tools.settings.report_lookback)
    schedules = _schedules(tools, is_needed=not ids)
    listed = {each.report_id: each for each in schedules.items}
    watch.live = {each.template_id for each in schedules.items if each.template_id and each.is_live(clock.now())}
    if not ids:
        yield from _odd(tools, "", schedules.odd, tools.reports.of(_SCHEDULES) if schedules.odd else None)
        ids = tuple(name for name, each in listed.items() if each.is_active or _has_just_ended(each, window))
        silent = [each for name, each in listed.items() if name not in ids]
        if silent:
            watch.look_at_silent(silent)
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


def _has_just_ended(schedule: Schedule, window: Window) -> bool:
    """Tell whether a schedule may have been set inactive when it made its last run, which is still to be read."""
    final = schedule.due(-1)
    return final is not None and window.start <= final.date() <= clock.now().date()


def _check_report(
    tools: ReportTools, report_id: str, window: Window, watch: Watch, schedule: Schedule | None
) -> Iterator[RunOutcome]:
    whole = ReportRun(report_id, "", "", "")
    try:
        runs = tools.devcenter.report_runs(report_id, window)
    except NeedsPerson:
        raise
    except CabferryError as error:
        if isinstance(error, AgainLater) and error.wait is not None:
            raise
        yield _failed(whole, str(error))
        _tell(tools, report_id, str(error))
        return
    try:
        known = tools.reports.of(report_id)
    except CabferryError as error:
        yield _failed(whole, str(error))
        return
    if (listing := known.rows.get(_REPORT)) and listing.error:
        _tell(tools, report_id, "")
    yield from _odd(tools, report_id, runs.odd, known)
    if finished := [run.made_at for run in runs.items if run.is_finished and run.made_at]:
        REPORT_AGE.record((clock.now() - max(finished)).total_seconds(), report=report_id)
    watch.look(report_id, schedule, runs.items)
    for run in dict.fromkeys(runs.items):
        try:
            key = known.key_of(run, runs.items)
            yield _check_run(tools, run, key, known.rows.get(key))
        except CabferryError as error:
            yield _failed(run, str(error))
        except Exception as error:  # noqa: BLE001 - it is logged whole, and told; the next check tries again
            _log.exception("%s failed in a way that nobody foresaw", run)
            yield _failed(run, unforeseen(error))


def _odd(tools: ReportTools, report_id: str, odd: list[str], known: KnownRuns | None) -> Iterator[RunOutcome]:
    """Tell what is odd about the items of a list, each in a row of its own."""
    for what in dict.fromkeys(odd):
        outcome = _failed(ReportRun(report_id, "", "", ""), what)
        if known and odd_key(what) not in known.rows:
            _tell(tools, report_id or _SCHEDULES, what, odd_key(what))
        yield outcome


def _tell(tools: ReportTools, report_id: str, error: str, key: str = _REPORT) -> None:
    try:
        tools.reports.tell(report_id, key, error)
    except CabferryError as refused:  # the outcome and the log tell it as well
        _log.warning("report %s: %s", report_id, refused)


def _failed(run: ReportRun, error: str) -> RunOutcome:
    outcome = RunOutcome(run.report_id, run.report_datetime, run.status, "failed", error=error)
    _log.error("%s: %s", _named(outcome), error)
    return outcome


def _named(outcome: RunOutcome) -> str:
    names = (f"report {outcome.report_id}" if outcome.report_id else "", outcome.report_datetime)
    return " ".join(filter(None, names)) or "the list of reports"


def _check_run(tools: ReportTools, run: ReportRun, key: str, known: ReportRow | None) -> RunOutcome:
    def told(outcome: Outcome, error: str = "") -> RunOutcome:
        return RunOutcome(run.report_id, run.report_datetime, run.status, outcome, error=error)

    if known and known.ingested_at:
        return told("known")
    if not run.is_finished:
        is_new = (known is None or known.status != run.status) and tools.reports.note(run, key)
        if is_new and run.has_failed:
            reason = "the Dev Center could not make it"
            REPORT_RUN_FAILED.tell(reportId=run.report_id, reportDatetime=run.report_datetime, reason=reason)
        return told("failed" if run.has_failed else "pending")
    lease = tools.reports.take(run, key)
    if isinstance(lease, HeldElsewhere):
        return told("busy")
    with lease:
        if lease.row.moment("ingestedAt"):  # by another check, since the rows were read
            lease.release({})
            return told("known")
        try:
            try:
                return _ingest(tools, run, lease)
            except FreshUrl as expired:
                _log.info("%s; its location is asked for again", expired)
                return _ingest(tools, _asked_again(tools, run), lease)
        except CabferryError as error:
            lease.release({"error": str(error)})
            raise
        except Exception as error:
            lease.release({"error": unforeseen(error)})
            raise


def _asked_again(tools: ReportTools, run: ReportRun) -> ReportRun:
    """Return a run with the location that the Dev Center gives now."""
    runs = tools.devcenter.report_runs(run.report_id, _recent(tools.settings.report_lookback)).items
    same = (each for each in runs if each.report_datetime == run.report_datetime and file_of(each) == file_of(run))
    return next(same, run)


def unforeseen(error: Exception) -> str:
    """Return what can be told of an error that is none of ours: its text may quote anything."""
    return f"an unexpected error ({type(error).__name__}); the app's log has it"


def _ingest(tools: ReportTools, run: ReportRun, lease: RowLease) -> RunOutcome:
    asks, pull_id = f"report {run.report_id} {run.report_datetime}", new_pull_id()
    with NamedFailures() as named:
        found = at_once_again(lambda: _read(tools, run, named))
        # A file that cannot be read to its end is as it is: what it names is pulled, but not at every check again.
        if not (found.broken and len(named) == lease.row.number("failures")):
            window = default_window(tools.settings.cab_lookback)
            found.named = _list_cabs(tools, named, window, asks)
            for some in named.to_queue(_QUEUED_AT_ONCE):
                facts, hits = _told(some)
                tools.requests.make(facts, window, asks, pull_id, facts=facts, hits=hits)
        seen, problem = found.problem(run), f"; {found.problem(run)}" if found.problem(run) else ""
        held = len(named) - named.queued
        told = run, named.queued, pull_id, held, named.cabs, problem
        _log.info("%s: %d failures queued (pull %s), %d need no pull, %d cabs listed%s", *told)
        if found.broken:
            lease.release({"failures": len(named), "cabs": named.cabs, "error": str(found.broken)})
            return replace(_failed(run, str(found.broken)), failures=named.queued, cabs=named.cabs)
        lease.release(ingested(len(named), named.cabs, seen))
        return RunOutcome(
            run.report_id,
            run.report_datetime,
            run.status,
            "ingested",
            failures=named.queued,
            held=held,
            cabs=named.cabs,
            error=seen,
            named=found.named,
        )


class _Found(Mutable):
    """What was read of a file.

    Args:
        named: How many of them were known before, and lacked something that it tells.
        unreadable: How many rows, failures or cabs cannot be read.
        why: What was wrong with the first of them.
        note: What else a person should know of the file.
        broken: Why it could not be read to its end, or not be believed.
    """

    named: int = 0
    unreadable: int = 0
    why: str = ""
    note: str = ""
    broken: BadInput | None = None

    def problem(self, run: ReportRun) -> str:
        """Return what of a file that was read to its end a person should know."""
        unreadable = f"{self.unreadable} rows, failures or cabs cannot be read; the first: {self.why}"
        told = (unreadable if self.unreadable else "", self.note, "" if run.report_datetime else "it names no time")
        return "; ".join(filter(None, told))


def _read(tools: ReportTools, run: ReportRun, named: NamedFailures) -> _Found:
    """Stream the file, and gather what it names."""
    found = _Found()
    named.begin()
    try:
        with tools.files.opened(run) as file:
            for part in read_report(file.stream, str(run), is_length_told=file.is_length_told):
                named.add(part)
                found.unreadable += part.unreadable
                found.why, found.note = found.why or part.why_unreadable, found.note or part.note
    except BadInput as error:
        found.broken = error
    return found


def _list_cabs(tools: ReportTools, named: NamedFailures, window: Window, asks: str) -> int:
    """Write `listed` rows, and note which failures need a pull; return how many known cabs lacked something.

    A failure that a rule skips whole needs none; the cabs that are new are `skipped` from the beginning.
    """
    rules = tools.keep.current()
    for application in named.applications():
        named.note_pulls(tools.pulls.of_application(application, PULL_COLUMNS))
    completed = 0
    for some in named.batches(_AT_ONCE):
        listed = {each.failure: named.cabs_of(each) for each in some}
        rows = dict(tools.cabs.of_many([each.failure for each in some if each.pull]))
        skipped = {each.failure: reason for each in some if (reason := rules.skips_whole(_subject(each)))}

        def write(each: Named) -> int:
            cabs, reason = listed[each.failure], skipped.get(each.failure, "")  # noqa: B023 - done before the next
            there = rows.get(each.failure)  # noqa: B023 - likewise
            return tools.cabs.list_new(each.failure, cabs.facts, cabs.expires, there, reason)

        completed += sum(tools.executor.map(write, some))
        for each in some:
            cabs = listed[each.failure]
            known = {cab: row for cab, row in by_cab(rows.get(each.failure, ())).items() if cab in cabs.facts}
            if each.failure not in skipped and (limit := due(each, cabs, known, asks)):
                named.queue(each, limit)
        new = [each for each in some if each.failure in skipped and not each.pull]
        if new:
            counted = {each.failure: _skipped(tools, listed[each.failure], skipped[each.failure]) for each in new}
            tools.pulls.note_skipped(counted, window, asks, *_told(new))
    return completed


def _subject(named: Named) -> Subject:
    return Subject(named.failure.application_id, named.facts.failure_name, named.facts.driver_name, named.hits)


def _told(some: Iterable[Named]) -> tuple[dict[Failure, CabFacts], dict[Failure, int]]:
    """Return what the report tells of failures, and how often each happened."""
    return {each.failure: each.facts for each in some}, {each.failure: each.hits for each in some}


def _skipped(tools: ReportTools, listed: ListedCabs, reason: str) -> Columns:
    """Return what a failure's row tells of the rule that skips it whole, and of its cabs."""
    now = clock.now()
    rows = [
        CabRow(CabState.SKIPPED, error=reason, settled_at=now, facts=facts, expires=listed.expires.get(cab))
        for cab, facts in listed.facts.items()
    ]
    return {**CabTally.taken(rows, tools.settings).columns(), "skippedBy": reason}


def _recent(lookback: timedelta) -> Window:
    today = clock.now().date()
    return Window(today - lookback, today + timedelta(days=1))

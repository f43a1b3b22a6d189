"""The check of the reports: find finished runs, list what they name, and queue a pull for each failure.

A run is marked as ingested when the last of its messages was sent. A crash before that makes the next check do the run
again: cabs are listed only once, and a failure that is queued twice is pulled twice, which copies nothing twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, CabferryError, NeedsPerson
from shared.core.failure import Failure, Window, default_window
from shared.devcenter.reports import ReportRun
from shared.progress.reports import ingested
from shared.reports.reader import read_report
from shared.storage.lease import HeldElsewhere
from shared.web.http_source import at_once_again

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from shared.core.settings import Settings
    from shared.devcenter.client import DevCenter
    from shared.progress.cabs import CabRows
    from shared.progress.reports import Outcome, ReportRow, ReportRows
    from shared.progress.requests import PullRequests
    from shared.reports.file import ReportFiles
    from shared.storage.lease import RowLease

_log = logging.getLogger(__name__)
# Failures whose cabs are listed at once; each is a request of its own.
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class ReportTools:
    """What a check works with."""

    settings: Settings
    devcenter: DevCenter
    files: ReportFiles
    reports: ReportRows
    requests: PullRequests
    cabs: CabRows
    executor: Executor


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a check did with one run.

    Args:
        report_id: The schedule's id.
        report_datetime: When the run was made.
        status: As the API names it.
        outcome: `ingested` (now), `known` (an earlier check did), `pending`, `busy` (another check reads it), `failed`.
        failures: How many failures were queued.
        cabs: How many cabs were listed.
        error: Why it failed, or what could not be read.
    """

    report_id: str
    report_datetime: str
    status: str
    outcome: Outcome
    failures: int = 0
    cabs: int = 0
    error: str = ""


def check_reports(tools: ReportTools) -> list[RunOutcome]:
    """Check every report once.

    Args:
        tools: What to work with.

    Returns:
        One outcome for each run that the API lists within REPORT_LOOKBACK_DAYS, and one for a report whose runs it does
        not list. One that fails stops no other.

    Raises:
        CabferryError: The schedules could not be listed, a person is needed at the Dev Center, or it asked to be left
            alone for a while: asking on would only be refused again.
    """
    if not tools.settings.checks_reports:
        return []
    ids = tools.settings.report_ids or tuple(each.report_id for each in tools.devcenter.schedules() if each.is_active)
    if not ids:
        _log.warning("the Dev Center lists no active report schedule, and REPORT_IDS is empty: nothing can be pulled")
    window = _recent(tools.settings.report_lookback)
    return [outcome for report_id in ids for outcome in _check_report(tools, report_id, window)]


def _check_report(tools: ReportTools, report_id: str, window: Window) -> Iterator[RunOutcome]:
    try:
        runs, known = tools.devcenter.report_runs(report_id, window), tools.reports.of(report_id)
    except NeedsPerson:
        raise
    except CabferryError as error:
        _raise_if_asked_to_wait(error)
        yield _failed(ReportRun(report_id, "", "", ""), error)
        return
    for run in runs:
        try:
            yield _check_run(tools, run, known.get(run.report_datetime))
        except CabferryError as error:
            _raise_if_asked_to_wait(error)
            yield _failed(run, error)


def _raise_if_asked_to_wait(error: CabferryError) -> None:
    if isinstance(error, AgainLater) and error.wait is not None:
        raise error


def _failed(run: ReportRun, error: CabferryError) -> RunOutcome:
    _log.error("report %s %s: %s", run.report_id, run.report_datetime, error)
    return RunOutcome(run.report_id, run.report_datetime, run.status, "failed", error=str(error))


def _check_run(tools: ReportTools, run: ReportRun, known: ReportRow | None) -> RunOutcome:
    def told(outcome: Outcome) -> RunOutcome:
        return RunOutcome(run.report_id, run.report_datetime, run.status, outcome)

    if known and known.ingested_at:
        return told("known")
    if not run.is_finished:
        if known is None or known.status != run.status:
            tools.reports.note(run)
        return told("failed" if run.status.lower() == "failed" else "pending")
    lease = tools.reports.take(run)
    if isinstance(lease, HeldElsewhere):
        return told("busy")
    with lease:
        if lease.row.moment("ingestedAt"):  # by another check, since the rows were read
            lease.release({})
            return told("known")
        try:
            return _ingest(tools, run, lease)
        except CabferryError as error:
            lease.release({"error": str(error)})
            raise


def _ingest(tools: ReportTools, run: ReportRun, lease: RowLease) -> RunOutcome:
    failures, cabs, problem = at_once_again(lambda: _list_cabs(tools, run))
    window = default_window(tools.settings.cab_lookback)
    requested_by = f"report {run.report_id} {run.report_datetime}"
    pull_id = tools.requests.make(failures, window, requested_by)
    lease.release(ingested(len(failures), cabs, problem))
    seen = f"; {problem}" if problem else ""
    _log.info("%s: %d failures queued (pull %s), %d cabs listed%s", run, len(failures), pull_id, cabs, seen)
    return RunOutcome(run.report_id, run.report_datetime, run.status, "ingested", len(failures), cabs, problem)


def _list_cabs(tools: ReportTools, run: ReportRun) -> tuple[set[Failure], int, str]:
    """Stream the file, write `listed` rows, and return the distinct failures, how many cabs, and what is unreadable."""
    failures, cabs, unreadable, why = set[Failure](), 0, 0, ""
    with tools.files.opened(run) as stream:
        for part in read_report(stream, str(run)):
            stored = dict(zip(part.cabs, tools.requests.as_stored(part.cabs), strict=True))
            listed = [(stored[failure], told) for failure, told in part.cabs.items() if told]
            for some in batched(listed, _AT_ONCE, strict=False):
                list(tools.executor.map(lambda pair: tools.cabs.list_new(*pair), some))
            failures.update(stored.values())
            cabs += sum(len(told) for _, told in listed)
            unreadable, why = unreadable + part.unreadable, why or part.why_unreadable
    return failures, cabs, f"{unreadable} rows, failures or cabs cannot be read; the first: {why}" if unreadable else ""


def _recent(lookback: timedelta) -> Window:
    today = clock.now().date()
    return Window(today - lookback, today + timedelta(days=1))

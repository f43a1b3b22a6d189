"""A finished run of a report: read it, list the cabs that it names, and queue a pull for each failure that needs one.

A run is marked as ingested when the last of its messages was sent. A crash before that makes the next check do the run
again: cabs are listed only once, and a failure that is queued twice is pulled twice, which copies nothing twice.

1. Read the file, and gather what it names on disk (shared/reports/named.py).
2. Look up what is known of it: the pulls in one pass over each application's, and the cabs of those that have one.
3. Write a `listed` row for each new cab, and decide whether the failure needs a pull (shared/reports/policy.py).
4. Queue what does, the cabs that expire first in front.
"""

from __future__ import annotations

import logging
from copy import replace
from typing import TYPE_CHECKING

from shared.core.errors import BadInput, CabferryError, FreshUrl, unforeseen
from shared.core.failure import default_window
from shared.core.values import Mutable
from shared.progress.cab_row import by_cab
from shared.progress.messages import new_pull_id
from shared.progress.reports import file_of, ingested
from shared.reports import policy
from shared.reports.named import PULL_COLUMNS, NamedFailures
from shared.reports.outcome import RunOutcome
from shared.reports.reader import read_report
from shared.storage.lease import HeldElsewhere
from shared.web.http_source import at_once_again

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.core.facts import CabFacts
    from shared.core.failure import Failure, Window
    from shared.devcenter.reports import ReportRun
    from shared.reports.check import ReportTools
    from shared.reports.named import Named
    from shared.storage.lease import RowLease

_log = logging.getLogger(__name__)
# Failures whose cabs are looked up together, and listed at once; each is a request of its own. Few failures may have
# most of the cabs, and each that is known takes more than a kilobyte here.
_AT_ONCE, _CABS_AT_ONCE = 64, 20_000
# Failures whose pulls are queued together: rows of some megabytes.
_QUEUED_AT_ONCE = 2_000


def ingest(tools: ReportTools, run: ReportRun, key: str) -> RunOutcome:
    """Read a finished run and queue what it names, unless another check does so, or did.

    Args:
        tools: What to work with.
        run: Which.
        key: Of its row.

    Raises:
        Exception: It could not be read, or what it names could not be queued; its row says why.
    """
    lease = tools.reports.take(run, key)
    if isinstance(lease, HeldElsewhere):
        return RunOutcome.of(run, "busy")
    with lease:
        if lease.row.moment("ingestedAt"):  # by another check, since the rows were read
            lease.release({})
            return RunOutcome.of(run, "known")
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
    runs = tools.devcenter.report_runs(run.report_id, policy.days_of_runs(tools.settings)).items
    same = (each for each in runs if each.report_datetime == run.report_datetime and file_of(each) == file_of(run))
    return next(same, run)


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
            return replace(RunOutcome.failed(run, str(found.broken)), failures=named.queued, cabs=named.cabs)
        lease.release(ingested(len(named), named.cabs, seen))
        read = RunOutcome.of(run, "ingested")
        return replace(read, failures=named.queued, held=held, cabs=named.cabs, error=seen, named=found.named)


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
    for some in named.batches(_AT_ONCE, _CABS_AT_ONCE):
        listed = {each.failure: named.cabs_of(each) for each in some}
        rows = dict(tools.cabs.of_many([each.failure for each in some if each.pull]))
        reasons = ((each, policy.skips_whole(each, rules, tools.settings, asks)) for each in some)
        skipped = {each.failure: reason for each, reason in reasons if reason}
        wishes = [
            (each, cabs.facts, cabs.expires, rows.get(each), skipped.get(each, "")) for each, cabs in listed.items()
        ]
        completed += sum(tools.executor.map(lambda wish: tools.cabs.list_new(*wish), wishes))
        for each in some:
            cabs = listed[each.failure]
            known = {cab: row for cab, row in by_cab(rows.get(each.failure, ())).items() if cab in cabs.facts}
            has_passed = rules.has_passed(policy.subject_of(each), each.hits_before)
            if each.failure not in skipped and (limit := policy.due(each, cabs, known, asks, has_passed=has_passed)):
                named.queue(each, limit)
        left_out = [each for each in some if each.failure in skipped]
        if left_out:
            columns = {
                each.failure: policy.skipped_columns(each, listed[each.failure], skipped[each.failure], tools.settings)
                for each in left_out
            }
            tools.asked.note_skipped(columns, window, asks, *_told(left_out))
    return completed


def _told(some: Iterable[Named]) -> tuple[dict[Failure, CabFacts], dict[Failure, int]]:
    """Return what the report tells of failures, and how often each happened."""
    return {each.failure: each.facts for each in some}, {each.failure: each.hits for each in some}

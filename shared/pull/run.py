"""The pull of one failure: the whole policy, from top to bottom.

1. Take the lease on the pull's row. Where another owner works, send the message again for later, unless that owner
   makes the very pull that the message asks for: a message may come twice.
2. Read the failure's cab rows, while the first page is on its way: which cabs are held, and what the report told of the
   others.
3. For each page of the batch, from the checkpoint: drop what is held, copy the rest side by side; every few seconds,
   write the rows of what was copied, then the checkpoint, which renews the lease. The next page is fetched, and begins
   to be copied, meanwhile; so do pages that come before their turn.
4. Each cab ends in one recorded state, and its failure never stops the page. A page is not done while a cab of it could
   still succeed by a retry: the checkpoint stays before it, and later pages are copied all the same.
5. An expired SAS gets a fresh URL, once per page and cab.
6. At the end, read back what the container really holds.
7. Time budget used, or the process asked to end: checkpoint, send a message for the rest, return.

How a pull ends is decided in `_run_to_an_end` alone, by the kind of error (shared/core/errors.py draws the tree).
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared.cabs.identity import blob_name
from shared.cabs.labels import labels
from shared.core import clock, stopping
from shared.core.backoff import growing_wait, spread
from shared.core.errors import (
    AgainLater,
    BadInput,
    CabExpired,
    CabferryError,
    CabUnavailable,
    CircuitOpen,
    FreshUrl,
    LeaseLost,
    NeedsPerson,
    Never,
)
from shared.core.failure import default_window
from shared.core.redaction import redact
from shared.core.threads import Pool
from shared.devcenter.batch import CabBatch, EarlyPage
from shared.progress.cabs import CabState
from shared.progress.messages import PullMessage
from shared.progress.pulls import ErrorKind, PullRow, PullState, counted, ended_columns
from shared.pull.copying_page import CopyingPage
from shared.pull.fresh_urls import FreshUrls
from shared.pull.ledger import CabLedger
from shared.storage.lease import HeldElsewhere
from shared.web.source_hosts import checked_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future

    from shared.cabs.container import CabContainer
    from shared.cabs.copy import CabCopy
    from shared.cabs.creation import Copied
    from shared.core.settings import Settings
    from shared.devcenter.batch import BatchCab, BatchPage
    from shared.devcenter.client import DevCenter
    from shared.progress.cabs import CabRow, CabRows
    from shared.progress.pulls import PullRows
    from shared.progress.queue import PullQueue
    from shared.pull.copying_page import Copy
    from shared.pull.pool import FairPool
    from shared.storage.lease import RowLease
    from shared.storage.table_writes import Columns, Value

_log = logging.getLogger(__name__)
# A message that finds another owner looks again after this, or when that owner's lease can have ended, if it is sooner.
_LOOK_AGAIN = timedelta(seconds=15)
# How often a pull writes down what it has done, before it ends. A host that dies costs a refused copy and a look for
# each cab of these seconds; what is written down is written once more at the end, when the lengths are known.
_CHECKPOINT_SECONDS = 5.0
# As many pages are copied at once: while the slowest cabs of one end, those of the next keep the threads busy.
_PAGES_COPYING = 8
# After so many cabs that must be tried again, and none in between that was settled, later pages are not tried any more.
_NOTHING_WORKS = 20
# How often a batch is paged where rows go away meanwhile; what is missed then is found by the next pull.
_MOST_PASSES = 3
# Rows that cannot be read are counted, and so many of a run told in the log: there may be any number.
_UNREADABLE_LOGGED = 5
# Without the table no try can be counted; this grows to about two minutes and stays there.
_TRIES_WITHOUT_TABLE = 4


@dataclass(frozen=True, slots=True)
class PullTools:
    """What a pull works with."""

    settings: Settings
    devcenter: DevCenter
    queue: PullQueue
    pulls: PullRows
    cabs: CabRows
    container: CabContainer
    copies: CabCopy
    pool: FairPool


def pull_failure(tools: PullTools, message: PullMessage) -> None:
    """Pull one failure as far as it goes now, and record how that ended.

    Returns whenever the row or a new message holds what happens next; the queue message is then done.

    Args:
        tools: What to work with.
        message: Whose cabs, and of which days.

    Raises:
        Exception: Something that nobody foresaw, or storage that cannot even record an ending. The host tries the
            message again and at last moves it to the poison queue, where `abandon_pull` finds it.
    """
    window = message.window or default_window(tools.settings.cab_lookback)
    try:
        message = _as_stored(tools.pulls, message)
        lease = tools.pulls.take(message, window)
    except CabferryError as error:
        # Nothing can be recorded without the table, so the message itself must live on, and spend no dequeue. The row
        # may say Running by now, where only the answer was lost.
        _log.error("%s: %s; its message is sent again", message.failure, error)
        tools.queue.send(message.unversioned(), max(_wait_before(error, 1), growing_wait(_TRIES_WITHOUT_TABLE)))
        return
    if lease is None:
        _log.info("%s is pulled, or was, by a message that came sooner than this one", message.failure)
        return
    if isinstance(lease, HeldElsewhere):
        _log.info("%s is being pulled by another owner; pull %s waits", message.failure, message.pull_id)
        tools.queue.send(message, min(lease.remaining, _LOOK_AGAIN))
        return
    try:
        with lease, stopping.at_work():
            _run_to_an_end(tools, lease)
    except LeaseLost as lost:
        _log.warning("%s: %s; it is that owner's pull now", message.failure, lost)


def _as_stored(pulls: PullRows, message: PullMessage) -> PullMessage:
    """Return a message with its failure as it is stored; one that the app made for a row of its own names it so."""
    if message.row_version and message.failure.is_normal:
        return message
    stored = pulls.as_stored(message.failure)
    # What it says of a row's version is of that row alone.
    return message if stored == message.failure else replace(message.unversioned(), failure=stored)


def _run_to_an_end(tools: PullTools, lease: RowLease) -> None:
    pull = _Pull(tools, lease)
    try:
        pull.run()
        pull.complete()
    except LeaseLost:
        raise
    except _TimeIsUp:
        pull.hand_on()
    except CircuitOpen as error:
        pull.wait_for_probe(error)
    except AgainLater as error:
        pull.try_again_later(error)
    except NeedsPerson as error:
        pull.fail(str(error), ErrorKind.PERSON)
    except Never as error:
        pull.fail(str(error), ErrorKind.NEVER)
    except Exception as error:
        seen = redact(f"{type(error).__name__}: {error}")[:2000]
        lease.release({"state": PullState.QUEUED.value, "lastError": seen, "lastErrorKind": ErrorKind.UNFORESEEN.value})
        raise


class _TimeIsUp(Exception):
    """The pull has used its time, or the process is asked to end; the rest is for a new message."""


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """Where a later try goes on, and how many held cabs were seen up to there."""

    skip: int
    already_held: int


class _Pull:
    """One run of a pull, under its lease."""

    def __init__(self, tools: PullTools, lease: RowLease) -> None:
        self._tools, self._lease = tools, lease
        self.row = PullRow.of(lease.row)
        self._failure = self.row.failure
        self._window = self.row.window or default_window(tools.settings.cab_lookback)
        started_at = self.row.started_at or clock.now()
        self._lane, writers = tools.pool.lane(), tools.pool.lane()
        self._ledger = CabLedger(tools.cabs, self._failure, started_at, self.row.counts, self.row.skip, writers)
        self._safe = _Checkpoint(self.row.skip, self.row.counts.already_held)
        self._batch = CabBatch(tools.devcenter, self._failure, self._window, self.row.total)
        self._total = self.row.total
        self._begun: set[str] = set()
        self._copying: deque[CopyingPage] = deque()
        self._early: dict[str, Copy] = {}
        self._until: float | None = None
        self._checkpoint_at = clock.monotonic() + _CHECKPOINT_SECONDS
        self._over = self._copies_fail = False
        self._again: AgainLater | None = None
        self._again_in_a_row = 0
        self._unreadable, self._unreadable_rows = "", 0

    def run(self) -> None:
        """Page, copy and checkpoint to the end of the batch, then read back."""
        fetchers = Pool(self._tools.settings.pull_pages_in_flight, thread_name_prefix="page")
        try:
            newest = self._newest_cabs(fetchers)
            for page in self._pages(self._safe.skip, fetchers):
                # The budget runs from the first page on: a slow API must not keep a pull from ever copying a cab.
                self._until = self._until or clock.monotonic() + self._tools.settings.pull_time_budget.total_seconds()
                self._raise_if_over()
                if isinstance(page, EarlyPage):
                    self._begin_early(page, newest)
                    continue
                self._copying.append(self._begin(page, newest))
                if self._copying[0].copied.done() or len(self._copying) == _PAGES_COPYING:
                    self._finish()
            while self._copying:
                self._finish()
            # Of early pages whose turn never came, since rows went away or moved.
            self._judge(list(self._early.values()))
            self._early.clear()
        except (CabferryError, _TimeIsUp):
            # What was fetched before is worth copying all the same, and moves the checkpoint on.
            while self._copying and not self._copies_fail:
                self._finish()
            raise
        finally:
            self._over = True
            for page_left in self._copying:
                self._settle(page_left.copies)
            self._settle(list(self._early.values()))
            fetchers.shutdown(wait=False, cancel_futures=True)
        stored = self._tools.container.stored(self._failure.prefix)
        missing = self._ledger.read_back(stored, self._tools.settings.retention)
        if missing:
            self._safe = _Checkpoint(0, 0)
            raise AgainLater(f"{len(missing)} cabs must be copied again; the first: {missing[0]}")
        if self._again:
            raise self._again

    def complete(self) -> None:
        """Record that every cab of the batch ended in a state, and what a person should know of those that failed."""
        counts = self._ledger.counts()
        first = self._ledger.first_error() or self._unreadable
        error = f"{counts.failed} cabs failed; the first: {first}"[:2000] if counts.failed else ""
        self._release(ended_columns(PullState.COMPLETED, error))
        _log.log(logging.WARNING if error else logging.INFO, "%s: Completed: %s %s", self.row, counts, error)

    def fail(self, reason: str, kind: ErrorKind) -> None:
        """Record that no further try helps, until a person does."""
        self._save_rows()
        self._give_up(reason, kind, {})

    def hand_on(self) -> None:
        """Let a new message do the rest."""
        self._release({"state": PullState.QUEUED.value, "updatedAt": clock.now()})
        self._send(timedelta())
        why = "since the process ends" if stopping.is_stopping() else "after its time budget"
        _log.info("%s: handed on %s, at row %d", self.row, why, self._safe.skip)

    def wait_for_probe(self, error: CircuitOpen) -> None:
        """Let a delayed message go on when the Dev Center is asked again; it was not, so this counts as no try."""
        wait_before = spread(error.wait or _LOOK_AGAIN)
        self._release(_waiting(str(error), wait_before))
        self._send(wait_before)
        _log.warning("%s: goes on in %s: %s", self.row, wait_before, error)

    def try_again_later(self, error: AgainLater) -> None:
        """Let a delayed message try again, or give up after too many tries that did not move the checkpoint."""
        self._save_rows()
        stalled = 1 if self._safe.skip > self.row.skip else self.row.stalled + 1
        tries: dict[str, Value] = {"attempts": self.row.attempts + 1, "stalled": stalled}
        if stalled >= self._tools.settings.pull_max_attempts:
            self._give_up(f"{error} (given up after {stalled} tries in a row)", ErrorKind.LATER, tries)
            return
        wait_before = _wait_before(error, stalled)
        self._lease.release({**self._progress(), **tries, **_waiting(str(error), wait_before)})
        self._send(wait_before)
        _log.warning("%s: tried again in %s: %s", self.row, wait_before, error)

    def _begin(self, page: BatchPage, newest: set[str] | None) -> CopyingPage:
        """Begin to copy what a page names and nobody holds."""
        for seen in page.unreadable[: max(0, _UNREADABLE_LOGGED - self._unreadable_rows)]:
            _log.error("%s: a row of the batch cannot be read: %s", self.row, seen)
            self._unreadable = self._unreadable or seen
        self._unreadable_rows += len(page.unreadable)
        self._ledger.see_unreadable(len(page.unreadable))
        urls = FreshUrls(lambda: self._batch.fresh_cabs(page.skip))
        wanted = {cab.cab_id_hash: cab for cab in page.cabs if self._sees_and_wants(cab, newest)}
        self._begun.update(wanted)
        copies = [
            self._early.pop(name) if name in self._early else self._copy_of(cab, urls) for name, cab in wanted.items()
        ]
        return CopyingPage(page, copies, self._ledger.counts().already_held)

    def _begin_early(self, page: EarlyPage, newest: set[str] | None) -> None:
        """Begin to copy a page before its turn; what is seen and counted, and the checkpoint, wait for it."""
        urls = FreshUrls(lambda: self._batch.fresh_cabs(page.skip))
        for cab in page.cabs:
            name = cab.cab_id_hash
            if name not in self._early and self._wants(cab, newest, self._ledger.cabs.get(name)):
                self._early[name] = self._copy_of(cab, urls)

    def _copy_of(self, cab: BatchCab, urls: FreshUrls) -> Copy:
        return cab, self._lane.submit(self._copy, cab, urls)

    def _sees_and_wants(self, cab: BatchCab, newest: set[str] | None) -> bool:
        known = self._ledger.see(cab.cab_id_hash)
        if newest is not None and cab.cab_id_hash not in newest:
            self._ledger.pass_over(cab.cab_id_hash)
        return self._wants(cab, newest, known)

    def _wants(self, cab: BatchCab, newest: set[str] | None, known: CabRow | None) -> bool:
        if cab.cab_id_hash in self._begun or (newest is not None and cab.cab_id_hash not in newest):
            return False
        return known is None or not (known.is_held or known.state is CabState.EXPIRED)

    def _finish_until_any(self, answers: Sequence[Future[Any]]) -> None:
        """Wait for any of the pages that were asked for; what is copied meanwhile is recorded and written down."""
        while not any(answer.done() for answer in answers):
            first = [page.copied for page in islice(self._copying, 1)]
            left = max(0.0, self._checkpoint_at - clock.monotonic()) if self._ledger.has_unwritten else None
            wait([*answers, *first], left, FIRST_COMPLETED)
            if first and first[0].done():
                self._finish()
            else:
                self._write_down_when_due()

    def _finish(self) -> None:
        """Record what became of the first page, and of those after it that are copied by then."""
        page = self._take_in(self._copying.popleft())
        while self._copying and self._copying[0].copied.done():
            page = self._take_in(self._copying.popleft())
        # The last page's rows are written after the read-back, with their lengths.
        if not page.is_last:
            self._write_down_when_due()

    def _write_down_when_due(self) -> None:
        """Write the rows of what was done since the last time, then the checkpoint."""
        if self._ledger.has_unwritten and clock.monotonic() >= self._checkpoint_at:
            self._lease.ensure()
            self._ledger.write()
            self._lease.write({"updatedAt": clock.now(), **self._progress()})
            self._checkpoint_at = clock.monotonic() + _CHECKPOINT_SECONDS

    def _take_in(self, page: CopyingPage) -> BatchPage:
        """Record what became of a page, and move the checkpoint on unless a cab of it must be tried again."""
        self._judge(page.copies)
        if not self._again:
            self._safe = _Checkpoint(page.page.following, page.already_held)
        return page.page

    def _judge(self, copies: Sequence[Copy]) -> None:
        """Record what became of copies; remember one that must be tried again, and end the run where nothing works."""
        again, self._copies_fail = self._settle(copies), True
        for _, copy in copies:
            _raise_if_fatal(copy)
        self._again = self._again or (again[0] if again else None)
        self._again_in_a_row = self._again_in_a_row + len(again) if len(again) == len(copies) else 0
        if self._again_in_a_row >= _NOTHING_WORKS:
            raise again[0]
        self._copies_fail = False

    def _settle(self, copies: Sequence[Copy]) -> list[AgainLater]:
        """Wait for copies and record each; return the errors of those that should be tried again."""
        wait([copy for _, copy in copies])
        self._begun.difference_update(cab.cab_id_hash for cab, _ in copies)
        return [error for cab, copy in copies if (error := self._record(cab, copy))]

    def _record(self, cab: BatchCab, copy: Future[tuple[str, Copied]]) -> AgainLater | None:
        """Record how a cab ended; return the error where it should be tried again."""
        match copy.exception():
            case None:
                self._ledger.record_copied(cab, *copy.result())
            case CabExpired() as error:
                self._ledger.record_missed(cab, CabState.EXPIRED, str(error))
            case CabUnavailable() as error:
                self._ledger.record_missed(cab, CabState.UNAVAILABLE, str(error))
            case Never() as error:
                self._ledger.record_missed(cab, CabState.FAILED, str(error))
            case AgainLater() as error:
                self._ledger.record_missed(cab, CabState.FAILED, str(error))
                return error
            case _:
                pass  # Not the cab's own failure: `_raise_if_fatal` ends the run with it, and the cab stays as it was.
        return None

    def _copy(self, cab: BatchCab, urls: FreshUrls) -> tuple[str, Copied]:
        """Copy one cab; runs beside others in a thread of the executor."""
        self._raise_if_over()
        if not cab.downloadable:
            raise CabUnavailable(f"cab {cab.cab_id_hash}: Microsoft lists it, but does not let it be downloaded")
        if cab.url is None:
            raise BadInput(f"cab {cab.cab_id_hash}: its row of the batch has no cabUrl")
        try:
            return self._copy_from(cab, cab.url)
        except (FreshUrl, CabUnavailable) as error:
            if cab.has_expired(clock.true_now()):
                raise CabExpired(f"{error}, and the cab expired at {cab.expires} UTC") from None
            if isinstance(error, CabUnavailable):
                raise
        fresh = urls.of(cab.cab_id_hash)
        try:
            return self._copy_from(cab, fresh)
        except FreshUrl as error:
            raise AgainLater(f"{error}, although its URL is fresh") from None

    def _copy_from(self, cab: BatchCab, url: str) -> tuple[str, Copied]:
        parts = checked_source(url, self._tools.settings.source_hosts, f"the cabUrl of cab {cab.cab_id_hash}")
        name = blob_name(self._failure, cab.cab_id_hash, parts.path)
        facts = self._ledger.facts(cab.cab_id_hash)
        return name, self._tools.copies.copy(
            url, name, labels(self._failure, cab, facts, f"{parts.netloc}{parts.path}")
        )

    def _pages(self, skip: int, fetchers: Executor) -> Iterator[BatchPage | EarlyPage]:
        """Yield the pages to the end, and all of them once more where rows that went away may have hidden others."""
        in_flight = self._tools.settings.pull_pages_in_flight
        was_seen: Callable[[str], bool] = self._ledger.was_seen
        for _ in range(_MOST_PASSES):
            yield from self._batch.pages(skip, fetchers, in_flight, self._known_cabs, was_seen, self._finish_until_any)
            if not self._batch.lost_rows:
                return
            _log.warning("%s: rows of the batch went away while it was paged; it is paged again", self.row)
            self._total = max(self._total, self._batch.total)
            self._batch = CabBatch(self._tools.devcenter, self._failure, self._window)
            skip, was_seen = 0, _nothing_was_seen

    def _known_cabs(self) -> int:
        """Read the failure's rows, unless that was done, and return how many cabs the batch may name."""
        if not self._ledger.is_loaded:
            self._ledger.load()
        return self._ledger.expected()

    def _newest_cabs(self, fetchers: Executor) -> set[str] | None:
        """Return the cabs that MAX_CABS_PER_FAILURE leaves, None for all.

        Their order in the batch is undocumented, so it is paged through once before anything is copied.
        """
        most = self._tools.settings.max_cabs_per_failure
        if not most:
            return None
        dates = {cab.cab_id_hash: cab.date for page in self._pages(0, fetchers) for cab in page.cabs}
        return set(heapq.nlargest(most, dates, key=lambda cab: dates[cab]))

    def _raise_if_over(self) -> None:
        self._lease.ensure()
        if self._over or stopping.is_stopping() or (self._until and clock.monotonic() >= self._until):
            raise _TimeIsUp

    def _progress(self) -> Columns:
        """Return the checkpoint's columns: what is settled by now, and where a later try goes on."""
        # Held cabs beyond the checkpoint are seen again by that try, and counted then.
        now = self._ledger.counts()
        again = now.already_held - self._safe.already_held
        return {
            "skip": self._safe.skip,
            "total": max(self._total, self._batch.total),
            **counted(replace(now, seen=now.seen - again, already_held=now.already_held - again)),
        }

    def _give_up(self, reason: str, kind: ErrorKind, tries: Columns) -> None:
        self._lease.release({**self._progress(), **tries, **ended_columns(PullState.FAILED, reason, kind)})
        _log.error("%s: Failed: %s", self.row, reason)

    def _save_rows(self) -> None:
        """Write the cab rows; where that fails too, the pull ends with its reason and goes on from where it began."""
        self._lease.ensure()
        try:
            self._ledger.write()
        except CabferryError as error:
            _log.error("%s: the checkpoint stays where this run began: %s", self.row, error)
            self._safe = _Checkpoint(self.row.skip, self.row.counts.already_held)

    def _release(self, columns: Columns) -> None:
        self._lease.ensure()
        self._ledger.write()
        self._lease.release({**self._progress(), **columns})

    def _send(self, delay: timedelta) -> None:
        version = self._lease.row.etag
        self._tools.queue.send(
            PullMessage(
                self._failure, self._window, self.row.requested_by, version, resumes=True, pull_id=self.row.pull_id
            ),
            delay,
        )


def _raise_if_fatal(copy: Future[tuple[str, Copied]]) -> None:
    error = copy.exception()
    if error is not None and not isinstance(error, (Never, AgainLater)):
        raise error


def _nothing_was_seen(_cab_id_hash: str) -> bool:
    return False


def _waiting(error: str, wait_before: timedelta) -> Columns:
    now = clock.now()
    return {
        "state": PullState.QUEUED.value,
        "lastError": error,
        "lastErrorKind": ErrorKind.LATER.value,
        "nextTryAt": now + wait_before,
        "updatedAt": now,
    }


def _wait_before(error: CabferryError, tries: int) -> timedelta:
    asked = error.wait if isinstance(error, AgainLater) else None
    return spread(asked) if asked is not None else growing_wait(tries)

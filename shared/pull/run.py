"""A run of a pull: one loop that takes events from an inbox, and does what the policy decides.

1. Read the failure's cab rows, while the first page is on its way: which cabs are held, and what the report told of the
   others.
2. Ask for pages and copy cabs in the threads of the pool, which post what came of it to the inbox and do nothing else;
   `shared/pull/policy.py` decides what that means. Every few seconds, write the rows of what was copied, then the
   checkpoint, which renews the lease.
3. At the end, read back what the container really holds.
4. Record how the run ends, send a message for what is left, and tell the catalog what came.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.cabs.naming import name_blobs
from shared.core import clock, metrics, stopping
from shared.core.errors import AgainLater, CabferryError, DayIsFull, LeaseLost, OutOfTime
from shared.core.events import PULL_FAILED
from shared.core.failure import default_window
from shared.core.values import Immutable
from shared.devcenter.pages import BatchPage
from shared.progress.cab_row import CabState
from shared.progress.day_bytes import RunBytes
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullRow
from shared.pull import beginnings, endings, policy
from shared.pull.keeping import Keeping, subject_of
from shared.pull.ledger import CabLedger
from shared.pull.one_cab import copied
from shared.pull.pool import Inbox
from shared.pull.state import AskPage, CabEnded, Checkpoint, PageEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from shared.cabs.container import CabContainer
    from shared.cabs.copy import CabCopy
    from shared.cabs.creation import Copied
    from shared.catalog.news import CatalogNews
    from shared.core.failure import Failure, Window
    from shared.core.keep import Rules
    from shared.core.settings import Settings
    from shared.devcenter.families import CabSource
    from shared.progress.cabs import CabRows
    from shared.progress.day_bytes import DayBytes
    from shared.progress.pull_leases import PullLeases
    from shared.progress.pulls import PullRows
    from shared.progress.queue import PullQueue
    from shared.pull.endings import Ending
    from shared.pull.keep_file import KeepFile
    from shared.pull.pool import FairPool
    from shared.pull.state import CopyCab, Order
    from shared.storage.lease import RowLease

_log = logging.getLogger(__name__)
# Rows that cannot be read are counted, and so many of a run told in the log: there may be any number.
_UNREADABLE_LOGGED = 5


class PullTools(Immutable, frozen=True):
    """What a pull works with.

    Args:
        settings: Parsed and checked.
        sources: Gives the source of a failure's cabs.
        queue: Where a message for the rest goes.
        pulls: The table of pulls.
        leases: Who may work on one.
        cabs: The table of cabs.
        container: Where the cabs are.
        copies: Brings them there.
        pool: Where copies and requests for pages run.
        catalog: Is told what came.
        keep: What is worth keeping.
        day: What was copied today.
    """

    settings: Settings
    sources: Callable[[Failure, Window], CabSource]
    queue: PullQueue
    pulls: PullRows
    leases: PullLeases
    cabs: CabRows
    container: CabContainer
    copies: CabCopy
    pool: FairPool
    catalog: CatalogNews
    keep: KeepFile
    day: DayBytes


class Run:
    """One run of a pull, under its lease.

    Args:
        tools: What to work with.
        lease: On the pull's row.
        rules: What is worth keeping.
        caused_by: The traceparent of what asked for it.
    """

    def __init__(self, tools: PullTools, lease: RowLease, rules: Rules, caused_by: str) -> None:
        self._tools, self._lease, self._caused_by = tools, lease, caused_by
        row = PullRow.of(lease.row)
        self._failure = row.failure
        self._window = row.window or default_window(tools.settings.cab_lookback)
        self._copies, self._pages = tools.pool.lane(), tools.pool.lane()
        ledger = CabLedger(tools.cabs, self._failure, row.started_at or clock.now(), tools.pool.lane())
        self._source = tools.sources(self._failure, self._window)
        keeping = Keeping.of(rules, subject_of(row), tools.settings, for_whom=row.requested_by)
        self._pull = beginnings.begun(row, ledger, keeping, self._source.page_rows, clock.monotonic())
        self._bytes = RunBytes(tools.day, rules.bytes_a_day)
        self._inbox = Inbox()
        self._unreadable, self._began, self._began_at = 0, clock.monotonic(), clock.now()

    def make(self) -> None:
        """Pull as far as it goes, and record how that ended."""
        error: Exception | None = None
        try:
            self._load()
            if beginnings.begins(self._pull):
                self._work()
                self._end()
        except LeaseLost:
            raise
        except Exception as ended:  # noqa: BLE001 - `endings` decides by its kind
            error = ended
        error = self._save_rows(error)
        try:
            self._record(endings.ending_of(self._pull, error, clock.now()))
        except LeaseLost:
            raise
        except CabferryError as trouble:
            if error is not None:
                _log.error("%s: %s; its row does not say so", self._pull.row, endings.shown(error))
                raise
            # The row could not be told that all is well.
            self._record(endings.ending_of(self._pull, trouble, clock.now()))

    def _load(self) -> None:
        """Read the rows, while the first page is on its way."""
        pull = self._pull
        if beginnings.asks_ahead(pull):
            self._begin(policy.orders(pull, clock.true_now()))
        pull.ledger.load()
        if beginnings.looks_back_first(pull, calls_for_urls=self._source.calls_for_urls):
            self._read_back()
            self._write_down()

    def _work(self) -> None:
        """Page, copy and checkpoint until nothing is left to do, or nothing more may be begun."""
        pull = self._pull
        try:
            self._bytes.begin()
            if beginnings.apply_rules(pull):
                # Before the rows: a host that dies in between leaves them as they were, and the next one sees it again.
                self._lease.write(endings.progress(pull))
            self._begin(policy.orders(pull, clock.true_now()))
            while not policy.is_over(pull):
                event = self._inbox.get(policy.wait_seconds(pull, clock.monotonic()))
                now, moment = clock.monotonic(), clock.true_now()
                if event is not None:
                    if isinstance(event, PageEnded) and isinstance(event.answer, BatchPage):
                        self._tell_unreadable(event.answer.unreadable)
                    self._begin(policy.take_in(pull, event, now, moment))
                policy.look_at_clock(pull, now, is_stopping=stopping.is_stopping())
                self._begin(policy.orders(pull, moment))
                if policy.must_write(pull, now):
                    self._write_down()
        except BaseException as error:
            # No copy may go on under a lease that is over.
            pull.cut_short(error)
            while not policy.is_over(pull):
                if (event := self._inbox.get(None)) is not None:
                    self._begin(policy.take_in(pull, event, clock.monotonic(), clock.true_now()))
            raise

    def _begin(self, orders: Iterable[Order]) -> None:
        """Let the pool do what was ordered, and post what comes of it."""
        for order in orders:
            if isinstance(order, AskPage):
                self._pages.submit(self._ask, order)
            else:
                self._copies.submit(self._copy, order)

    def _ask(self, order: AskPage) -> None:
        """Ask for a page; runs in a thread of the pool."""
        answer: BatchPage | BaseException
        try:
            self._lease.ensure()
            answer = self._source.page(order.request)
        except BaseException as error:  # noqa: BLE001 - the policy sorts it
            answer = error
        self._inbox.post(PageEnded(order, answer))

    def _copy(self, order: CopyCab) -> None:
        """Copy a cab; runs beside others in a thread of the pool."""
        outcome: tuple[str, Copied] | BaseException
        try:
            outcome = self._copied(order)
        except BaseException as error:  # noqa: BLE001 - likewise
            outcome = error
        self._inbox.post(CabEnded(order, outcome))

    def _copied(self, order: CopyCab) -> tuple[str, Copied]:
        self._lease.ensure()
        cab, until = order.cab, order.until
        if self._pull.is_cut_short or stopping.is_stopping() or (until and clock.monotonic() >= until):
            raise OutOfTime(f"cab {cab.cab_id_hash}: its copy was not begun")
        self._bytes.one_more()
        is_new = False
        try:
            name, made = copied(self._tools, self._source, self._failure, cab, order.facts, until)
            is_new = made.since is None
        finally:
            if not is_new:
                self._bytes.none_came()
        return name, made

    def _write_down(self) -> None:
        """Write the rows of what was done since the last time, then the checkpoint."""
        self._lease.ensure()
        self._pull.ledger.write()
        self._lease.write({"updatedAt": clock.now(), **endings.progress(self._pull)})
        self._tell_bytes()
        self._pull.written_at = clock.monotonic()
        self._tools.catalog.write_when_due()

    def _end(self) -> None:
        """Compare with what the container holds, where the batch was read to its end."""
        pull = self._pull
        if pull.end:
            if isinstance(pull.end, DayIsFull):
                self._weigh()
            raise pull.end
        missing = self._read_back()
        name_blobs(self._tools.container, pull.ledger.unnamed, self._copies)
        # A host that died over it may have written down what it missed, and not that the batch is to be read anew.
        if missing := missing or pull.ledger.missed_before(was_read_whole=not pull.row.skip):
            pull.safe = Checkpoint()
            raise AgainLater(f"{len(missing)} cabs must be copied again; the first: {missing[0]}")
        if pull.again:
            raise pull.again

    def _weigh(self) -> None:
        """Read back what came: storage tells no length of what it copies, and the bytes of the day were a guess.

        Raises:
            DayIsFull: They are used.
            OutOfTime: They are not.
        """
        self._read_back()
        self._tell_bytes()
        self._bytes.begin()
        raise OutOfTime("fewer bytes of today are used than was guessed")

    def _read_back(self) -> list[str]:
        stored = self._tools.container.stored(self._failure.prefix)
        return self._pull.ledger.read_back(stored, self._tools.settings.retention)

    def _save_rows(self, error: Exception | None) -> Exception | None:
        """Write the cab rows. Where that fails too, the pull goes on from where this run began, and says so."""
        self._lease.ensure()
        try:
            self._pull.ledger.write()
        except Exception as trouble:  # noqa: BLE001 - likewise
            _log.error("%s: the checkpoint stays where this run began: %s", self._pull.row, trouble)
            self._pull.safe = Checkpoint.of(self._pull.row)
            return trouble if error is None or isinstance(error, OutOfTime) else error
        return error

    def _record(self, ending: Ending) -> None:
        """Write how the run ends into its row, and send the message that goes on with it."""
        row = self._pull.row
        self._lease.release(ending.columns)
        # At once: the host may be killed over what comes behind, and another one finds nothing to do in the row.
        if ending.again_in is not None:
            self._send(ending.again_in)
        if ending.is_failure:
            kind, reason = (str(ending.columns[name]) for name in ("lastErrorKind", "lastError"))
            PULL_FAILED.tell(**self._failure.ids, pull=row.pull_id, kind=kind, reason=reason)
        else:
            _log.log(ending.level, "%s: %s", row, ending.told)
        self._measure(PullRow.of(self._lease.row))
        self._tell_bytes()
        self._tools.catalog.tell(self._failure, self._pull.ledger.copied(), row.requested_by)
        if ending.error is not None:
            raise ending.error

    def _measure(self, ended: PullRow) -> None:
        """Record what this run brought: the row has the sums of all runs, and one that goes back may have less."""
        family, before, now = ended.failure.family, self._pull.row.counts, ended.counts
        metrics.CABS_COPIED.record(max(0, now.copied - before.copied), family=family)
        metrics.CAB_BYTES.record(max(0, now.bytes - before.bytes), family=family)
        metrics.CABS_EXPIRED.record(max(0, now.expired - before.expired), family=family)
        metrics.CABS_FAILED.record(max(0, now.failed - before.failed), family=family)
        metrics.PULLS_ENDED.record(1, family=family, state=ended.state)
        seconds = clock.monotonic() - self._began
        metrics.PULL_DURATION.record(seconds, family=family, state=ended.state)

    def _tell_bytes(self) -> None:
        try:
            self._bytes.tell(
                row
                for row in self._pull.ledger.cabs.values()
                if row.state is CabState.COPIED and row.settled_at and row.settled_at >= self._began_at
            )
        except CabferryError as refused:  # what was copied is written down; only the day's sum lacks it
            _log.warning("%s: its bytes could not be added to those of today: %s", self._pull.row, refused)

    def _send(self, delay: timedelta) -> None:
        row = self._pull.row
        message = PullMessage(
            self._failure,
            self._window,
            row.requested_by,
            self._lease.row.etag,
            resumes=True,
            pull_id=row.pull_id,
            traceparent=self._caused_by,
        )
        self._tools.queue.send(message, delay)

    def _tell_unreadable(self, unreadable: tuple[str, ...]) -> None:
        for seen in unreadable[: max(0, _UNREADABLE_LOGGED - self._unreadable)]:
            _log.error("%s: a row of the batch cannot be read: %s", self._pull.row, seen)
        self._unreadable += len(unreadable)

"""The reconcile: the whole policy, from top to bottom.

It walks past every failure that the pulls, the cab rows or the container know (shared/reconcile/walk.py).
First it takes care of what stands in the poison queue (shared/reconcile/poison.py). Then, at each failure, it:

1. Leaves alone what is being pulled right now.
2. Compares rows and blobs. Where they do not agree, it looks again, under the lease of the failure's pull: a blob
   without a row gets one, a row whose blob is gone becomes `retired` after RETENTION_DAYS, and `listed` before.
3. Sends a message for a pull that waits or died, or was asked for again while it ran, and has none. A queue cannot be
   searched, so the rule errs on the side of one too many: a second message copies nothing twice, a missing one loses
   cabs.
4. Lets the rows of cabs say what the rules of the settings file say by now (shared/pull/keeping.py): one that they
   skip is not missing, and one that they no longer skip is pulled.
5. Records what was lost: a cab that Microsoft has deleted since, and that no pull has met or could copy.
6. Asks for a pull again where cabs could still be had and nobody copied them, for the days that they lie in; where it
   failed for a reason that can pass; and where its row is gone and the rows of its cabs are not.
7. Removes rows that nobody needs any more.

In the end it makes the catalog anew from the rows (shared/reconcile/catalog.py).

What comes past may be some minutes old, and a pull may have begun since. So each change holds the lease, goes against
the version that was read, or does no harm when it was not needed.
"""

from __future__ import annotations

import logging
from collections import Counter
from copy import replace
from datetime import UTC, datetime, timedelta
from itertools import batched, count
from typing import TYPE_CHECKING

from shared.cabs.naming import name_blobs
from shared.core import clock, events, metrics
from shared.core.errors import AgainLater, CabferryError
from shared.core.facts import NO_FACTS, CabFacts
from shared.core.failure import Failure, Window, default_window
from shared.core.keep import Subject
from shared.core.redaction import redact
from shared.core.threads import Pool
from shared.core.values import Immutable
from shared.progress.cabs import CabRow, CabState, by_cab, cab_of
from shared.progress.health import Reconciled
from shared.progress.messages import PullMessage
from shared.progress.pull_row import CabCounts, ErrorKind, PullRow, PullState
from shared.progress.tally import (
    REPORTS_LOOK_BACK,
    TRIED_AGAIN,
    CabTally,
    could_be_had,
    deadline,
    is_soon,
    missing,
)
from shared.pull.keeping import Keeping, candidates, is_person, subject_of
from shared.pull.ledger import CabLedger
from shared.reconcile.catalog import rebuild_catalog
from shared.storage.lease import HeldElsewhere

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Executor

    from shared.cabs.container import CabContainer, StoredCab
    from shared.catalog.files import CatalogFiles
    from shared.core.settings import Settings
    from shared.progress.cabs import CabRows
    from shared.progress.circuit import Circuit
    from shared.progress.health import HealthRows
    from shared.progress.pull_leases import PullLeases
    from shared.progress.pulls import PullRows
    from shared.progress.queue import PullQueue
    from shared.progress.requests import PullRequests
    from shared.pull.keep_file import KeepFile
    from shared.reconcile.poison import PoisonMessages
    from shared.reconcile.walk import FailureSeen, FailureWalk
    from shared.storage.table_rows import Row

_log = logging.getLogger(__name__)
# Failures that are looked after at once, and held in memory.
_AT_ONCE = 16
# Tracebacks in the log of one run; what breaks more failures than that breaks them all alike.
_BROKEN_LOGGED = 10
# A message that was taken comes back after ten minutes where its host died, so an hour without any is a lost one.
_QUIET = timedelta(hours=1)
# How often cabs that a pull met and could not copy are tried again.
_DAILY = timedelta(days=1)
# Longer than every retention that the API has shown, so that no cab is copied again which was here once.
_ROWS_LIVE = timedelta(days=90)
_UNFINISHED = {PullState.QUEUED, PullState.RUNNING}
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class ReconcileTools(Immutable, frozen=True):
    """What a reconcile works with."""

    settings: Settings
    walk: FailureWalk
    pulls: PullRows
    leases: PullLeases
    cabs: CabRows
    container: CabContainer
    queue: PullQueue
    poison: PoisonMessages
    requests: PullRequests
    health: HealthRows
    circuit: Circuit
    writers: Executor
    catalog: CatalogFiles
    keep: KeepFile


def reconcile(tools: ReconcileTools) -> Reconciled:
    """Find what is stuck or missing, put it right, and record what was found.

    Args:
        tools: What to work with.

    Returns:
        What was found and done. A failure that could not be looked after is counted as broken and stops no other.

    Raises:
        CabferryError: A table, the container or the queue cannot be read at all.
    """
    began, found = clock.monotonic(), Reconciled(at=clock.now())
    _look_into_poison(tools.poison, found)
    run, pulls = _Run(tools), _Pulls()
    with Pool(_AT_ONCE, thread_name_prefix="reconcile") as crew:
        for some in batched(tools.walk.failures(), _AT_ONCE, strict=False):
            pulls.count(each.pull for each in some if each.pull)
            for each in crew.map(run.look_after, some):
                found += each
    for row in tools.health.poison():
        if _has_passed(row.moment("lastAt"), _ROWS_LIVE) and tools.health.forget_poison(row):
            found.rows_removed += 1
        else:
            found.poison += 1
    _rebuild_catalog(tools, found)
    tools.health.write_reconciled(found)
    events.RECONCILED.tell(**found.numbers())
    metrics.CHECK_DURATION.record(clock.monotonic() - began, check="reconcile")
    _measure(found, pulls)
    return found


class _Pulls:
    """The pulls that came past, before anything was done with them."""

    def __init__(self) -> None:
        self.states, self.at = Counter[str](), clock.now()
        self.oldest = self.at

    def count(self, rows: Iterable[Row]) -> None:
        for row in rows:
            state = row.text("state")
            self.states[state] += 1
            if state == PullState.QUEUED:
                self.oldest = min(self.oldest, row.moment("queuedAt") or self.at)


def _measure(found: Reconciled, pulls: _Pulls) -> None:
    """Record how things stand."""
    metrics.CABS_MISSING.record(found.missing)
    metrics.CABS_EXPIRING.record(found.expiring_within_48_hours)
    metrics.CABS_LOST.record(found.lost)
    metrics.POISON.record(found.poison)
    metrics.OLDEST_QUEUED.record((pulls.at - pulls.oldest).total_seconds())
    for state in PullState:
        metrics.PULLS.record(pulls.states[state], state=state)


def _look_into_poison(poison: PoisonMessages, found: Reconciled) -> None:
    """Take care of what no function has; what cannot be taken care of now comes back, and holds up nothing else."""
    for error in poison.settle_all():
        found += Reconciled(at=found.at, broken=1, error=redact(f"a message of the poison queue: {error}")[:2000])


def _rebuild_catalog(tools: ReconcileTools, found: Reconciled) -> None:
    """Make the catalog anew; where that fails, it is told like a failure that could not be put right."""
    try:
        rebuild_catalog(tools.catalog, tools.walk.rows(), tools.settings.retention)
    except Exception as error:  # noqa: BLE001 - likewise
        _log.error("the catalog could not be made anew: %s", error, exc_info=not isinstance(error, CabferryError))
        found += Reconciled(at=found.at, broken=1, error=redact(f"the catalog: {error}")[:2000])


def raise_if_broken(found: Reconciled) -> None:
    """Fail where failures could not be looked after, so that the monitoring of the platform sees it.

    Raises:
        AgainLater: Says how many, and what was wrong with the first.
    """
    if found.broken:
        raise AgainLater(
            f"{found.broken} of {found.failures} failures could not be put right; the first: {found.error}"
        )


class _Run:
    """One run, for all failures alike."""

    def __init__(self, tools: ReconcileTools) -> None:
        self._tools = tools
        self._queue, self._circuit = tools.queue.look(), tools.circuit.known()
        self._rules = tools.keep.current()
        self._broken = count()

    def look_after(self, seen: FailureSeen) -> Reconciled:
        """Put one failure right, and tell what was found; an error is recorded and ends nothing else."""
        found = Reconciled(at=self._queue.at, failures=1)
        try:
            self._look_after(seen, found)
        except Exception as error:  # noqa: BLE001 - it is logged and recorded, and the timer fails with it
            found.broken, found.error = 1, redact(f"{seen}: {error}")[:2000]
            if next(self._broken) < _BROKEN_LOGGED:
                _log.exception("%s could not be put right", seen)
        return found

    def _look_after(self, seen: FailureSeen, found: Reconciled) -> None:
        row = seen.pull
        named = row.text("family") if row else ""
        family = named or self._tools.settings.family_of(seen.application_id)
        failure = Failure(seen.application_id, seen.failure_hash, family)
        cabs: Mapping[str, CabRow] = by_cab(seen.cabs)
        found.under_way = int(_is_held(row))
        # A pull that is still to run reads the container back itself.
        agree = _is_unfinished(row) or self._agree(failure, cabs, seen.blobs)
        if not agree:
            mended = self._mended(failure, row, found)
            found.under_way = int(mended is None)
            row, cabs = mended or (row, cabs)
        pull = PullRow.of(row) if row else None
        keeping = self._keeping(failure, pull, cabs)
        ruled = {} if found.under_way else keeping.changed(cabs, keeping.skipped(candidates(cabs)))
        cabs = {**cabs, **ruled}
        self._count_missing(cabs, found)
        if found.under_way:
            return
        if agree and ruled and not _is_unfinished(row):
            read = ((each, ruled[cab_of(each)]) for each in seen.cabs if cab_of(each) in ruled)
            self._tools.cabs.change(failure, read)
        if agree and not _is_unfinished(row):
            found.lost = self._record_lost(failure, seen, cabs)
        found.failed_pulls = int(pull is not None and pull.state is PullState.FAILED)
        if pull and (_is_unfinished(row) or pull.asked_again):
            if self._has_no_message(pull):
                window = pull.window if _is_unfinished(row) else pull.asked_again[0]
                self._tools.queue.send(PullMessage(failure, window, pull.requested_by))
                found.messages_sent = 1
                _log.warning("%s: %s without a message; one was sent", failure, pull.state)
        elif self._should_be_pulled(pull, wanted := self._wanted(cabs), cabs, keeping):
            names = CabFacts(keeping.subject.name, keeping.subject.driver)
            found.queued_again = int(self._ask_again(failure, row, pull, wanted, names))
            found.failed_pulls -= found.failed_pulls and found.queued_again
        else:
            if agree:
                found.rows_removed = self._remove_old(failure, row, pull, seen)
            if row and not (found.lost or found.rows_removed):
                self._note_tally(row, cabs)

    def _keeping(self, failure: Failure, pull: PullRow | None, cabs: Mapping[str, CabRow]) -> Keeping:
        """Return what is kept of a failure; a pull that failed is asked for again for whoever asked for it."""
        is_failed = pull is not None and pull.state is PullState.FAILED
        subject = subject_of(pull) if pull else Subject(failure.application_id)
        told = next((row.facts for row in cabs.values() if row.facts.failure_name), NO_FACTS)
        subject = replace(subject, name=subject.name or told.failure_name, driver=subject.driver or told.driver_name)
        whom = pull.requested_by if pull and (is_failed or pull.state in _UNFINISHED) else "reconcile"
        return Keeping.of(self._rules, subject, self._tools.settings, for_whom=whom)

    def _note_tally(self, row: Row, cabs: Mapping[str, CabRow]) -> None:
        """Keep what the pull's row tells of the failure's cabs true: time passes, and earlier versions told nothing."""
        tally = CabTally.taken(cabs.values(), self._tools.settings)
        if tally.differs_from(CabTally.of(row)):
            self._tools.pulls.note_tally(row, tally.columns())

    def _agree(self, failure: Failure, cabs: Mapping[str, CabRow], blobs: list[StoredCab]) -> bool:
        """Tell whether reading the container back would change nothing."""
        ledger = self._ledger(failure)
        ledger.load((cab, replace(row)) for cab, row in cabs.items())
        ledger.read_back(blobs, self._tools.settings.retention)
        return not (ledger.has_unwritten or ledger.unnamed)

    def _mended(
        self, failure: Failure, row: Row | None, found: Reconciled
    ) -> tuple[Row | None, Mapping[str, CabRow]] | None:
        """Read the container back into the rows while no pull can begin.

        Returns:
            Pull and cabs as they are then; None where a pull has begun since, which reads the container back itself, or
            its row was deleted, and the next run sees what is left.
        """
        if row is None:
            # Nobody pulls it. Should somebody begin to, right now, both write the same.
            return None, self._read_back(failure, found)
        lease = self._tools.leases.hold(failure)
        if lease is None or isinstance(lease, HeldElsewhere):
            return None
        with lease:
            try:
                cabs = self._read_back(failure, found)
            finally:
                lease.release({})
        return lease.row, cabs

    def _read_back(self, failure: Failure, found: Reconciled) -> Mapping[str, CabRow]:
        ledger = self._ledger(failure)
        ledger.load()
        lost = ledger.read_back(self._tools.container.stored(failure.prefix), self._tools.settings.retention)
        found.rows_mended = ledger.unwritten
        ledger.write()
        name_blobs(self._tools.container, ledger.unnamed, self._tools.writers)
        for each in lost:
            _log.error("%s; it is asked for again", each)
        return ledger.cabs

    def _ledger(self, failure: Failure) -> CabLedger:
        return CabLedger(self._tools.cabs, failure, clock.now(), CabCounts(), self._tools.writers)

    def _count_missing(self, cabs: Mapping[str, CabRow], found: Reconciled) -> None:
        limits = missing(cabs.values(), self._tools.settings)
        found.missing = len(limits)
        found.expiring_within_48_hours = sum(is_soon(limit) for _, limit in limits)

    def _wanted(self, cabs: Mapping[str, CabRow]) -> list[CabRow]:
        """Return the cabs that are not in the container and that a pull may bring."""
        return [row for row, _ in could_be_had(cabs.values(), TRIED_AGAIN, self._tools.settings)]

    def _record_lost(self, failure: Failure, seen: FailureSeen, cabs: Mapping[str, CabRow]) -> int:
        """Give cabs that are gone for a day a row that says so, against the version that came past; return how many."""
        gone = [each for each in seen.cabs if self._is_gone(cabs[cab_of(each)])]
        lost = self._tools.cabs.change(failure, ((each, self._lost(cabs[cab_of(each)])) for each in gone))
        if lost:
            events.CABS_LOST.tell(**failure.ids, cabs=lost)
        return lost

    def _is_gone(self, row: CabRow) -> bool:
        # What a pull has met says why it is not there. Before its expiry, the next pull may have it yet.
        if row.state is CabState.LISTED:
            return _has_expired(deadline(row, self._tools.settings), _DAILY)
        return row.state in TRIED_AGAIN and _has_expired(row.expires, _DAILY)

    def _lost(self, row: CabRow) -> CabRow:
        """Return the row of a cab that is gone; one of unknown expiry is still copied by a pull that meets it."""
        if row.expires is None or not _has_expired(row.expires):
            why = f"a report listed it, and no batch has named it by {deadline(row, self._tools.settings):%Y-%m-%d}"
            return row.became(CabState.UNAVAILABLE, why)
        why = f"it expired at {row.expires:%Y-%m-%d %H:%M:%S} UTC and was not copied before"
        told = f"; the last try: {row.error}" if row.error else ""
        return replace(row.became(CabState.EXPIRED, f"{why}{told}"), settled_at=clock.now())

    def _has_no_message(self, pull: PullRow) -> bool:
        """Tell whether a pull that nobody holds must have lost its message.

        An empty queue holds none for whatever was written before. Else the row has waited for an hour longer than it
        was asked to, and longer than the first messages that anyone could take: its own would have been taken by now.
        """
        written = pull.updated_at or _LONG_AGO
        if not self._queue.messages:
            return written < self._queue.at
        return max(written, pull.next_try_at or _LONG_AGO) + _QUIET < self._queue.oldest

    def _should_be_pulled(
        self, pull: PullRow | None, wanted: list[CabRow], cabs: Mapping[str, CabRow], keeping: Keeping
    ) -> bool:
        """Tell whether a failure whose pull has ended, or that has none, should be pulled now."""
        if pull is None:
            # A pull that copied a cab wrote down its dates. Its row is gone, and nobody knows how far it had come.
            return bool(wanted) or any(row.is_held and (row.date or row.expires) for row in cabs.values())
        if pull.state is PullState.FAILED and pull.last_error_kind is not ErrorKind.NEVER:
            is_young = not _has_passed(pull.queued_at, self._tools.settings.retention)
            return not self._circuit.is_open(pull.failure.application_id) and (is_young or bool(wanted))
        ended = pull.completed_at or pull.updated_at or _LONG_AGO
        if pull.skipped_by and not keeping.skips_whole:
            return True
        listed_since = any(row.state is CabState.LISTED and (row.settled_at or ended) > ended for row in wanted)
        is_narrow = pull.window is None or self._window(pull, wanted).start < pull.window.start
        return listed_since or (bool(wanted) and (is_narrow or _has_passed(ended, _DAILY)))

    def _ask_again(
        self, failure: Failure, row: Row | None, pull: PullRow | None, wanted: list[CabRow], names: CabFacts
    ) -> bool:
        """Queue a failure; tell whether that was done, which somebody else may have made needless."""
        failed = pull if pull and pull.state is PullState.FAILED else None
        if failed and failed.window and is_person(failed.requested_by):
            window, asks = failed.window, failed.requested_by
        else:
            window, asks = self._window(pull, wanted), "reconcile"
        if row is None:
            self._tools.requests.make([failure], window, asks, facts={failure: names})
        else:
            # A pull that fails again is brought back for as long as it was first asked for, not for ever.
            queued = self._tools.pulls.queue_again(row, window, asks, failed.queued_at if failed else None)
            if queued is None:
                return False
            self._tools.queue.send(PullMessage(failure, window, asks, queued.etag))
        why = f"it failed: {failed.last_error}" if failed else f"{len(wanted)} cabs are not in the container"
        _log.warning("%s: asked for again, since %s", failure, why)
        return True

    def _window(self, pull: PullRow | None, wanted: Iterable[CabRow]) -> Window:
        """Return the days that cover what is wanted, as far back as a batch is known to reach.

        A report's row tells no date that is kept. Where a pull has ended since a cab was listed and has not met it, the
        cab is older than that pull's days.
        """
        window = default_window(self._tools.settings.cab_lookback)
        farthest = default_window(REPORTS_LOOK_BACK).start
        ended = (pull.completed_at if pull else None) or _LONG_AGO
        dates = [
            row.date.date() if row.date else farthest
            for row in wanted
            if row.date or (row.state is CabState.LISTED and row.settled_at and row.settled_at <= ended)
        ]
        return replace(window, start=min([window.start, *(max(date, farthest) for date in dates)]))

    def _remove_old(self, failure: Failure, row: Row | None, pull: PullRow | None, seen: FailureSeen) -> int:
        """Remove rows that are older than every retention, against the versions that came past; return how many.

        A cab's row goes where no blob stands in its name and Microsoft has deleted the cab; the pull's when it was the
        last, and nothing stands in the container.
        """
        standing = {blob.name.removeprefix(failure.prefix).split(".", 1)[0] for blob in seen.blobs}
        old = [each for each in seen.cabs if each.key not in standing and self._is_over(CabRow.of(each))]
        removed = self._tools.cabs.remove(failure, old)
        if row and pull and removed == len(seen.cabs) and not seen.blobs and _has_passed(pull.updated_at, _ROWS_LIVE):
            removed += self._tools.pulls.remove(row)
        return removed

    def _is_over(self, row: CabRow) -> bool:
        gone = _has_expired(deadline(row, self._tools.settings)) and _has_passed(row.settled_at, _ROWS_LIVE)
        return gone and row.state is not CabState.COPIED


def _is_unfinished(row: Row | None) -> bool:
    return row is not None and row.text("state") in _UNFINISHED


def _is_held(row: Row | None) -> bool:
    until = row.moment("leaseUntil") if row else None
    return until is not None and not _has_passed(until)


def _has_passed(moment: datetime | None, since: timedelta = timedelta()) -> bool:
    # Not added to the moment: a cab that never expires does so at the last there is.
    return moment is not None and moment <= clock.now() - since


def _has_expired(moment: datetime | None, since: timedelta = timedelta()) -> bool:
    """Tell whether a time of the Dev Center has passed: a clock of ours that is known to be wrong loses no cab."""
    return moment is not None and moment <= clock.true_now() - since

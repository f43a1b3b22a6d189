"""The reconcile: past every failure that the pulls, the cab rows or the container know (shared/reconcile/walk.py).

First it takes care of what stands in the poison queue (shared/reconcile/poison.py). Then, at each failure, it does what
`shared/reconcile/policy.py` decides. In the end it makes the catalog anew from the rows (shared/reconcile/catalog.py).

What comes past may be some minutes old, and a pull may have begun since. So each change holds the lease, goes against
the version that was read, or does no harm when it was not needed.
"""

from __future__ import annotations

import logging
from collections import Counter
from copy import replace
from itertools import count
from typing import TYPE_CHECKING

from shared.cabs.naming import name_blobs
from shared.core import clock, events, metrics
from shared.core.batches import weighed
from shared.core.errors import AgainLater, CabferryError
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.core.redaction import redact
from shared.core.threads import Pool
from shared.core.values import Immutable
from shared.progress.cab_row import by_cab, cab_of
from shared.progress.health import Reconciled
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullRow, PullState
from shared.progress.tally import CabTally, is_soon, missing
from shared.pull.endings import turn
from shared.pull.keeping import candidates
from shared.pull.ledger import CabLedger
from shared.reconcile import policy
from shared.reconcile.catalog import rebuild_catalog
from shared.storage.lease import HeldElsewhere, held_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Executor

    from shared.cabs.container import CabContainer, StoredCab
    from shared.catalog.files import CatalogFiles
    from shared.core.settings import Settings
    from shared.progress.cab_row import CabRow
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
# Failures that are looked after at once, and held in memory with their rows and blobs, each of some kilobytes.
_AT_ONCE, _ROWS_AT_ONCE = 16, 20_000
# Tracebacks in the log of one run; what breaks more failures than that breaks them all alike.
_BROKEN_LOGGED = 10


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
        failures = tools.walk.failures()
        for some in weighed(failures, _AT_ONCE, _ROWS_AT_ONCE, lambda each: len(each.cabs) + len(each.blobs)):
            pulls.count(each.pull for each in some if each.pull)
            for each in crew.map(run.look_after, some):
                found += each
    for row in tools.health.poison():
        if policy.is_old(row.moment("lastAt")) and tools.health.forget_poison(row):
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
        queue, circuit = tools.queue.look(), tools.circuit.known()
        self._surroundings = policy.Surroundings(tools.settings, tools.keep.current(), queue, circuit)
        self._broken = count()

    def look_after(self, seen: FailureSeen) -> Reconciled:
        """Put one failure right, and tell what was found; an error is recorded and ends nothing else."""
        found = Reconciled(at=self._surroundings.queue.at, failures=1)
        try:
            self._look_after(seen, found)
        except Exception as error:  # noqa: BLE001 - it is logged and recorded, and the timer fails with it
            found.broken, found.error = 1, redact(f"{seen}: {error}")[:2000]
            if next(self._broken) < _BROKEN_LOGGED:
                _log.exception("%s could not be put right", seen)
        return found

    def _look_after(self, seen: FailureSeen, found: Reconciled) -> None:
        tools, row = self._tools, seen.pull
        named = row.text("family") if row else ""
        family = named or tools.settings.family_of(seen.application_id)
        failure = Failure(seen.application_id, seen.failure_hash, family)
        cabs: Mapping[str, CabRow] = by_cab(seen.cabs)
        found.under_way = int(bool(held_for(row)))
        agree = policy.is_unfinished(row) or self._agree(failure, cabs, seen.blobs)
        if not agree:
            mended = self._mended(failure, row, found)
            found.under_way = int(mended is None)
            row, cabs = mended or (row, cabs)
        pull = PullRow.of(row) if row else None
        keeping = policy.keeping_of(failure, pull, cabs, self._surroundings)
        ruled = {} if found.under_way else keeping.changed(cabs, keeping.skipped(candidates(cabs)))
        cabs = {**cabs, **ruled}
        limits = missing(cabs.values(), tools.settings)
        found.missing, found.expiring_within_48_hours = len(limits), sum(is_soon(limit) for _, limit in limits)
        if found.under_way:
            return
        if agree and not policy.is_unfinished(row):
            found.lost = self._record(failure, seen, cabs, ruled)
        found.failed_pulls = int(pull is not None and pull.state is PullState.FAILED)
        match policy.next_step(pull, cabs, keeping, self._surroundings):
            case policy.SendMessage(window, requested_by, state):
                tools.queue.send(PullMessage(failure, window, requested_by))
                found.messages_sent = 1
                _log.warning("%s: %s without a message; one was sent", failure, state)
            case policy.GoOn() if row and pull:
                found.messages_sent = self._wake(failure, row, pull, is_urgent=found.expiring_within_48_hours > 0)
            case policy.AskAgain() as wish:
                names = CabFacts(keeping.subject.name, keeping.subject.driver)
                found.queued_again = int(self._ask_again(failure, row, wish, names))
                found.failed_pulls -= found.failed_pulls and found.queued_again
            case policy.TidyUp():
                if agree:
                    found.rows_removed = self._remove_old(failure, row, pull, seen)
                if row and not (found.lost or found.rows_removed):
                    self._note_tally(row, cabs)

    def _note_tally(self, row: Row, cabs: Mapping[str, CabRow]) -> None:
        """Keep what the pull's row tells of the failure's cabs true: time passes, and earlier versions told nothing."""
        tally = CabTally.taken(cabs.values(), self._tools.settings)
        if tally.differs_from(CabTally.of(row)):
            self._tools.pulls.note(row, tally.columns())

    def _agree(self, failure: Failure, cabs: Mapping[str, CabRow], blobs: list[StoredCab]) -> bool:
        """Tell whether reading the container back would change nothing."""
        ledger = self._ledger(failure)
        ledger.load((cab, replace(row)) for cab, row in cabs.items())
        ledger.read_back(blobs, self._tools.settings.retention)
        return not (ledger.unwritten or ledger.unnamed)

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
        return CabLedger(self._tools.cabs, failure, clock.now(), self._tools.writers)

    def _record(
        self, failure: Failure, seen: FailureSeen, cabs: Mapping[str, CabRow], ruled: Mapping[str, CabRow]
    ) -> int:
        """Write down what rules say by now, and what was lost, against the rows that came past; return how much was."""
        if ruled:
            read = ((each, ruled[cab_of(each)]) for each in seen.cabs if cab_of(each) in ruled)
            self._tools.cabs.change(failure, read)
        lost = self._tools.cabs.change(failure, policy.lost(seen.cabs, cabs, self._tools.settings))
        if lost:
            events.CABS_LOST.tell(**failure.ids, cabs=lost)
        return lost

    def _wake(self, failure: Failure, row: Row, pull: PullRow, *, is_urgent: bool) -> int:
        """Let a pull that waits for the next day go on at its turn; return how many messages that took."""
        wait = turn(is_urgent=is_urgent)
        woken = self._tools.pulls.wake(row, wait)
        if woken is None:
            return 0
        asks, version = pull.requested_by, woken.etag
        self._tools.queue.send(
            PullMessage(failure, pull.window, asks, version, resumes=True, pull_id=pull.pull_id), wait
        )
        return 1

    def _ask_again(self, failure: Failure, row: Row | None, wish: policy.AskAgain, names: CabFacts) -> bool:
        """Queue a failure; tell whether that was done, which somebody else may have made needless."""
        if row is None:
            self._tools.requests.make([failure], wish.window, wish.requested_by, facts={failure: names})
        else:
            queued = self._tools.pulls.queue_again(row, wish.window, wish.requested_by, wish.queued_at)
            if queued is None:
                return False
            self._tools.queue.send(PullMessage(failure, wish.window, wish.requested_by, queued.etag))
        _log.warning("%s: asked for again, since %s", failure, wish.why)
        return True

    def _remove_old(self, failure: Failure, row: Row | None, pull: PullRow | None, seen: FailureSeen) -> int:
        """Remove rows that nobody needs, against the versions that came past; return how many.

        The pull's goes when the last of its cabs did, and nothing stands in the container.
        """
        removed = self._tools.cabs.remove(failure, policy.old_cabs(failure, seen, self._tools.settings))
        if row and pull and removed == len(seen.cabs) and not seen.blobs and policy.is_old(pull.updated_at):
            removed += self._tools.pulls.remove(row)
        return removed

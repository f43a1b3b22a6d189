"""Who may work on a pull, and how it begins: one owner, the lease on its row in the table `pulls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.askers import by_person
from shared.core.errors import AgainLater
from shared.core.events import PULL_FAILED
from shared.core.redaction import excerpt
from shared.progress.pull_row import (
    ErrorKind,
    PullRow,
    PullState,
    asked_again_columns,
    days_columns,
    ended_columns,
    family_columns,
    person_of,
    queued,
)
from shared.storage.lease import HeldElsewhere, RowLease, held_for
from shared.storage.table_rows import Row

if TYPE_CHECKING:
    from datetime import timedelta

    from shared.core.failure import Failure, Window
    from shared.progress.messages import PullMessage
    from shared.storage.table_rows import TableRows
    from shared.storage.table_writes import Columns

_TRIES = 5


class PullLeases:
    """Take the lease on a failure's pull.

    Args:
        table: The table `pulls`.
        lease: How long an owner's hold lasts without a renewal.
    """

    def __init__(self, table: TableRows, lease: timedelta) -> None:
        self._table, self._lease = table, lease

    def take(self, message: PullMessage, window: Window, *, reads: bool = False) -> RowLease | HeldElsewhere | None:
        """Take the lease on a failure's row and set it to Running.

        A pull that was interrupted or handed on goes on from its checkpoint if it asks for these days too. Otherwise it
        starts anew for the days of both: messages that take turns, each with days of its own, would forget each other's
        tries and never give up. So does one that a machine asked for, where a person asks: rules may have left out what
        lies before the checkpoint. One that was asked for again while it ran is paged once more, and what it brought
        before still counts as its own.

        Args:
            message: Whose pull. One that names no window leaves an unfinished pull its own.
            window: The days to ask for.
            reads: Whether more must be known of the row than what was asked for.

        Returns:
            The lease; who else has it; None where another message was sooner and makes this very pull, or has made it.
        """
        key = (message.failure.application_id, message.failure.failure_hash)
        asked = {**queued(window, message.requested_by), **family_columns(message.failure)}
        # Where nobody said of which family it is, the row may know.
        is_known = message.row_version and not message.resumes and message.failure.family and not reads
        known = Row.written(*key, asked, message.row_version) if is_known else None

        try:
            lease = RowLease.take(
                self._table, *key, self._lease, lambda row: _running(row, message, window, asked), known
            )
        except _SoonerError:
            return None
        is_sooner = isinstance(lease, HeldElsewhere) and _was_sooner(lease.row, PullState.RUNNING, message)
        return None if is_sooner else lease

    def hold(self, failure: Failure) -> RowLease | HeldElsewhere | None:
        """Take the lease on a row and change nothing else, so that no pull begins meanwhile.

        None where there is no row, or its pull has begun since it was looked at: one whose host stands still for longer
        than its lease goes on where nobody took the row, and would end for good for whoever makes no pull of it.
        """

        def nothing(row: Row | None) -> Columns:
            if row is None or row.text("state") in {PullState.QUEUED, PullState.RUNNING}:
                raise _NotFreeError
            return {}

        try:
            return RowLease.take(self._table, failure.application_id, failure.failure_hash, self._lease, nothing)
        except _NotFreeError:
            return None

    def fail(self, failure: Failure, reason: str) -> PullState | HeldElsewhere:
        """Set a pull that nobody works on, and that has not ended, to Failed.

        Args:
            failure: Whose pull.
            reason: What is told where the row knows no error of its own.

        Returns:
            How it has ended; or that somebody works on it, or died doing so and still holds the lease.

        Raises:
            AgainLater: Others keep changing the row.
        """
        for _ in range(_TRIES):
            row = self._table.get(failure.application_id, failure.failure_hash)
            known = PullRow.of(row) if row else None
            if known and known.state in {PullState.COMPLETED, PullState.FAILED}:
                return known.state
            if row and (left := held_for(row)):
                return HeldElsewhere(left, row)
            error = known.last_error if known and known.last_error else reason
            columns = ended_columns(PullState.FAILED, error, ErrorKind.UNFORESEEN)
            if (
                self._table.merge(row, columns)
                if row
                else self._table.insert(failure.application_id, failure.failure_hash, columns)
            ):
                pull_id = known.pull_id if known else ""
                PULL_FAILED.tell(**failure.ids, pull=pull_id, kind=ErrorKind.UNFORESEEN, reason=error)
                return PullState.FAILED
        raise AgainLater(f"the row of {failure} kept changing")


def _running(row: Row | None, message: PullMessage, window: Window, asked: Columns) -> Columns:
    """Return what a message that begins a pull, or goes on with it, writes into its row.

    Raises:
        _SoonerError: Another message was sooner.
    """
    now = clock.now()
    running: Columns = {"state": PullState.RUNNING.value, "pullId": message.pull_id, "updatedAt": now}
    pull = PullRow.of(row) if row else None
    if row and _was_sooner(row, PullState.COMPLETED, message):
        raise _SoonerError
    unfinished = pull is not None and pull.state in {PullState.QUEUED, PullState.RUNNING}
    goes_on = pull is not None and unfinished and (by_person(pull.requested_by) or not by_person(message.requested_by))
    if pull and goes_on and pull.window and (not message.window or pull.window.including(window) == pull.window):
        has_died = pull.state is PullState.RUNNING
        tries: Columns = {"attempts": pull.attempts + has_died, "stalled": pull.stalled + has_died}
        return {**running, **tries, "startedAt": pull.started_at or now}
    days = window.including(pull.window) if pull and unfinished and pull.window else window
    again = pull.asked_again if pull else {}
    owed = {each: who for each, who in again.items() if each.including(days) != days}
    anew = {**asked, **days_columns(days), **running, "startedAt": now, **asked_again_columns(owed)}
    if row and pull:
        # A person wins over what else asks, or asked before, or while it ran.
        asks = (pull.requested_by, message.requested_by) if unfinished else (message.requested_by, person_of(row))
        served = [who for each, who in again.items() if each not in owed]
        anew = {**anew, "requestedBy": excerpt(by_person(*asks, *served) or asks[0])}
    if pull and pull.state is PullState.COMPLETED and pull.window == window and window in again:
        return {**anew, "queuedAt": pull.queued_at or now, "startedAt": pull.started_at or now}
    return {**anew, "queuedAt": pull.queued_at if pull and unfinished and pull.queued_at else now}


class _SoonerError(Exception):
    """Another message has made the pull."""


class _NotFreeError(Exception):
    """Somebody has deleted the row, or a pull of it is to run."""


def _was_sooner(row: Row, state: PullState, message: PullMessage) -> bool:
    """Tell whether a row that nobody held when a message was sent got into a state since, for the days of the message.

    Who holds it now has a message of its own, which comes back where its host dies. A pull that was asked for while its
    owner stood still, and that the owner then ended, was not started since: it is still to be made.
    """
    pull = PullRow.of(row)
    is_changed = bool(message.row_version) and row.etag != message.row_version
    is_started = pull.state is state and pull.window == message.window and pull.started_at is not None
    return is_changed and is_started and message.window not in pull.asked_again

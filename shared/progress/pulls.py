"""The table `pulls`: one row a failure, with the state of its pull, the window, the checkpoint and the counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import batched, groupby
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater
from shared.core.events import PULL_FAILED
from shared.core.failure import DRIVER, Failure, Window, normal_id
from shared.core.redaction import excerpt
from shared.devcenter.families import FAMILIES
from shared.progress.pull_row import (
    ErrorKind,
    PullRow,
    PullState,
    asked_columns,
    days_columns,
    ended_columns,
    family_columns,
    queued,
    window_list,
    windows_in,
)
from shared.storage.lease import HeldElsewhere, RowLease
from shared.storage.table_rows import Row, TableRows
from shared.storage.table_writes import NO_MOMENT, TRANSACTION_ROWS, Columns, Value, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from shared.core.facts import CabFacts
    from shared.progress.messages import PullMessage

_TRIES = 5
# A try that failed is none to speak of: so many in a row took about a minute, and so long a wait is no moment either.
_TRIES_TOLD, _LONG_WAIT = 3, timedelta(hours=1)


class PullRows:
    """Read and queue pulls, and take the lease on one.

    Args:
        table: The table `pulls`.
        lease: How long an owner's hold lasts without a renewal.
    """

    def __init__(self, table: TableRows, lease: timedelta) -> None:
        self._table, self._lease = table, lease

    def get(self, failure: Failure) -> PullRow | None:
        """Return a failure's pull; None where none was ever asked for."""
        row = self._table.get(failure.application_id, failure.failure_hash)
        return PullRow.of(row) if row else None

    def as_stored(self, failure: Failure) -> Failure:
        """Return a failure in the spelling that its pull is stored under: the normal form, unless it is an older one.

        One request where no other spelling is stored, none where the ids have only one.

        Args:
            failure: Whose pull, in any spelling.
        """
        normal = Failure.named(failure.application_id, failure.failure_hash, failure.family)
        for other in failure.other_spellings():
            if self._has_row(other) and not self._has_row(normal):
                return other
        return normal

    def all_as_stored(self, application_id: str, failures: Iterable[Failure]) -> dict[Failure, Failure]:
        """Return many failures of one application in the spellings that they are stored under.

        One request for each 1,000 pulls of the application, however many failures are looked up.

        Args:
            application_id: Whose failures, in its normal form, which is the only one that it has.
            failures: In any spelling.
        """
        rows = self._table.query("PartitionKey eq @application", {"application": application_id}, ("state",))
        # Nearly all are in the normal form: nothing is remembered of those.
        odd = {row.key: normal_id(row.key) for row in rows if normal_id(row.key) != row.key}
        both = {normal for normal in odd.values() if self._has_row(Failure(application_id, normal))} if odd else set()
        found: dict[Failure, Failure] = {}
        for failure in failures:
            normal = Failure.named(application_id, failure.failure_hash, failure.family)
            stored = next((other for other in failure.other_spellings() if other.failure_hash in odd), normal)
            found[failure] = normal if normal.failure_hash in both else stored
        return found

    def row(self, failure: Failure) -> Row | None:
        """Return the row of a failure's pull, not decoded; None where there is none."""
        return self._table.get(failure.application_id, failure.failure_hash)

    def page(
        self,
        state: PullState | None,
        family: str,
        application_id: str,
        limit: int,
        after: dict[str, str] | None,
    ) -> tuple[list[PullRow], dict[str, str] | None]:
        """Return a page of pulls in the order of their keys, and what continues after it.

        Args:
            state: Only pulls in this state; None for all.
            family: Only pulls of this family; empty for all.
            application_id: Only pulls of this application; empty for all.
            limit: The most pulls of a page.
            after: What an earlier page returned.
        """
        # A row of an earlier version has no such column, and is a driver's.
        others = [name for name in FAMILIES if name != DRIVER]
        of_driver = " and ".join(f"not ( family eq @{name} )" for name in others)
        of_family = of_driver if family == DRIVER else "family eq @family"
        asked = {
            "PartitionKey eq @application": bool(application_id),
            "state eq @state": state is not None,
            of_family: bool(family),
        }
        where = " and ".join(clause for clause, is_asked in asked.items() if is_asked)
        told = {"application": application_id, "state": state.value if state else "", "family": family}
        values = {**told, **{name: name for name in others}}
        rows, following = self._table.page(where, values, limit, after)
        return [PullRow.of(row) for row in rows], following

    def troubled(self) -> Iterator[PullRow]:
        """Yield the pulls that are Failed, that go on failing, or that left cabs behind: one request for 1,000.

        Those that go on have failed some times in a row without a new cab, or waited for an hour as they were asked to.
        """
        long_ago = f"datetime'{clock.now() - _LONG_WAIT:%Y-%m-%dT%H:%M:%SZ}'"
        waits = f"waitingSince gt datetime'{NO_MOMENT:%Y-%m-%dT%H:%M:%SZ}' and waitingSince lt {long_ago}"
        goes_on = f"state ne @completed and ( stalled ge {_TRIES_TOLD} or ( {waits} ) )"
        where = f"state eq @failed or ( {goes_on} ) or ( state eq @completed and failedCabs gt 0 )"
        values = {"failed": PullState.FAILED.value, "completed": PullState.COMPLETED.value}
        yield from map(PullRow.of, self._table.query(where, values))

    def queue(
        self,
        failures: Iterable[Failure],
        window: Window,
        requested_by: str,
        facts: Mapping[Failure, CabFacts] = MappingProxyType({}),
        hits: Mapping[Failure, int] = MappingProxyType({}),
    ) -> dict[Failure, str]:
        """Write Queued into the rows of failures whose messages are about to be sent.

        A pull that is running stays as it is, and only notes that it was asked for again: one message waits until it is
        done, however often it is asked for meanwhile. The rest starts anew.

        Args:
            failures: Any number; up to 100 of one application are written in one request.
            window: The days to ask for.
            requested_by: What asks.
            facts: What is known of failures by now.
            hits: How often they happened, where that was counted.

        Returns:
            Those that need a message, with their families, each with the version of its row, which saves the pull from
            reading that; empty where it is not known.

        Raises:
            AgainLater: Others keep changing the rows.
        """
        first, versions = {**queued(window, requested_by), **asked_columns(requested_by)}, dict[Failure, str]()
        for application_id, of_one in groupby(sorted(set(failures)), key=lambda failure: failure.application_id):
            for some in batched(of_one, TRANSACTION_ROWS, strict=False):
                # An application is of one family, so one of them speaks for all.
                columns = {**first, **family_columns(some[0])}
                rows = {each.failure_hash: {**columns, **_told(each, facts, hits)} for each in some}
                versions |= self._queue(application_id, rows, window)
        return versions

    def note_skipped(
        self,
        failures: Mapping[Failure, Columns],
        window: Window,
        requested_by: str,
        facts: Mapping[Failure, CabFacts],
        hits: Mapping[Failure, int],
    ) -> None:
        """Note of failures that a rule skips them whole: nobody asks for a pull, and the reconcile knows of them.

        Args:
            failures: Each with further columns.
            window: The days that a pull would have asked for.
            requested_by: What would have asked.
            facts: What is known of them by now.
            hits: How often they happened.
        """
        ended = {
            **queued(window, requested_by),
            **asked_columns(requested_by),
            **ended_columns(PullState.COMPLETED, ""),
        }
        for application_id, of_one in groupby(sorted(failures), key=lambda failure: failure.application_id):
            for some in batched(of_one, TRANSACTION_ROWS, strict=False):
                rows = {
                    each.failure_hash: {**family_columns(each), **_told(each, facts, hits), **failures[each]}
                    for each in some
                }
                new = [Write(key, {**ended, **columns}, "insert") for key, columns in rows.items()]
                if self._table.write_together(application_id, new) is None:
                    for write in new:
                        self._note_skipped(application_id, write, rows[write.key])

    def _note_skipped(self, application_id: str, new: Write, columns: Columns) -> None:
        row = self._table.get(application_id, new.key)
        if row is None:
            self._table.insert(application_id, new.key, new.columns)
        elif row.text("state") == PullState.COMPLETED:  # whatever else it is, its pull or the reconcile sees to it
            self._table.merge(row, columns)

    def take(self, message: PullMessage, window: Window, *, reads: bool = False) -> RowLease | HeldElsewhere | None:
        """Take the lease on a failure's row and set it to Running.

        A pull that was interrupted or handed on goes on from its checkpoint if it asks for these days too. Otherwise it
        starts anew for the days of both: messages that take turns, each with days of its own, would forget each other's
        tries and never give up. One that was asked for again while it ran is paged once more, and what it brought
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

        def first(row: Row | None) -> Columns:
            now = clock.now()
            running: dict[str, Value] = {
                "state": PullState.RUNNING.value,
                "pullId": message.pull_id,
                "updatedAt": now,
            }
            pull = PullRow.of(row) if row else None
            if row and _was_sooner(row, PullState.COMPLETED, message):
                raise _SoonerError
            unfinished = pull is not None and pull.state in {PullState.QUEUED, PullState.RUNNING}
            if (
                pull
                and unfinished
                and pull.window
                and (not message.window or pull.window.including(window) == pull.window)
            ):
                has_died = pull.state is PullState.RUNNING
                tries: Columns = {"attempts": pull.attempts + has_died, "stalled": pull.stalled + has_died}
                return {**running, **tries, "startedAt": pull.started_at or now}
            days = window.including(pull.window) if pull and unfinished and pull.window else window
            owed = tuple(each for each in pull.asked_again if each.including(days) != days) if pull else ()
            anew = {**asked, **days_columns(days), **running, "startedAt": now, "askedAgain": window_list(owed)}
            if pull and pull.state is PullState.COMPLETED and pull.window == window and window in pull.asked_again:
                return {**anew, "queuedAt": pull.queued_at or now, "startedAt": pull.started_at or now}
            since = pull.queued_at if pull and unfinished and pull.queued_at else now
            by = pull.requested_by if pull and unfinished else message.requested_by
            return {**anew, "requestedBy": excerpt(by), "queuedAt": since}

        try:
            lease = RowLease.take(self._table, *key, self._lease, first, known)
        except _SoonerError:
            return None
        is_sooner = isinstance(lease, HeldElsewhere) and _was_sooner(lease.row, PullState.RUNNING, message)
        return None if is_sooner else lease

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
            until, now = row.moment("leaseUntil") if row else None, clock.now()
            if known and known.state in {PullState.COMPLETED, PullState.FAILED}:
                return known.state
            if row and until and until > now:
                return HeldElsewhere(until - now, row)
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

    def take_back_note(self, failure: Failure, window: Window) -> None:
        """Take back the note that a running pull was asked for again, where no message could be sent."""
        row = self.row(failure)
        windows = windows_in(row.text("askedAgain")) if row else ()
        if row and window in windows:
            self._table.merge(row, {"askedAgain": window_list(each for each in windows if each != window)})

    def note_poison(self, row: Row, seen: int) -> None:
        """Note how far a pull had come when its message was found in the poison queue, unless its row changed since."""
        self._table.merge(row, {"seenWhenPoisoned": seen})

    def retry(self, failure: Failure, otherwise: Window, requested_by: str) -> tuple[PullRow | None, Row | None]:
        """Write Queued into the row of a Failed pull whose message is about to be sent, and leave any other alone.

        Args:
            failure: Whose pull.
            otherwise: The days to ask for where the row names none.
            requested_by: What asks.

        Returns:
            The pull as it was, None where there was none, and the row as it was written, None where it was not.

        Raises:
            AgainLater: Others keep changing the row.
        """
        for _ in range(_TRIES):
            row = self._table.get(failure.application_id, failure.failure_hash)
            known = PullRow.of(row) if row else None
            if row is None or known is None or known.state is not PullState.FAILED:
                return known, None
            if written := self.queue_again(row, known.window or otherwise, requested_by, None):
                return known, written
        raise AgainLater(f"the row of {failure} kept changing")

    def take_back(self, row: Row, failed: PullRow) -> None:
        """Set a pull whose message could not be sent to Failed again, unless somebody works on it by now.

        Args:
            row: As `retry` wrote it.
            failed: The pull as it was before.
        """
        self._table.merge(row, ended_columns(PullState.FAILED, failed.last_error, failed.last_error_kind))

    def applications(self) -> Iterator[str]:
        """Yield each applicationId that has rows: one request each."""
        application_id = self._table.partition_after("")
        while application_id is not None:
            yield application_id
            application_id = self._table.partition_after(application_id)

    def of_application(self, application_id: str, select: Sequence[str] = ()) -> Iterator[Row]:
        """Yield the rows of an application in the order of their failureHash, not decoded.

        Args:
            application_id: Whose pulls, as it is stored.
            select: The columns to bring, all where it is empty.
        """
        yield from self._table.query("PartitionKey eq @application", {"application": application_id}, select)

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

    def queue_again(self, row: Row, window: Window, requested_by: str, queued_at: datetime | None) -> Row | None:
        """Write Queued into the version of a row that was read; its message is about to be sent.

        Args:
            row: The pull that has ended.
            window: The days to ask for.
            requested_by: What asks.
            queued_at: When it was first asked for; None for now.

        Returns:
            The row as it is then; None where somebody changed it since.
        """
        asked = {"queuedAt": queued_at} if queued_at else {}
        return self._table.merge(row, {**queued(window, requested_by), **asked_columns(requested_by), **asked})

    def note_tally(self, row: Row, columns: Columns) -> None:
        """Write how a failure's cabs stand into the version of a row that was read, unless it changed since."""
        self._table.merge(row, columns)

    def remove(self, row: Row) -> bool:
        """Remove the version of a row that was read; tell whether it was still that version."""
        return self._table.write_together(row.partition, [Write(row.key, {}, "delete", row.etag)]) is not None

    def _has_row(self, failure: Failure) -> bool:
        return self._table.get(failure.application_id, failure.failure_hash) is not None

    def _queue(self, application_id: str, rows: Mapping[str, Columns], window: Window) -> dict[Failure, str]:
        """Insert the rows; where one exists, read them and change those that are not being worked on."""
        existing: dict[str, Row] = {}
        versions: dict[str, str] = {}
        left = hashes = list(rows)
        for _ in range(_TRIES):
            now = clock.now()
            held = [key for key in left if key in existing and (existing[key].moment("leaseUntil") or now) > now]
            free = [key for key in left if key not in held]
            writes = [
                Write(key, rows[key], "merge", existing[key].etag)
                if key in existing
                else Write(key, rows[key], "insert")
                for key in free
            ]
            etags = self._table.write_together(application_id, writes) if writes else []
            if etags is not None:
                versions |= zip(free, etags, strict=True)
                free = []
            # Each by itself: who works on a row changes it every few seconds, and that must not hold up the others.
            noted = {key: self._note(existing[key], window, rows[key]) for key in held}
            versions |= {key: "" for key, is_new in noted.items() if is_new}
            left = [*free, *(key for key, is_new in noted.items() if is_new is None)]
            if not left:
                named = str(next(iter(rows.values())).get("family", ""))
                families = {key: row.text("family") for key, row in existing.items()}
                return {
                    Failure(application_id, key, named or families.get(key) or DRIVER): version
                    for key, version in versions.items()
                }
            between = "PartitionKey eq @application and RowKey ge @first and RowKey le @last"
            values = {"application": application_id, "first": hashes[0], "last": hashes[-1]}
            select = ("leaseUntil", "state", "askedAgain", "family")
            existing = {row.key: row for row in self._table.query(between, values, select)}
        raise AgainLater(f"the pull rows of application {application_id} kept changing")

    def _note(self, row: Row, window: Window, first: Columns) -> bool | None:
        """Note in a row that is held that it was asked for again, and by whom.

        Returns:
            Whether that needs a message, which one that was noted before has already; None where the row has changed.
        """
        windows = windows_in(row.text("askedAgain"))
        if row.text("state") != PullState.RUNNING:
            return True
        if window in windows:
            return False
        asked = {name: first[name] for name in ("askedAt", "askedBy")}
        return True if self._table.merge(row, {"askedAgain": window_list((*windows, window)), **asked}) else None


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


def _told(failure: Failure, facts: Mapping[Failure, CabFacts], hits: Mapping[Failure, int]) -> Columns:
    told = facts.get(failure)
    names = {"failureName": told.failure_name, "driverName": told.driver_name} if told else {}
    counted: Columns = {"hits": hits[failure]} if failure in hits else {}
    return {**{name: text for name, text in names.items() if text}, **counted}

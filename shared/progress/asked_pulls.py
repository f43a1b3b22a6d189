"""What asking for a pull writes into its row, right before its message is sent, or where none is."""

from __future__ import annotations

from itertools import batched, groupby
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.core.askers import by_person
from shared.core.errors import AgainLater
from shared.core.failure import DRIVER, Failure
from shared.core.redaction import excerpt
from shared.progress.pull_row import (
    PullRow,
    PullState,
    asked_again,
    asked_again_columns,
    asked_columns,
    days_columns,
    ended_columns,
    family_columns,
    person_of,
    queued,
    window_in,
)
from shared.storage.lease import held_for
from shared.storage.table_writes import TRANSACTION_ROWS, Columns, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from shared.core.facts import CabFacts
    from shared.core.failure import Window
    from shared.storage.table_rows import Row, TableRows

_TRIES = 5
# What is looked at of a row that exists before somebody asks for its pull.
_ASKED = ("leaseUntil", "state", "family", "startDate", "endDate", "requestedBy", "failed", "unreadable")
_AGAIN = ("askedAgain", "askedAgainBy", "askedBy")


class AskedPulls:
    """Write into rows that somebody asks for their pulls."""

    def __init__(self, table: TableRows) -> None:
        self._table = table

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
        done, however often it is asked for meanwhile. The rest starts anew, and what a person asked for and has not got
        is still pulled for that person where a machine asks.

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
        for application_id, some in _hundreds(failures):
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

        A pull that is to run, or failed, is not ended: it only learns what is told of the failure, as rules look at it.

        Args:
            failures: Each with further columns of a pull that has ended.
            window: The days that a pull would have asked for.
            requested_by: What would have asked.
            facts: What is known of them by now.
            hits: How often they happened.

        Raises:
            AgainLater: Others keep changing the rows.
        """
        ended = {
            **queued(window, requested_by),
            **asked_columns(requested_by),
            **ended_columns(PullState.COMPLETED, ""),
        }
        for application_id, some in _hundreds(failures):
            told = {each.failure_hash: {**family_columns(each), **_told(each, facts, hits)} for each in some}
            skipped = {each.failure_hash: {**told[each.failure_hash], **failures[each]} for each in some}
            self._note_skipped(application_id, ended, skipped, told)

    def _note_skipped(
        self,
        application_id: str,
        ended: Columns,
        skipped: Mapping[str, Columns],
        told: Mapping[str, Columns],
    ) -> None:
        """Insert the rows; where one exists, change what it says of the rule, or of the failure alone."""
        existing: dict[str, Row] = {}
        for _ in range(_TRIES):
            writes = []
            for key in skipped:
                row = existing.get(key)
                if row is None:
                    writes.append(Write(key, {**ended, **skipped[key]}, "insert"))
                elif not held_for(row):  # who works on it knows the rules, and what was told before
                    # Another pull that is to run decides by what is told now, and no rule skips a person's.
                    is_done = row.text("state") == PullState.COMPLETED and not person_of(row)
                    columns = skipped[key] if is_done else told[key]
                    writes += [Write(key, columns, "merge", row.etag)] if columns else []
            if not writes or self._table.write_together(application_id, writes) is not None:
                return
            existing = self._existing(application_id, [*skipped])
        raise AgainLater(f"the pull rows of application {application_id} kept changing")

    def take_back_note(self, failure: Failure, window: Window, requested_by: str) -> None:
        """Take back the note that a running pull was asked for again, where no message could be sent.

        It stays where somebody else has asked since, who was answered and counts on that message: the reconcile sends
        it then.

        Args:
            failure: Whose pull.
            window: The days that were asked for.
            requested_by: What asked.

        Raises:
            AgainLater: Others keep changing the row.
        """
        for _ in range(_TRIES):  # who works on it changes it every few seconds
            row = self._table.get(failure.application_id, failure.failure_hash)
            asked = asked_again(row) if row else {}
            if row is None or window not in asked or row.text("askedBy") != excerpt(requested_by):
                return
            del asked[window]
            if self._table.merge(row, asked_again_columns(asked)):
                return
        raise AgainLater(f"the row of {failure} kept changing")

    def retry(self, failure: Failure, otherwise: Window, requested_by: str) -> tuple[PullRow | None, Row | None]:
        """Write Queued into the row of a Failed pull whose message is about to be sent, and leave any other alone.

        It stays the pull of whoever asked for it first: what rules have left out of a report's, they leave out again.

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
            asked = {**queued(known.window or otherwise, known.requested_by), **asked_columns(requested_by)}
            if written := self._table.merge(row, asked):
                return known, written
        raise AgainLater(f"the row of {failure} kept changing")

    def take_back(self, row: Row, failed: PullRow) -> None:
        """Set a pull whose message could not be sent to Failed again, unless somebody works on it by now.

        Args:
            row: As `retry` wrote it.
            failed: The pull as it was before.
        """
        self._table.merge(row, ended_columns(PullState.FAILED, failed.last_error, failed.last_error_kind))

    def _queue(self, application_id: str, rows: Mapping[str, Columns], window: Window) -> dict[Failure, str]:
        """Insert the rows; where one exists, read them and change those that are not being worked on."""
        existing: dict[str, Row] = {}
        versions: dict[str, str] = {}
        left = hashes = list(rows)
        for _ in range(_TRIES):
            held = [key for key in left if key in existing and held_for(existing[key])]
            free = [key for key in left if key not in held]
            persons = {key: _of_person(existing[key], rows[key], window) for key in free if key in existing}
            writes = [
                Write(key, {**rows[key], **persons[key]}, "merge", existing[key].etag)
                if key in existing
                else Write(key, rows[key], "insert")
                for key in free
            ]
            etags = self._table.write_together(application_id, writes) if writes else []
            if etags is not None:
                # Who takes such a row must read for whom it is.
                versions |= {key: "" if persons.get(key) else etag for key, etag in zip(free, etags, strict=True)}
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
            existing = self._existing(application_id, hashes)
        raise AgainLater(f"the pull rows of application {application_id} kept changing")

    def _existing(self, application_id: str, hashes: Sequence[str]) -> dict[str, Row]:
        """Return what is needed of the rows between the first and the last of some failures: one query."""
        between = "PartitionKey eq @application and RowKey ge @first and RowKey le @last"
        values = {"application": application_id, "first": hashes[0], "last": hashes[-1]}
        rows = self._table.query(between, values, (*_ASKED, *_AGAIN))
        return {row.key: row for row in rows}

    def _note(self, row: Row, window: Window, first: Columns) -> bool | None:
        """Note in a row that is held that it was asked for again, and by whom: a person before whatever else asks.

        Returns:
            Whether that needs a message, which one that was noted before has already; None where the row has changed.
        """
        if row.text("state") != PullState.RUNNING:
            return True
        asked, who = asked_again(row), str(first["requestedBy"])
        is_new = window not in asked
        if not is_new and (by_person(asked[window]) or not by_person(who)):
            return False
        now = {name: first[name] for name in ("askedAt", "askedBy")}
        return is_new if self._table.merge(row, {**asked_again_columns({**asked, window: who}), **now}) else None


def _hundreds(failures: Iterable[Failure]) -> Iterator[tuple[str, tuple[Failure, ...]]]:
    """Yield distinct failures in order, as many of one application together as one request writes."""
    for application_id, of_one in groupby(sorted(set(failures)), key=lambda failure: failure.application_id):
        for some in batched(of_one, TRANSACTION_ROWS, strict=False):
            yield application_id, some


def _of_person(row: Row, first: Columns, window: Window) -> Columns:
    """Return what stays as it is of a pull that a person has not got yet, where a machine asks for it."""
    person = "" if by_person(str(first["requestedBy"])) else person_of(row)
    days = window_in(f"{row.text('startDate')}/{row.text('endDate')}") or window
    return {"requestedBy": person, **days_columns(window.including(days))} if person else {}


def _told(failure: Failure, facts: Mapping[Failure, CabFacts], hits: Mapping[Failure, int]) -> Columns:
    told = facts.get(failure)
    names = {"failureName": told.failure_name, "driverName": told.driver_name} if told else {}
    counted: Columns = {"hits": hits[failure]} if failure in hits else {}
    return {**{name: text for name, text in names.items() if text}, **counted}

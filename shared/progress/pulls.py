"""The table `pulls`: one row a failure, with the state of its pull, the window, the checkpoint and the counts.

What somebody who asks for a pull writes there stands in shared/progress/asked_pulls.py, and who may work on it in
shared/progress/pull_leases.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.failure import DRIVER, Failure, normal_id
from shared.devcenter.families import FAMILIES
from shared.progress.pull_row import PullRow, asked_columns, queued
from shared.storage.table_writes import Columns, Long, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from shared.core.failure import Window
    from shared.progress.pull_row import PullState
    from shared.storage.table_rows import Row, TableRows


class PullRows:
    """Read pulls, and let the reconcile put them right."""

    def __init__(self, table: TableRows) -> None:
        self._table = table

    def get(self, failure: Failure) -> PullRow | None:
        """Return a failure's pull; None where none was ever asked for."""
        row = self.row(failure)
        return PullRow.of(row) if row else None

    def row(self, failure: Failure) -> Row | None:
        """Return the row of a failure's pull, not decoded; None where there is none."""
        return self._table.get(failure.application_id, failure.failure_hash)

    def as_stored(self, failure: Failure) -> Failure:
        """Return a failure in the spelling that its pull is stored under: the normal form, unless it is an older one.

        One request where no other spelling is stored, none where the ids have only one.

        Args:
            failure: Whose pull, in any spelling.
        """
        normal = Failure.named(failure.application_id, failure.failure_hash, failure.family)
        for other in failure.other_spellings():
            if self.row(other) and not self.row(normal):
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
        both = {normal for normal in odd.values() if self.row(Failure(application_id, normal))} if odd else set()
        found: dict[Failure, Failure] = {}
        for failure in failures:
            normal = Failure.named(application_id, failure.failure_hash, failure.family)
            stored = next((other for other in failure.other_spellings() if other.failure_hash in odd), normal)
            found[failure] = normal if normal.failure_hash in both else stored
        return found

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

    def wake(self, row: Row, wait: timedelta) -> Row | None:
        """Write into the version of a row that was read that its pull need not wait for the next day.

        Args:
            row: The pull, which is Queued.
            wait: When its message is received, which is about to be sent.

        Returns:
            The row as it is then; None where somebody changed it since.
        """
        now = clock.now()
        return self._table.merge(row, {"dayBytes": Long(0), "nextTryAt": now + wait, "updatedAt": now})

    def note(self, row: Row, columns: Columns) -> None:
        """Write columns into the version of a row that was read; where it changed since, they can wait for the next."""
        self._table.merge(row, columns)

    def remove(self, row: Row) -> bool:
        """Remove the version of a row that was read; tell whether it was still that version."""
        return self._table.write_together(row.partition, [Write(row.key, {}, "delete", row.etag)]) is not None

"""The table `cabs`: one row a cab (shared/progress/cab_row.py).

Who holds the lease on a failure's pull writes over whatever is there (`write`): a run, and the reconcile while it reads
the container back. All others write what they have read, and where somebody changed that since, nothing: a check of a
report (`list_new`), the reconcile (`change`, `remove`), and the copy of one cab by itself (`list_new`, `settle`).
"""

from __future__ import annotations

from copy import replace
from itertools import batched, groupby
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.core.errors import AgainLater
from shared.core.failure import Failure
from shared.progress.cab_row import (
    COLUMNS,
    FACT_COLUMNS,
    CabRow,
    all_columns,
    by_cab,
    cab_of,
    end_columns,
    listed_columns,
    naming_write,
)
from shared.storage.table_writes import TRANSACTION_ROWS, Write

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from shared.core.facts import CabFacts
    from shared.progress.cab_row import CabState
    from shared.storage.table_rows import Row, TableRows

_PAGE_ROWS, _TRIES = 1_000, 5


class CabRows:
    """Read and write the rows of a failure's cabs."""

    def __init__(self, table: TableRows) -> None:
        self._table = table

    def of(self, failure: Failure) -> dict[str, CabRow]:
        """Return the row of each cab that is known of a failure, by cabIdHash."""
        return by_cab(self._rows(failure))

    def of_few(self, failure: Failure) -> dict[str, CabRow] | None:
        """Return the row of each cab of a failure, by cabIdHash; None where it has more than one request brings."""
        values = {"partition": failure.cabs_partition}
        rows, more = self._table.page("PartitionKey eq @partition", values, _PAGE_ROWS, None, COLUMNS)
        return None if more else by_cab(rows)

    def one(self, failure: Failure, cab_id_hash: str) -> CabRow | None:
        """Return the row of one cab; None where there is none.

        Args:
            failure: Whose cab.
            cab_id_hash: In its normal form.
        """
        row = self._table.get(failure.cabs_partition, cab_id_hash)
        # An earlier version may have written it in another spelling.
        spelled = [row] if row else [each for each in self._rows(failure) if cab_of(each) == cab_id_hash]
        found = [replace(CabRow.of(each), version=each.etag) for each in spelled]
        return max(found, key=lambda each: each.is_held, default=None)

    def failure_of(self, application_id: str, cab_id_hash: str) -> Failure | None:
        """Return the failure of a cab; None where no row names it. Storage looks at each row of the application.

        Args:
            application_id: Whose cab, as it is stored.
            cab_id_hash: In its normal form.
        """
        where = "PartitionKey gt @first and PartitionKey lt @end and RowKey eq @cab"
        values = {"first": f"{application_id}_", "end": _end(application_id), "cab": cab_id_hash}
        row = next(self._table.query(where, values, ("state",)), None)
        return Failure(application_id, row.partition.removeprefix(f"{application_id}_")) if row else None

    def page(
        self, failure: Failure, state: CabState | None, limit: int, after: dict[str, str] | None
    ) -> tuple[list[tuple[str, CabRow]], dict[str, str] | None]:
        """Return a page of a failure's cabs in the order of their cabIdHash, and what continues after it.

        Args:
            failure: Whose cabs.
            state: Only cabs in this state; None for all.
            limit: The most cabs of a page.
            after: What an earlier page returned.
        """
        where, values = "PartitionKey eq @partition", {"partition": failure.cabs_partition}
        if state:
            where, values = f"{where} and state eq @state", {**values, "state": state.value}
        rows, following = self._table.page(where, values, limit, after)
        return [(row.key, CabRow.of(row)) for row in rows], following

    def applications(self) -> Iterator[str]:
        """Yield each applicationId that has rows: one request each."""
        partition = self._table.partition_after("")
        while partition is not None:
            application_id = partition.split("_", 1)[0]
            yield application_id
            partition = self._table.partition_after(_end(application_id))

    def of_application(self, application_id: str) -> Iterator[Row]:
        """Yield the rows of an application in the order of their failureHash, not decoded."""
        where = "PartitionKey gt @first and PartitionKey lt @end"
        yield from self._table.query(where, {"first": f"{application_id}_", "end": _end(application_id)}, COLUMNS)

    def change(self, failure: Failure, rows: Iterable[tuple[Row, CabRow]]) -> int:
        """Change state, error and time of the versions of rows that were read; return how many.

        A row that somebody changed since stays, and so do those that would have been changed in the same request.

        Args:
            failure: Whose cabs.
            rows: Each as it was read, and as it should be.
        """
        return self._done(failure, (Write(read.key, end_columns(row), "merge", read.etag) for read, row in rows))

    def remove(self, failure: Failure, rows: Iterable[Row]) -> int:
        """Remove the versions of rows that were read; return how many.

        A row that somebody changed since stays, and so do those that would have gone in the same request.
        """
        return self._done(failure, (Write(row.key, {}, "delete", row.etag) for row in rows))

    def of_many(self, failures: Sequence[Failure]) -> Iterator[tuple[Failure, list[Row]]]:
        """Yield the rows of each of many failures: one request for 1,000 rows, and never more than one a failure.

        What lies between two of them is read with them where it is less than a page, and passed over where it is more.

        Args:
            failures: In the order of their PartitionKeys.
        """
        where = "PartitionKey ge @first and PartitionKey le @last"
        values, after = dict[str, str](), None
        rows: list[Row] = []
        place = 0
        while place < len(failures):
            if after is None:
                values = {"first": failures[place].cabs_partition, "last": failures[-1].cabs_partition}
            page, after = self._table.page(where, values, _PAGE_ROWS, after, ("state", "expiry", *FACT_COLUMNS))
            rows += page
            # Of the last partition there may be more to come.
            last = rows[-1].partition if after and rows else "" if after else None
            come = {key: [*some] for key, some in groupby(rows, key=lambda row: row.partition) if key != last}
            while place < len(failures) and (last is None or failures[place].cabs_partition < last):
                yield failures[place], come.get(failures[place].cabs_partition, [])
                place += 1
            is_open = place < len(failures) and failures[place].cabs_partition == last
            rows = [row for row in rows if row.partition == last] if is_open else []
            after = after if is_open or last == "" else None

    def list_new(
        self,
        failure: Failure,
        cabs: Mapping[str, CabFacts],
        expires: Mapping[str, datetime] = MappingProxyType({}),
        rows: Collection[Row] | None = None,
        skipped: str = "",
    ) -> int:
        """Write `listed` rows for the cabs that a report names, and into a row that exists no more than what it lacks.

        Args:
            failure: Whose cabs.
            cabs: What the report tells, by cabIdHash.
            expires: When Microsoft deletes them, of those of which the report tells that.
            rows: The failure's rows, where somebody has read them.
            skipped: Why a rule keeps none of them: those that are new are `skipped`. Empty where none does.

        Returns:
            How many cabs were known before, and lacked something that the report tells.

        Raises:
            AgainLater: Others keep changing the rows.
        """
        named = 0
        if rows is None:
            # Where the failure is stored under another spelling, its cabs are as well, and no insert would meet them.
            known, rows = (set[str]() if failure.is_normal else set(self.of(failure))), ()
        else:
            known = {cab for row in rows if (cab := cab_of(row)) != row.key}
        found = {row.key: row for row in rows}
        unknown = ((cab, facts) for cab, facts in cabs.items() if cab not in known)
        for some in batched(unknown, TRANSACTION_ROWS, strict=False):
            # The first try needs no reading, and fits a failure that is new. A second report lists known cabs again.
            for _ in range(_TRIES):
                writes = [
                    write
                    for key, facts in some
                    if (write := naming_write(found.get(key), key, listed_columns(facts, expires.get(key)), skipped))
                ]
                if not writes or self._table.write_together(failure.cabs_partition, writes) is not None:
                    named += sum(write.how == "merge" for write in writes)
                    break
                keys = [key for key, _ in some]
                where = "PartitionKey eq @partition and RowKey ge @first and RowKey le @last"
                values = {"partition": failure.cabs_partition, "first": min(keys), "last": max(keys)}
                there = {row.key: row for row in self._table.query(where, values, ("expiry", *FACT_COLUMNS))}
                found = {key: row for key, row in found.items() if key not in keys} | there
            else:
                raise AgainLater(f"the rows of the cabs of {failure} kept changing")
        return named

    def write(self, failure: Failure, rows: Iterable[tuple[str, CabRow]]) -> None:
        """Write rows, 100 in a request, and leave alone what the report told.

        Args:
            failure: Whose cabs.
            rows: cabIdHash and row.
        """
        writes = [Write(row.row_key or cab, all_columns(row), "upsert") for cab, row in rows]
        self._table.write_all(failure.cabs_partition, writes)

    def settle(self, failure: Failure, cab: str, row: CabRow) -> bool:
        """Write a row that was read by itself; tell whether it was still that version, or none where none was there."""
        write = Write(row.row_key or cab, all_columns(row), "merge" if row.version else "insert", row.version)
        return self._table.write_together(failure.cabs_partition, [write]) is not None

    def _done(self, failure: Failure, writes: Iterable[Write]) -> int:
        together = batched(writes, TRANSACTION_ROWS, strict=False)
        done = (some for some in together if self._table.write_together(failure.cabs_partition, some) is not None)
        return sum(map(len, done))

    def _rows(self, failure: Failure) -> Iterator[Row]:
        return self._table.query("PartitionKey eq @partition", {"partition": failure.cabs_partition}, COLUMNS)


def _end(application_id: str) -> str:
    """Return the first text that is greater than the PartitionKey of every cab of an application."""
    return f"{application_id}`"  # what follows the underscore in ASCII

"""Rows of Table Storage: read, insert, merge under an etag, and write many at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError
from azure.data.tables import EdmType, EntityProperty, TableClient

from shared.core.errors import BadInput
from shared.core.refusals import Meaning, Where
from shared.storage.refusals import RefusedError, refusal_of, storage_errors
from shared.storage.table_writes import TRANSACTION_ROWS, Long, version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from shared.storage.table_reads import Continuation, TableReads
    from shared.storage.table_writes import Columns, TableWrites, Write

_MOVED_ON = {Meaning.CHANGED, Meaning.MISSING}


@dataclass(frozen=True, slots=True)
class Row:
    """One stored row.

    Args:
        partition: Its PartitionKey.
        key: Its RowKey.
        columns: Its other properties; 64-bit numbers are plain numbers here.
        etag: Its version.
    """

    partition: str
    key: str
    columns: Mapping[str, Any]
    etag: str

    @classmethod
    def written(cls, partition: str, key: str, columns: Columns, etag: str) -> Row:
        """Return a row as a write left it."""
        return cls(partition, key, _plain(columns), etag)

    def holds(self, columns: Columns) -> bool:
        """Tell whether the row has all these values."""
        return all(self.columns.get(name) == value for name, value in _plain(columns).items())

    def text(self, name: str) -> str:
        """Return a text column, empty where it was never written."""
        return str(self.columns.get(name, ""))

    def number(self, name: str) -> int:
        """Return a number column, 0 where it was never written."""
        return int(self.columns.get(name, 0))

    def moment(self, name: str) -> datetime | None:
        """Return a time column in UTC, None where it was never written."""
        return self.columns.get(name)


class TableRows:
    """Work on one table.

    Args:
        client: The table.
        reads: The same table.
        writes: The same table.
    """

    def __init__(self, client: TableClient, reads: TableReads, writes: TableWrites) -> None:
        self._client, self._reads, self._writes = client, reads, writes
        self._name = f"table {client.table_name}"

    def get(self, partition: str, key: str) -> Row | None:
        """Return a row, or None where there is none."""
        with storage_errors(what := f"{self._name}, reading {partition} {key}"):
            try:
                return _row(self._client.get_entity(partition, key), what)
            except HttpResponseError as error:
                if refusal_of(error).means(Where.ROW) is Meaning.MISSING:
                    return None
                raise

    def insert(self, partition: str, key: str, columns: Columns) -> Row | None:
        """Insert a row and return it; None where one is there already."""
        with storage_errors(what := f"{self._name}, inserting {partition} {key}"):
            try:
                done = self._client.create_entity(_entity(partition, key, columns))
            except HttpResponseError as error:
                if refusal_of(error).means(Where.ROW) is Meaning.EXISTS:
                    return None
                raise
        return Row.written(partition, key, columns, version(str(done.get("etag") or ""), what))

    def merge(self, row: Row, columns: Columns) -> Row | None:
        """Change some columns of the version that was read; None where the row has changed or gone since."""
        with storage_errors(f"{self._name}, changing {row.partition} {row.key}"):
            try:
                etag = self._writes.merge(row.partition, row.key, columns, row.etag)
            except RefusedError as error:
                if error.refusal.means(Where.ROW) in _MOVED_ON:
                    return None
                raise
        return Row(row.partition, row.key, {**row.columns, **_plain(columns)}, etag)

    def write_all(self, partition: str, writes: Iterable[Write]) -> None:
        """Upsert any number of rows of one partition, 100 a transaction."""
        for some in batched(writes, TRANSACTION_ROWS, strict=False):
            with storage_errors(f"{self._name}, writing {len(some)} rows of {partition}"):
                self._writes.submit(partition, some)

    def write_together(self, partition: str, writes: Sequence[Write]) -> list[str] | None:
        """Do at most 100 writes of one partition, or none of them.

        Returns:
            The new etags in the order of the writes; None where a row is not as a write expects.
        """
        with storage_errors(f"{self._name}, writing {len(writes)} rows of {partition}"):
            try:
                return self._writes.submit(partition, writes)
            except RefusedError as error:
                if error.refusal.means(Where.ROW) in _MOVED_ON | {Meaning.EXISTS}:
                    return None
                raise

    def query(self, where: str, values: Mapping[str, str], select: Sequence[str] = ()) -> Iterator[Row]:
        """Yield the rows that fit, page by page, in the order of their keys.

        Args:
            where: An OData filter with @names.
            values: What the @names stand for.
            select: The columns to bring beside the keys, all where it is empty.
        """
        following: Continuation | None = None
        while True:
            with storage_errors(f"{self._name}, reading rows"):
                entities, following = self._reads.page(where, values, select, after=following)
            yield from (Row(*each) for each in entities)
            if following is None:
                return

    def partition_after(self, bound: str) -> str | None:
        """Return the first PartitionKey that is greater than a text, None where there is none."""
        where, values, following = "PartitionKey gt @bound", {"bound": bound}, None
        while True:
            with storage_errors(f"{self._name}, looking for the partition after {bound!r}"):
                entities, following = self._reads.page(where, values, ("PartitionKey",), 1, following)
            if entities or following is None:
                return entities[0][0] if entities else None

    def page(
        self, where: str, values: Mapping[str, str], limit: int, after: Continuation | None
    ) -> tuple[list[Row], Continuation | None]:
        """Return one page of the rows that fit, and what continues after it.

        Args:
            where: An OData filter with @names; every row fits an empty one.
            values: What the @names stand for.
            limit: The most rows of a page, up to 1,000.
            after: What an earlier page returned as its continuation.

        Raises:
            BadInput: Storage does not know the continuation; where it comes from a caller, it can be anything.
        """
        with storage_errors(f"{self._name}, reading a page"):
            try:
                entities, following = self._reads.page(where, values, most=limit, after=after)
            except RefusedError as error:
                if after and error.refusal.meaning is Meaning.WRONG_REQUEST:
                    raise BadInput("continuation is not one that an earlier page returned") from None
                raise
        return [Row(*each) for each in entities], following


def _entity(partition: str, key: str, columns: Columns) -> dict[str, Any]:
    wire = {name: EntityProperty(v.value, EdmType.INT64) if isinstance(v, Long) else v for name, v in columns.items()}
    return {"PartitionKey": partition, "RowKey": key, **wire}


def _plain(columns: Columns) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Long) else value for name, value in columns.items()}


def _row(entity: Any, what: str) -> Row:
    columns = {
        name: value.value if isinstance(value, EntityProperty) else value
        for name, value in entity.items()
        if name not in {"PartitionKey", "RowKey"}
    }
    return Row(entity["PartitionKey"], entity["RowKey"], columns, version(str(entity.metadata.get("etag") or ""), what))

"""Rows of Table Storage: read, insert, merge under an etag, and write many at once."""

from __future__ import annotations

from http import HTTPStatus
from itertools import batched
from typing import TYPE_CHECKING, Any

from shared.core.errors import BadInput
from shared.core.refusals import Meaning, Where
from shared.core.values import Immutable
from shared.storage.refusals import RefusedError, storage_errors
from shared.storage.service import StorageRequest, StorageService
from shared.storage.table_reads import KEYS, filter_of, following, rows_in
from shared.storage.table_writes import (
    JSON,
    MULTIPART,
    NO_MOMENT,
    TRANSACTION_ROWS,
    Long,
    encoded,
    etags_in,
    keys_in_path,
    transaction,
    version,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from shared.storage.connections import Answer
    from shared.storage.table_reads import Continuation, Entity
    from shared.storage.table_writes import Columns, Write

_HEADERS = {"Accept": JSON, "DataServiceVersion": "3.0"}
_OF_JSON = {**_HEADERS, "Content-Type": JSON, "Prefer": "return-no-content"}
_MOVED_ON = (Meaning.CHANGED, Meaning.MISSING)


class Row(Immutable, frozen=True):
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

    def set_moment(self, name: str) -> datetime | None:
        """Return a time column in UTC, None where it was never written, or stands for a time that has not come."""
        moment = self.moment(name)
        return None if moment is None or moment <= NO_MOMENT else moment


class TableRows:
    """Work on one table."""

    def __init__(self, service: StorageService, table: str) -> None:
        self._service, self._name = service, f"table {table}"
        self._path = f"{service.base_path}/{table}"

    def get(self, partition: str, key: str) -> Row | None:
        """Return a row, or None where there is none: https://learn.microsoft.com/rest/api/storageservices/query-entities."""
        what = f"{self._name}, reading {partition} {key}"
        request = StorageRequest("GET", self._path + keys_in_path(partition, key), {}, _HEADERS)
        answer = self._answer(request, what, HTTPStatus.OK, Meaning.MISSING)
        return Row(*rows_in(answer, what, is_page=False)[0]) if answer else None

    def insert(self, partition: str, key: str, columns: Columns) -> Row | None:
        """Insert a row and return it; None where one is there already.

        The request: https://learn.microsoft.com/rest/api/storageservices/insert-entity
        """
        what = f"{self._name}, inserting {partition} {key}"
        request = StorageRequest("POST", self._path, {}, _OF_JSON, encoded(columns, partition, key))
        answer = self._answer(request, what, HTTPStatus.NO_CONTENT, Meaning.EXISTS)
        return Row.written(partition, key, columns, _etag_of(answer, what)) if answer else None

    def merge(self, row: Row, columns: Columns) -> Row | None:
        """Change some columns of the version that was read; None where the row has changed or gone since.

        The request: https://learn.microsoft.com/rest/api/storageservices/merge-entity
        """
        what = f"{self._name}, changing {row.partition} {row.key}"
        headers = {**_OF_JSON, "If-Match": version(row.etag, what)}
        path = self._path + keys_in_path(row.partition, row.key)
        request = StorageRequest("PATCH", path, {}, headers, encoded(columns))
        answer = self._answer(request, what, HTTPStatus.NO_CONTENT, *_MOVED_ON)
        if not answer:
            return None
        return Row(row.partition, row.key, {**row.columns, **_plain(columns)}, _etag_of(answer, what))

    def write_all(self, partition: str, writes: Iterable[Write]) -> None:
        """Upsert any number of rows of one partition, 100 a transaction."""
        for some in batched(writes, TRANSACTION_ROWS, strict=False):
            with storage_errors(f"{self._name}, writing {len(some)} rows of {partition}"):
                self._submitted(partition, some)

    def write_together(self, partition: str, writes: Sequence[Write]) -> list[str] | None:
        """Do at most 100 writes of one partition, or none of them.

        Returns:
            The new etags in the order of the writes, a delete leaves none; None where a row is not as a write expects.
        """
        with storage_errors(f"{self._name}, writing {len(writes)} rows of {partition}"):
            try:
                return self._submitted(partition, writes)
            except RefusedError as error:
                if error.refusal.means(Where.ROW) in {*_MOVED_ON, Meaning.EXISTS}:
                    return None
                raise

    def query(self, where: str, values: Mapping[str, str], select: Sequence[str] = ()) -> Iterator[Row]:
        """Yield the rows that fit, page by page, in the order of their keys.

        Args:
            where: An OData filter with @names between spaces; every row fits an empty one.
            values: What the @names stand for.
            select: The columns to bring beside the keys, all where it is empty.
        """
        after: Continuation | None = None
        while True:
            with storage_errors(f"{self._name}, reading rows"):
                entities, after = self._queried(where, values, select, after=after)
            yield from (Row(*each) for each in entities)
            if after is None:
                return

    def changed_since(self, moment: datetime, select: Sequence[str] = ()) -> Iterator[Row]:
        """Yield the rows that were written since a moment, by storage's own clock.

        The service looks at every row for it, and sends those alone.

        Args:
            moment: In UTC.
            select: As in `query`.
        """
        yield from self.query(f"Timestamp ge datetime'{moment:%Y-%m-%dT%H:%M:%SZ}'", {}, select)

    def partition_after(self, bound: str) -> str | None:
        """Return the first PartitionKey that is greater than a text, None where there is none."""
        where, values, after = "PartitionKey gt @bound", {"bound": bound}, None
        while True:
            with storage_errors(f"{self._name}, looking for the partition after {bound!r}"):
                entities, after = self._queried(where, values, ("PartitionKey",), 1, after)
            if entities or after is None:
                return entities[0][0] if entities else None

    def page(
        self,
        where: str,
        values: Mapping[str, str],
        limit: int,
        after: Continuation | None,
        select: Sequence[str] = (),
    ) -> tuple[list[Row], Continuation | None]:
        """Return one page of the rows that fit, and what continues after it.

        Args:
            where: An OData filter with @names; every row fits an empty one.
            values: What the @names stand for.
            limit: The most rows of a page, up to 1,000.
            after: What an earlier page returned as its continuation.
            select: As in `query`.

        Raises:
            BadInput: Storage does not know the continuation; where it comes from a caller, it can be anything.
        """
        with storage_errors(f"{self._name}, reading a page"):
            try:
                entities, following_it = self._queried(where, values, select, limit, after)
            except RefusedError as error:
                if after and error.refusal.meaning is Meaning.WRONG_REQUEST:
                    raise BadInput("continuation is not one that an earlier page returned") from None
                raise
        return [Row(*each) for each in entities], following_it

    def _answer(self, request: StorageRequest, what: str, success: HTTPStatus, *none: Meaning) -> Answer | None:
        """Return the answer about a row; None where it is a refusal with one of these meanings."""
        with storage_errors(what):
            try:
                return self._service.send(request, what, success)
            except RefusedError as error:
                if error.refusal.means(Where.ROW) in none:
                    return None
                raise

    def _queried(
        self,
        where: str,
        values: Mapping[str, str],
        select: Sequence[str] = (),
        most: int | None = None,
        after: Continuation | None = None,
    ) -> tuple[list[Entity], Continuation | None]:
        query = {f"Next{name}": key for name, key in (after or {}).items()}
        if where:
            query["$filter"] = filter_of(where, values)
        if select:
            query["$select"] = ",".join((*KEYS, *select))
        if most:
            query["$top"] = str(most)
        what = f"{self._name}, reading rows"
        answer = self._service.send(StorageRequest("GET", f"{self._path}()", query, _HEADERS), what, HTTPStatus.OK)
        return rows_in(answer, what), following(answer)

    def _submitted(self, partition: str, writes: Sequence[Write]) -> list[str]:
        what = f"{self._name}, writing {len(writes)} rows of {partition}"
        body = transaction(f"{self._service.origin}{self._path}", partition, writes, what)
        headers = {**_HEADERS, "Content-Type": MULTIPART}
        request = StorageRequest("POST", f"{self._service.base_path}/$batch", {}, headers, body)
        return etags_in(self._service.send(request, what, HTTPStatus.ACCEPTED), writes, what)


def _etag_of(answer: Answer, what: str) -> str:
    return version(answer.header("ETag"), what)


def _plain(columns: Columns) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Long) else value for name, value in columns.items()}

"""Tables in memory, with the rules of the service: etags, transactions of 100, the order of keys, pages.

`tests/integration/storage/test_table_rows.py` asks the same of them as of Azurite.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

from shared.core.errors import BadInput, Never
from shared.storage.table_rows import Row, TableRows
from shared.storage.table_writes import TRANSACTION_ROWS, Long, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from shared.storage.table_reads import Continuation
    from shared.storage.table_writes import Columns

    from .lines import Line

PAGE = 1_000
# https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_NO_KEY = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_TEXT_CHARACTERS, _INT32 = 32 * 1024, 2**31
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}


@dataclass(slots=True)
class Table:
    """The rows of one table, whoever asks.

    Args:
        name: Its name.
        rows: Columns and etag by PartitionKey and RowKey.
        written: Called with the keys of each row that was written or removed, and its columns before.
    """

    name: str
    rows: dict[tuple[str, str], tuple[dict[str, Any], str]] = field(default_factory=dict)
    written: Callable[[str, str, Mapping[str, Any]], None] = lambda _partition, _key, _before: None
    _etags: int = 0

    def row(self, partition: str, key: str) -> Row | None:
        """Return a row as it is."""
        found = self.rows.get((partition, key))
        return Row(partition, key, dict(found[0]), found[1]) if found else None

    def submit(self, partition: str, writes: Sequence[Write]) -> list[str] | None:
        """Do all of the writes, or none; None where a row is not as one of them expects."""
        if len(writes) > TRANSACTION_ROWS or len({write.key for write in writes}) < len(writes):
            message = f"table {self.name}: storage answered 400 InvalidInput: {len(writes)} rows of {partition}"
            raise Never(message)
        for write in writes:
            self._check(partition, write)
        if not all(self._fits(partition, write) for write in writes):
            return None
        before = {write.key: self.rows.get((partition, write.key), ({}, ""))[0] for write in writes}
        etags = [etag for write in writes if (etag := self._done(partition, write))]
        for key, columns in before.items():
            self.written(partition, key, columns)
        return etags

    def fitting(
        self, where: str, values: Mapping[str, str], select: Sequence[str], most: int, after: Continuation | None
    ) -> tuple[list[Row], Continuation | None]:
        """Return a page of the rows that fit, and what continues after it."""
        terms = [term.split(" ") for term in where.split(" and ")] if where else []
        begin = (after["PartitionKey"], after["RowKey"]) if after else ("", "")
        found: list[Row] = []
        for keys in sorted(each for each in self.rows if each >= begin):
            columns, etag = self.rows[keys]
            told = {"PartitionKey": keys[0], "RowKey": keys[1], **columns}
            if not all(name in told and _COMPARED[how](told[name], values[value[1:]]) for name, how, value in terms):
                continue
            if len(found) == most:
                return found, {"PartitionKey": keys[0], "RowKey": keys[1]}
            brought = {name: columns[name] for name in select if name in columns} if select else dict(columns)
            found.append(Row(*keys, brought, etag))
        return found, None

    def _check(self, partition: str, write: Write) -> None:
        for text in (partition, write.key):
            if _NO_KEY.search(text):
                message = f"table {self.name}: storage answered 400 OutOfRangeInput: {text!r}"
                raise Never(message)
        for name, value in write.columns.items():
            is_long = isinstance(value, str) and len(value) > _TEXT_CHARACTERS
            is_wide = isinstance(value, int) and not -_INT32 <= value < _INT32
            if is_long or is_wide or (isinstance(value, datetime) and value.tzinfo is None):
                message = f"table {self.name}: storage answered 400: {name} cannot hold that"
                raise Never(message)
        if write.how in {"merge", "delete"} and not write.etag:
            message = f"table {self.name}: storage answered 400: a {write.how} of {write.key} without an etag"
            raise Never(message)

    def _fits(self, partition: str, write: Write) -> bool:
        found = self.rows.get((partition, write.key))
        match write.how:
            case "insert":
                return found is None
            case "merge" | "delete":
                return found is not None and write.etag in {"*", found[1]}
            case "upsert":
                return True

    def _done(self, partition: str, write: Write) -> str:
        if write.how == "delete":
            del self.rows[partition, write.key]
            return ""
        self._etags += 1
        etag = f'W/"{self._etags}"'
        before = self.rows.get((partition, write.key), ({}, ""))[0]
        plain = {name: value.value if isinstance(value, Long) else value for name, value in write.columns.items()}
        self.rows[partition, write.key] = ({**before, **plain}, etag)
        return etag


class MemoryTable(TableRows):
    """One process's way to a table.

    Args:
        table: The table.
        line: Makes the calls.
        page: The most rows that a query brings in one answer.
    """

    def __init__(self, table: Table, line: Line, page: int = PAGE) -> None:
        self._table, self._line, self._most = table, line, page

    def get(self, partition: str, key: str) -> Row | None:
        """Return a row, or None where there is none."""
        what = f"reads {self._table.name} {partition} {key}"
        return self._line.call("read", what, lambda: self._table.row(partition, key))

    def insert(self, partition: str, key: str, columns: Columns) -> Row | None:
        """Insert a row and return it; None where one is there already."""
        etags = self._submit(partition, [Write(key, columns, "insert")])
        return Row.written(partition, key, columns, etags[0]) if etags else None

    def merge(self, row: Row, columns: Columns) -> Row | None:
        """Change some columns of the version that was read; None where the row has changed or gone since."""
        etags = self._submit(row.partition, [Write(row.key, columns, "merge", row.etag)])
        return Row.written(row.partition, row.key, {**row.columns, **columns}, etags[0]) if etags else None

    def write_all(self, partition: str, writes: Iterable[Write]) -> None:
        """Upsert any number of rows of one partition, 100 a transaction."""
        for some in batched(writes, TRANSACTION_ROWS, strict=False):
            self._submit(partition, some)

    def write_together(self, partition: str, writes: Sequence[Write]) -> list[str] | None:
        """Do at most 100 writes of one partition, or none of them; None where a row is not as a write expects."""
        return self._submit(partition, writes)

    def query(self, where: str, values: Mapping[str, str], select: Sequence[str] = ()) -> Iterator[Row]:
        """Yield the rows that fit, page by page."""
        after: Continuation | None = None
        while True:
            rows, after = self._page(where, values, select, self._most, after)
            yield from rows
            if after is None:
                return

    def partition_after(self, bound: str) -> str | None:
        """Return the first PartitionKey that is greater than a text, None where there is none."""
        rows, _ = self._page("PartitionKey gt @bound", {"bound": bound}, ("PartitionKey",), 1, None)
        return rows[0].partition if rows else None

    def page(
        self,
        where: str,
        values: Mapping[str, str],
        limit: int,
        after: Continuation | None,
        select: Sequence[str] = (),
    ) -> tuple[list[Row], Continuation | None]:
        """Return one page of the rows that fit, and what continues after it."""
        if after and set(after) != {"PartitionKey", "RowKey"}:
            message = "continuation is not one that an earlier page returned"
            raise BadInput(message)
        return self._page(where, values, select, min(limit, self._most), after)

    def _page(
        self, where: str, values: Mapping[str, str], select: Sequence[str], most: int, after: Continuation | None
    ) -> tuple[list[Row], Continuation | None]:
        what = f"queries {self._table.name} {' '.join(values.values())}"
        return self._line.call("read", what, lambda: self._table.fitting(where, values, select, most, after))

    def _submit(self, partition: str, writes: Sequence[Write]) -> list[str] | None:
        told = ", ".join(f"{write.how} {write.key}{_told(write.columns)}" for write in writes[:3])
        more = f" and {len(writes) - 3} more" if len(writes) > 3 else ""
        what = f"writes {self._table.name} {partition}: {told}{more}"
        return self._line.call("write", what, lambda: self._table.submit(partition, writes))


def _told(columns: Columns) -> str:
    """Return what people want to know of a write."""
    told = [str(columns[name]) for name in ("state", "skip", "lastError", "error") if columns.get(name)]
    return f" ({', '.join(told)})" if told else ""

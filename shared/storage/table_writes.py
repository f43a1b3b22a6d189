"""Writes to Table Storage that are made for every page of cabs: one row's merge, and transactions.

A transaction is up to 100 writes of one partition, all of them or none:
https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import msgspec

from shared.core.errors import BadAnswer
from shared.core.refusals import Refusal, Where, request_ids
from shared.core.shape import shape_of
from shared.storage.refusals import RefusedError
from shared.storage.wire import StorageWire, WireRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRANSACTION_ROWS = 100
type Value = str | int | float | bool | datetime | Long
type Columns = Mapping[str, Value]
# Any boundary does that no body can hold: JSON of ours has no line that begins with it.
_BATCH, _CHANGES = "batch_cabferry", "changeset_cabferry"
_TYPE = "application/json;odata=minimalmetadata"
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)
_ETAG = re.compile(rb"^ETag: *(.+?)\r?$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Long:
    """A number that may pass 2^31, such as a count of bytes; the service stores other numbers in 32 bits."""

    value: int


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a transaction.

    An insert fails where the row exists, a merge and a delete where it is not the version of the etag, an upsert never.
    """

    key: str
    columns: Columns
    how: Literal["insert", "merge", "upsert", "delete"]
    etag: str = ""


class TableWrites:
    """Write to one table.

    Args:
        wire: The table service.
        table: The table's name.
    """

    def __init__(self, wire: StorageWire, table: str) -> None:
        self._wire, self._table = wire, table
        self._path = f"{wire.base_path}/{table}"
        self._url = f"{wire.origin}{self._path}"

    def merge(self, partition: str, key: str, columns: Columns, etag: str) -> str:
        """Change some columns of one version of a row: https://learn.microsoft.com/rest/api/storageservices/merge-entity.

        Args:
            partition: Its PartitionKey.
            key: Its RowKey.
            columns: What changes.
            etag: The version.

        Returns:
            The new etag.

        Raises:
            RefusedError: It was not done; 412 where the row is another version by now.
            AgainLater: The service is busy or not to be reached, even after some tries.
        """
        what = f"table {self._table}, changing {partition} {key}"
        headers = {"Content-Type": _TYPE, "Accept": _TYPE, "DataServiceVersion": "3.0", "If-Match": version(etag, what)}
        path, body = f"{self._path}({_keys(partition, key)})", msgspec.json.encode(_wire_columns(columns))
        answer = self._wire.send(WireRequest("PATCH", path, {}, headers, body), what, HTTPStatus.NO_CONTENT)
        return version(answer.header("ETag"), what)

    def submit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        """Do the writes together.

        Args:
            partition: Their PartitionKey.
            writes: At most 100.

        Returns:
            The new etags in the order of the writes; a delete leaves none.

        Raises:
            RefusedError: None of them was done; the refusal is that of the first that could not be.
            AgainLater: The service is busy or not to be reached, even after some tries.
        """
        headers = {"Content-Type": f"multipart/mixed; boundary={_BATCH}", "Accept": _TYPE, "DataServiceVersion": "3.0"}
        request = WireRequest("POST", f"{self._wire.base_path}/$batch", {}, headers, self._body(partition, writes))
        what = f"table {self._table}, writing {len(writes)} rows of {partition}"
        reply = self._wire.send(request, what, HTTPStatus.ACCEPTED)
        answer = reply.body
        statuses = [int(status) for status in _STATUS.findall(answer)]
        for status in statuses:
            if status >= HTTPStatus.BAD_REQUEST:
                raise RefusedError(Refusal.of(Where.STORAGE, status, reply.header, answer.decode("utf-8", "replace")))
        etags = [etag.decode() for etag in _ETAG.findall(answer)]
        if len(etags) != sum(write.how != "delete" for write in writes):
            shape = shape_of(answer)
            raise BadAnswer(
                f"{what}: the answer tells of {len(etags)} writes; its shape: {shape}{request_ids(reply.header)}"
            )
        return etags

    def _body(self, partition: str, writes: Sequence[Write]) -> bytes:
        parts = [f"--{_BATCH}\r\nContent-Type: multipart/mixed; boundary={_CHANGES}\r\n\r\n".encode()]
        parts += [self._part(partition, write) for write in writes]
        parts += [f"--{_CHANGES}--\r\n--{_BATCH}--\r\n".encode()]
        return b"".join(parts)

    def _part(self, partition: str, write: Write) -> bytes:
        match write.how:
            case "insert":
                request, columns = f"POST {self._url}", {"PartitionKey": partition, "RowKey": write.key}
            case "merge" | "upsert" | "delete":
                method = "DELETE" if write.how == "delete" else "PATCH"
                request, columns = f"{method} {self._url}({_keys(partition, write.key)})", {}
        what = f"table {self._table}, changing {partition} {write.key}"
        condition = f"If-Match: {version(write.etag, what)}\r\n" if write.how in {"merge", "delete"} else ""
        head = (
            f"--{_CHANGES}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            f"{request} HTTP/1.1\r\nContent-Type: application/json\r\nAccept: {_TYPE}\r\n"
            f"Prefer: return-no-content\r\nDataServiceVersion: 3.0\r\n{condition}\r\n"
        )
        body = b"" if write.how == "delete" else msgspec.json.encode({**columns, **_wire_columns(write.columns)})
        return head.encode() + body + b"\r\n"


def version(etag: str, what: str) -> str:
    """Return an etag that names one version of a row.

    Without one, a write would go over whatever is there, and take a row from its owner.

    Args:
        etag: As an answer told it.
        what: Names the request in errors.

    Raises:
        BadAnswer: It names none, or any.
    """
    if etag.strip() in {"", "*"}:
        raise BadAnswer(f"{what}: storage told no etag of the row")
    return etag


def _keys(partition: str, key: str) -> str:
    return f"PartitionKey='{_quoted(partition)}',RowKey='{_quoted(key)}'"


def _quoted(key: str) -> str:
    return quote(key.replace("'", "''"), safe="")


def _wire_columns(columns: Columns) -> dict[str, object]:
    wire: dict[str, object] = {}
    for name, value in columns.items():
        match value:
            case Long():
                wire[f"{name}@odata.type"], wire[name] = "Edm.Int64", str(value.value)
            case datetime():
                moment = value.astimezone(UTC).replace(tzinfo=None)
                wire[f"{name}@odata.type"], wire[name] = "Edm.DateTime", moment.isoformat() + "Z"
            case _:
                wire[name] = value
    return wire

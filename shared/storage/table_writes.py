"""What is written to Table Storage, as the service takes it: columns, and transactions.

A transaction is up to 100 writes of one partition, all of them or none:
https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import msgspec

from shared.core.errors import BadAnswer
from shared.core.refusals import Refusal, Where, request_ids
from shared.core.shape import shape_of
from shared.core.values import Immutable
from shared.storage.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.storage.connections import Answer

TRANSACTION_ROWS = 100
# A merge cannot take a column away, so a time that has not come is one that cannot have been.
NO_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
JSON = "application/json;odata=minimalmetadata"
# Any boundary does that no body can hold: JSON of ours has no line that begins with it.
_BATCH, _CHANGES = "batch_cabferry", "changeset_cabferry"
MULTIPART = f"multipart/mixed; boundary={_BATCH}"
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)
_ETAG = re.compile(rb"^ETag: *(.+?)\r?$", re.MULTILINE | re.IGNORECASE)

type Value = str | int | float | bool | datetime | Long
type Columns = Mapping[str, Value]


class Long(Immutable, frozen=True):
    """A number that may pass 2^31, such as a count of bytes; the service stores other numbers in 32 bits."""

    value: int


class Write(Immutable, frozen=True):
    """One write of a transaction.

    An insert fails where the row exists, a merge and a delete where it is not the version of the etag, an upsert never.
    """

    key: str
    columns: Columns
    how: Literal["insert", "merge", "upsert", "delete"]
    etag: str = ""


def column_of(field: str) -> str:
    """Return the column of a field: in camel case."""
    first, *rest = field.split("_")
    return first + "".join(word.title() for word in rest)


def encoded(columns: Columns, partition: str = "", key: str = "") -> bytes:
    """Return columns as JSON.

    Args:
        columns: What is written.
        partition: The row's PartitionKey, where it is made.
        key: The row's RowKey, likewise.
    """
    told: dict[str, object] = {"PartitionKey": partition, "RowKey": key} if partition else {}
    for name, value in columns.items():
        match value:
            case Long():
                told[f"{name}@odata.type"], told[name] = "Edm.Int64", str(value.value)
            case datetime():
                moment = value.astimezone(UTC).replace(tzinfo=None)
                told[f"{name}@odata.type"], told[name] = "Edm.DateTime", moment.isoformat() + "Z"
            case _:
                told[name] = value
    return msgspec.json.encode(told)


def keys_in_path(partition: str, key: str) -> str:
    """Return what names a row behind its table's path."""
    return f"(PartitionKey='{_quoted(partition)}',RowKey='{_quoted(key)}')"


def transaction(url: str, partition: str, writes: Sequence[Write], what: str) -> bytes:
    """Return the body of a transaction.

    Args:
        url: The table's.
        partition: The PartitionKey of all its rows.
        writes: At most 100.
        what: Names the request in errors.

    Raises:
        BadAnswer: A write against a version names none.
    """
    parts = [f"--{_BATCH}\r\nContent-Type: multipart/mixed; boundary={_CHANGES}\r\n\r\n".encode()]
    parts += [_part(url, partition, write, what) for write in writes]
    parts += [f"--{_CHANGES}--\r\n--{_BATCH}--\r\n".encode()]
    return b"".join(parts)


def etags_in(answer: Answer, writes: Sequence[Write], what: str) -> list[str]:
    """Return the new etags in the order of a transaction's writes; a delete leaves none.

    Raises:
        RefusedError: None of them was done; the refusal is that of the first that could not be.
        BadAnswer: The answer does not tell of each.
    """
    for status in map(int, _STATUS.findall(answer.body)):
        if status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(Refusal.of(Where.STORAGE, status, answer.header, answer.text))
    etags = [etag.decode() for etag in _ETAG.findall(answer.body)]
    if len(etags) != sum(write.how != "delete" for write in writes):
        told = f"{shape_of(answer.body)}{request_ids(answer.header)}"
        raise BadAnswer(f"{what}: the answer tells of {len(etags)} writes; its shape: {told}")
    return etags


def version(etag: str, what: str) -> str:
    """Return an etag that names one version of a row.

    Without one, a write would go over whatever is there, and take a row from its owner.

    Raises:
        BadAnswer: It names none, or any.
    """
    if etag.strip() in {"", "*"}:
        raise BadAnswer(f"{what}: storage told no etag of the row")
    return etag


def _part(url: str, partition: str, write: Write, what: str) -> bytes:
    condition = ""
    if write.how == "insert":
        request, body = f"POST {url}", encoded(write.columns, partition, write.key)
    else:
        request = f"{'DELETE' if write.how == 'delete' else 'PATCH'} {url}{keys_in_path(partition, write.key)}"
        condition = "" if write.how == "upsert" else f"If-Match: {version(write.etag, what)}\r\n"
        body = b"" if write.how == "delete" else encoded(write.columns)
    head = (
        f"--{_CHANGES}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"{request} HTTP/1.1\r\nContent-Type: application/json\r\nAccept: {JSON}\r\n"
        f"Prefer: return-no-content\r\nDataServiceVersion: 3.0\r\n{condition}\r\n"
    )
    return head.encode() + body + b"\r\n"


def _quoted(key: str) -> str:
    return quote(key.replace("'", "''"), safe="")

"""What Table Storage answers to a query, decoded once: the SDK takes a tenth of a millisecond a row.

The answers: https://learn.microsoft.com/rest/api/storageservices/query-entities
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from shared.core.errors import BadAnswer
from shared.core.json_text import JsonError, decoded
from shared.core.refusals import request_ids
from shared.core.shape import shape_of
from shared.storage.table_writes import version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.storage.connections import Answer

KEYS = ("PartitionKey", "RowKey")
_CONTINUATION = "x-ms-continuation-Next"
_TYPE = "@odata.type"
# What the service tells about a row beside its columns.
_NOT_COLUMNS = {*KEYS, "Timestamp"}

type Entity = tuple[str, str, dict[str, Any], str]
type Continuation = dict[str, str]


class _Page(msgspec.Struct):
    value: list[dict[str, Any]]


def rows_in(answer: Answer, what: str, *, is_page: bool = True) -> list[Entity]:
    """Return PartitionKey, RowKey, columns and etag of each row in an answer, in the order of the keys.

    Raises:
        BadAnswer: What came is neither.
    """
    try:
        rows = decoded(answer.body, _Page).value if is_page else [decoded(answer.body, dict[str, Any])]
        return [_entity(row, what) for row in rows]
    except (JsonError, KeyError, TypeError, ValueError):
        told = f"({shape_of(answer.body)}){request_ids(answer.header)}"
        raise BadAnswer(f"{what}: storage answered what is no {'page of rows' if is_page else 'row'} {told}") from None


def following(answer: Answer) -> Continuation | None:
    """Return what continues after a page; None where nothing follows."""
    return {name: key for name in KEYS if (key := answer.header(_CONTINUATION + name))} or None


def filter_of(where: str, values: Mapping[str, str]) -> str:
    """Return an OData filter.

    Args:
        where: With @names between spaces.
        values: What the @names stand for.
    """
    return " ".join(_quoted(values[word[1:]]) if word.startswith("@") else word for word in where.split(" "))


def _entity(row: dict[str, Any], what: str) -> Entity:
    columns: dict[str, Any] = {}
    for name, value in row.items():
        # The service has a column that was selected and never written as null.
        if value is None or name in _NOT_COLUMNS or name.startswith("odata.") or name.endswith(_TYPE):
            continue
        match row.get(name + _TYPE):
            case "Edm.Int64":
                columns[name] = int(value)
            case "Edm.DateTime":
                moment = datetime.fromisoformat(value)
                columns[name] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            case _:
                columns[name] = value
    return row["PartitionKey"], row["RowKey"], columns, version(row.get("odata.etag", ""), what)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

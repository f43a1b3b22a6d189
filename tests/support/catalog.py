"""A catalog as the app writes it, for tests of those who read it."""

import io
import json
from collections.abc import Iterable, Mapping

from arro3.core import DataType, Field, Schema
from arro3.io import read_json, write_parquet
from azure.storage.blob import ContainerClient

_MOMENT, _TEXT = DataType.timestamp("us", tz="UTC"), DataType.utf8()
_COLUMNS = {
    **dict.fromkeys(("applicationId", "family", "failureHash", "failureName", "driverName", "driverVersion"), _TEXT),
    **dict.fromkeys(("osVersion", "architecture", "cabType", "cabIdHash", "state"), _TEXT),
    **dict.fromkeys(("date", "expiresAt", "retiresAt"), _MOMENT),
    "length": DataType.int64(),
    "md5": _TEXT,
    "blobName": _TEXT,
    "report": _TEXT,
    "copiedAt": _MOMENT,
}


def catalog_file(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Return a Parquet file; a column that a row leaves out is null, a time is a text of ISO 8601."""
    lines = io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    schema = Schema([Field(name, kind, nullable=True) for name, kind in _COLUMNS.items()])
    file = io.BytesIO()
    write_parquet(read_json(lines, schema), file, compression="zstd(3)", skip_arrow_metadata=True)
    return file.getvalue()


def upload_catalog(container: ContainerClient, name: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Put a file of the catalog where readers look for it."""
    container.upload_blob(f"_catalog/day=2026-11-20/{name}.parquet", catalog_file(rows), overwrite=True)

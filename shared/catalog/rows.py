"""What the catalog tells of a cab, and the Parquet file that rows become."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from shared.progress.cab_row import CabState

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import IO

    from shared.core.failure import Failure
    from shared.progress.cab_row import CabRow

# About so many rows a megabyte before they are compressed; a reader skips groups by their smallest and largest values.
_ROWS_OF_A_GROUP = 100_000
_COMPRESSION = "zstd(3)"
_REPORT = "report "


class CatalogRow(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """One row: the columns in their order, null where nobody told.

    Args:
        application_id: Whose failure.
        family: Of the failure: driver, desktop, app.
        failure_hash: Of the failure.
        failure_name: As a report or the analytics named it.
        driver_name: The file of the driver or application, or the package.
        driver_version: Its version.
        os_version: Of Windows.
        architecture: Of the processor.
        cab_type: kernel, MINI, FULL; only reports tell it.
        cab_id_hash: The cab.
        state: As in the table `cabs`.
        date: When the crash happened.
        expires_at: When Microsoft deletes the cab.
        retires_at: When the retention rule deletes it here.
        length: Its bytes.
        md5: Its Content-MD5 as hexadecimal digits.
        blob_name: Where it stands in the container.
        report: The report that asked for it last; null where a person or a check of failures did.
        copied_at: When it came here; null where it is not here.
    """

    application_id: str
    family: str | None = None
    failure_hash: str
    failure_name: str | None = None
    driver_name: str | None = None
    driver_version: str | None = None
    os_version: str | None = None
    architecture: str | None = None
    cab_type: str | None = None
    cab_id_hash: str
    state: str
    date: datetime | None = None
    expires_at: datetime | None = None
    retires_at: datetime | None = None
    length: int | None = None
    md5: str | None = None
    blob_name: str | None = None
    report: str | None = None
    copied_at: datetime | None = None

    @classmethod
    def of(cls, failure: Failure, cab: str, row: CabRow, requested_by: str, retention: timedelta) -> CatalogRow:
        """Return what is known of a cab.

        Args:
            failure: Whose cab.
            cab: Its cabIdHash.
            row: Its row in the table.
            requested_by: What asked for its failure's pull, as that row tells it.
            retention: The age at which the container's lifecycle rule removes it.
        """
        is_here = row.state is CabState.COPIED and row.settled_at is not None
        facts, report = row.facts, requested_by.removeprefix(_REPORT).split(" ")[0]
        return cls(
            application_id=failure.application_id,
            family=failure.family or None,
            failure_hash=failure.failure_hash,
            failure_name=facts.failure_name or None,
            driver_name=facts.driver_name or None,
            driver_version=facts.driver_version or None,
            os_version=facts.os_version or None,
            architecture=facts.architecture or None,
            cab_type=facts.cab_type or None,
            cab_id_hash=cab,
            state=row.state.value,
            date=row.date,
            expires_at=row.expires,
            retires_at=row.settled_at + retention if is_here and row.settled_at else None,
            length=row.length if is_here else None,
            md5=row.md5 or None if is_here else None,
            blob_name=row.blob_name or None if is_here else None,
            report=report if requested_by.startswith(_REPORT) else None,
            copied_at=row.settled_at if is_here else None,
        )


_encode = msgspec.json.Encoder().encode


def line_of(row: CatalogRow) -> bytes:
    """Return a row as it waits for its file: one line of JSON."""
    return _encode(row) + b"\n"


def write_parquet(lines: IO[bytes], to: IO[bytes]) -> None:
    """Make the Parquet file of many rows, in memory that does not grow with them.

    Args:
        lines: The rows, one line each.
        to: Where the file goes.
    """
    # Here, and not above: few processes write one, and the two have 33 MB.
    from arro3.core import DataType, Field, Schema
    from arro3.io import read_json, write_parquet

    moment, text, number = DataType.timestamp("us", tz="UTC"), DataType.utf8(), DataType.int64()
    kinds = {"date": moment, "expiresAt": moment, "retiresAt": moment, "copiedAt": moment, "length": number}
    names = CatalogRow.__struct_encode_fields__
    schema = Schema([Field(name, kinds.get(name, text), nullable=True) for name in names])
    write_parquet(
        read_json(lines, schema),
        to,
        compression=_COMPRESSION,
        max_row_group_size=_ROWS_OF_A_GROUP,
        skip_arrow_metadata=True,
    )

"""The catalog: Parquet files in `_catalog/` of the container, a row a cab; docs/consume.md tells the columns."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .container import told
from .moments import moment_text
from .problems import Exit, ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from arro3.core import ChunkedArray
    from azure.storage.blob import BlobProperties, ContainerClient

_PREFIX = "_catalog/"
# The app puts the files of a day together: one that has gone since it was listed is in another by then.
_READINGS = 5
_DAY_SECONDS = 86_400
_MOMENTS = ("date", "expiresAt", "retiresAt", "copiedAt")


@dataclass(frozen=True, slots=True)
class Cab:
    """A cab as the catalog tells it. A text is empty and a number None where it is not known.

    Args:
        applicationId: The driver's, desktop or Store application's id.
        family: driver, desktop or app.
        failureHash: Of its failure.
        failureName: Of its failure.
        driverName: The file or package that failed.
        driverVersion: Its version.
        osVersion: Such as 10.0.26100.2314.
        architecture: Such as X64.
        cabType: Such as kernel or MINI.
        cabIdHash: What identifies it.
        state: copied where the container holds it.
        date: When the crash was collected; microseconds since 1970, as all times here: most are never shown.
        expiresAt: When Microsoft deletes it.
        retiresAt: When the container's retention rule removes it.
        length: Its bytes.
        md5: Of its bytes, as hexadecimal digits.
        blobName: Where it stands in the container.
        report: What named it.
        copiedAt: When it came into the container.
    """

    # The names are the catalog's, so that --json and a query tell the same.
    applicationId: str = ""  # noqa: N815
    family: str = ""
    failureHash: str = ""  # noqa: N815
    failureName: str = ""  # noqa: N815
    driverName: str = ""  # noqa: N815
    driverVersion: str = ""  # noqa: N815
    osVersion: str = ""  # noqa: N815
    architecture: str = ""
    cabType: str = ""  # noqa: N815
    cabIdHash: str = ""  # noqa: N815
    state: str = ""
    date: int | None = None
    expiresAt: int | None = None  # noqa: N815
    retiresAt: int | None = None  # noqa: N815
    length: int | None = None
    md5: str = ""
    blobName: str = ""  # noqa: N815
    report: str = ""
    copiedAt: int | None = None  # noqa: N815

    @property
    def failure(self) -> tuple[str, str]:
        """What identifies its failure."""
        return self.applicationId, self.failureHash

    @property
    def is_held(self) -> bool:
        """Tell whether the container has it."""
        return self.state == "copied" and self.blobName != ""

    def told(self) -> dict[str, str | int | None]:
        """Return it as JSON tells it."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: moment_text(value) if name in _MOMENTS else value for name, value in values.items()}


_COLUMNS = [each.name for each in fields(Cab)]


def read_catalog(container: ContainerClient, parallel: int) -> list[Cab]:
    """Return every cab, each once. Files that did not change since the last time are read from this machine.

    Args:
        container: With the role to read.
        parallel: How many files are fetched side by side.

    Raises:
        ProblemError: It cannot be read, or there is none.
    """
    cache = _cache_folder(container)
    for _ in range(_READINGS):
        files = _listed(container)
        with ThreadPoolExecutor(parallel) as pool:
            kept = list(pool.map(lambda each: _kept(container, each, cache), files))
        here = [path for path in kept if path]
        if len(here) == len(files):
            _forget_others(cache, {*here})
            return newest_rows(rows for path in here for rows in _rows(path))
    raise ProblemError(Exit.UNREACHABLE, "the catalog was rewritten each time that it was read; try again")


def _listed(container: ContainerClient) -> list[BlobProperties]:
    """Return the files of the catalog, in the order in which they were written."""
    with told("the catalog could not be read"):
        files = [each for each in container.list_blobs(_PREFIX) if each.name.endswith(".parquet")]
    if not files:
        raise ProblemError(
            Exit.NOTHING_FOUND,
            f"the container {container.container_name} has no catalog: nothing was copied yet, or the app is older "
            "than catalogs (docs/operate.md tells how to build one)",
        )
    return sorted(files, key=lambda each: each.last_modified)


def newest_rows(rows: Iterable[Cab]) -> list[Cab]:
    """Return each cab once: of several rows the one that was copied last, and of these the one that was written last.

    Args:
        rows: In the order in which they were written.
    """
    found: dict[tuple[str, str, str], Cab] = {}
    for row in rows:
        key = (row.applicationId, row.failureHash, row.cabIdHash)
        known = found.get(key)
        if known is None or (row.copiedAt or 0) >= (known.copiedAt or 0):
            found[key] = row
    return list(found.values())


def _cache_folder(container: ContainerClient) -> Path:
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = f"{container.primary_hostname}/{container.url.partition('?')[0]}"
    folder = base / "cabferry" / hashlib.sha256(place.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _kept(container: ContainerClient, file: BlobProperties, cache: Path) -> Path | None:
    """Return a catalog file on this machine, fetched where it is new; None where another took its place meanwhile."""
    path = cache / f"{hashlib.sha256(f'{file.name} {file.etag}'.encode()).hexdigest()[:32]}.parquet"
    if path.exists():
        return path
    try:
        with told(f"the catalog file {file.name} could not be read"):
            data = container.download_blob(file.name).readall()
    except ProblemError as problem:
        if problem.exit_code == Exit.NOTHING_FOUND:
            return None
        raise
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
    return path


def _forget_others(cache: Path, kept: set[Path]) -> None:
    """Remove what no listing names any more; what is new may be that of a command that runs beside this one."""
    for path in set(cache.iterdir()) - kept:
        with suppress(FileNotFoundError):  # that one was faster
            if path.stat().st_mtime < time.time() - _DAY_SECONDS:
                path.unlink()


def _rows(path: Path) -> Iterable[Cab]:
    from arro3.core import DataType, Table
    from arro3.io import read_parquet

    try:
        table = Table.from_arrow(read_parquet(path))
    except Exception as error:  # noqa: BLE001 - arro3 has no base class for what it raises
        path.unlink(missing_ok=True)
        text = f"a file of the catalog is damaged ({type(error).__name__}); try again, it is fetched anew"
        raise ProblemError(Exit.UNREACHABLE, text) from None
    there = set(table.column_names)
    columns: list[list[Any]] = []
    for name in _COLUMNS:
        if name not in there:
            columns.append([None] * table.num_rows)
        elif name in _MOMENTS:
            columns.append(_values(table.column(name).cast(DataType.int64())))
        else:
            columns.append(_values(table.column(name)))
    # What repeats from row to row is kept once: of 300,000 cabs most of it does.
    once: dict[str | None, str] = {None: ""}
    for number, name in enumerate(_COLUMNS):
        if name not in {*_MOMENTS, "length"}:
            columns[number] = [once.setdefault(value, value) for value in columns[number]]
    return [Cab(*row) for row in zip(*columns, strict=True)]


def _values(column: ChunkedArray) -> list[Any]:
    # arro3's types call this an array of numpy, which it is not.
    return cast("list[Any]", column.to_pylist())

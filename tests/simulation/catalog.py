"""The catalog's files in memory, as the lines that they are made of."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

from shared.cabs.container import StoredCab
from shared.catalog.files import FOLDER, CatalogFiles

from .container import md5_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .lines import Line


class MemoryCatalog(CatalogFiles):
    """The files as one process reaches them.

    Args:
        files: Lines by name, which all processes share.
        line: Makes the calls.
    """

    def __init__(self, files: dict[str, bytes], line: Line) -> None:
        self._files, self._line = files, line

    def listed(self) -> list[StoredCab]:
        """Return the files that are there."""
        return self._line.call(
            "read",
            "lists the catalog",
            lambda: [StoredCab(name, len(lines), md5_of(lines).hex(), "") for name, lines in self._files.items()],
        )

    def write(self, day: str, lines: IO[bytes], there: Iterable[StoredCab] = ()) -> str:
        """Write a file, unless one of the same content is there."""
        text, prefix = lines.read(), f"{FOLDER}day={day}/"
        for each in there:
            if each.md5 == md5_of(text).hex() and each.name.startswith(prefix):
                return each.name
        name = f"{prefix}{md5_of(text).hex()}.parquet"
        self._line.call("blob", f"writes {name}", lambda: self._files.__setitem__(name, text))
        return name

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._line.call("blob", f"removes {name}", lambda: self._files.pop(name, None))


def catalogued(files: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """Return the row that counts of each cab, by cabIdHash: the one with the newest copiedAt."""
    rows = [json.loads(line) for lines in files.values() for line in lines.splitlines()]
    rows.sort(key=lambda row: row.get("copiedAt", ""))
    return {row["cabIdHash"]: row for row in rows}

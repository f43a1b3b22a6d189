"""The files of the catalog: `_catalog/day=YYYY-MM-DD/{when}-{which}.parquet` in the container of the cabs.

A file is never changed, so that no reader sees half of one. A new one takes the place of those whose rows it has, and
they are removed after it is there: for a moment, and while a pull and the reconcile work side by side, a cab can stand
in two files. The row with the newest `copiedAt` counts.

Neither is a file removed too soon by the container's lifecycle rule, which goes by the age of a blob: it is younger
than each cab that it tells of.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContentSettings

from shared.catalog.rows import write_parquet
from shared.core import clock
from shared.storage.refusals import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

    from shared.cabs.container import CabContainer, StoredCab

# No cab's: an applicationId has no underscore (shared/core/failure.py). The app's role lets it delete below.
FOLDER = "_catalog/"
_IN_MEMORY = 4 * 1024 * 1024


class CatalogFiles:
    """Write, list and remove these files.

    Args:
        container: The container of the cabs.
    """

    def __init__(self, container: CabContainer) -> None:
        self._container = container

    def listed(self) -> list[StoredCab]:
        """Return the files that are there: one request for 5,000."""
        return list(self._container.stored(FOLDER))

    def write(self, day: str, lines: IO[bytes], there: Iterable[StoredCab] = ()) -> str:
        """Write a file, unless one of the same content is there, and return its name: one request, or none.

        Args:
            day: Of all of its rows, as YYYY-MM-DD.
            lines: The rows, from the file's position on.
            there: Files that are there already.

        Raises:
            CabferryError: Storage does not take it.
        """
        prefix = f"{FOLDER}day={day}/"
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            write_parquet(lines, file)
            length = file.tell()
            file.seek(0)
            md5 = hashlib.md5(file.read(), usedforsecurity=False)
            for each in there:
                if each.md5 == md5.hexdigest() and each.name.startswith(prefix):
                    return each.name
            name = f"{prefix}{clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}.parquet"
            file.seek(0)
            settings = ContentSettings("application/vnd.apache.parquet", content_md5=bytearray(md5.digest()))
            with storage_errors(f"writing {name}"):
                self._container.blob(name).upload_blob(file, length=length, overwrite=True, content_settings=settings)
            return name

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already: one request.

        Raises:
            CabferryError: Storage does not let it go.
        """
        with storage_errors(f"removing {name}"):
            try:
                self._container.blob(name).delete_blob()
            except ResourceNotFoundError:
                return

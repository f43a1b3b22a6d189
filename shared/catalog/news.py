"""The cabs that pulls of this process have brought, on their way into the catalog.

Each file costs a request, and a report asks for hundreds of pulls, most of them with a cab or two. So what the pulls of
a process bring waits for the others: it is written when no pull is under way, and at least once a minute where one is.
What is lost on the way, since the process was killed or storage refused it, the next reconcile finds in the tables.
"""

from __future__ import annotations

import io
import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.catalog.rows import CatalogRow, line_of
from shared.core import clock
from shared.core.errors import CabferryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from shared.catalog.files import CatalogFiles
    from shared.core.failure import Failure
    from shared.progress.cab_row import CabRow

_log = logging.getLogger(__name__)
_SECONDS = 60.0
# Some ten thousand cabs.
_BYTES = 8 * 1024 * 1024


class CatalogNews:
    """Gather rows, and write them in few files.

    Args:
        files: Where they go.
        retention: The age at which the container's lifecycle rule removes a cab.
    """

    def __init__(self, files: CatalogFiles, retention: timedelta) -> None:
        self._files, self._retention = files, retention
        self._lock = threading.Lock()
        self._pulls, self._wrote_at = 0, clock.monotonic() - _SECONDS
        self._waiting: dict[str, bytearray] = {}

    @contextmanager
    def pulling(self) -> Iterator[None]:
        """Let what waits wait for this pull too, for a minute at most."""
        with self._lock:
            self._pulls += 1
        try:
            yield
        finally:
            with self._lock:
                self._pulls -= 1
            self.write_when_due()

    def tell(self, failure: Failure, cabs: Iterable[tuple[str, CabRow]], requested_by: str) -> None:
        """Take in cabs that have come into the container, and that the table knows of.

        Args:
            failure: Whose cabs.
            cabs: cabIdHash and row of each.
            requested_by: What asked for the pull.
        """
        for cab, row in cabs:
            if row.settled_at is None:
                continue
            line = line_of(CatalogRow.of(failure, cab, row, requested_by, self._retention))
            with self._lock:
                self._waiting.setdefault(f"{row.settled_at:%Y-%m-%d}", bytearray()).extend(line)
                is_much = sum(map(len, self._waiting.values())) > _BYTES
            if is_much:
                self._write()

    def write_when_due(self) -> None:
        """Write what waits, if it has waited long enough or nothing is left to wait for."""
        with self._lock:
            is_due = self._waiting and (not self._pulls or clock.monotonic() - self._wrote_at >= _SECONDS)
        if is_due:
            self._write()

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._wrote_at = clock.monotonic()
        for day, lines in waiting.items():
            try:
                self._files.write(day, io.BytesIO(lines))
            except Exception as error:  # noqa: BLE001 - the cabs are there: no pull may fail for what tells of them
                _log.error(
                    "the catalog of %s lacks %d cabs until the next reconcile, which makes it anew: %s",
                    day,
                    lines.count(b"\n"),
                    error,
                    exc_info=not isinstance(error, CabferryError),
                )

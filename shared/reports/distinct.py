"""The distinct failures of one report, on disk, so that memory stays flat however many there are."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from shared.core.errors import AgainLater
from shared.core.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class DistinctFailures:
    """Failures, each of them once, in a file without a name that goes when this is closed."""

    def __init__(self) -> None:
        with _told():
            self._database = sqlite3.connect("")
            self._database.execute("pragma journal_mode = off")
            self._database.execute("pragma synchronous = off")
            self._database.execute(
                "create table failures (application text, hash text, primary key (application, hash)) without rowid"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def __len__(self) -> int:
        with _told():
            (count,) = self._database.execute("select count(*) from failures").fetchone()
        return int(count)

    def add(self, failures: Iterable[Failure]) -> None:
        """Add failures, of which any may be there already.

        Raises:
            AgainLater: The disk has no room.
        """
        with _told():
            pairs = ((failure.application_id, failure.failure_hash) for failure in failures)
            self._database.executemany("insert or ignore into failures values (?, ?)", pairs)

    def batches(self, size: int) -> Iterator[list[Failure]]:
        """Yield them in their order, so many at a time."""
        found = self._database.execute("select application, hash from failures order by application, hash")
        while some := found.fetchmany(size):
            yield [Failure(*pair) for pair in some]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise AgainLater(f"the failures of a report find no room in the folder for temporary files: {error}") from None

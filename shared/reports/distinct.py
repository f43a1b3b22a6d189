"""The distinct failures of one report, on disk, so that memory stays flat however many there are."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from shared.core.errors import AgainLater
from shared.core.facts import CabFacts
from shared.core.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class DistinctFailures:
    """Failures, each of them once, in a file without a name that goes when this is closed."""

    def __init__(self) -> None:
        with _told():
            self._database = sqlite3.connect("")
            self._database.execute("pragma journal_mode = off")
            self._database.execute("pragma synchronous = off")
            self._database.execute(
                "create table failures (application text, hash text, name text, driver text, "
                "primary key (application, hash)) without rowid"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def __len__(self) -> int:
        with _told():
            (count,) = self._database.execute("select count(*) from failures").fetchone()
        return int(count)

    def add(self, failures: Mapping[Failure, CabFacts]) -> None:
        """Add failures, of which any may be there already, with what a row tells of each.

        Raises:
            AgainLater: The disk has no room.
        """
        with _told():
            rows = (
                (failure.application_id, failure.failure_hash, facts.failure_name, facts.driver_name)
                for failure, facts in failures.items()
            )
            self._database.executemany("insert or ignore into failures values (?, ?, ?, ?)", rows)

    def batches(self, size: int) -> Iterator[dict[Failure, CabFacts]]:
        """Yield them in their order with their names, so many at a time."""
        found = self._database.execute("select * from failures order by application, hash")
        while some := found.fetchmany(size):
            yield {Failure(application, key): CabFacts(name, driver) for application, key, name, driver in some}


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise AgainLater(f"the failures of a report find no room in the folder for temporary files: {error}") from None

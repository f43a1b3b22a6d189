"""The failures and cabs of one report, each of them once, on disk: memory stays flat however many there are.

What is known of their pulls stands beside them, so that one pass over an application's pulls serves them all.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Self

import msgspec
from msgspec.structs import astuple

from shared.core.askers import by_person
from shared.core.batches import weighed
from shared.core.clock import moment_of
from shared.core.errors import AgainLater
from shared.core.facts import CabFacts
from shared.core.failure import Failure, normal_id
from shared.core.values import Immutable
from shared.progress.pull_row import asked_again, person_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from shared.reports.reader import ReportPart
    from shared.storage.table_rows import Row

_TABLES = """
pragma journal_mode = off;
pragma synchronous = off;
create table failures (
    place integer primary key, application text, hash text, name text, driver text, hits integer,
    stored text, stored_hash text, state text, asked_by text, person text, ended text, hits_before integer,
    unique (application, hash)
);
create table facts (place integer primary key, told blob unique);
create table cabs (failure integer, cab text, facts integer, expires text, primary key (failure, cab)) without rowid;
create table queue (failure integer primary key, due text);
"""
# A row of the failures as `Named` tells it: in the spelling that it is stored under.
_SELECT = """
select place, coalesce(stored, application), coalesce(stored_hash, hash), name, driver, hits, state, asked_by, person,
    ended, hits_before
from failures
"""


# What of a pull's row is asked for.
PULL_COLUMNS = (
    *("state", "askedBy", "requestedBy", "askedAgain", "askedAgainBy"),
    *("failed", "unreadable", "completedAt", "skippedBy", "hits"),
)


class Named(Immutable, frozen=True):
    """A failure that the report names.

    Args:
        place: Where it stands among the others.
        failure: In the spelling that its pull is stored under.
        facts: What a row of the report tells of it.
        hits: How often it happened, as the report counts.
        pull: The state of its pull; empty where there is none.
        asked_by: What asked for that pull last.
        person: For whom it is still to be made, or whose pull left cabs that failed; empty where that is no person.
        pulled_at: When that pull ended; None where it has not, or nobody asked Microsoft since a rule skips it all.
        hits_before: How often it happened as its pull was queued; None where nobody told that.
    """

    place: int
    failure: Failure
    facts: CabFacts
    hits: int
    pull: str
    asked_by: str
    person: str
    pulled_at: datetime | None
    hits_before: int | None


class ListedCabs(Immutable, frozen=True):
    """The cabs of a failure that the report lists.

    Args:
        facts: What is told of each, by cabIdHash.
        expires: When Microsoft deletes them, of those whose rows tell it.
    """

    facts: dict[str, CabFacts]
    expires: dict[str, datetime]


class NamedFailures:
    """What a report names, in a file without a name that goes when this is closed.

    Every call raises AgainLater where the disk has no room: to sort takes some as well.
    """

    def __init__(self) -> None:
        with _told():
            self._database = sqlite3.connect("")
            self._database.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def __len__(self) -> int:
        return self._count("failures")

    @property
    def cabs(self) -> int:
        """Return how many cabs the report lists."""
        return self._count("cabs")

    def begin(self) -> None:
        """Count anew how often each happened: the report is read from its beginning, maybe once more."""
        with _told():
            self._database.execute("update failures set hits = 0")

    def add(self, part: ReportPart) -> None:
        """Add what a stretch of the report names, of which any may be there already."""
        with _told():
            self._database.executemany(
                "insert into failures (application, hash, name, driver, hits) values (?, ?, ?, ?, ?) "
                "on conflict do update set hits = hits + excluded.hits",
                (
                    (
                        failure.application_id,
                        failure.failure_hash,
                        facts.failure_name,
                        facts.driver_name,
                        part.hits.get(failure, 0),
                    )
                    for failure, facts in part.facts.items()
                ),
            )
            told = {
                facts: msgspec.json.encode(astuple(facts)) for cabs in part.cabs.values() for facts in cabs.values()
            }
            self._database.executemany(
                "insert or ignore into facts (told) values (?)", ((each,) for each in told.values())
            )
            self._database.executemany(
                "insert or ignore into cabs select failures.place, ?, facts.place, ? from failures, facts "
                "where application = ? and hash = ? and told = ?",
                (
                    (cab, part.expires.get(cab), failure.application_id, failure.failure_hash, told[facts])
                    for failure, cabs in part.cabs.items()
                    for cab, facts in cabs.items()
                ),
            )

    def applications(self) -> list[str]:
        """Return the applications whose failures are named, in the spelling that they have once more elsewhere too."""
        with _told():
            found = self._database.execute("select application, min(hash) from failures group by application")
            ids = found.fetchall()
        spellings = (
            (application, *(each.application_id for each in Failure(application, key).other_spellings()))
            for application, key in ids
        )
        return list(dict.fromkeys(each for some in spellings for each in some))

    def note_pulls(self, pulls: Iterable[Row]) -> None:
        """Take in which of the failures have a pull: in the normal form of its ids, where it is stored in several.

        Args:
            pulls: The rows of an application's pulls.
        """
        with _told():
            self._database.executemany(
                "update failures set stored = ?, stored_hash = ?, state = ?, asked_by = ?, person = ?, ended = ?, "
                "hits_before = ? where application = ? and hash = ? "
                "and (stored is null or (application = ? and hash = ?))",
                (_pull(row) for row in pulls),
            )

    def batches(self, size: int, most_cabs: int) -> Iterator[list[Named]]:
        """Yield the failures in the order of their cabs' PartitionKeys, some at a time.

        Args:
            size: The most failures of a batch.
            most_cabs: The most cabs that are listed of these together; one failure alone may have more.
        """
        order = "order by coalesce(stored, application) || '_' || coalesce(stored_hash, hash)"
        failures = chain.from_iterable(self._named(f"{_SELECT} {order}", size))
        yield from weighed(failures, size, most_cabs, lambda each: self._count("cabs where failure = ?", each.place))

    def cabs_of(self, named: Named) -> ListedCabs:
        """Return the cabs of a failure."""
        cabs = "select cab, told, expires from cabs join facts on facts.place = facts where failure = ?"
        listed, known = ListedCabs({}, {}), dict[bytes, CabFacts]()
        with _told():
            for cab, told, expires in self._database.execute(cabs, (named.place,)):
                if told not in known:
                    known[told] = CabFacts(*msgspec.json.decode(told))
                listed.facts[cab] = known[told]
                if expires and (moment := moment_of(expires)):
                    listed.expires[cab] = moment
        return listed

    def queue(self, named: Named, due: str) -> None:
        """Note that a failure is to be queued.

        Args:
            named: Which.
            due: What it is sorted by.
        """
        with _told():
            self._database.execute("insert or ignore into queue values (?, ?)", (named.place, due))

    @property
    def queued(self) -> int:
        """Return how many are to be queued."""
        return self._count("queue")

    def to_queue(self, size: int) -> Iterator[list[Named]]:
        """Yield the failures that are to be queued in their order, so many at a time."""
        yield from self._named(f"{_SELECT} join queue on queue.failure = place order by due, failure", size)

    def _named(self, statement: str, size: int) -> Iterator[list[Named]]:
        with _told():
            found = self._database.execute(statement)
            while some := [_named(columns) for columns in found.fetchmany(size)]:
                yield some

    def _count(self, rows: str, *values: int) -> int:
        with _told():
            (count,) = self._database.execute(f"select count(*) from {rows}", values).fetchone()  # noqa: S608 - of ours
        return int(count)


def _named(columns: list[str] | tuple[str, ...]) -> Named:
    place, application, key, name, driver, hits, state, asked_by, person, ended, before = columns
    facts = CabFacts(name, driver)
    return Named(
        int(place),
        Failure(application, key),
        facts,
        int(hits or 0),
        state or "",
        asked_by or "",
        person or "",
        moment_of(ended) if ended else None,
        int(before) if before else None,
    )


def _pull(row: Row) -> tuple[object, ...]:
    normal = normal_id(row.partition), normal_id(row.key)
    ended = None if row.text("skippedBy") else row.set_moment("completedAt")
    asks = row.text("askedBy") or row.text("requestedBy"), by_person(person_of(row), *asked_again(row).values())
    told = ended.isoformat() if ended else None, row.number("hits") or None
    return row.partition, row.key, row.text("state") or "none", *asks, *told, *normal, row.partition, row.key


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise AgainLater(f"the failures of a report find no room in the folder for temporary files: {error}") from None

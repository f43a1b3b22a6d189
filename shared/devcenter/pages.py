"""Pages of what the Dev Center lists, as a cursor follows them; and a failure's cabs, as every family names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.clock import moment_of
from shared.core.facts import NO_FACTS, CabFacts
from shared.core.values import Immutable, hiding

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.failure import Failure, Window


class BatchCab(Immutable, frozen=True):
    """One row: a cab as the API names it.

    Args:
        cab_id_hash: The cab's identity. Rows can repeat or shift between pages; this cannot.
        url: The cabUrl, byte for byte; None where the row has none. Its SAS is minted per request and lives days.
        submission_id: As the API names it; empty where the family has none.
        date: When the crash was collected, as the API spells it (no zone: UTC).
        expires: cabExpirationTime, as the API spells it; Microsoft deletes the cab then.
        downloadable: False where Microsoft lists the cab but does not let it go.
        facts: What the row tells of it; nothing where the family leaves that to a report.
    """

    cab_id_hash: str
    url: str | None
    submission_id: str
    date: str
    expires: str
    downloadable: bool
    facts: CabFacts = NO_FACTS

    __repr__ = hiding("url")

    def has_expired(self, now: datetime) -> bool:
        """Tell whether the cab is past its cabExpirationTime; a time that cannot be read has not come."""
        moment = moment_of(self.expires)
        return moment is not None and moment <= now


class Page(Immutable, frozen=True):
    """One page of a list, as a cursor follows it.

    Args:
        rows: How many rows it has, readable or not.
        unreadable: What was wrong with each row that cannot be read, and its shape.
        link: Its next link, untrusted; empty where it has none.
        has_link_key: Whether it has a key for one.
        total: Its TotalCount; -1 where it tells none.
        mark: What tells rows without a name of their own from those of another page; empty where there are none.
    """

    rows: int
    unreadable: tuple[str, ...]
    link: str
    has_link_key: bool
    total: int
    mark: str = ""

    __repr__ = hiding("link")

    @property
    def keys(self) -> tuple[str, ...]:
        """Return what tells its rows from those of other pages."""
        return (self.mark,) if self.mark else ()


class BatchPage(Page, frozen=True):
    """One page of a failure's cabs.

    Args:
        cabs: Its readable rows that name a cab.
        without_cab: How many rows tell of a crash that left no cab; a page of nothing else is news as well.
    """

    cabs: tuple[BatchCab, ...] = ()
    without_cab: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """Return its cabs' ids, and the mark of the rows that have none."""
        return (*(cab.cab_id_hash for cab in self.cabs), *super().keys)


def cabs_query(failure: Failure, window: Window, most: int, skip: int) -> dict[str, str]:
    """Return what every family's list of cabs is asked with."""
    days = {"startDate": window.start.isoformat(), "endDate": window.end.isoformat()}
    return {**failure.ids, **days, "top": str(most), "skip": str(skip)}

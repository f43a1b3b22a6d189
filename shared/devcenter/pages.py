"""The cabs of a failure as every family lists them: pages of rows, and a cursor's request for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shared.core.clock import moment_of
from shared.core.facts import NO_FACTS, CabFacts
from shared.core.values import Immutable, hiding

if TYPE_CHECKING:
    from datetime import datetime


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


class Page(Protocol):
    """What a cursor follows."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What tells its rows from those of other pages."""

    @property
    def rows(self) -> int:
        """How many rows it has, readable or not."""

    @property
    def unreadable(self) -> tuple[str, ...]:
        """What was wrong with each row that cannot be read."""

    @property
    def link(self) -> str:
        """Its next link, untrusted; empty where it has none."""

    @property
    def has_link_key(self) -> bool:
        """Whether it has a key for one."""

    @property
    def total(self) -> int:
        """Its TotalCount; -1 where it tells none."""


class BatchPage(Immutable, frozen=True):
    """One page of a failure's cabs.

    Args:
        rows: How many rows it has, readable or not.
        cabs: Its readable rows that name a cab.
        unreadable: What was wrong with each other row, and its shape.
        link: Its next link, untrusted; empty where it has none.
        has_link_key: Whether it has a key for one.
        total: Its TotalCount; -1 where it tells none.
        without_cab: How many rows tell of a crash that left no cab.
        mark: What tells these from those of another page; empty where there are none.
    """

    rows: int
    cabs: tuple[BatchCab, ...]
    unreadable: tuple[str, ...]
    link: str
    has_link_key: bool
    total: int
    without_cab: int = 0
    mark: str = ""

    __repr__ = hiding("link")

    @property
    def keys(self) -> tuple[str, ...]:
        """Its cabs' ids, and the mark of the rows that have none: a page of nothing else is news as well."""
        return (*(cab.cab_id_hash for cab in self.cabs), *((self.mark,) if self.mark else ()))

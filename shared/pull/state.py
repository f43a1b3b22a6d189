"""What one run of a pull knows, what happens to it, and what it may begin: values, which `policy.py` decides by."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from shared.core.values import Immutable, Mutable, hiding
from shared.devcenter.cursor import BatchCursor
from shared.progress.pull_row import CabCounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.cabs.creation import Copied
    from shared.core.errors import AgainLater
    from shared.core.facts import CabFacts
    from shared.core.keep import Candidate
    from shared.devcenter.cursor import PageRequest
    from shared.devcenter.pages import BatchCab, BatchPage
    from shared.progress.pull_row import PullRow
    from shared.pull.keeping import Keeping
    from shared.pull.ledger import CabLedger


class Checkpoint(Immutable, frozen=True):
    """Where a later try goes on, and what was found up to there, where no cab's row tells it.

    Args:
        skip: How many rows of the batch come before it.
        before: What was found before this run began, in rows of the batch that it does not read.
        named: How many cabs this run found up to there.
        without_cab: How many rows told of a crash without a cab.
        unreadable: How many rows could not be read: each may be a cab that nobody copied.
    """

    skip: int = 0
    before: CabCounts = CabCounts()
    named: int = 0
    without_cab: int = 0
    unreadable: int = 0

    @classmethod
    def of(cls, row: PullRow) -> Checkpoint:
        """Return where a run goes on; who begins with the first row has found nothing before."""
        counts = row.counts
        return cls(row.skip, counts, 0, row.without_cab, counts.unreadable) if row.skip else cls()


class PageAtWork(Mutable, eq=False):
    """A page whose cabs are being copied.

    Args:
        request: How it was asked for.
        safe: The checkpoint behind it.
        copying: How many copies of its cabs were begun and have not ended.
        holds: Whether a cab of it must be tried again: the checkpoint stays before the page.
        fresh: The page with fresh URLs, or why it could not be had; while it is on its way, what waits for it; None
            where it was not asked for again.
    """

    request: PageRequest
    safe: Checkpoint
    copying: int = 0
    holds: bool = False
    fresh: list[CabEnded] | BatchPage | BaseException | None = None

    __repr__ = hiding("fresh")

    @property
    def waiting(self) -> list[CabEnded]:
        """Return the copies that ended and wait for fresh URLs."""
        return self.fresh if isinstance(self.fresh, list) else []

    @property
    def is_done(self) -> bool:
        """Tell whether all of its cabs have ended, for this run."""
        return not (self.copying or self.waiting)

    def hold(self) -> None:
        """Note that a cab of the page has not come to its end in this run."""
        self.holds = True


class PageCame(Immutable, frozen=True):
    """A page that came, and of which no copy has begun."""

    request: PageRequest
    page: BatchPage

    __repr__ = hiding("page")


class Naming(Immutable, frozen=True):
    """All cabs must be known before it is decided which are kept: those that the batch has named so far."""

    cabs: dict[str, Candidate]

    __repr__ = hiding("cabs")


class Decided(Immutable, frozen=True):
    """Which cabs are not kept, now that all are known, each with the reason."""

    skipped: Mapping[str, str]

    __repr__ = hiding("skipped")


class Pull(Mutable):
    """What one run of a pull knows: print it to see where it stands.

    Args:
        row: The pull, as the run began.
        ledger: What is known of each cab.
        keeping: What is kept of the failure.
        choice: How far it is decided which cabs are kept; None where each page decides by itself.
        cursor: Where the reading of the batch stands.
        safe: The checkpoint.
        reached: The end of the last page that was begun.
        total: The most rows that the batch was said to have.
        coming: The page to read next: what is to be asked for, or is on its way, or what came and waits for room. None
            behind the last.
        pages: Those being copied, in their order.
        tried: The cabs that this run has tried and will not try again.
        passes: How often the batch was begun to be read.
        until: When the time budget is used, by the monotonic clock; it runs from the first page on, since a slow API
            must not keep a pull from ever copying a cab.
        written_at: When what was done was last written down, by the same clock.
        stays: Whether the checkpoint stays where it is, whatever else is done.
        again: Why a cab must be tried again.
        again_in_a_row: How many cabs had to, since the last that was settled.
        end: Why no more of the batch is read; what was read before is copied all the same.
        is_cut_short: Whether nothing more is copied either: no copy begins that waits for its turn in the pool.
        unreadable: The first row of the batch that could not be read.
    """

    row: PullRow
    ledger: CabLedger
    keeping: Keeping
    choice: Naming | Decided | None
    cursor: BatchCursor
    safe: Checkpoint
    reached: Checkpoint
    total: int
    written_at: float
    coming: PageRequest | AskPage | PageCame | None
    pages: deque[PageAtWork] = msgspec.field(default_factory=deque)
    tried: set[str] = msgspec.field(default_factory=set)
    passes: int = 1
    until: float | None = None
    stays: bool = False
    again: AgainLater | None = None
    again_in_a_row: int = 0
    end: BaseException | None = None
    is_cut_short: bool = False
    unreadable: str = ""

    __repr__ = hiding("ledger", "keeping", "tried")

    @property
    def most_tries(self) -> int:
        """Return PULL_MAX_ATTEMPTS."""
        return self.keeping.settings.pull_max_attempts

    @property
    def copying(self) -> int:
        """Return how many copies were begun and have not ended."""
        return sum(page.copying for page in self.pages)

    def read_anew(self) -> None:
        """Begin with the first row of the batch."""
        self.cursor, self.reached = BatchCursor(self.cursor.page_rows), Checkpoint()
        self.coming = self.cursor.first()

    def cut_short(self, error: BaseException) -> None:
        """Begin nothing more. Copies on their way end by themselves."""
        self.end, self.is_cut_short, self.coming = self.end or error, True, None
        for page in self.pages:
            if page.waiting:
                page.hold()
                page.waiting.clear()


# What comes in.


class PageEnded(Immutable, frozen=True):
    """A page came, or could not be had."""

    ask: AskPage
    answer: BatchPage | BaseException

    __repr__ = hiding("answer")


class CabEnded(Immutable, frozen=True):
    """A copy ended, with a blob's name and what is in it, or an error."""

    copy: CopyCab
    outcome: tuple[str, Copied] | BaseException


type Event = PageEnded | CabEnded


# What is to be done.


class AskPage(Immutable, frozen=True):
    """Ask for a page; with `again`, for the fresh URLs of one that is being copied."""

    request: PageRequest
    again: PageAtWork | None = None


class CopyCab(Immutable, frozen=True):
    """Begin to copy a cab.

    Args:
        page: The page that names it.
        cab: Which.
        facts: What is known of it.
        until: When to stop, by the monotonic clock; None for never.
        is_fresh: Whether its URL was asked for again.
    """

    page: PageAtWork
    cab: BatchCab
    facts: CabFacts
    until: float | None
    is_fresh: bool = False


type Order = AskPage | CopyCab

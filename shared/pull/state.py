"""What one run of a pull knows, what happens to it, and what it may begin: values, which `policy.py` decides by."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from shared.core.values import Immutable, Mutable, hiding
from shared.progress.pull_row import CabCounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.cabs.creation import Copied
    from shared.core.errors import AgainLater
    from shared.core.keep import Candidate
    from shared.devcenter.cursor import BatchCursor, PageRequest
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
        left: How many of its cabs have not ended.
        holds: Whether one of them must be tried again: the checkpoint stays before the page.
        is_asked_again: Whether it was asked for again, for fresh URLs.
        fresh: What came of that.
        refused: Cabs that wait for it, and why.
    """

    request: PageRequest
    safe: Checkpoint
    left: int
    holds: bool = False
    is_asked_again: bool = False
    fresh: BatchPage | BaseException | None = None
    refused: list[tuple[BatchCab, BaseException]] = msgspec.field(default_factory=list)

    __repr__ = hiding("fresh", "refused")

    def hold(self, cabs: int) -> None:
        """Note that cabs of the page have not come to their end in this run."""
        self.left -= cabs
        self.holds |= cabs > 0


class Pull(Mutable):
    """What one run of a pull knows: print it to see where it stands.

    Args:
        row: The pull, as the run began.
        ledger: What is known of each cab.
        keeping: What is kept of the failure.
        budget: PULL_TIME_BUDGET in seconds.
        cursor: Where the reading of the batch stands.
        page_rows: How many rows are asked for at once.
        is_last_try: Whether the pull is given up where this run brings nothing new and must be tried again.
        safe: The checkpoint.
        reached: The end of the last page that was begun.
        total: The most rows that the batch was said to have.
        to_ask: The page to ask for next.
        ahead: A page that came, and whose copies have not begun.
        is_asking: Whether a page is on its way.
        pages: Those being copied, in their order.
        copying: How many copies were begun and have not ended.
        tried: The cabs that this run has tried and will not try again.
        all_named: While all cabs must be known before it is decided which are kept: those that the batch has named.
        skipped: Those that are not kept, each with the reason; None where each page decides by itself.
        passes: How often the batch was begun to be read.
        until: When the time budget is used, by the monotonic clock; it runs from the first page on, since a slow API
            must not keep a pull from ever copying a cab.
        checkpoint_at: When to write down what was done.
        stays: Whether the checkpoint stays where it is, whatever else is done.
        again: Why a cab must be tried again.
        again_in_a_row: How many cabs had to, since the last that was settled.
        end: Why nothing more is read.
        is_cut_short: Whether nothing more is copied either.
        unreadable: The first row of the batch that could not be read.
    """

    row: PullRow
    ledger: CabLedger
    keeping: Keeping
    budget: float
    cursor: BatchCursor
    page_rows: int
    is_last_try: bool
    safe: Checkpoint
    reached: Checkpoint
    total: int
    checkpoint_at: float
    to_ask: PageRequest | None
    ahead: PageCame | None = None
    is_asking: bool = False
    pages: deque[PageAtWork] = msgspec.field(default_factory=deque)
    copying: int = 0
    tried: set[str] = msgspec.field(default_factory=set)
    all_named: dict[str, Candidate] | None = None
    skipped: Mapping[str, str] | None = None
    passes: int = 1
    until: float | None = None
    stays: bool = False
    again: AgainLater | None = None
    again_in_a_row: int = 0
    end: BaseException | None = None
    is_cut_short: bool = False
    unreadable: str = ""

    __repr__ = hiding("ledger", "tried", "all_named", "skipped")

    def cut_short(self, error: BaseException) -> None:
        """Begin nothing more. Copies on their way end by themselves."""
        self.end, self.is_cut_short = self.end or error, True
        for page in self.pages:
            page.hold(len(page.refused))
            page.refused.clear()


# What comes in.


class PageCame(Immutable, frozen=True):
    """A page came."""

    request: PageRequest
    page: BatchPage

    __repr__ = hiding("page")


class PageFailed(Immutable, frozen=True):
    """A page could not be had."""

    error: BaseException


class PageCameAgain(Immutable, frozen=True):
    """A page that was asked for again came, or failed."""

    page: PageAtWork
    answer: BatchPage | BaseException

    __repr__ = hiding("answer")


class CabEnded(Immutable, frozen=True):
    """A copy ended, with a blob's name and what is in it, or an error. `is_fresh`: its page was asked for again."""

    page: PageAtWork
    cab: BatchCab
    is_fresh: bool
    outcome: tuple[str, Copied] | BaseException


type Event = PageCame | PageFailed | PageCameAgain | CabEnded


# What is to be done.


class AskPage(Immutable, frozen=True):
    """Ask for a page; with `again`, for the fresh URLs of one that is being copied."""

    request: PageRequest
    again: PageAtWork | None = None


class CopyCab(Immutable, frozen=True):
    """Begin to copy a cab."""

    page: PageAtWork
    cab: BatchCab
    is_fresh: bool = False


type Order = AskPage | CopyCab

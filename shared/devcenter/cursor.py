"""Where the paging of a batch stands: an answer in, the next request or the end out; nothing here asks anybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from shared.core.errors import BadAnswer
from shared.core.values import Immutable, Mutable, hiding

if TYPE_CHECKING:
    from shared.devcenter.pages import Page

# So many pages of nothing but known cabs, or of nothing at all, mean a server that does not page.
_PAGES_WITHOUT_NEWS = 20


class PageRequest(Immutable, frozen=True):
    """Which page to ask for.

    Args:
        skip: How many rows of the batch come before it.
        link: The next link that led to it, as the page before gave it: untrusted. Empty where it is found by counting.
    """

    skip: int
    link: str = ""

    __repr__ = hiding("link")

    def __str__(self) -> str:
        return f"the page after {self.skip} rows"


class BatchCursor(Mutable):
    """Follow a batch, from a checkpoint to its end.

    A link is followed wherever it is, also from a page without rows. Where there is none, TotalCount tells whether more
    rows exist, unless there were more cabs than it says: then it is as unknown as where the API leaves it out. Where
    no page had a key for a link, a full page is asked on: a cab must not be missed because the documentation does not
    say what the key is. So is any page where no page had a link, and counting may have been pushed past rows (they came
    twice, or an earlier run counted).

    Args:
        page_rows: How many rows are asked for at once.
        start: Rows before the first page.
        total: The most rows that were told, by an earlier run too; 0 where none were.
        lost_rows: Whether a page told of fewer rows than one before it: rows went away, and those behind them moved up,
            maybe onto pages that had been read.
        pages: How many pages were read.
    """

    page_rows: int
    start: int = 0
    total: int = 0
    lost_rows: bool = False
    pages: int = 0
    _reach: int = -1
    _is_contradicted: bool = False
    _has_link_key: bool = False
    _has_links: bool = False
    _is_unsure: bool = False
    _without_news: int = 0
    _seen: set[str] = msgspec.field(default_factory=set)
    _asked: set[PageRequest] = msgspec.field(default_factory=set)

    __repr__ = hiding("_seen", "_asked")

    def first(self) -> PageRequest:
        """Return the request to begin with."""
        return PageRequest(self.start)

    @property
    def has_total(self) -> bool:
        """Tell whether the batch says how many rows it has, and has not contradicted itself."""
        return self._reach >= 0 and not self._is_contradicted

    @property
    def may_have_moved(self) -> bool:
        """Tell whether rows may have moved onto pages that were read before; without a total nobody can say no."""
        return self.lost_rows if self.has_total else self.pages > 1

    def answered(self, asked: PageRequest, page: Page) -> PageRequest | None:
        """Take in a page, and return which to ask for next; None after the last.

        Raises:
            BadAnswer: The batch leads in a circle, or to nothing new without end.
        """
        self._asked.add(asked)
        self._take_in(page)
        following = self._following(asked, page)
        if following and self._was_asked(following):
            raise BadAnswer(f"{following} of the batch was asked for before, and the batch leads there again")
        if following and self._without_news > _PAGES_WITHOUT_NEWS:
            raise BadAnswer(f"{self._without_news} pages of the batch in a row, up to {asked}, brought nothing new")
        return following

    def _take_in(self, page: Page) -> None:
        here = set(page.keys)
        is_news = not here <= self._seen
        self._is_unsure |= self.start > 0 or len(here - self._seen) < len(page.keys)
        self._without_news = 0 if is_news else self._without_news + 1
        self._seen |= here
        self.pages += 1
        self._has_link_key, self._has_links = (
            self._has_link_key or page.has_link_key,
            self._has_links or bool(page.link),
        )
        if page.total >= 0:
            at_least = max(len(here) + len(page.unreadable), len(self._seen))
            self._is_contradicted |= page.rows > 0 and page.total < at_least
            self._reach = max(self._reach, page.total)
            self.lost_rows |= page.total < self.total
            self.total = max(self.total, page.total)

    def _following(self, asked: PageRequest, page: Page) -> PageRequest | None:
        end = page_end(asked, page)
        if page.link:
            is_reached = self.has_total and self._reach <= end
            return None if page.rows == 0 and is_reached else PageRequest(end, page.link)
        if page.rows == 0:
            # Nothing here, though rows should be; they may be behind it, but not without end.
            behind = asked.skip + self.page_rows
            goes_on = page.total > behind and self._without_news < _PAGES_WITHOUT_NEWS
            return PageRequest(behind) if goes_on else None
        is_unsure = (self._is_unsure or self._is_contradicted) and not self._has_links
        is_full = page.rows >= self.page_rows and not self._has_link_key
        return PageRequest(end) if self._reach > end or is_unsure or is_full else None

    def _was_asked(self, following: PageRequest) -> bool:
        """Tell whether a page was asked for before: by the same link too, unless that leads to other rows each time."""
        is_circle = self._without_news > 0 and any(following.link == each.link for each in self._asked if each.link)
        return following in self._asked or is_circle


def page_end(asked: PageRequest, page: Page) -> int:
    """Return how many rows of the batch are done with a page: a link tells, since rows that come twice make it less."""
    named = re.search(r"[?&]skip=([1-9][0-9]{0,8})(?:&|$)", page.link)
    return int(named[1]) if named else asked.skip + page.rows

"""Pages of the cab batch: which cabs Microsoft holds for a failure, and where each can be fetched from for now."""

from __future__ import annotations

import logging
import re
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from shared.core.clock import moment_of
from shared.core.errors import BadAnswer, BadInput
from shared.core.failure import checked_cab_id
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.shape import shape_of
from shared.devcenter.client import PAGE_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future
    from datetime import datetime

    from shared.core.failure import Failure, Window
    from shared.devcenter.client import DevCenter

_log = logging.getLogger(__name__)
# In the order in which they are believed; the first that is not null counts.
_LINKS = ("@nextlink", "nextlink", "@odata.nextlink", "odata.nextlink")
_NO = {"false", "no", "0"}
# So many pages of nothing but known cabs mean a server that does not page at all.
_PAGES_WITHOUT_NEWS = 20
# So many times as many pages as are asked for at once may wait to be asked for, or for one that is slow.
_WAITING = 4


@dataclass(frozen=True, slots=True)
class BatchCab:
    """One row of the batch: a cab as the API names it.

    Args:
        cab_id_hash: The cab's identity. Rows can repeat or shift between pages; this cannot.
        url: The cabUrl, byte for byte; None where the row has none. Its SAS is minted per request and lives days.
        submission_id: As the API names it.
        date: When the crash was collected, as the API spells it (no zone: UTC).
        expires: cabExpirationTime, as the API spells it; Microsoft deletes the cab then.
        downloadable: False where Microsoft lists the cab but does not let it go.
    """

    cab_id_hash: str
    url: str | None = field(repr=False)
    submission_id: str
    date: str
    expires: str
    downloadable: bool

    def has_expired(self, now: datetime) -> bool:
        """Tell whether the cab is past its cabExpirationTime; a time that cannot be read has not come."""
        moment = moment_of(self.expires)
        return moment is not None and moment <= now


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One page of the batch.

    Args:
        skip: How many rows came before it.
        rows: How many rows it has, readable or not.
        following: The skip at which the next page begins, which rows that come twice make less than skip and rows.
        cabs: Its readable rows.
        unreadable: What was wrong with each other row, and its shape.
        is_last: Whether nothing comes after it.
    """

    skip: int
    rows: int
    following: int
    cabs: tuple[BatchCab, ...]
    unreadable: tuple[str, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class EarlyPage:
    """A page that came before its turn, since one before it is slow: its cabs can be copied, but not counted yet.

    Args:
        skip: How many rows may have come before it.
        cabs: Its readable rows.
    """

    skip: int
    cabs: tuple[BatchCab, ...]


class CabBatch:
    """The batch of one failure and window.

    `total` is the largest TotalCount that was seen, and `lost_rows` tells whether a page named a smaller one: rows went
    away while the batch was paged, and those behind them moved up, maybe onto pages that had been read before.

    Args:
        devcenter: The API.
        failure: Whose cabs.
        window: Days of the cabs.
        total: The TotalCount that an earlier run saw; 0 where it saw none.
    """

    def __init__(self, devcenter: DevCenter, failure: Failure, window: Window, total: int = 0) -> None:
        self._devcenter, self._failure, self._window = devcenter, failure, window
        self.total, self.lost_rows = total, False

    def pages(
        self,
        skip: int,
        fetchers: Executor,
        in_flight: int,
        expected: Callable[[], int],
        was_seen: Callable[[str], bool],
        until_any: Callable[[Sequence[Future[Any]]], object],
    ) -> Iterator[BatchPage | EarlyPage]:
        """Yield the pages in their order, from a checkpoint to the end, and fetch ahead while the caller works.

        With several pages in flight, a page that comes before its turn is yielded as an early one first.

        Follows the next link where there is one on our host. Where there is none, TotalCount tells whether more rows
        exist. A full page with neither is asked on, unless an earlier page showed that this server does send links: a
        cab must not be missed because the documentation does not say what the link's key is. Where rows came twice,
        counting has been pushed too far, and is gone on with until a page is empty.

        Args:
            skip: Rows that earlier pages had.
            fetchers: Runs the requests.
            in_flight: How many pages are asked for at once; more than one by counting, as far as TotalCount reaches.
            expected: Called while the first page is on its way; returns how many rows there may be in all, which stands
                in for TotalCount until that page tells it.
            was_seen: Tells whether an earlier page of this pull had a cab.
            until_any: Called while no page has come; returns once any of these requests has ended.

        Raises:
            CabferryError: As `DevCenter.fetch_page`.
        """
        ahead = _Ahead(
            self._named, self._url_at, lambda start, url: fetchers.submit(self._fetch, start, url), in_flight
        )
        has_link_key = linked = repeated = False
        nothing_new = 0
        ahead.ask(skip, self._url_at(skip))
        ahead.ask_more(expected())
        while ahead.waiting:
            yield from ahead.arrivals(until_any)
            page = ahead.taken()
            wire = page.answer.result()
            self._compare(wire.total, in_flight)
            end = _skip_of(wire.link) or page.skip + wire.rows
            has_link_key, linked = has_link_key or wire.has_link_key, linked or bool(wire.link)
            again = sum(was_seen(cab.cab_id_hash) for cab in wire.cabs)
            repeated, nothing_new = repeated or again > 0, nothing_new + 1 if again == len(wire.cabs) else 0
            if nothing_new > _PAGES_WITHOUT_NEWS:
                raise BadAnswer(f"{self._named(page.skip)}: {nothing_new} pages in a row brought nothing new")
            is_full_without_total = wire.rows >= PAGE_ROWS and wire.total < 0
            unsure = (repeated and not linked) or (is_full_without_total and not has_link_key)
            more = wire.rows > 0 and (bool(wire.link) or wire.total > end or unsure)
            if not more or not ahead.begins_at(end):
                ahead.forget()  # A page that is shorter than asked for moves all that come after it.
            if more:
                if not ahead.waiting:
                    ahead.ask(end, self._following(wire.link, end))
                ahead.ask_more(wire.total)
            yield BatchPage(page.skip, wire.rows, end, wire.cabs, wire.unreadable, is_last=not more)

    def _compare(self, total: int, in_flight: int) -> None:
        if total >= 0:
            # Pages that were asked for side by side may have been answered in any order.
            self.lost_rows |= total < self.total or (in_flight > 1 and 0 < self.total < total)
            self.total = max(self.total, total)

    def fresh_cabs(self, skip: int) -> dict[str, BatchCab]:
        """Ask for one page again, for the fresh SAS in its cabUrls.

        Args:
            skip: Rows that earlier pages had.

        Raises:
            CabferryError: As `DevCenter.fetch_page`.
        """
        wire = self._fetch(skip, self._url_at(skip))
        return {cab.cab_id_hash: cab for cab in wire.cabs}

    def _fetch(self, skip: int, url: str) -> _WirePage:
        return _decoded(
            self._devcenter.fetch_page(url, self._named(skip), self._failure.application_id), self._named(skip)
        )

    def _url_at(self, skip: int) -> str:
        return self._devcenter.batch_url(self._failure, self._window, skip)

    def _named(self, skip: int) -> str:
        return f"the cab batch of {self._failure} after {skip} rows"

    def _following(self, link: str, skip: int) -> str:
        if link:
            try:
                return self._devcenter.next_url(link)
            except BadInput as error:
                # The rows after it are still ours to fetch, by counting on our own host.
                _log.warning("%s; %s goes on by counting", error, self._named(skip))
        return self._url_at(skip)


@dataclass(slots=True)
class _Asked:
    skip: int
    url: str
    answer: Future[_WirePage]
    is_passed_on: bool = False


class _Ahead:
    """Pages that were asked for and whose turn has not come.

    Args:
        named: Returns what errors call the page after so many rows.
        url_at: Returns its address, where it is found by counting.
        fetch: Fetches it from an address, as soon as fewer than `in_flight` are on their way.
        in_flight: How many may be on their way at once.
    """

    def __init__(
        self,
        named: Callable[[int], str],
        url_at: Callable[[int], str],
        fetch: Callable[[int, str], Future[_WirePage]],
        in_flight: int,
    ) -> None:
        self._named, self._url_at, self._fetch = named, url_at, fetch
        # Several are asked for by counting, and some more where one is slow; by links there can only be one.
        self._most = in_flight * _WAITING if in_flight > 1 else 1
        self._read: set[str] = set()
        self.waiting: deque[_Asked] = deque()

    def begins_at(self, skip: int) -> bool:
        """Tell whether the next page, if any was asked for, is the one after so many rows."""
        return not self.waiting or self.waiting[0].skip == skip

    def ask(self, skip: int, url: str) -> None:
        """Ask for a page.

        Raises:
            BadAnswer: It was read before.
        """
        if url in self._read:
            raise BadAnswer(f"{self._named(skip)}: its address was asked for before")
        self.waiting.append(_Asked(skip, url, self._fetch(skip, url)))

    def ask_more(self, reach: int) -> None:
        """Ask for as many further pages of a batch of so many rows as may wait."""
        while len(self.waiting) < self._most and (start := self.waiting[-1].skip + PAGE_ROWS) < reach:
            self.ask(start, self._url_at(start))

    def forget(self) -> None:
        """Drop what was asked for."""
        for page in self.waiting:
            page.answer.cancel()
        self.waiting.clear()

    def arrivals(self, until_any: Callable[[Sequence[Future[Any]]], object]) -> Iterator[EarlyPage]:
        """Wait for the page whose turn it is, and yield those that come before it."""
        while not self.waiting[0].answer.done():
            until_any([each.answer for each in self.waiting if not each.is_passed_on])
            for page in islice(self.waiting, 1, None):
                if page.answer.done() and not page.is_passed_on:
                    page.is_passed_on = True
                    # What is wrong with it is told in its turn, if that comes.
                    if not page.answer.exception():
                        yield EarlyPage(page.skip, page.answer.result().cabs)

    def taken(self) -> _Asked:
        """Return the page whose turn it is."""
        page = self.waiting.popleft()
        self._read.add(page.url)
        return page


def rows_on_page(body: bytes, what: str) -> int:
    """Return how many rows a page of the batch has.

    Args:
        body: The answer.
        what: Names it in errors.

    Raises:
        BadAnswer: It is no page.
    """
    return _decoded(body, what).rows


def _skip_of(link: str) -> int | None:
    """Return the skip that a next link names: rows that come twice make it less than the rows so far."""
    named = re.search(r"[?&]skip=([1-9][0-9]{0,8})(?:&|$)", link)
    return int(named[1]) if named else None


def _cabs(rows: list[msgspec.Raw]) -> tuple[tuple[BatchCab, ...], tuple[str, ...]]:
    """Return the readable rows, and what was wrong with each other."""
    cabs: list[BatchCab] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            cabs.append(_cab(bytes(row)))
        except (JsonError, BadInput) as error:
            why = "its cabIdHash is missing or none" if isinstance(error, BadInput) else excerpt(str(error), 120)
            unreadable.append(f"{why}; its shape: {shape_of(bytes(row))}")
    return tuple(cabs), tuple(unreadable)


def _cab(row: bytes) -> BatchCab:
    told = _Fields(row)
    return BatchCab(
        cab_id_hash=checked_cab_id(told.quoted("cabidhash")),
        url=told.quoted("caburl") or None,
        submission_id=told.text("submissionid"),
        date=told.text("date"),
        expires=told.text("cabexpirationtime"),
        downloadable=told.text("cabdownloadable").strip().lower() not in _NO,
    )


class _Fields:
    """The fields of an object, whose keys may be in any case; null is as if it were not there.

    Raises:
        JsonError: It is no object.
    """

    def __init__(self, content: bytes) -> None:
        self._raw: dict[str, list[bytes]] = {}
        for key, raw in decoded(content, dict[str, msgspec.Raw]).items():
            self._raw.setdefault(key.replace("_", "").lower(), []).append(bytes(raw))

    def has(self, *keys: str) -> bool:
        """Tell whether any of the keys is there, be it null."""
        return not self._raw.keys().isdisjoint(keys)

    def values(self, *keys: str) -> list[bytes]:
        """Return what the keys hold, in their order, as JSON."""
        return [raw for key in keys for raw in self._raw.get(key, []) if raw != b"null"]

    def quoted(self, key: str) -> str:
        """Return a field that must be a text; empty where it is none."""
        return next((text for raw in self.values(key) if (text := _unquoted(raw))), "")

    def text(self, key: str) -> str:
        """Return a field as a text, whatever it is; empty where it is an object or a list."""
        raw = next(iter(self.values(key)), b"")
        return _unquoted(raw) if raw[:1] in {b'"', b"{", b"["} else raw.decode()


def _unquoted(raw: bytes) -> str:
    try:
        return decoded(raw, str)
    except JsonError:
        return ""


@dataclass(frozen=True, slots=True)
class _WirePage:
    rows: int
    cabs: tuple[BatchCab, ...]
    unreadable: tuple[str, ...]
    link: str
    has_link_key: bool
    total: int


def _decoded(body: bytes, what: str) -> _WirePage:
    """Read the envelope, whose keys are documented in one spelling and seen in others; each row is read on its own."""
    try:
        page = _Fields(body)
        # Null stands for no rows; a page without the key is none, and decoding nothing says so.
        rows = decoded(next(iter(page.values("value")), b"[]" if page.has("value") else b""), list[msgspec.Raw])
        link = next((text for raw in page.values(*_LINKS) if (text := _unquoted(raw))), "")
        if not link:
            for raw in page.values(*_LINKS):
                decoded(raw, str)  # One that is there and cannot be read must not end the batch.
    except JsonError as error:
        raise BadAnswer(
            f"{what}: the answer is not a page ({excerpt(str(error))}); its shape: {shape_of(body)}"
        ) from None
    if len(rows) > PAGE_ROWS:
        raise BadAnswer(f"{what}: the answer is not a page: it has {len(rows)} rows, {PAGE_ROWS} were asked for")
    total = next(iter(page.values("totalcount")), b"-1")
    return _WirePage(len(rows), *_cabs(rows), link, page.has(*_LINKS), _total(total))


def _total(raw: bytes) -> int:
    try:
        return decoded(raw, int, strict=False)
    except JsonError:
        return -1  # It only helps: what cannot be read must not cost the page.

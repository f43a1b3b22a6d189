"""However the service pages, the next request follows from its answers; a page that is not asked for loses cabs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from shared.core.errors import BadAnswer
from shared.devcenter.cursor import BatchCursor, PageRequest
from shared.devcenter.pages import BatchCab, BatchPage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LINK = "driver/cabdownloadbatch?applicationId=1&failureHash=a&top=100&skip={}"


def page(cabs: Sequence[int], link: str | None = None, total: int = -1, *, has_link_key: bool = True) -> BatchPage:
    rows = tuple(BatchCab(f"cab-{number}", "https://x/y", "", "", "", downloadable=True) for number in cabs)
    return BatchPage(len(rows), (), link or "", has_link_key, total, cabs=rows)


@dataclass
class Reading:
    """What came of following a batch."""

    cabs: set[int] = field(default_factory=set)
    asked: list[PageRequest] = field(default_factory=list)


def read(cursor: BatchCursor, answer: Callable[[PageRequest], BatchPage]) -> Reading:
    reading = Reading()
    request: PageRequest | None = cursor.first()
    while request is not None:
        reading.asked.append(request)
        came = answer(request)
        reading.cabs |= {int(cab.cab_id_hash.removeprefix("cab-")) for cab in came.cabs}
        request = cursor.answered(request, came)
    return reading


class Server:
    """A batch as it is, and how it is told."""

    def __init__(self, rows: int, largest: int = 100) -> None:
        self.rows, self.largest = list(range(rows)), largest

    def at(self, skip: int) -> list[int]:
        return self.rows[skip : skip + self.largest]

    def link_after(self, skip: int) -> str | None:
        return LINK.format(skip + self.largest) if skip + self.largest < len(self.rows) else None


@pytest.mark.parametrize("total", [-1, 350], ids=["links only", "with a total"])
@pytest.mark.parametrize("empty", [[0], [1], [2], [0, 1], [1, 2]], ids=str)
def test_a_page_without_rows_is_no_end_while_it_has_a_link(empty: list[int], total: int) -> None:
    """A page that was filtered to nothing; all that comes after it was once lost without a word."""
    server = Server(350)

    def answer(request: PageRequest) -> BatchPage:
        rows = [] if request.skip // 100 in empty else server.at(request.skip)
        return page(rows, server.link_after(request.skip), total)

    missing = {number for which in empty for number in range(which * 100, which * 100 + 100)}
    assert read(BatchCursor(100), answer).cabs == set(range(350)) - missing


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_a_page_without_rows_is_no_end_before_the_count_is_reached(empty: int) -> None:
    server = Server(350)

    def answer(request: PageRequest) -> BatchPage:
        rows = [] if request.skip // 100 == empty else server.at(request.skip)
        return page(rows, None, 350, has_link_key=False)

    assert len(read(BatchCursor(100), answer).cabs) == 250


@pytest.mark.parametrize("total", [-1, 250])
def test_a_link_behind_the_last_row_ends_with_an_empty_page_or_a_count(total: int) -> None:
    """Some servers link on from their last page; where no count tells the end, a batch may not go on for ever."""
    server = Server(250)

    def answer(request: PageRequest) -> BatchPage:
        return page(server.at(request.skip), LINK.format(request.skip + 100), total)

    if total >= 0:
        assert read(BatchCursor(100), answer).cabs == set(range(250))
    else:
        with pytest.raises(BadAnswer, match="nothing new"):
            read(BatchCursor(100), answer)


def test_a_total_that_is_too_large_is_not_counted_up_to_for_ever() -> None:
    server = Server(250)
    reading = read(BatchCursor(100), lambda asked: page(server.at(asked.skip), None, 10**9, has_link_key=False))
    assert reading.cabs == set(range(250))
    assert len(reading.asked) < 30


@pytest.mark.parametrize("largest", [10, 30, 100])
@pytest.mark.parametrize("rows", [100, 250, 1_000])
@pytest.mark.parametrize(
    "told",
    [
        lambda rows, skip, here: rows - skip,
        lambda rows, skip, here: rows - skip - here,
        lambda rows, skip, here: 0,
        lambda rows, skip, here: 7,
        lambda rows, skip, here: rows if skip == 0 else -1,
    ],
    ids=["what is left", "what comes after", "zero", "too small", "on the first page only"],
)
def test_a_total_is_not_believed_against_the_evidence(
    told: Callable[[int, int, int], int], rows: int, largest: int
) -> None:
    server = Server(rows, largest)

    def answer(request: PageRequest) -> BatchPage:
        here = server.at(request.skip)
        return page(here, None, told(rows, request.skip, len(here)), has_link_key=False)

    assert read(BatchCursor(100), answer).cabs == set(range(rows))


def test_a_total_of_each_page_alone_is_no_end_of_a_full_one() -> None:
    server = Server(250)
    reading = read(
        BatchCursor(100),
        lambda asked: page(server.at(asked.skip), None, len(server.at(asked.skip)), has_link_key=False),
    )
    assert reading.cabs == set(range(250))


def test_pages_that_are_shorter_than_asked_for_lose_no_row() -> None:
    server = Server(430, 50)
    reading = read(BatchCursor(100), lambda asked: page(server.at(asked.skip), None, 430, has_link_key=False))
    assert reading.cabs == set(range(430))
    assert len(reading.asked) == 9


@pytest.mark.parametrize(
    ("link", "requests"),
    [(LINK.format(0), 2), (LINK.format(100), 2), ("driver/cabdownloadbatch?token=x", 2)],
    ids=["to the first", "to itself", "without a skip"],
)
def test_a_page_that_links_to_itself_is_told(link: str, requests: int) -> None:
    """A pull that runs in a circle would never end and never fail."""
    asked: list[PageRequest] = []

    def answer(request: PageRequest) -> BatchPage:
        asked.append(request)
        return page(range(100), link, 100)

    with pytest.raises(BadAnswer, match="before"):
        read(BatchCursor(100), answer)
    assert len(asked) == requests


def test_a_batch_of_ever_new_links_to_known_cabs_is_told() -> None:
    asked: list[PageRequest] = []

    def answer(request: PageRequest) -> BatchPage:
        asked.append(request)
        return page(range(100), f"driver/cabdownloadbatch?token={len(asked)}")

    with pytest.raises(BadAnswer, match="nothing new"):
        read(BatchCursor(100), answer)
    assert len(asked) < 30


def test_one_foreign_link_on_every_page_is_no_circle() -> None:
    """It is not followed; the rows behind it are found by counting."""
    server = Server(350)
    link = "https://evil.example/x"
    reading = read(
        BatchCursor(100), lambda asked: page(server.at(asked.skip), link if server.link_after(asked.skip) else None)
    )
    assert reading.cabs == set(range(350))


def test_counting_that_repeated_rows_have_pushed_too_far_goes_on_until_nothing_comes() -> None:
    server = Server(100, 10)

    def answer(request: PageRequest) -> BatchPage:
        first = max(0, request.skip * 7 // 10)
        return page(server.rows[first : first + 10], None, 100, has_link_key=False)

    assert read(BatchCursor(100), answer).cabs == set(range(100))


def moving(cursor: BatchCursor, first: int, then: int, *, told: bool, linked: bool = True) -> BatchCursor:
    """Read a batch of so many rows, that has so many from its second page on."""

    def answer(request: PageRequest) -> BatchPage:
        server = Server(first if request.skip == 0 else then)
        link = server.link_after(request.skip) if linked else None
        return page(server.at(request.skip), link, len(server.rows) if told else -1, has_link_key=linked)

    read(cursor, answer)
    return cursor


@pytest.mark.parametrize("linked", [True, False])
def test_rows_that_go_away_meanwhile_are_noticed(linked: bool) -> None:
    """Each that goes away moves one behind it onto a page that was read before: that one would be missed."""
    cursor = moving(BatchCursor(100), 250, 249, told=True, linked=linked)
    assert (cursor.may_have_moved, cursor.total) == (True, 250)


def test_rows_that_went_away_since_an_earlier_run_are_noticed() -> None:
    assert moving(BatchCursor(100, 100, total=250), 249, 249, told=True).may_have_moved
    assert not moving(BatchCursor(100, 100, total=249), 249, 249, told=True).may_have_moved


@pytest.mark.parametrize("rows", [0, 100, 250])
def test_without_a_total_rows_may_have_moved_wherever_there_was_more_than_one_page(rows: int) -> None:
    assert moving(BatchCursor(100), rows, rows, told=False).may_have_moved == (rows > 100)
    assert not moving(BatchCursor(100), rows, rows, told=True).may_have_moved

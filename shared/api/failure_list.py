"""The list that people think in: failures by name, with what is held of them; filtered, sorted and paged in memory."""

from __future__ import annotations

from bisect import bisect_right
from copy import replace
from functools import cache
from typing import TYPE_CHECKING

from shared.api.requests import CONTINUATION, LIMIT, PULL_ORDER, PageAsked, Wanted, continuation_text, continued
from shared.core.failure import Failure
from shared.core.threads import OneLook, Pool
from shared.preflight.health import found_by
from shared.progress.overview import FailureSeen
from shared.progress.tally import CabTally
from shared.services import services

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.api.requests import PullOrder, Sort
    from shared.core.threads import Look
    from shared.progress.overview import Seen
    from shared.progress.pull_row import PullRow
    from shared.services import Services

type _Key = tuple[int, str, str]
_LAST = 2**62
# Rows of one page that are read by their keys, and how many of them at once.
_MOST_READ, _READ_AT_ONCE = 100, 16


def page_of(
    failures: Iterable[FailureSeen], order: Sort | PullOrder, limit: int, continuation: str
) -> tuple[list[FailureSeen], str | None]:
    """Return a page of failures in their order, and what continues after it.

    A failure that changes its place between two pages may be missed or come twice; no other is.

    Args:
        failures: All that are asked for.
        order: What comes first.
        limit: The most of a page.
        continuation: What the page before returned; empty for the first.

    Raises:
        BadInput: No page returned such a continuation.
    """
    after = continued(continuation, tuple[int, str, str])
    ordered = sorted((_key(each, order), each) for each in failures)
    begin = bisect_right(ordered, after, key=lambda pair: pair[0]) if after else 0
    page = ordered[begin : begin + limit]
    has_more = begin + limit < len(ordered)
    return [each for _, each in page], continuation_text(page[-1][0] if has_more else None)


def failures_seen() -> Seen:
    """Return all failures, within seconds whatever is broken.

    Raises:
        CabferryError: Storage does not answer, and nothing is known from before.
    """
    return found_by(begin_look())


def begin_look() -> Look[Seen]:
    """Begin to look at all failures, or join the look that is under way."""
    return _looks.start()


def _look() -> Seen:
    return services().overview.look()


@cache
def _readers() -> Pool:
    return Pool(_READ_AT_ONCE, thread_name_prefix="pulls")


def failure_of(parts: Services, failure: Failure) -> FailureSeen | None:
    """Return how a failure stands now, its cabs counted where no row tells it yet; None where nobody ever asked for it.

    Args:
        parts: Of this process.
        failure: Which, as it is stored.

    Raises:
        CabferryError: Sorted by what helps.
    """
    row = parts.pulls.row(failure)
    seen = FailureSeen.of(row) if row else None
    if seen is None or seen.tally:
        return seen
    tally = CabTally.taken(parts.pull_tools.cabs.of(failure).values(), parts.settings)
    return replace(
        seen,
        tally=tally,
        failure_name=seen.failure_name or tally.failure_name,
        driver_name=seen.driver_name or tally.driver_name,
    )


def pulls_of(parts: Services, query: Mapping[str, str]) -> tuple[list[PullRow], str | None]:
    """Return the page of pulls that a query asks for, and what continues after it.

    Where storage cannot find or sort them, what is known of all failures tells which rows to read: at most a hundred.

    Args:
        parts: Of this process.
        query: As it came.

    Raises:
        BadInput: A parameter is not what it should be.
        CabferryError: Sorted by what helps.
    """
    wanted, order = Wanted.parse(query), PULL_ORDER.read(query)
    if not wanted.names_any and order == "ids":
        asked = PageAsked.parse(query)
        stored, after = parts.pulls.page(wanted.state, wanted.family, wanted.application_id, asked.limit, asked.after)
        return stored, continuation_text(after)
    limit, continuation = LIMIT.read(query), CONTINUATION.read(query)
    found = (each for each in failures_seen().failures.values() if wanted.fits(each))
    if order == "ended":
        found = (each for each in found if each.ended_at)
    page, following = page_of(found, order, min(limit, _MOST_READ), continuation)
    rows = list(_readers().map(lambda each: parts.pulls.get(Failure(*each.key)), page))
    return [row for row in rows if row and wanted.fits_state(row.state)], following


def _key(failure: FailureSeen, order: Sort | PullOrder) -> _Key:
    """Return what sorts a failure: the lowest comes first, and no two are the same."""
    tally = failure.tally
    match order:
        case "newest":
            # One of which Microsoft keeps no cab is no news.
            is_open = tally is None or tally.missing > 0
            newest = (tally.last_cab if tally else None) or (failure.queued_at if is_open else None)
            place = -round(newest.timestamp()) if newest else _LAST
        case "cabs":
            place = -tally.held if tally else _LAST
        case "missing":
            place = -tally.missing if tally else _LAST
        case "expiry":
            place = round(tally.next_expiry.timestamp()) if tally and tally.next_expiry else _LAST
        case "ended":
            place = -round(failure.ended_at.timestamp()) if failure.ended_at else _LAST
        case "ids":
            place = 0
    return place, *failure.key


_looks = OneLook(_look, "failures")

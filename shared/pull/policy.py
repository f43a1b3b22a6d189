"""What a pull decides while it runs: functions over what it knows. Nothing here asks, waits or writes.

1. The batch is read page by page, one ahead of those that are copied. Of a page, what is held is dropped, and the rest
   copied side by side.
2. Each cab ends in one recorded state, and its failure never stops the page. Where it could still succeed by a later
   try, the checkpoint stays before its page; later pages are copied all the same, until nothing works at all.
3. An expired SAS gets a fresh URL: its page is asked for again, once, and where that has none that works, the cab by
   itself, once. A cab that seems to be gone past its expiry is asked for by its page before that is said.
4. A page that fails ends the reading, and what was read before is still copied. Where time is up, or an error is not
   one cab's own, nothing more is begun.

`shared/pull/run.py` makes it happen: it gives each event to `take_in`, and does what `orders` says. How a run begins is
decided in `shared/pull/beginnings.py`, what becomes of a cab whose copy ended in `shared/pull/outcomes.py`, and how a
run ends in `shared/pull/endings.py`.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from shared.core.clock import moment_of
from shared.core.errors import CabferryError, OutOfTime
from shared.core.keep import Candidate
from shared.devcenter.cursor import PageRequest, page_end
from shared.devcenter.pages import BatchPage
from shared.progress.cab_row import CabState
from shared.pull import outcomes
from shared.pull.endings import ProcessEnds
from shared.pull.state import (
    AskPage,
    CabEnded,
    Checkpoint,
    Decided,
    Naming,
    PageAtWork,
    PageCame,
    PageEnded,
    Pull,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from shared.devcenter.pages import BatchCab
    from shared.progress.cab_row import CabRow
    from shared.pull.state import Event, Order

# How often a pull writes down what it has done, before it ends. A host that dies costs a refused copy and a look for
# each cab of these seconds; what is written down is written once more at the end, when the lengths are known.
_CHECKPOINT_SECONDS = 5.0
# How long nobody looks whether the process should end.
_LOOK_SECONDS = 1.0
# As many pages are copied at once: while the slowest cabs of one end, those of the next keep the threads busy.
_PAGES_COPYING = 8
# And no further page where so many cabs are under way: one of the analytics may have 10,000 rows.
_CABS_COPYING = 800
# How often a batch is read where rows go away meanwhile; what is missed then is found by the next pull.
_MOST_PASSES = 3


def orders(pull: Pull, moment: datetime) -> Iterator[Order]:
    """Yield what to begin now: a page is asked for ahead, and copied as soon as there is room."""
    if isinstance(pull.coming, PageCame) and len(pull.pages) < _PAGES_COPYING and pull.copying < _CABS_COPYING:
        yield from _read(pull, pull.coming, moment)
        _move_on(pull)
        _turn(pull)
    if isinstance(pull.coming, PageRequest):
        pull.coming = AskPage(pull.coming)
        yield pull.coming


def is_over(pull: Pull) -> bool:
    """Tell whether nothing is left to do and no copy on its way; a page that nobody needs is not waited for."""
    return pull.coming is None and all(page.is_done for page in pull.pages)


def wait_seconds(pull: Pull, now: float) -> float:
    """Return how long to wait for an event before the clock is looked at."""
    due = pull.written_at + _CHECKPOINT_SECONDS if pull.ledger.unwritten else now + _LOOK_SECONDS
    ends = now + _LOOK_SECONDS if pull.until is None or pull.is_cut_short else pull.until
    return max(0.0, min(due - now, ends - now, _LOOK_SECONDS))


def must_write(pull: Pull, now: float) -> bool:
    """Tell whether it is time to write down what was done. The end writes the rest, with the lengths."""
    return pull.ledger.unwritten > 0 and now >= pull.written_at + _CHECKPOINT_SECONDS


def look_at_clock(pull: Pull, now: float, *, is_stopping: bool) -> None:
    """End the run where its time is used, or the process is asked to end."""
    if pull.until is not None and now >= pull.until:
        pull.cut_short(OutOfTime("the time budget is used"))
    elif is_stopping:
        pull.cut_short(ProcessEnds("the process ends"))


def take_in(pull: Pull, event: Event, now: float, moment: datetime) -> Iterator[Order]:
    """Take in what happened, and yield what to begin for it.

    Args:
        pull: What is known.
        event: What happened.
        now: The monotonic clock.
        moment: The present.
    """
    match event:
        case PageEnded(AskPage(_, PageAtWork() as page), answer):
            yield from outcomes.came_again(pull, page, answer, moment)
        case PageEnded(_, BaseException() as error):
            pull.end, pull.coming = pull.end or error, None
        case PageEnded(ask, BatchPage() as came):
            pull.until = pull.until or now + pull.keeping.settings.pull_time_budget.total_seconds()
            pull.coming = None if pull.end else PageCame(ask.request, came)
        case CabEnded():
            event.copy.page.copying -= 1
            yield from outcomes.ended(pull, event, moment)
    _move_on(pull)
    _turn(pull)


def _read(pull: Pull, came: PageCame, moment: datetime) -> Iterator[Order]:
    """Follow the batch."""
    try:
        pull.coming = pull.cursor.answered(came.request, came.page)
    except CabferryError as error:
        pull.coming, pull.end = None, error
    pull.total = max(pull.total, pull.cursor.total)
    if isinstance(pull.choice, Naming):
        pull.choice.cabs.update(_candidates(pull, came.page.cabs, moment))
    else:
        yield from _begin(pull, came, moment)


def _turn(pull: Pull) -> None:
    """Read the batch once more: rows may have moved onto pages that were read, or all are known now."""
    if pull.end or pull.coming or pull.pages:
        return
    cursor = pull.cursor
    if cursor.may_have_moved and pull.passes < (_MOST_PASSES if cursor.has_total else 2):
        pull.passes += 1
        if cursor.has_total:
            pull.safe, pull.total = Checkpoint(), 0
        else:
            # All was read, and this is to be sure: who is interrupted in it need not begin it again.
            pull.stays = True
    elif isinstance(pull.choice, Naming):
        # The order of the batch is undocumented, so it is read once before anything is copied.
        pull.choice = Decided(pull.ledger.skip(pull.keeping, pull.choice.cabs))
        # From its beginning: of what an earlier run has left out there, some may be kept by now.
        pull.passes, pull.stays = 1, False
        pull.safe, pull.total = Checkpoint(), 0
    else:
        return
    pull.read_anew()


def _begin(pull: Pull, came: PageCame, moment: datetime) -> Iterator[Order]:
    """Drop what is held or was tried, and yield a copy for each of the rest."""
    pull.unreadable = pull.unreadable or next(iter(came.page.unreadable), "")
    if isinstance(pull.choice, Decided):
        skipped = pull.choice.skipped
    else:
        skipped = pull.keeping.skipped(_candidates(pull, came.page.cabs, moment))
    wanted = {cab.cab_id_hash: cab for cab in came.page.cabs if _sees_and_wants(pull, cab, skipped, moment)}
    pull.tried |= wanted.keys()
    pull.reached = replace(
        pull.reached,
        skip=page_end(came.request, came.page),
        named=len(pull.ledger.named),
        without_cab=pull.reached.without_cab + came.page.without_cab,
        unreadable=pull.reached.unreadable + len(came.page.unreadable),
    )
    page = PageAtWork(came.request, pull.reached)
    pull.pages.append(page)
    for cab in wanted.values():
        yield from outcomes.copy(pull, page, cab, moment)


def _candidates(pull: Pull, cabs: Iterable[BatchCab], moment: datetime) -> dict[str, Candidate]:
    """Return what rules look at of cabs that the batch names: those that are here, and those that are to be copied."""
    found: dict[str, Candidate] = {}
    for cab in cabs:
        known = pull.ledger.cabs.get(cab.cab_id_hash)
        is_held = known is not None and known.state is CabState.COPIED
        if is_held or (_wants(known, cab, moment) and not (known and known.was_replaced)):
            is_refused = known is not None and known.state is CabState.UNAVAILABLE
            date = moment_of(cab.date) or moment_of(cab.expires)
            found[cab.cab_id_hash] = Candidate(pull.ledger.facts(cab), date, is_held, is_refused)
    return found


def _sees_and_wants(pull: Pull, cab: BatchCab, skipped: Mapping[str, str], moment: datetime) -> bool:
    name, known = cab.cab_id_hash, pull.ledger.cabs.get(cab.cab_id_hash)
    wanted = name not in skipped and name not in pull.tried and _wants(known, cab, moment)
    pull.ledger.see(cab)
    if name in skipped:
        pull.ledger.pass_over(cab, skipped[name])
    return wanted


def _wants(known: CabRow | None, cab: BatchCab, moment: datetime) -> bool:
    """Tell whether a cab that the batch names is to be copied: its row does not say that it is held, nor gone.

    One that was called expired is tried again where the batch names a later expiry now, or one that is still to come.
    """
    if known is None or known.state is not CabState.EXPIRED:
        return known is None or not known.is_held
    expires = moment_of(cab.expires)
    return expires is not None and (expires > moment or (known.expires is not None and expires > known.expires))


def _move_on(pull: Pull) -> None:
    """Move the checkpoint past the pages that are done, but not past one of which a cab must be tried again."""
    while pull.pages and pull.pages[0].is_done:
        page = pull.pages.popleft()
        pull.stays |= page.holds
        if not pull.stays:
            pull.safe = page.safe
        elif page.holds and page.request.skip < pull.safe.skip:
            pull.safe = Checkpoint()  # It was found by the second look, behind which nobody comes back to it.

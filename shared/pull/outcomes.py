"""What becomes of each cab that a pull begins to copy: one recorded state, or another try. Functions without I/O.

| a copy ends with | becomes |
|---|---|
| a blob | `copied` |
| `FreshUrl`, or gone past its expiry | a try with a fresh URL, once; then `expired`, or where it has not expired: |
| | a try with a URL that is asked for by itself, once; then as `AgainLater` |
| `AgainLater`, `AgainNow` | `failed` for now; the checkpoint stays before its page, and a later run tries it again |
| `OutOfTime`, `DayIsFull`, `NeedsPerson`, `LeaseLost`, the process's end | as it was: nothing more is begun |
| `CabExpired`, `CabUnavailable` | `expired`, `unavailable`, as which it stays where Microsoft never let it go |
| any other | `failed`: its failure alone, which stops no other cab |
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from shared.core.errors import (
    AgainLater,
    AgainNow,
    CabExpired,
    CabferryError,
    CabUnavailable,
    DayIsFull,
    FreshUrl,
    LeaseLost,
    NeedsPerson,
    Never,
    OutOfTime,
)
from shared.progress.cab_row import CabState
from shared.pull.endings import shown
from shared.pull.state import AskPage, CabEnded, CopyCab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.devcenter.pages import BatchCab, BatchPage
    from shared.pull.state import Order, PageAtWork, Pull

# After so many cabs that must be tried again, and none in between that was settled, no more are tried.
_NOTHING_WORKS = 20
_STATES: dict[type[Exception], CabState] = {CabExpired: CabState.EXPIRED, CabUnavailable: CabState.UNAVAILABLE}


def copy(pull: Pull, page: PageAtWork, cab: BatchCab, moment: datetime, *, is_fresh: bool = False) -> Iterator[Order]:
    """Begin to copy a cab, where that is allowed."""
    order = CopyCab(page, cab, pull.ledger.facts(cab), pull.until, is_fresh)
    if cab.downloadable:
        page.copying += 1
        yield order
    else:
        why = f"cab {cab.cab_id_hash}: Microsoft lists it, but does not let it be downloaded"
        yield from ended(pull, CabEnded(order, CabUnavailable(why)), moment)


def ended(pull: Pull, event: CabEnded, moment: datetime) -> Iterator[Order]:
    """Decide what became of a cab, and record it; or ask for its page once more, where that may help."""
    page, cab, error = event.copy.page, event.copy.cab, event.outcome
    if not isinstance(error, BaseException):
        pull.again_in_a_row = 0
        pull.ledger.record_copied(cab, *error)
        return
    known = pull.ledger.cabs.get(cab.cab_id_hash)
    # What Microsoft did not let go while its time was not over could be had by nobody, and does not become `expired`.
    is_late = cab.has_expired(moment) and not (known and known.was_never_let_go)
    may_be_had = isinstance(error, FreshUrl) or (isinstance(error, CabUnavailable) and is_late)
    # A URL that is asked for by itself, right before the copy, is fresh: only its SAS may have ended meanwhile.
    is_fresh = event.copy.is_fresh or (cab.url is None and not isinstance(error, FreshUrl))
    if page.fresh is not None and event.copy.is_fresh and cab.url is None and isinstance(error, FreshUrl | Never):
        # The batch has no URL for it that works, and asked for by itself it is not to be had either. In the end that is
        # its own failure, and no reason to give up the pull of the others.
        is_its_own = pull.row.stalled + 1 >= pull.most_tries and isinstance(error, Never)
        _record(pull, event, error if is_its_own else _stays_refused(error))
    elif not may_be_had:
        _record(pull, event, error)
    elif is_fresh:
        yield from _by_itself(pull, event, _stays_refused(error), moment)
    elif pull.is_cut_short:
        page.hold()
    elif cab.url is None:
        # Of its family a cab's URL is had by a call of its own, right before each copy.
        yield from copy(pull, page, cab, moment, is_fresh=True)
    else:
        yield from _from_its_page(pull, event, moment)


def _from_its_page(pull: Pull, event: CabEnded, moment: datetime) -> Iterator[Order]:
    """Ask for a cab's page again, once for all of its cabs, and copy it from the fresh URL."""
    page, cab = event.copy.page, event.copy.cab
    if page.fresh is None:
        page.fresh = [event]
        yield AskPage(page.request, again=page)
    elif isinstance(page.fresh, list):
        page.fresh.append(event)
    elif isinstance(page.fresh, BaseException):
        _record(pull, event, page.fresh)
    elif fresh := next((each for each in page.fresh.cabs if each.cab_id_hash == cab.cab_id_hash), None):
        yield from copy(pull, page, fresh, moment, is_fresh=True)
    else:
        missing = f"cab {cab.cab_id_hash}: its SAS is refused, and its page of the batch has no fresh URL for it"
        yield from _by_itself(pull, event, AgainLater(missing), moment)


def came_again(pull: Pull, page: PageAtWork, answer: BatchPage | BaseException, moment: datetime) -> Iterator[Order]:
    """Decide anew about the cabs that waited for a page's fresh URLs."""
    waiting, page.fresh = page.waiting, answer
    for each in waiting:
        yield from ended(pull, each, moment)


def _by_itself(pull: Pull, event: CabEnded, otherwise: AgainLater, moment: datetime) -> Iterator[Order]:
    """Ask for a cab by itself, once, where its batch has no URL for it that works and it has not expired."""
    cab = event.copy.cab
    if cab.has_expired(moment):
        _record(pull, event, CabExpired(f"{event.outcome}, and the cab expired at {cab.expires} UTC"))
    elif cab.url is None or pull.is_cut_short:
        _record(pull, event, otherwise)
    else:
        yield from copy(pull, event.copy.page, replace(cab, url=None), moment, is_fresh=True)


def _stays_refused(error: BaseException) -> AgainLater:
    return AgainLater(f"{error}, although its URL is fresh" if isinstance(error, FreshUrl) else str(error))


def _record(pull: Pull, event: CabEnded, error: BaseException) -> None:
    """Record why a cab was not copied; where that is not its own failure, nothing more is begun."""
    page, cab = event.copy.page, event.copy.cab
    match error:
        case OutOfTime() | DayIsFull() | NeedsPerson() | LeaseLost():
            page.hold()  # The cab stays as it was.
            pull.cut_short(error)
        case AgainLater() | AgainNow():
            again = error if isinstance(error, AgainLater) else AgainLater(str(error))
            pull.ledger.record_missed(cab, CabState.FAILED, str(error))
            page.hold()
            pull.tried.discard(cab.cab_id_hash)
            pull.again, pull.again_in_a_row = pull.again or again, pull.again_in_a_row + 1
            if pull.again_in_a_row >= _NOTHING_WORKS:
                pull.cut_short(again)
        case Exception():  # What nobody foresaw about one cab is its failure alone, too.
            pull.again_in_a_row = 0
            told = str(error) if isinstance(error, CabferryError) else f"unforeseen: {shown(error)}"
            pull.ledger.record_missed(cab, _STATES.get(type(error), CabState.FAILED), told)
        case _:  # The process ends.
            page.hold()
            pull.cut_short(error)

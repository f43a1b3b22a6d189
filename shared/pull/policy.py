"""What a pull decides, and how it ends: functions over what it knows. Nothing here asks, waits or writes.

1. The batch is read page by page, one ahead of those that are copied. Of a page, what is held is dropped, and the rest
   copied side by side.
2. Each cab ends in one recorded state, and its failure never stops the page. Where it could still succeed by a later
   try, the checkpoint stays before its page; later pages are copied all the same, until nothing works at all.
3. An expired SAS gets a fresh URL: its page is asked for again, once. A cab that seems to be gone past its expiry is
   asked for in the same way before that is said.
4. A page that fails ends the reading, and what was read before is still copied. Where time is up, or an error is not
   one cab's own, nothing more is begun.
5. How that ends, by the kind of error (shared/core/errors.py draws the tree), is decided in `ending`.

`shared/pull/run.py` makes it happen: it gives each event to `take_in`, and does what `orders` says.
"""

from __future__ import annotations

import heapq
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.backoff import growing_wait, spread
from shared.core.clock import moment_of
from shared.core.errors import (
    AgainLater,
    AgainNow,
    CabExpired,
    CabferryError,
    CabUnavailable,
    CircuitOpen,
    FreshUrl,
    LeaseLost,
    NeedsPerson,
    Never,
    OutOfTime,
)
from shared.core.redaction import redact
from shared.devcenter.cursor import BatchCursor, page_end
from shared.progress.cabs import CabState
from shared.progress.pulls import NO_MOMENT, ErrorKind, PullState, counted, ended_columns
from shared.pull.state import (
    AskPage,
    CabEnded,
    Checkpoint,
    CopyCab,
    PageAtWork,
    PageCame,
    PageCameAgain,
    PageFailed,
    Pull,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.settings import Settings
    from shared.devcenter.pages import BatchCab
    from shared.progress.cabs import CabRow
    from shared.progress.pulls import CabCounts, PullRow
    from shared.pull.ledger import CabLedger
    from shared.pull.state import Event, Order
    from shared.storage.table_writes import Columns

# A message that finds another owner looks again after this, or when that owner's lease can have ended, if it is sooner.
LOOK_AGAIN = timedelta(seconds=15)
# How often a pull writes down what it has done, before it ends. A host that dies costs a refused copy and a look for
# each cab of these seconds; what is written down is written once more at the end, when the lengths are known.
CHECKPOINT_SECONDS = 5.0
# How long nobody looks whether the process should end.
_LOOK_SECONDS = 1.0
# As many pages are copied at once: while the slowest cabs of one end, those of the next keep the threads busy.
_PAGES_COPYING = 8
# After so many cabs that must be tried again, and none in between that was settled, no more are tried.
_NOTHING_WORKS = 20
# How often a batch is read where rows go away meanwhile; what is missed then is found by the next pull.
_MOST_PASSES = 3
# So long a wait that was asked for does not count as a try without progress; none grows beyond the second.
_PATIENCE, _LONGEST_WAIT = timedelta(hours=3), timedelta(hours=1)


class ProcessEnds(OutOfTime):
    """The process was asked to end."""


def begun(row: PullRow, ledger: CabLedger, settings: Settings, page_rows: int, now: float) -> Pull:
    """Return what a run knows as it begins: where there is a limit, the newest cabs are sought first."""
    most = settings.max_cabs_per_failure
    cursor = BatchCursor(page_rows) if most else BatchCursor(page_rows, row.skip, row.total)
    return Pull(
        row=row,
        ledger=ledger,
        most=most,
        budget=settings.pull_time_budget.total_seconds(),
        cursor=cursor,
        page_rows=page_rows,
        safe=Checkpoint(row.skip, row.counts.already_held, row.without_cab),
        without_cab=row.without_cab,
        total=row.total,
        checkpoint_at=now + CHECKPOINT_SECONDS,
        to_ask=cursor.first(),
        dates={} if most else None,
    )


def orders(pull: Pull, moment: datetime) -> Iterator[Order]:
    """Yield what to begin now: a page is asked for ahead, and copied as soon as there is room."""
    if pull.ahead and not pull.is_cut_short and len(pull.pages) < _PAGES_COPYING:
        came, pull.ahead = pull.ahead, None
        yield from _begin(pull, came, moment)
        _move_on(pull)
        _turn(pull)
    if pull.to_ask and not (pull.end or pull.is_asking or pull.ahead):
        request, pull.to_ask, pull.is_asking = pull.to_ask, None, True
        yield AskPage(request)


def is_over(pull: Pull) -> bool:
    """Tell whether nothing is left to do and no copy on its way; a page that nobody needs is not waited for."""
    waits = pull.copying or any(page.refused for page in pull.pages)
    if pull.end:
        return not waits and (pull.is_cut_short or not pull.ahead)
    return not (waits or pull.is_asking or pull.ahead or pull.to_ask or pull.pages)


def wait_seconds(pull: Pull, now: float) -> float:
    """Return how long to wait for an event before the clock is looked at."""
    due = pull.checkpoint_at if pull.ledger.has_unwritten else now + _LOOK_SECONDS
    ends = now + _LOOK_SECONDS if pull.until is None or pull.is_cut_short else pull.until
    return max(0.0, min(due - now, ends - now, _LOOK_SECONDS))


def must_write(pull: Pull, now: float) -> bool:
    """Tell whether it is time to write down what was done. The end writes the rest, with the lengths."""
    return pull.ledger.has_unwritten and now >= pull.checkpoint_at


def look_at_clock(pull: Pull, now: float, *, is_stopping: bool) -> None:
    """End the run where its time is used, or the process is asked to end."""
    if pull.until is not None and now >= pull.until:
        cut_short(pull, OutOfTime("the time budget is used"))
    elif is_stopping:
        cut_short(pull, ProcessEnds("the process ends"))


def cut_short(pull: Pull, error: BaseException) -> None:
    """Begin nothing more. Copies on their way end by themselves."""
    pull.end, pull.is_cut_short = pull.end or error, True
    for page in pull.pages:
        _hold(page, len(page.refused))
        page.refused.clear()


def take_in(pull: Pull, event: Event, now: float, moment: datetime) -> Iterator[Order]:
    """Take in what happened, and yield what to begin for it.

    Args:
        pull: What is known.
        event: What happened.
        now: The monotonic clock.
        moment: The present.
    """
    match event:
        case PageCame():
            pull.is_asking = False
            pull.until = pull.until or now + pull.budget
            if not pull.end:
                _read(pull, event)
        case PageFailed(error):
            pull.is_asking, pull.end = False, pull.end or error
        case PageCameAgain(page, answer):
            page.fresh = answer
            refused, page.refused = page.refused, []
            for cab, error in refused:
                yield from _once_more(pull, page, cab, error, moment)
        case CabEnded():
            pull.copying -= 1
            yield from _judge(pull, event, moment)
    _move_on(pull)
    _turn(pull)


def _read(pull: Pull, came: PageCame) -> None:
    """Follow the batch."""
    try:
        pull.to_ask = pull.cursor.answered(came.request, came.page)
    except CabferryError as error:
        pull.end = error
    pull.total = max(pull.total, pull.cursor.total)
    if pull.dates is None:
        pull.ahead = came
    else:
        pull.dates |= {cab.cab_id_hash: _collected(cab) for cab in came.page.cabs}


def _turn(pull: Pull) -> None:
    """Read the batch once more: rows may have moved onto pages that were read, or the newest cabs are known now."""
    if pull.end or pull.is_asking or pull.to_ask or pull.ahead or pull.pages:
        return
    cursor = pull.cursor
    if cursor.may_have_moved and pull.passes < (_MOST_PASSES if cursor.has_total else 2):
        pull.passes, pull.cursor = pull.passes + 1, BatchCursor(pull.page_rows)
        if cursor.has_total:
            pull.safe, pull.total, pull.without_cab = Checkpoint(0, 0), 0, 0
        else:
            # All was read, and this is to be sure: who is interrupted in it need not begin it again.
            pull.stays = True
    elif pull.dates is not None:
        # The order of the batch is undocumented, so it is read once before anything is copied.
        pull.newest = frozenset(heapq.nlargest(pull.most, pull.dates, key=pull.dates.__getitem__))
        pull.dates, pull.passes, pull.stays = None, 1, False
        row = pull.row
        pull.safe, pull.total = Checkpoint(row.skip, row.counts.already_held, row.without_cab), row.total
        pull.cursor = BatchCursor(pull.page_rows, row.skip, row.total)
    else:
        return
    pull.to_ask = pull.cursor.first()


def _begin(pull: Pull, came: PageCame, moment: datetime) -> Iterator[Order]:
    """Drop what is held or was tried, and yield a copy for each of the rest."""
    pull.unreadable = pull.unreadable or next(iter(came.page.unreadable), "")
    pull.ledger.see_unreadable(len(came.page.unreadable))
    wanted = {cab.cab_id_hash: cab for cab in came.page.cabs if _sees_and_wants(pull, cab, moment)}
    pull.tried |= wanted.keys()
    pull.without_cab += came.page.without_cab
    if not pull.told.failure_name:
        pull.told = next((told for cab in came.page.cabs if (told := pull.ledger.facts(cab)).failure_name), pull.told)
    safe = Checkpoint(page_end(came.request, came.page), pull.ledger.counts().already_held, pull.without_cab)
    page = PageAtWork(came.request, safe, len(wanted))
    pull.pages.append(page)
    pull.copying += len(wanted)
    yield from (CopyCab(page, cab) for cab in wanted.values())


def _sees_and_wants(pull: Pull, cab: BatchCab, moment: datetime) -> bool:
    name, known = cab.cab_id_hash, pull.ledger.cabs.get(cab.cab_id_hash)
    is_left = pull.newest is None or name in pull.newest
    wanted = is_left and name not in pull.tried and wants(known, cab, moment)
    pull.ledger.see(name, is_wanted=wanted)
    if not is_left:
        pull.ledger.pass_over(name)
    return wanted


def wants(known: CabRow | None, cab: BatchCab, moment: datetime) -> bool:
    """Tell whether a cab is to be copied: it is not held, nor gone.

    One that was called expired is tried again where the batch names a later expiry now, or one that is still to come.

    Args:
        known: Its row; None where it has none.
        cab: As the batch names it.
        moment: The present.
    """
    if known is None or known.state is not CabState.EXPIRED:
        return known is None or not known.is_held
    expires = moment_of(cab.expires)
    return expires is not None and (expires > moment or (known.expires is not None and expires > known.expires))


def _judge(pull: Pull, ended: CabEnded, moment: datetime) -> Iterator[Order]:
    """Decide what became of a cab, and record it; or ask for its page once more, where that may help."""
    page, cab, error = ended.page, ended.cab, ended.outcome
    if not isinstance(error, BaseException):
        _settle(pull, page)
        pull.ledger.record_copied(cab, *error)
        return
    may_be_had = isinstance(error, FreshUrl) or (isinstance(error, CabUnavailable) and cab.has_expired(moment))
    if not may_be_had:
        _record(pull, page, cab, error)
    elif ended.is_fresh:
        stays_refused = AgainLater(f"{error}, although its URL is fresh")
        _record(pull, page, cab, _expired(cab, error) if cab.has_expired(moment) else stays_refused)
    elif cab.url is None and not pull.is_cut_short:
        # Of its family a cab's URL is had by a call of its own, right before each copy.
        pull.copying += 1
        yield CopyCab(page, cab, is_fresh=True)
    elif page.fresh is not None:
        yield from _once_more(pull, page, cab, error, moment)
    elif pull.is_cut_short:
        _hold(page, 1)
    else:
        page.refused.append((cab, error))
        if not page.is_asked_again:
            page.is_asked_again = True
            yield AskPage(page.request, again=page)


def _once_more(
    pull: Pull, page: PageAtWork, cab: BatchCab, refusal: BaseException, moment: datetime
) -> Iterator[CopyCab]:
    """Copy a cab from its fresh URL, or record why there is none."""
    if isinstance(page.fresh, BaseException):
        _record(pull, page, cab, page.fresh)
        return
    cabs = page.fresh.cabs if page.fresh else ()
    fresh = next((each for each in cabs if each.cab_id_hash == cab.cab_id_hash), None)
    if fresh is not None:
        pull.copying += 1
        yield CopyCab(page, fresh, is_fresh=True)
    else:
        missing = f"cab {cab.cab_id_hash}: its SAS is refused, and its page of the batch has no fresh URL for it"
        _record(pull, page, cab, _expired(cab, refusal) if cab.has_expired(moment) else AgainLater(missing))


def _expired(cab: BatchCab, refusal: BaseException) -> CabExpired:
    return CabExpired(f"{refusal}, and the cab expired at {cab.expires} UTC")


def _record(pull: Pull, page: PageAtWork, cab: BatchCab, error: BaseException) -> None:
    """Record why a cab was not copied; where that is not its own failure, nothing more is begun."""
    match error:
        case OutOfTime() | NeedsPerson() | LeaseLost():
            _hold(page, 1)  # The cab stays as it was.
            cut_short(pull, error)
        case AgainLater() | AgainNow():
            again = error if isinstance(error, AgainLater) else AgainLater(str(error))
            pull.ledger.record_missed(cab, CabState.FAILED, str(error))
            _hold(page, 1)
            pull.tried.discard(cab.cab_id_hash)
            pull.again, pull.again_in_a_row = pull.again or again, pull.again_in_a_row + 1
            if pull.again_in_a_row >= _NOTHING_WORKS:
                cut_short(pull, again)
        case CabExpired():
            _settle(pull, page)
            pull.ledger.record_missed(cab, CabState.EXPIRED, str(error))
        case CabUnavailable():
            _settle(pull, page)
            pull.ledger.record_missed(cab, CabState.UNAVAILABLE, str(error))
        case CabferryError():
            _settle(pull, page)
            pull.ledger.record_missed(cab, CabState.FAILED, str(error))
        case Exception():  # What nobody foresaw about one cab stops no other.
            _settle(pull, page)
            pull.ledger.record_missed(cab, CabState.FAILED, f"unforeseen: {_seen(error)}")
        case _:  # The process ends.
            _hold(page, 1)
            cut_short(pull, error)


def _settle(pull: Pull, page: PageAtWork) -> None:
    page.left -= 1
    pull.again_in_a_row = 0


def _hold(page: PageAtWork, cabs: int) -> None:
    """Note that cabs of a page have not come to their end in this run."""
    page.left -= cabs
    page.holds |= cabs > 0


def _move_on(pull: Pull) -> None:
    """Move the checkpoint past the pages that are done, but not past one of which a cab must be tried again."""
    while pull.pages and not pull.pages[0].left:
        page = pull.pages.popleft()
        pull.stays |= page.holds
        if not pull.stays:
            pull.safe = page.safe


def _collected(cab: BatchCab) -> datetime:
    return moment_of(cab.date) or moment_of(cab.expires) or datetime.min.replace(tzinfo=UTC)


# How it ends.


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends.

    Args:
        columns: What the pull's row becomes.
        told: What the log says, and how loudly.
        again_in: After how long a message goes on with it; None where none does.
        error: What the host is to hear of, so that it tries the message itself again.
    """

    columns: Columns
    told: str
    level: int
    again_in: timedelta | None = None
    error: Exception | None = None

    @property
    def is_failure(self) -> bool:
        """Tell whether the pull is given up until a person, or the reconcile, asks for it again."""
        return self.columns["state"] == PullState.FAILED.value


def ending(pull: Pull, error: Exception | None, most_tries: int, moment: datetime) -> Ending:
    """Decide how a run ends.

    Args:
        pull: What is known.
        error: What ended it; None where it came to its end.
        most_tries: PULL_MAX_ATTEMPTS.
        moment: The present.
    """
    match error:
        case None:
            return _completed(pull)
        case OutOfTime():
            return _handed_on(pull, error, most_tries, moment)
        case CircuitOpen():
            # Nobody was asked, so this counts as no try.
            return _again(pull, error, spread(error.wait or LOOK_AGAIN), {}, moment)
        case AgainLater():
            return _tried_again(pull, error, most_tries, moment)
        case NeedsPerson() | Never():
            kind = ErrorKind.NEVER if isinstance(error, Never) else ErrorKind.PERSON
            return failed(progress(pull), str(error), kind)
        case _:
            return _unforeseen(pull, error, most_tries)


def given_up(row: PullRow, most_tries: int) -> Ending | None:
    """Return the ending of a pull whose hosts died over it too often, without a new cab in between; None to go on."""
    if row.stalled < most_tries:
        return None
    told = f"the last: {row.last_error}" if row.last_error else "each time its host ended in the middle of it"
    return failed({}, f"given up after {row.stalled} tries in a row without a new cab; {told}", ErrorKind.UNFORESEEN)


def failed(columns: Columns, reason: str, kind: ErrorKind) -> Ending:
    """Return the one ending that no message follows, though not all is well."""
    return Ending({**columns, **ended_columns(PullState.FAILED, reason, kind)}, f"Failed: {reason}", logging.ERROR)


def progress(pull: Pull) -> Columns:
    """Return the checkpoint's columns: what is settled by now, and where a later try goes on."""
    counts = _counts(pull)
    tries: Columns = {"stalled": 0, "waitingSince": NO_MOMENT} if _has_moved_on(pull, counts) else {}
    named = {"failureName": pull.told.failure_name, "driverName": pull.told.driver_name}
    return {
        "skip": pull.safe.skip,
        "total": pull.total,
        "withoutCab": pull.safe.without_cab,
        **{name: text for name, text in named.items() if text},
        **counted(counts),
        **tries,
    }


def _counts(pull: Pull) -> CabCounts:
    if pull.ledger.has_unwritten:
        return pull.row.counts  # As the checkpoint: what the table does not have is found again by a later try.
    # Held cabs beyond the checkpoint are seen again by a later try, and counted then.
    now = pull.ledger.counts()
    again = now.already_held - pull.safe.already_held
    return replace(now, seen=now.seen - again, already_held=now.already_held - again)


def _has_moved_on(pull: Pull, now: CabCounts) -> bool:
    """Tell whether a cab that is new was settled. Rows that come again are no progress."""
    before = pull.row.counts
    return (
        now.copied > before.copied
        or now.already_held > before.already_held
        or now.expired > before.expired
        or now.unavailable > before.unavailable
    )


def _completed(pull: Pull) -> Ending:
    """Every cab of the batch ended in a state; say what a person should know of those that failed."""
    counts = pull.ledger.counts()
    first = pull.ledger.first_error() or pull.unreadable
    error = f"{counts.failed} cabs failed; the first: {first}"[:2000] if counts.failed else ""
    level = logging.WARNING if error else logging.INFO
    columns = {**progress(pull), **ended_columns(PullState.COMPLETED, error)}
    return Ending(columns, f"Completed: {counts} {error}", level)


def _handed_on(pull: Pull, why: OutOfTime, most_tries: int, moment: datetime) -> Ending:
    """Let a new message do the rest. Where a whole time budget brought nothing, that is a try that failed."""
    columns = progress(pull)
    if not (isinstance(why, ProcessEnds) or pull.safe.skip > pull.row.skip or _has_moved_on(pull, _counts(pull))):
        stalled = pull.row.stalled + 1
        columns = {**columns, "stalled": stalled}
        if stalled >= most_tries:
            reason = f"PULL_TIME_BUDGET was used {stalled} times in a row without a new cab: raise it ({why})"
            return failed(columns, reason, ErrorKind.LATER)
    queued: Columns = {**columns, "state": PullState.QUEUED.value, "updatedAt": moment}
    return Ending(queued, f"handed on, since {why}, at row {pull.safe.skip}", logging.INFO, timedelta())


def _tried_again(pull: Pull, error: AgainLater, most_tries: int, moment: datetime) -> Ending:
    """Try again after a while, or give up after too many tries in a row without a new cab.

    A wait that was asked for is the least, grows as long as it does not help, and is no such try for some hours.
    """
    row, moved_on = pull.row, _has_moved_on(pull, _counts(pull))
    stalled, since = (0, None) if moved_on else (row.stalled, row.waiting_since)
    if error.wait is None:
        stalled += 1
        wait = growing_wait(stalled)
    else:
        since = since or moment
        stalled += moment - since >= _PATIENCE
        wait = spread(max(error.wait, min(moment - since, _LONGEST_WAIT)))
    tries: Columns = {"attempts": row.attempts + 1, "stalled": stalled, "waitingSince": since or NO_MOMENT}
    if stalled >= most_tries:
        reason = f"{error} (given up after {stalled} tries in a row)"
        return failed({**progress(pull), **tries}, reason, ErrorKind.LATER)
    return _again(pull, error, wait, tries, moment)


def _again(pull: Pull, error: AgainLater, wait: timedelta, tries: Columns, moment: datetime) -> Ending:
    columns: Columns = {
        **progress(pull),
        **tries,
        "state": PullState.QUEUED.value,
        "lastError": str(error),
        "lastErrorKind": ErrorKind.LATER.value,
        "nextTryAt": moment + wait,
        "updatedAt": moment,
    }
    return Ending(columns, f"goes on in {wait}: {error}", logging.WARNING, wait)


def _unforeseen(pull: Pull, error: Exception, most_tries: int) -> Ending:
    """Keep what was seen. The host tries the message again, and the row counts how often."""
    tries: Columns = {"attempts": pull.row.attempts + 1, "stalled": pull.row.stalled + 1}
    if pull.row.stalled + 1 >= most_tries:
        return failed(tries, _seen(error), ErrorKind.UNFORESEEN)
    queued = {"state": PullState.QUEUED.value, "lastErrorKind": ErrorKind.UNFORESEEN.value}
    return Ending({**tries, **queued, "lastError": _seen(error)}, _seen(error), logging.ERROR, error=error)


def _seen(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {error}")[:2000]

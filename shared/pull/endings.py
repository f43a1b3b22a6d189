"""How a run of a pull ends, by the kind of error (shared/core/errors.py draws the tree): functions without I/O.

| error | ends |
|---|---|
| none | Completed; what failed of single cabs is told |
| none, and a rule skips the failure as a whole | Completed, by that rule; nobody was asked |
| `OutOfTime` | Queued, and a message at once: the rest is handed on |
| `CircuitOpen` | Queued, and a message for when the Dev Center is asked again; nobody was asked, so this is no try |
| `DayIsFull` | Queued, and a message for the next day, those first of which cabs expire soon; this is no try either |
| `AgainLater` | Queued, and a message for later; Failed after PULL_MAX_ATTEMPTS tries in a row without a new cab |
| `NeedsPerson`, `Never` | Failed, with what to do |
| `GivenUp` | Failed before it began: its hosts died over it as often |
| any other | Queued, and raised for the host, which tries the message again; Failed after as many |

Without a run, a pull becomes Failed by `PullLeases.fail` (its message came into the poison queue) and by
`AskedPulls.take_back` (it was Failed, and no message could be sent for its next try), and Completed by
`AskedPulls.note_skipped` (a rule skips the failure that a report names).
"""

from __future__ import annotations

import logging
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.core.backoff import growing_wait, spread
from shared.core.errors import AgainLater, CabferryError, CircuitOpen, DayIsFull, NeedsPerson, Never, OutOfTime
from shared.core.redaction import redact
from shared.core.values import Immutable
from shared.progress.pull_row import ErrorKind, PullState, counted, ended_columns
from shared.progress.tally import CabTally, is_soon, missing
from shared.storage.table_writes import NO_MOMENT, Long

if TYPE_CHECKING:
    from datetime import datetime

    from shared.progress.pull_row import CabCounts
    from shared.pull.state import Checkpoint, Pull
    from shared.storage.table_writes import Columns

# When the circuit does not say when it is open for a probe.
_LOOK_AGAIN = timedelta(seconds=15)
# So long a wait that was asked for does not count as a try without progress; none grows beyond the second.
_PATIENCE, _LONGEST_WAIT = timedelta(hours=3), timedelta(hours=1)

# When a pull goes on that waited for the next day: one of which cabs expire within 48 hours, and any other.
_FIRST_OF_DAY, _OTHERS_OF_DAY = timedelta(minutes=1), timedelta(minutes=15)


class ProcessEnds(OutOfTime):
    """The process was asked to end."""


class GivenUp(CabferryError):
    """Hosts died over a pull too often, without a new cab in between."""


class Ending(Immutable, frozen=True):
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


def ending_of(pull: Pull, error: Exception | None, moment: datetime) -> Ending:
    """Decide how a run ends.

    Args:
        pull: What is known.
        error: What ended it; None where it came to its end.
        moment: The present.
    """
    match error:
        case None:
            return _completed(pull)
        case OutOfTime():
            return _handed_on(pull, error, moment)
        case CircuitOpen() | DayIsFull():
            return _again(pull, error, _asked_wait(pull, error), {}, moment)
        case AgainLater():
            return _tried_again(pull, error, moment)
        case NeedsPerson() | Never() | GivenUp():
            kind = ErrorKind.NEVER if isinstance(error, Never) else ErrorKind.PERSON
            return _failed(pull, str(error), ErrorKind.UNFORESEEN if isinstance(error, GivenUp) else kind)
        case _:
            return _unforeseen(pull, error, moment)


def progress(pull: Pull) -> Columns:
    """Return the checkpoint's columns: what is settled by now, how all cabs stand, and where a later try goes on."""
    ledger, settings, counts = pull.ledger, pull.keeping.settings, _counts(pull, pull.safe)
    tries: Columns = {"stalled": 0, "waitingSince": NO_MOMENT} if has_moved_on(pull, counts) else {}
    return {
        "skip": pull.safe.skip,
        "total": pull.total,
        "withoutCab": pull.safe.without_cab,
        **counted(counts),
        **(CabTally.taken(ledger.cabs.values(), settings).columns() if ledger.is_written else {}),
        **tries,
    }


def _asked_wait(pull: Pull, error: CircuitOpen | DayIsFull) -> timedelta:
    """Return how long to wait, so that pulls do not come together; the bytes of a day go to what expires first."""
    if isinstance(error, CircuitOpen):
        return spread(error.wait or _LOOK_AGAIN)
    cabs = pull.ledger.cabs.values()
    is_urgent = any(is_soon(limit) for _, limit in missing(cabs, pull.keeping.settings))
    return (error.wait or timedelta()) + turn(is_urgent=is_urgent)


def turn(*, is_urgent: bool) -> timedelta:
    """Return when a pull goes on that waits for bytes of a day, from when there are some: first what expires soon."""
    return spread(_FIRST_OF_DAY if is_urgent else _OTHERS_OF_DAY)


def _counts(pull: Pull, at: Checkpoint) -> CabCounts:
    # What the table does not have is found again by a later try.
    return pull.ledger.counts(at) if pull.ledger.is_written else pull.row.counts


def has_moved_on(pull: Pull, now: CabCounts | None = None) -> bool:
    """Tell whether a cab that is new was settled. Rows that come again are no progress."""
    before, now = pull.row.counts, now or _counts(pull, pull.safe)
    return (
        now.copied > before.copied
        or now.already_held > before.already_held
        or now.expired > before.expired
        or now.unavailable > before.unavailable
    )


def _completed(pull: Pull) -> Ending:
    """Every cab of the batch ended in a state; say what a person should know of those that failed."""
    if reason := pull.keeping.skips_whole:
        nobody_asked = {**progress(pull), **ended_columns(PullState.COMPLETED, ""), "skippedBy": reason}
        return Ending(nobody_asked, f"Completed: nothing of it is kept, by {reason}", logging.INFO)
    counts = _counts(pull, pull.reached)
    first = pull.ledger.first_error() or pull.unreadable
    error = f"{counts.failed} cabs failed; the first: {first}"[:2000] if counts.failed else ""
    level = logging.WARNING if error else logging.INFO
    columns = {**progress(pull), **counted(counts), **ended_columns(PullState.COMPLETED, error)}
    return Ending(columns, f"Completed: {counts} {error}", level)


def _failed(pull: Pull, reason: str, kind: ErrorKind, tries: Columns = MappingProxyType({})) -> Ending:
    """Return the one ending that no message follows, though not all is well."""
    # Nobody comes back for what was found behind the checkpoint: it counts.
    counts = counted(_counts(pull, pull.reached))
    columns = {**progress(pull), **counts, **tries, **ended_columns(PullState.FAILED, reason, kind)}
    return Ending(columns, f"Failed: {reason}", logging.ERROR)


def _handed_on(pull: Pull, why: OutOfTime, moment: datetime) -> Ending:
    """Let a new message do the rest. Where a whole time budget brought nothing, that is a try that failed."""
    columns = progress(pull)
    if not (isinstance(why, ProcessEnds) or pull.safe.skip > pull.row.skip or has_moved_on(pull)):
        stalled = pull.row.stalled + 1
        columns = {**columns, "stalled": stalled}
        if stalled >= pull.most_tries:
            reason = f"PULL_TIME_BUDGET was used {stalled} times in a row without a new cab: raise it ({why})"
            return _failed(pull, reason, ErrorKind.LATER, {"stalled": stalled})
    queued: Columns = {**columns, "state": PullState.QUEUED.value, "updatedAt": moment}
    return Ending(queued, f"handed on, since {why}, at row {pull.safe.skip}", logging.INFO, timedelta())


def _tried_again(pull: Pull, error: AgainLater, moment: datetime) -> Ending:
    """Try again after a while, or give up after too many tries in a row without a new cab.

    A wait that was asked for is the least, grows as long as it does not help, and is no such try for some hours.
    """
    row, moved_on = pull.row, has_moved_on(pull)
    stalled, since = (0, None) if moved_on else (row.stalled, row.waiting_since)
    if error.wait is None:
        stalled += 1
        wait = growing_wait(stalled)
    else:
        since = since or moment
        stalled += moment - since >= _PATIENCE
        wait = spread(max(error.wait, min(moment - since, _LONGEST_WAIT)))
    tries: Columns = {"attempts": row.attempts + 1, "stalled": stalled, "waitingSince": since or NO_MOMENT}
    if stalled >= pull.most_tries:
        reason = f"{error} (given up after {stalled} tries in a row)"
        return _failed(pull, reason, ErrorKind.LATER, tries)
    return _again(pull, error, wait, tries, moment)


def _again(pull: Pull, error: AgainLater, wait: timedelta, tries: Columns, moment: datetime) -> Ending:
    limit = pull.keeping.rules.bytes_a_day if isinstance(error, DayIsFull) else 0
    columns: Columns = {
        **progress(pull),
        **tries,
        "dayBytes": Long(limit),
        "state": PullState.QUEUED.value,
        "lastError": str(error),
        "lastErrorKind": ErrorKind.LATER.value,
        "nextTryAt": moment + wait,
        "updatedAt": moment,
    }
    return Ending(columns, f"goes on in {wait}: {error}", logging.WARNING, wait)


def _unforeseen(pull: Pull, error: Exception, moment: datetime) -> Ending:
    """Keep what was done. The host tries the message again; the row counts how often it did so without a new cab."""
    stalled = (0 if has_moved_on(pull) else pull.row.stalled) + 1
    tries: Columns = {"attempts": pull.row.attempts + 1, "stalled": stalled}
    if stalled >= pull.most_tries:
        return _failed(pull, shown(error), ErrorKind.UNFORESEEN, tries)
    columns: Columns = {
        **progress(pull),
        **tries,
        "state": PullState.QUEUED.value,
        "lastError": shown(error),
        "lastErrorKind": ErrorKind.UNFORESEEN.value,
        "updatedAt": moment,
    }
    return Ending(columns, shown(error), logging.ERROR, error=error)


def shown(error: Exception) -> str:
    """Return an error that nobody foresaw as it is shown."""
    return redact(f"{type(error).__name__}: {error}")[:2000]

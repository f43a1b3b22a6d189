"""A row of the table `pulls`: what it says of a failure's pull, and the columns that say so."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.askers import by_person
from shared.core.errors import BadInput
from shared.core.failure import DRIVER, Failure, Window
from shared.core.redaction import excerpt
from shared.core.values import Immutable
from shared.progress.tally import CabTally
from shared.storage.table_writes import NO_MOMENT, Columns, Long, Value, column_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.storage.table_rows import Row

# Windows that one row notes: who asks for more of them meanwhile is answered by messages.
_MOST_WINDOWS = 20


class PullState(StrEnum):
    """Where a pull stands."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"


class ErrorKind(StrEnum):
    """What would help against a pull's last error."""

    NONE = ""
    PERSON = "person"
    LATER = "later"
    NEVER = "never"
    UNFORESEEN = "unforeseen"


class CabCounts(Immutable, frozen=True):
    """What a pull found and did.

    Args:
        seen: Distinct cabs that the batch named and that are settled: the sum of the others, and of cabs that
            a rule skips.
        copied: Cabs that this pull brought into the container.
        already_held: Cabs that an earlier pull had brought.
        expired: Cabs that were gone before they could be copied.
        unavailable: Cabs that Microsoft lists but does not let go, or no longer has.
        failed: Cabs, or unreadable rows, that could not be copied for another reason.
        bytes: Length of the copied cabs together; known when the pull has read the container back.
        unreadable: How many of `failed` are rows of the batch that could not be read, which have no row of a cab.
    """

    seen: int = 0
    copied: int = 0
    already_held: int = 0
    expired: int = 0
    unavailable: int = 0
    failed: int = 0
    bytes: int = 0
    unreadable: int = 0


class PullRow(Immutable, frozen=True):
    """One row of the table, decoded.

    Args:
        failure: Whose pull it is.
        state: Where it stands.
        window: The days that it asks for; None where a message that never ran named none.
        skip: The checkpoint: how many rows of the batch are done.
        total: The most rows that the batch was said to have; 0 where it did not say.
        counts: What it found and did.
        attempts: How often it was sent again because something had to be tried later.
        stalled: How many of these came in a row without a new cab in between; PULL_MAX_ATTEMPTS bounds it. A try whose
            host died counts too.
        waiting_since: Since when it waits as long as it is asked to, without a new cab in between; None if it does not.
        last_error: What went wrong last, and what to do; empty where nothing did.
        last_error_kind: What would help against it.
        seen_when_poisoned: How many cabs were settled when its message was last found in the poison queue.
        asked_again: Windows that were asked for while it ran, each with who asked, a person before a machine; for each,
            one message waits for its end.
        requested_by: What asked for it.
        queued_at: When it was asked for.
        started_at: When it first ran since then.
        updated_at: When the row was last written.
        next_try_at: When its message can be received again; None where it was not delayed.
        completed_at: When it ended, Completed or Failed.
        pull_id: What it is found by in the log; empty until it first ran.
        without_cab: How many rows told of a crash that left no cab.
        failure_name: The failure's name; empty until somebody told it.
        driver_name: The file of the driver or application, or the package; likewise.
        asked_at: When somebody last asked for it, though it ran at that time.
        asked_by: Who did.
        tally: How all cabs of the failure stand; None where nobody counted them yet.
        hits: How often the failure happened, as the report that named it last counts; None where none has told.
        skipped_by: The rule that skips the failure as a whole, so that nobody asked the Dev Center; empty elsewhere.
        day_bytes: How many bytes a day were allowed when it came to wait for the next day; 0 where it waits for none.
    """

    failure: Failure
    state: PullState
    window: Window | None
    skip: int
    total: int
    counts: CabCounts
    attempts: int
    stalled: int
    waiting_since: datetime | None
    last_error: str
    last_error_kind: ErrorKind
    seen_when_poisoned: int
    asked_again: Mapping[Window, str]
    requested_by: str
    queued_at: datetime | None
    started_at: datetime | None
    updated_at: datetime | None
    next_try_at: datetime | None
    completed_at: datetime | None
    pull_id: str = ""
    without_cab: int = 0
    failure_name: str = ""
    driver_name: str = ""
    asked_at: datetime | None = None
    asked_by: str = ""
    tally: CabTally | None = None
    hits: int | None = None
    skipped_by: str = ""
    day_bytes: int = 0

    @classmethod
    def of(cls, row: Row) -> PullRow:
        """Decode a row of the table."""
        start, end = row.text("startDate"), row.text("endDate")
        # A message that somebody wrote by hand begins a pull that no call asked for.
        asked_at, queued_at = row.moment("askedAt"), row.moment("queuedAt")
        is_newer = asked_at is not None and (queued_at is None or asked_at >= queued_at)
        return cls(
            failure=Failure(row.partition, row.key, row.text("family") or DRIVER),
            state=PullState(row.text("state")),
            window=Window(date.fromisoformat(start), date.fromisoformat(end)) if start and end else None,
            skip=row.number("skip"),
            total=row.number("total"),
            counts=CabCounts(**{name: row.number(column_of(name)) for name in CabCounts.__struct_fields__}),
            attempts=row.number("attempts"),
            stalled=row.number("stalled"),
            waiting_since=row.set_moment("waitingSince"),
            last_error=row.text("lastError"),
            last_error_kind=ErrorKind(row.text("lastErrorKind")),
            seen_when_poisoned=row.number("seenWhenPoisoned"),
            asked_again=asked_again(row),
            requested_by=row.text("requestedBy"),
            queued_at=queued_at,
            started_at=row.set_moment("startedAt"),
            updated_at=row.moment("updatedAt"),
            next_try_at=row.set_moment("nextTryAt"),
            completed_at=row.set_moment("completedAt"),
            pull_id=row.text("pullId"),
            without_cab=row.number("withoutCab"),
            failure_name=row.text("failureName"),
            driver_name=row.text("driverName"),
            asked_at=row.moment("askedAt" if is_newer else "queuedAt"),
            asked_by=row.text("askedBy" if is_newer else "requestedBy"),
            tally=CabTally.of(row),
            hits=row.number("hits") or None,
            skipped_by=row.text("skippedBy"),
            day_bytes=row.number("dayBytes"),
        )

    def __str__(self) -> str:
        return f"{self.failure} (pull {self.pull_id})" if self.pull_id else str(self.failure)


def queued(window: Window, requested_by: str) -> Columns:
    """Return the columns of a pull that starts anew."""
    now = clock.now()
    return {
        "state": PullState.QUEUED.value,
        **days_columns(window),
        "skip": 0,
        "total": 0,
        "withoutCab": 0,
        **counted(CabCounts()),
        "attempts": 0,
        "stalled": 0,
        "waitingSince": NO_MOMENT,
        "lastError": "",
        "lastErrorKind": "",
        "seenWhenPoisoned": 0,
        "askedAgain": "",
        "askedAgainBy": "",
        "requestedBy": excerpt(requested_by),
        "queuedAt": now,
        "startedAt": NO_MOMENT,
        "updatedAt": now,
        "nextTryAt": NO_MOMENT,
        "completedAt": NO_MOMENT,
        "skippedBy": "",
    }


def days_columns(window: Window) -> Columns:
    """Return the columns of the days that a pull asks for."""
    return {"startDate": window.start.isoformat(), "endDate": window.end.isoformat()}


def asked_columns(requested_by: str) -> Columns:
    """Return the columns of who asks now, which a running pull does not begin anew for."""
    return {"askedAt": clock.now(), "askedBy": excerpt(requested_by)}


def family_columns(failure: Failure) -> Columns:
    """Return the column of a failure's family; none where nobody said, so that a row keeps what it has."""
    return {"family": failure.family} if failure.family else {}


def counted(counts: CabCounts) -> dict[str, Value]:
    """Return the columns of counts."""
    numbers = {column_of(name): getattr(counts, name) for name in CabCounts.__struct_fields__}
    return {**numbers, "bytes": Long(counts.bytes)}


def ended_columns(state: PullState, last_error: str, kind: ErrorKind = ErrorKind.NONE) -> dict[str, Value]:
    """Return the columns of a pull that ends now."""
    now = clock.now()
    return {
        "state": state.value,
        "lastError": last_error,
        "lastErrorKind": kind.value,
        "updatedAt": now,
        "completedAt": now,
    }


def person_of(row: Row) -> str:
    """Return the person for whom a pull is still to be made, or of whose pull cabs failed; empty elsewhere.

    What Microsoft does not let go is owed to nobody: of an application such cabs come all the time.
    """
    left = row.number("failed") - row.number("unreadable")
    is_done = row.text("state") == PullState.COMPLETED and not left
    return "" if is_done else by_person(row.text("requestedBy"))


def asked_again(row: Row) -> dict[Window, str]:
    """Return the windows that were asked for while a pull ran, each with who asked for it."""
    windows = row.text("askedAgain").split()
    # An earlier version wrote down one person for all of them, or only who asked last, or who asked first.
    askers = (row.text("askedAgainBy") or row.text("askedBy") or row.text("requestedBy")).split("\n")
    askers = askers if len(askers) == len(windows) else askers[:1] * len(windows)
    return {days: who for text, who in zip(windows, askers, strict=True) if (days := window_in(text))}


def asked_again_columns(asked: Mapping[Window, str]) -> Columns:
    """Return the columns of windows and of who asked for each; the last ones where there are too many."""
    kept = dict([*asked.items()][-_MOST_WINDOWS:])
    windows = " ".join(f"{each.start}/{each.end}" for each in kept)
    return {"askedAgain": windows, "askedAgainBy": "\n".join(kept.values())}


def window_in(text: str) -> Window | None:
    """Read a window as rows have it; one that is none was written by hand, and is passed over."""
    start, _, end = text.partition("/")
    with suppress(ValueError, BadInput):
        return Window(date.fromisoformat(start), date.fromisoformat(end))
    return None

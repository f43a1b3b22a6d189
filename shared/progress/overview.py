"""Every failure in memory, with its names and numbers: what lists and sums are made of.

The rows of the pulls are read once, and from then on those alone that were written since: one request a look. Memory
grows with the failures (`bench/sections/lists.py` measures it), and in workers alone that somebody asks.
"""

from __future__ import annotations

from copy import replace
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, CabferryError
from shared.core.failure import DRIVER
from shared.core.threads import OneLook
from shared.core.values import Immutable
from shared.progress.pull_row import ErrorKind, PullState
from shared.progress.tally import COLUMNS, CabTally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.storage.table_rows import Row, TableRows

# Within this, nobody asks storage again. Within the next, what is known is told where storage takes more than a moment.
_FRESH, _USABLE = timedelta(seconds=2), timedelta(minutes=2)
_MOMENT_SECONDS, _PATIENCE_SECONDS = 0.5, 4.5
# Clocks of hosts and storage differ by less: what was written within this before the last look is read once more.
_OVERLAP = timedelta(minutes=2)
# Rows that were removed are not told by what was written since: all are read anew after this.
_ANEW = timedelta(minutes=15)
_SELECT = (
    *("state", "family", "queuedAt", "updatedAt", "completedAt", "hits"),
    *("stalled", "waitingSince", "lastError", "lastErrorKind"),
    *COLUMNS,
)
# A try that failed is none to speak of: so many in a row took about a minute, and so long a wait is no moment either.
_TRIES_TOLD, _LONG_WAIT = 3, timedelta(hours=1)


class FailureSeen(Immutable, frozen=True):
    """A failure that was ever pulled.

    Args:
        application_id: As it is stored.
        failure_hash: Likewise.
        family: driver, desktop or app.
        failure_name: Its name; empty until somebody told it.
        driver_name: The file or package that failed, likewise.
        state: Where its pull stands; None where that cannot be read.
        queued_at: When its pull was asked for.
        updated_at: When something of this was last written.
        tally: How its cabs stand; None where nobody counted them yet.
        ended_at: When its pull ended, Completed or Failed; None where it has not.
        hits: How often it happened, as the report that named it last counts; None where none has told.
        stalled: How many tries of its pull came in a row without a new cab in between.
        waiting_since: Since when its pull waits as long as it is asked to, likewise; None if it does not.
        last_error: What went wrong last, and what to do; empty where nothing did.
        last_error_kind: What would help against it.
    """

    application_id: str
    failure_hash: str
    family: str
    failure_name: str
    driver_name: str
    state: PullState | None
    queued_at: datetime | None
    updated_at: datetime | None
    tally: CabTally | None
    ended_at: datetime | None = None
    hits: int | None = None
    stalled: int = 0
    waiting_since: datetime | None = None
    last_error: str = ""
    last_error_kind: ErrorKind = ErrorKind.NONE

    @property
    def key(self) -> tuple[str, str]:
        """Return what it is found by: applicationId and failureHash."""
        return self.application_id, self.failure_hash

    @property
    def is_troubled(self) -> bool:
        """Tell whether its pull is Failed, goes on failing, or left cabs behind.

        One that goes on has failed some times in a row without a new cab, or waited for an hour as it was asked to.
        """
        match self.state:
            case PullState.FAILED:
                return True
            case PullState.COMPLETED:
                return self.tally is not None and self.tally.failed > 0
            case PullState.QUEUED | PullState.RUNNING:
                waits = self.waiting_since is not None and self.waiting_since < clock.now() - _LONG_WAIT
                return waits or self.stalled >= _TRIES_TOLD
            case None:
                return False

    @classmethod
    def of(cls, row: Row) -> FailureSeen:
        """Decode the row of its pull."""
        tally = CabTally.of(row)
        written = [moment for moment in (row.moment("updatedAt"), tally.counted_at if tally else None) if moment]
        return cls(
            # Names repeat from failure to failure; interned, ten thousand share a handful.
            application_id=intern(row.partition),
            failure_hash=row.key,
            family=intern(row.text("family") or DRIVER),
            failure_name=row.text("failureName"),
            driver_name=intern(row.text("driverName")),
            # What somebody wrote by hand must not hide all others.
            state=PullState(state) if (state := row.text("state")) in PullState else None,
            queued_at=row.moment("queuedAt"),
            updated_at=max(written, default=None),
            tally=tally,
            ended_at=row.set_moment("completedAt"),
            hits=row.number("hits") or None,
            stalled=row.number("stalled"),
            waiting_since=row.set_moment("waitingSince"),
            last_error=row.text("lastError"),
            last_error_kind=ErrorKind(kind) if (kind := row.text("lastErrorKind")) in ErrorKind else ErrorKind.NONE,
        )


class Seen(Immutable, frozen=True):
    """All failures as they were at one moment.

    Args:
        at: When they were asked for.
        failures: By applicationId and failureHash.
        error: Why they are no younger; empty where they are as young as can be.
    """

    at: datetime
    failures: Mapping[tuple[str, str], FailureSeen]
    error: str = ""


class Overview:
    """Know all failures."""

    def __init__(self, table: TableRows) -> None:
        self._table = table
        self._looks = OneLook(self._read, "overview")
        self._seen: Seen | None = None
        self._read_at = datetime.min.replace(tzinfo=UTC)

    def look(self) -> Seen:
        """Return all failures, at most seconds old; where storage is slow or away, as they were up to minutes ago.

        Raises:
            CabferryError: Storage does not answer, and nothing is known from before.
        """
        known, now = self._seen, clock.now()
        if known and now - known.at < _FRESH:
            return known
        usable = known if known and now - known.at < _USABLE else None
        try:
            return self._looks.start().result(_MOMENT_SECONDS if usable else _PATIENCE_SECONDS)
        except TimeoutError:
            if usable:
                return usable
            raise AgainLater(f"the table pulls has not answered within {_PATIENCE_SECONDS} seconds") from None
        except CabferryError as refused:
            if usable:
                return replace(usable, error=str(refused))
            raise

    def _read(self) -> Seen:
        now, known = clock.now(), self._seen
        if known is None or now - self._read_at > _ANEW:
            failures = {seen.key: seen for seen in map(FailureSeen.of, self._table.query("", {}, _SELECT))}
            self._read_at = now
        else:
            changed = self._table.changed_since(known.at - _OVERLAP, _SELECT)
            failures = {**known.failures, **{seen.key: seen for seen in map(FailureSeen.of, changed)}}
        self._seen = Seen(now, failures)
        return self._seen

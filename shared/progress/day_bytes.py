"""How many bytes were copied today, in UTC, where the settings file bounds them: one row of the table `health`.

Storage tells the length of a copy only when the container is listed. Until then a cab counts as the mean of those that
are known, so a day may end somewhat above what is allowed: by what other runs copy until the next look at the row, and
by how far the mean is off.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, DayIsFull
from shared.core.values import Immutable
from shared.storage.table_writes import Long

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.progress.cab_row import CabRow
    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_PARTITION, _KEY = "keep", "today"
_TRIES = 5
# While no cab's length is known: that of a small dump of the kernel.
USUAL_BYTES = 1_000_000


class Used(Immutable, frozen=True):
    """What was copied today.

    Args:
        bytes: As far as it is known.
        cabs: How many.
        mean: Bytes of a cab; of the day before, while there is none today.
    """

    bytes: int = 0
    cabs: int = 0
    mean: int = USUAL_BYTES


class DayBytes:
    """Read and write the row."""

    def __init__(self, table: TableRows) -> None:
        self._table = table

    def used(self) -> Used:
        """Return what was copied today: one request."""
        return _used(self._table.get(_PARTITION, _KEY))

    def limit(self) -> int:
        """Return how many bytes a day were allowed last; 0 where it never was said: one request."""
        row = self._table.get(_PARTITION, _KEY)
        return row.number("limit") if row else 0

    def add(self, length: int, cabs: int, limit: int) -> Used:
        """Add what was copied, and return what is known of today then.

        Args:
            length: Its bytes; negative where more was told before.
            cabs: How many.
            limit: How many bytes a day are allowed.

        Raises:
            AgainLater: Others change the row all the time; nothing was added.
            CabferryError: As storage answers.
        """
        for _ in range(_TRIES):
            row = self._table.get(_PARTITION, _KEY)
            before = _used(row)
            now = _mean_of(max(0, before.bytes + length), max(0, before.cabs + cabs), before.mean)
            columns: Columns = {"day": _today(), "bytes": Long(now.bytes), "cabs": now.cabs, "limit": Long(limit)}
            if self._table.merge(row, columns) if row else self._table.insert(_PARTITION, _KEY, columns):
                return now
        raise AgainLater("the bytes of today: others change their row all the time")


class RunBytes:
    """What one run of a pull may copy today.

    Args:
        day: The row.
        limit: How many bytes a day are allowed; 0 for any number, at no cost.
    """

    def __init__(self, day: DayBytes, limit: int) -> None:
        self._day, self.limit = day, limit
        self._lock = Lock()
        self._told = self._used = Used()
        self._begun = 0

    def begin(self) -> None:
        """Look at what is left of today.

        Raises:
            DayIsFull: Nothing is.
        """
        if self.limit:
            self._used = self._day.used()
            self._raise_if_full()

    def one_more(self) -> None:
        """Note that a copy is about to begin; runs in many threads.

        Raises:
            DayIsFull: Those that have begun are likely to use what is left.
        """
        if self.limit:
            with self._lock:
                self._raise_if_full()
                self._begun += 1

    def none_came(self) -> None:
        """Note that a copy which has begun brought no cab, or found it there; runs in many threads."""
        if self.limit:
            with self._lock:
                self._begun -= 1

    def tell(self, copied: Iterable[CabRow]) -> None:
        """Tell which cabs of the run are in the container so far.

        Raises:
            CabferryError: As `DayBytes.add`; the next time adds this as well.
        """
        if not self.limit:
            return
        lengths = [row.length for row in copied]
        known = [length for length in lengths if length is not None]
        mean = sum(known) // len(known) if known else self._used.mean
        mine = Used(sum(known) + mean * (len(lengths) - len(known)), len(lengths))
        if mine != self._told:
            used = self._day.add(mine.bytes - self._told.bytes, mine.cabs - self._told.cabs, self.limit)
            with self._lock:
                self._begun -= mine.cabs - self._told.cabs
                self._told, self._used = mine, used

    def _raise_if_full(self) -> None:
        if self._used.bytes + self._begun * self._used.mean >= self.limit:
            next_day = datetime.combine(clock.now().date() + timedelta(days=1), time(), UTC)
            raise DayIsFull(
                f"the {self.limit} bytes that the settings file allows a day are used: it goes on after "
                f"{next_day:%Y-%m-%d %H:%M} UTC, or with the next reconcile where more is allowed by then",
                next_day - clock.now(),
            )


def _today() -> str:
    return clock.now().date().isoformat()


def _used(row: Row | None) -> Used:
    if row is None:
        return Used()
    told = _mean_of(row.number("bytes"), row.number("cabs"))
    return told if row.text("day") == _today() else Used(mean=told.mean)


def _mean_of(length: int, cabs: int, otherwise: int = USUAL_BYTES) -> Used:
    return Used(length, cabs, length // cabs if cabs else otherwise)

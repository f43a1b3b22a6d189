"""A lease on a table row: one owner works, everyone else sees that it does, and a crash frees the row after a while."""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from shared.core import clock
from shared.core.errors import AgainLater, CabferryError, LeaseLost
from shared.core.threads import thread
from shared.core.values import Immutable
from shared.storage.table_writes import NO_MOMENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_log = logging.getLogger(__name__)
_TRIES = 5


class HeldElsewhere(Immutable, frozen=True):
    """Another owner holds the row.

    Args:
        remaining: For at least this long.
        row: As it was seen.
    """

    remaining: timedelta
    row: Row


def held_for(row: Row | None) -> timedelta:
    """Return for how long an owner holds a row still, if it is not renewed; nothing where none does."""
    until = row.moment("leaseUntil") if row else None
    return max(until - clock.now(), timedelta()) if until else timedelta()


class RowLease:
    """Hold a row while working, and renew the hold from a thread of its own.

    Each write goes against the etag of the last one, so that an owner who lost the lease finds out at its next write.
    Clocks of the hosts must agree to well within the lease, as Azure's do.
    """

    def __init__(self, table: TableRows, row: Row, duration: timedelta) -> None:
        """Use `take`."""
        self._table, self._row, self._duration = table, row, duration
        self._owner = row.text("owner")
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._loss: CabferryError | None = None
        self._thread = thread(self._keep, f"lease {row.key}", daemon=True)

    @classmethod
    def take(
        cls,
        table: TableRows,
        partition: str,
        key: str,
        duration: timedelta,
        first: Callable[[Row | None], Columns],
        known: Row | None = None,
    ) -> Self | HeldElsewhere:
        """Take the lease on a row, which is made where there is none.

        Args:
            table: The row's table.
            partition: The row's PartitionKey.
            key: The row's RowKey.
            duration: How long the hold lasts without a renewal.
            first: Returns what to write with the lease, from the row as it is; what it raises leaves the row alone.
            known: The row as somebody saw it, free of any lease: where it is still that version, nothing is read.

        Raises:
            AgainLater: Others keep changing the row.
        """
        owner, is_unsure = uuid.uuid4().hex, False
        for tries in range(_TRIES):
            row = known if known and not tries else table.get(partition, key)
            now = clock.now()
            if row and (left := held_for(row)):
                # The lease of this very call, where the answer to its write was lost.
                return cls(table, row, duration) if row.text("owner") == owner else HeldElsewhere(left, row)
            columns = {**first(row), "owner": owner, "leaseUntil": now + duration}
            try:
                taken = table.merge(row, columns) if row else table.insert(partition, key, columns)
            except AgainLater:
                if is_unsure:
                    raise
                is_unsure = True
                continue
            if taken:
                return cls(table, taken, duration)
        raise AgainLater(f"the row {partition} {key} kept changing while its lease was being taken")

    @property
    def row(self) -> Row:
        """Return the row as this owner last wrote it."""
        return self._row

    @property
    def is_lost(self) -> bool:
        """Tell whether another owner may hold the row by now."""
        return self._loss is not None or self._expires <= clock.now()

    def ensure(self) -> None:
        """Make sure that the row is still this owner's; costs a request only where the lease has run out unseen.

        It runs out when the whole process stands still, or storage does not answer, for longer than the lease. If
        nobody took the row meanwhile, it is taken again.

        Raises:
            LeaseLost: Another owner holds the row.
            AgainLater: Somebody deleted the row; the next try makes it again.
        """
        with self._lock:
            if self.is_lost:
                self._merge({"leaseUntil": clock.now() + self._duration})

    def write(self, columns: Columns) -> None:
        """Change columns and renew the lease in the same request.

        Raises:
            LeaseLost: Another owner holds the row.
        """
        with self._lock:
            self._merge({**columns, "leaseUntil": clock.now() + self._duration})

    def release(self, columns: Columns) -> None:
        """Change columns and free the row in the same request; the lease is over.

        Raises:
            LeaseLost: Another owner holds the row.
        """
        with self._lock:
            self._over.set()
            self._merge({**columns, "owner": "", "leaseUntil": NO_MOMENT})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def _expires(self) -> datetime:
        return self._row.moment("leaseUntil") or NO_MOMENT

    def _merge(self, columns: Columns) -> None:
        if self._loss:
            raise self._loss
        changed = self._table.merge(self._row, columns)
        if changed is None:
            # Either another owner took the row, or an answer to a write of our own was lost on its way: to this one,
            # which was then sent again and found itself done, or to the one before.
            seen = self._table.get(self._row.partition, self._row.key)
            if seen is not None and seen.holds({"owner": self._owner, **columns}):
                self._row = seen
                return
            name = f"{self._row.partition} {self._row.key}"
            if seen is None:
                self._loss = AgainLater(f"the row {name} was deleted while it was worked on")
                raise self._loss
            if seen.text("owner") != self._owner:
                self._loss = LeaseLost(f"the lease on {name} was lost to another owner")
                raise self._loss
            changed = self._table.merge(seen, columns)
        if changed is None:
            raise AgainLater(f"the row {self._row.partition} {self._row.key} kept changing")
        self._row = changed

    def _keep(self) -> None:
        """Renew at a third of the lease, unless the work itself wrote in the meantime."""
        third = self._duration / 3
        while not self._over.wait(third.total_seconds()):
            with self._lock:
                if self._over.is_set():
                    return
                if self._expires - clock.now() > third * 2:
                    continue
                try:
                    self._merge({"leaseUntil": clock.now() + self._duration})
                except CabferryError as error:
                    if self._loss:
                        return
                    # The work meets the same trouble at its own next write, and raises it there.
                    _log.warning("%s; the lease is renewed again in %s", error, third)

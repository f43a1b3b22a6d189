"""The circuit breaker of a service: after failures in a row that a retry cannot mend, nobody asks until a probe works.

Its state is one row of the table `health`, which all instances share. Where all is well it costs one look a process,
after its first call: the next look is when a call of its own has failed, and from then on until one has worked. So an
instance that starts while the circuit is open learns of it by one refused call, and closes it by one that works: who
has mended a secret and starts the app again need not wait for a probe.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import BadAnswer, CabferryError, CircuitOpen, Never

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_log = logging.getLogger(__name__)
_PARTITION = "circuit"
_FAILURES_TO_OPEN = 5
# The first probe, growing twofold to the last: a person mends a role within hours, and a name that does not resolve may
# come back within a minute.
_FIRST_PROBE, _LAST_PROBE = timedelta(seconds=30), timedelta(minutes=15)
_TRIES = 5
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Outage:
    """What is known of a service that fails.

    Args:
        kind: 401, 403, token, or unreachable.
        failures: How many calls in a row ended so, over all instances.
        error: The last of them, and what to do.
        since: When the circuit opened; None while it is still closed.
        probe_at: When a call is let through again to see whether it works.
        probes: How many were.
    """

    kind: str
    failures: int
    error: str
    since: datetime | None
    probe_at: datetime
    probes: int

    @classmethod
    def of(cls, row: Row | None) -> Outage | None:
        """Decode the row; None where it tells of no failure."""
        if row is None or not row.text("kind"):
            return None
        since = row.moment("since") or _NEVER
        return cls(
            kind=row.text("kind"),
            failures=row.number("failures"),
            error=row.text("error"),
            since=since if since > _NEVER else None,
            probe_at=row.moment("probeAt") or _NEVER,
            probes=row.number("probes"),
        )


class Circuit:
    """The circuit breaker of one service.

    Args:
        table: The table `health`.
        name: The service, as the row's RowKey.
    """

    def __init__(self, table: TableRows, name: str) -> None:
        self._table, self._name = table, name
        self._lock = threading.Lock()
        self._suspected = True
        self._open: Outage | None = None

    def outage(self) -> Outage | None:
        """Return what is known over all instances; None where the last call that anybody noted worked.

        Raises:
            CabferryError: The table cannot be read.
        """
        return Outage.of(self._table.get(_PARTITION, self._name))

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let a call through where the circuit is closed, or as its probe, and note how it ends.

        Raises:
            CircuitOpen: No call is made now.
        """
        self._raise_if_open()
        try:
            yield
        except CabferryError as error:
            if error.outage:
                self._note_failure(error.outage, str(error))
            elif isinstance(error, Never) or type(error) is BadAnswer:
                self._note_success()  # It answered, and knew who asked.
            raise
        else:
            self._note_success()

    def _raise_if_open(self) -> None:
        if self._open is not None and (outage := self._kept_from_probing()):
            wait = max(outage.probe_at - clock.now(), timedelta(seconds=1))
            raise CircuitOpen(
                f"{self._name} is not asked until {outage.probe_at:%Y-%m-%d %H:%M:%S} UTC, since {outage.failures} "
                f"calls in a row ended so: {outage.error}",
                wait,
            )

    def _kept_from_probing(self) -> Outage | None:
        """Return why no call is made; None for the one process of all that makes the probe."""
        with self._lock:
            if self._open is None or self._open.probe_at > clock.now():
                return self._open
            row = self._table.get(_PARTITION, self._name)
            self._open = outage = _opened(row)
            now = clock.now()
            if row is None or outage is None or outage.probe_at > now:
                return outage
            taken = self._table.merge(row, {"probeAt": now + _next_probe(outage), "probes": outage.probes + 1})
            self._open = _opened(taken or self._table.get(_PARTITION, self._name))
            return None if taken else self._open

    def _note_failure(self, kind: str, error: str) -> None:
        """Count a failure; what cannot be written must not hide the failure itself."""
        with self._lock:
            self._suspected = True
            try:
                self._count(kind, error)
            except CabferryError as trouble:
                _log.warning("the circuit of %s cannot count a failure: %s", self._name, trouble)

    def _count(self, kind: str, error: str) -> None:
        for _ in range(_TRIES):
            row = self._table.get(_PARTITION, self._name)
            before, now = Outage.of(row), clock.now()
            failures = before.failures + 1 if before and before.kind == kind else 1
            columns: Columns = {"kind": kind, "failures": failures, "error": error, "updatedAt": now}
            is_open = before is not None and before.since is not None
            if not is_open and failures >= _FAILURES_TO_OPEN:
                columns = {**columns, "since": now, "probeAt": now + _FIRST_PROBE, "probes": 0}
                _log.error("%s: the circuit opens after %d failures in a row: %s", self._name, failures, error)
            elif not is_open:
                columns = {**columns, "since": _NEVER, "probeAt": _NEVER, "probes": 0}
            written = self._table.merge(row, columns) if row else self._table.insert(_PARTITION, self._name, columns)
            if written:
                self._open = _opened(written)
                return

    def _note_success(self) -> None:
        if not self._suspected and self._open is None:
            return
        with self._lock:
            try:
                row = self._table.get(_PARTITION, self._name)
                if row and Outage.of(row):
                    _log.info("%s: works again; the circuit is closed", self._name)
                    closed: Columns = {"kind": "", "failures": 0, "error": "", "since": _NEVER, "probeAt": _NEVER}
                    self._table.merge(row, {**closed, "updatedAt": clock.now()})
            except CabferryError as trouble:
                # Another success, here or at another instance, writes it.
                _log.warning("the circuit of %s cannot be closed yet: %s", self._name, trouble)
                return
            self._suspected, self._open = False, None


def _opened(row: Row | None) -> Outage | None:
    outage = Outage.of(row)
    return outage if outage and outage.since else None


def _next_probe(outage: Outage) -> timedelta:
    return min(_FIRST_PROBE * 2.0 ** min(outage.probes + 1, 10), _LAST_PROBE)

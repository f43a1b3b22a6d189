"""The circuit breaker of a service: after failures in a row that a retry cannot mend, nobody asks until a probe works.

An application's 403 is that application's alone: its own calls end, the others go on. Everybody's calls end where the
token is refused or the service is out of reach, and where call after call is forbidden, of several applications.

A wait that one call was told is kept by all: no call is made before it is over. Where it does not help, the next one is
twice as long as the one before.

What it knows (shared/progress/outages.py) is one row of the table `health`, which all instances share. Where all is
well it costs one look a process, after its first call, and one a minute while it makes calls; and each call that fails
looks, until one has worked. So an instance that starts while the circuit is open learns of it by one refused call, and
closes it by one that works: who has mended a secret and starts the app again need not wait for a probe.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, BadAnswer, CabferryError, CircuitOpen, Never
from shared.core.events import CIRCUIT_CLOSED, CIRCUIT_OPENED
from shared.core.metrics import API_THROTTLED
from shared.core.refusals import Where
from shared.progress.outages import REPORTS, Known
from shared.storage.table_writes import NO_MOMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.progress.outages import Outage
    from shared.storage.table_rows import TableRows

_log = logging.getLogger(__name__)
_PARTITION = "circuit"
# How far a wait that was asked for grows where it does not help.
_LEAST_WAIT, _LONGEST_GROWN_WAIT = timedelta(seconds=1), timedelta(hours=1)
_LOOK_AGAIN = timedelta(minutes=1)
_TRIES = 5


class Circuit:
    """The circuit breaker of one service.

    Args:
        table: The table `health`.
        name: The service, as the row's RowKey.
    """

    def __init__(self, table: TableRows, name: str) -> None:
        self._table, self._name = table, name
        self._lock = threading.Lock()
        self._known = Known()
        self._suspected, self._looked_at = True, NO_MOMENT
        self._throttles = 0

    def known(self) -> Known:
        """Return what is known over all instances.

        Raises:
            CabferryError: The table cannot be read.
        """
        return Known.of(self._table.get(_PARTITION, self._name))

    @contextmanager
    def guard(self, application: str = REPORTS) -> Iterator[None]:
        """Let a call through where the circuit is closed, or as its probe, and note how it ends.

        Raises:
            CircuitOpen: No call is made now.
        """
        self._raise_if_throttled()
        self._raise_if_open(application)
        try:
            yield
        except CabferryError as error:
            if error.outage:
                if not error.is_echo:
                    self._note_failure(error.outage, str(error), application)
            elif isinstance(error, AgainLater) and error.wait is not None:
                error.wait = self._keep_wait(error.wait)
            elif isinstance(error, Never) or type(error) is BadAnswer:
                self._note_success(application)  # It answered, and knew who asked.
            raise
        else:
            self._note_success(application)

    def _raise_if_throttled(self) -> None:
        until, now = self._known.throttled_until, clock.now()
        if until > now:
            raise CircuitOpen(
                f"{Where.DEVCENTER} asked for a wait, and is not asked until {until:%Y-%m-%d %H:%M:%S} UTC",
                until - now,
            )

    def _raise_if_open(self, application: str) -> None:
        if self._known.is_open(application) and (outage := self._kept_from_probing(application)):
            wait = max(outage.probe_at - clock.now(), timedelta(seconds=1))
            raise CircuitOpen(
                f"{Where.DEVCENTER} is not asked until {outage.probe_at:%Y-%m-%d %H:%M:%S} UTC, since "
                f"{outage.failures} calls in a row ended so: {outage.error}",
                wait,
                outage=outage.kind,
            )

    def _kept_from_probing(self, application: str) -> Outage | None:
        """Return why no call is made; None for the one process of all that makes the probe.

        An application that is forbidden probes for itself, and leaves the probe for everybody to the others: only they
        can show that the account is not.
        """
        with self._lock:
            own = self._known.at(application)
            place = application if own and own.since else ""
            outage = self._known.at(place)
            if outage is None or outage.since is None or outage.probe_at > clock.now():
                return outage
            row = self._table.get(_PARTITION, self._name)
            self._known = Known.of(row)
            outage = self._known.at(place)
            if row is None or outage is None or outage.since is None:
                return None
            if outage.probe_at > clock.now():
                return outage
            probed = replace(outage, probe_at=outage.next_probe, probes=outage.probes + 1)
            taken = self._table.merge(row, self._known.put(place, probed).columns())
            self._known = Known.of(taken or self._table.get(_PARTITION, self._name))
            return None if taken else self._known.at(place)

    def _note_failure(self, kind: str, error: str, application: str) -> None:
        """Count a failure; what cannot be written must not hide the failure itself."""
        with self._lock:
            self._suspected = True
            self._change(lambda known: known.failing(kind, error, application), "count a failure")

    def _keep_wait(self, asked: timedelta) -> timedelta:
        """Keep a wait that was asked for, for all calls of all instances; return how long it is now."""
        with self._lock:
            now = clock.now()
            if self._known.throttled_until <= now:  # and not the answer to a call that was made before that wait
                self._throttles += 1
            grown = max(asked, _LEAST_WAIT) * 2.0 ** min(self._throttles - 1, 20)
            until = now + max(asked, min(grown, _LONGEST_GROWN_WAIT))
            if self._known.throttled_until <= until - _LEAST_WAIT:

                def kept(known: Known) -> Known:
                    return replace(known, throttled_until=max(known.throttled_until, until))

                API_THROTTLED.record((until - max(now, self._known.throttled_until)).total_seconds())
                # At once for this process: its other calls do not wait until it is written.
                self._known = kept(self._known)
                self._change(kept, "keep a wait")
            return max(self._known.throttled_until - now, asked)

    def _note_success(self, application: str) -> None:
        if self._throttles and self._known.throttled_until <= clock.now():
            self._throttles = 0
        is_due = clock.now() - self._looked_at >= _LOOK_AGAIN
        if not (self._suspected or is_due or self._known.everybody or application in self._known.applications):
            return
        with self._lock:
            self._looked_at = clock.now()
            if self._change(lambda known: known.working(application), "be closed"):
                self._suspected = False

    def _change(self, change: Callable[[Known], Known], what: str) -> bool:
        """Change the row, unless it is so already, and tell whether it is; a later call does what could not be done."""
        try:
            for _ in range(_TRIES):
                row = self._table.get(_PARTITION, self._name)
                before = Known.of(row)
                after = change(before)
                columns = after.columns()
                if after == before or (
                    self._table.merge(row, columns) if row else self._table.insert(_PARTITION, self._name, columns)
                ):
                    self._tell(before, after)
                    self._known = after
                    return True
            trouble: object = "others keep changing its row"
        except CabferryError as refused:
            trouble = refused
        _log.warning("the circuit of %s cannot %s: %s", self._name, what, trouble)
        return False

    def _tell(self, before: Known, after: Known) -> None:
        for application, outage in after.opened_since(before).items():
            told = {"kind": outage.kind, "failures": outage.failures, "reason": outage.error}
            CIRCUIT_OPENED.tell(service=self._name, application=application, **told)
        if (before.worst and before.worst.since) and not (after.worst and after.worst.since):
            CIRCUIT_CLOSED.tell(service=self._name)

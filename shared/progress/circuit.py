"""The circuit breaker of a service: after failures in a row that a retry cannot mend, nobody asks until a probe works.

An application's 403 is that application's alone: its own calls end, the others go on. Everybody's calls end where the
token is refused or the service is out of reach, and where call after call is forbidden, of several applications.

A wait that one call was told is kept by all: no call is made before it is over. Where it does not help, the next one is
twice as long as the one before.

The state is one row of the table `health`, which all instances share. Where all is well it costs one look a process,
after its first call, and one a minute while it makes calls; and each call that fails looks, until one has worked. So an
instance that starts while the circuit is open learns of it by one refused call, and closes it by one that works: who
has mended a secret and starts the app again need not wait for a probe.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from shared.core import clock
from shared.core.errors import AgainLater, BadAnswer, CabferryError, CircuitOpen, Never
from shared.core.events import CIRCUIT_CLOSED, CIRCUIT_OPENED
from shared.core.json_text import JsonError, decoded
from shared.core.metrics import API_THROTTLED
from shared.core.redaction import excerpt
from shared.core.refusals import Where
from shared.core.values import Immutable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_log = logging.getLogger(__name__)
_PARTITION = "circuit"
_FAILURES_TO_OPEN = 5
# So many applications (and the reports, as one more) are forbidden in a row before the account is taken to be.
_APPLICATIONS_TO_OPEN = 2
_FORBIDDEN, _REPORTS = "403", "reports"
# Of how many applications the row tells; with their errors they stay below the 32 Ki characters of a column, though
# each character of an error took two.
_APPLICATIONS_KEPT, _ERROR_LENGTH = 20, 700
# The first probe, growing twofold to the last: a person mends a role within hours, and a name that does not resolve may
# come back within a minute.
_FIRST_PROBE, _LAST_PROBE = timedelta(seconds=30), timedelta(minutes=15)
# How far a wait that was asked for grows where it does not help.
_LEAST_WAIT, _LONGEST_GROWN_WAIT = timedelta(seconds=1), timedelta(hours=1)
_LOOK_AGAIN = timedelta(minutes=1)
_TRIES = 5
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


class Outage(Immutable, frozen=True):
    """What is known of a service that fails.

    Args:
        kind: 401, 403, token, or unreachable.
        failures: How many calls in a row ended so, over all instances.
        error: The last of them, and what to do.
        since: When the circuit opened; None while it is still closed.
        probe_at: When a call is let through again to see whether it works.
        probes: How many were.
        refused: The applications that were forbidden in a row, where that is the kind.
    """

    kind: str
    failures: int
    error: str
    since: datetime | None = None
    probe_at: datetime = _NEVER
    probes: int = 0
    refused: tuple[str, ...] = ()

    @property
    def next_probe(self) -> datetime:
        """Return when the next call is let through, after the one that is now."""
        return clock.now() + min(_FIRST_PROBE * 2.0 ** min(self.probes + 1, 10), _LAST_PROBE)

    def opened(self) -> Outage:
        """Return it with the circuit open from now on, if it was not."""
        now = clock.now()
        return self if self.since else replace(self, since=now, probe_at=now + _FIRST_PROBE, probes=0)


class Known(Immutable, frozen=True):
    """What the row tells.

    Args:
        everybody: What fails for all; None where nothing does.
        applications: What fails for one application, by its id; the calls about reports count as one.
        throttled_until: When the service may be asked again, by its own words.
    """

    everybody: Outage | None = None
    applications: dict[str, Outage] = msgspec.field(default_factory=dict)
    throttled_until: datetime = _NEVER

    @classmethod
    def of(cls, row: Row | None) -> Known:
        """Decode the row."""
        if row is None:
            return cls()
        try:
            applications = decoded((row.text("applications") or "{}").encode(), dict[str, Outage])
        except JsonError:
            applications = {}
        everybody = None
        if row.text("kind"):
            since = row.moment("since") or _NEVER
            everybody = Outage(
                kind=row.text("kind"),
                failures=row.number("failures"),
                error=row.text("error"),
                since=since if since > _NEVER else None,
                probe_at=row.moment("probeAt") or _NEVER,
                probes=row.number("probes"),
                refused=tuple(filter(None, row.text("refused").split(","))),
            )
        return cls(everybody, applications, row.moment("throttledUntil") or _NEVER)

    @property
    def worst(self) -> Outage | None:
        """Return what a person should know first; None where all is well."""
        all_ = [*([self.everybody] if self.everybody else []), *self.applications.values()]
        return max(all_, key=lambda outage: outage.since is not None, default=None)

    def is_open(self, application: str) -> bool:
        """Tell whether the calls of an application have ended."""
        return any(outage and outage.since for outage in (self.everybody, self.applications.get(application)))

    def at(self, place: str) -> Outage | None:
        """Return what fails for an application, or for everybody where that is empty."""
        return self.applications.get(place) if place else self.everybody

    def put(self, place: str, outage: Outage | None) -> Known:
        """Return it with another outage of an application, or of everybody."""
        if not place:
            return replace(self, everybody=outage)
        others = {name: each for name, each in self.applications.items() if name != place}
        newest = {place: outage, **others} if outage else others
        return replace(self, applications=dict(list(newest.items())[:_APPLICATIONS_KEPT]))

    def columns(self) -> Columns:
        """Return the row's columns."""
        told = self.everybody or Outage("", 0, "")
        return {
            "kind": told.kind,
            "failures": told.failures,
            "error": told.error,
            "since": told.since or _NEVER,
            "probeAt": told.probe_at,
            "probes": told.probes,
            "refused": ",".join(told.refused),
            "applications": msgspec.json.encode(self.applications).decode() if self.applications else "",
            "throttledUntil": self.throttled_until,
            "updatedAt": clock.now(),
        }


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
        self._suspected, self._looked_at = True, _NEVER
        self._throttles = 0

    def known(self) -> Known:
        """Return what is known over all instances.

        Raises:
            CabferryError: The table cannot be read.
        """
        return Known.of(self._table.get(_PARTITION, self._name))

    @contextmanager
    def guard(self, application: str = _REPORTS) -> Iterator[None]:
        """Let a call through where the circuit is closed, or as its probe, and note how it ends.

        Args:
            application: Whose failures the call is about.

        Raises:
            CircuitOpen: No call is made now.
        """
        self._raise_if_throttled()
        self._raise_if_open(application)
        try:
            yield
        except CabferryError as error:
            if error.outage:
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
            self._change(lambda known: self._counted(known, kind, error, application), "count a failure")

    def _counted(self, known: Known, kind: str, error: str, application: str) -> Known:
        before = known.everybody
        refused = () if kind != _FORBIDDEN else (application,)
        outage = Outage(kind, 1, error, refused=refused)
        if before:
            goes_on = before.kind == kind
            in_a_row = tuple(dict.fromkeys((*before.refused, *refused)))[:_APPLICATIONS_KEPT] if goes_on else refused
            failures = before.failures + 1 if goes_on else 1
            outage = replace(before, kind=kind, failures=failures, error=error, refused=in_a_row)
        are_enough = outage.failures >= _FAILURES_TO_OPEN
        if kind == _FORBIDDEN:
            mine = known.at(application) or Outage(kind, 0, "")
            mine = replace(mine, failures=mine.failures + 1, error=excerpt(error, _ERROR_LENGTH))
            if are_enough or mine.failures >= _FAILURES_TO_OPEN:
                self._tell_opening(mine, application)
                mine = mine.opened()
            known = known.put(application, mine)
            are_enough = are_enough and len(outage.refused) >= _APPLICATIONS_TO_OPEN
        if are_enough:
            self._tell_opening(outage, "")
            outage = outage.opened()
        return known.put("", outage)

    def _tell_opening(self, outage: Outage, application: str) -> None:
        if outage.since is None:
            CIRCUIT_OPENED.tell(
                service=self._name,
                application=application,
                kind=outage.kind,
                failures=outage.failures,
                reason=outage.error,
            )

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
            if self._change(lambda known: _cleared(known, application), "be closed"):
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
                    if (before.worst and before.worst.since) and not (after.worst and after.worst.since):
                        CIRCUIT_CLOSED.tell(service=self._name)
                    self._known = after
                    return True
            trouble: object = "others keep changing its row"
        except CabferryError as refused:
            trouble = refused
        _log.warning("the circuit of %s cannot %s: %s", self._name, what, trouble)
        return False


def _cleared(known: Known, application: str) -> Known:
    # Who may read reports may be forbidden every application's cabs.
    says_nothing = application == _REPORTS and known.everybody and known.everybody.kind == _FORBIDDEN
    return (known if says_nothing else known.put("", None)).put(application, None)

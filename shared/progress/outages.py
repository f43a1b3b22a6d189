"""What is known of a service that fails, and when it is not asked any more: values, which ask nobody."""

from __future__ import annotations

from copy import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from shared.core import clock
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.values import Immutable
from shared.storage.table_writes import NO_MOMENT

if TYPE_CHECKING:
    from shared.storage.table_rows import Row
    from shared.storage.table_writes import Columns

_FAILURES_TO_OPEN = 5
# So many applications (and the reports, as one more) are forbidden in a row before the account is taken to be.
_APPLICATIONS_TO_OPEN = 2
_FORBIDDEN, REPORTS = "403", "reports"
# Of how many applications the row tells; with their errors they stay below the 32 Ki characters of a column, though
# each character of an error took two.
_APPLICATIONS_KEPT, _ERROR_LENGTH = 20, 700
# The first probe, growing twofold to the last: a person mends a role within hours, and a name that does not resolve may
# come back within a minute.
_FIRST_PROBE, _LAST_PROBE = timedelta(seconds=30), timedelta(minutes=15)


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
    probe_at: datetime = NO_MOMENT
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
    throttled_until: datetime = NO_MOMENT

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
            everybody = Outage(
                kind=row.text("kind"),
                failures=row.number("failures"),
                error=row.text("error"),
                since=row.set_moment("since"),
                probe_at=row.moment("probeAt") or NO_MOMENT,
                probes=row.number("probes"),
                refused=tuple(filter(None, row.text("refused").split(","))),
            )
        return cls(everybody, applications, row.moment("throttledUntil") or NO_MOMENT)

    @property
    def worst(self) -> Outage | None:
        """Return what a person should know first; None where all is well."""
        return max(self._all().values(), key=lambda outage: outage.since is not None, default=None)

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

    def failing(self, kind: str, error: str, application: str) -> Known:
        """Return it after one more call that failed so: where they are enough, open for its application or everybody.

        Args:
            kind: 401, 403, token, or unreachable.
            error: What went wrong.
            application: Whose failures the call was about.
        """
        before, refused = self.everybody, (application,) if kind == _FORBIDDEN else ()
        outage = Outage(kind, 1, error, refused=refused)
        if before:
            goes_on = before.kind == kind
            in_a_row = tuple(dict.fromkeys((*before.refused, *refused)))[:_APPLICATIONS_KEPT] if goes_on else refused
            failures = before.failures + 1 if goes_on else 1
            outage = replace(before, kind=kind, failures=failures, error=error, refused=in_a_row)
        known, are_enough = self, outage.failures >= _FAILURES_TO_OPEN
        if kind == _FORBIDDEN:
            mine = self.at(application) or Outage(kind, 0, "")
            mine = replace(mine, failures=mine.failures + 1, error=excerpt(error, _ERROR_LENGTH))
            known = self.put(application, mine.opened() if are_enough or mine.failures >= _FAILURES_TO_OPEN else mine)
            are_enough = are_enough and len(outage.refused) >= _APPLICATIONS_TO_OPEN
        return known.put("", outage.opened() if are_enough else outage)

    def working(self, application: str) -> Known:
        """Return it after a call of an application that worked."""
        # Who may read reports may be forbidden every application's cabs.
        says_nothing = application == REPORTS and self.everybody and self.everybody.kind == _FORBIDDEN
        return (self if says_nothing else self.put("", None)).put(application, None)

    def opened_since(self, before: Known) -> dict[str, Outage]:
        """Return what has opened since: of an application by its id, for everybody by an empty one."""
        open_before = {place for place, outage in before._all().items() if outage.since}
        return {place: each for place, each in self._all().items() if each.since and place not in open_before}

    def columns(self) -> Columns:
        """Return the row's columns."""
        told = self.everybody or Outage("", 0, "")
        return {
            "kind": told.kind,
            "failures": told.failures,
            "error": told.error,
            "since": told.since or NO_MOMENT,
            "probeAt": told.probe_at,
            "probes": told.probes,
            "refused": ",".join(told.refused),
            "applications": msgspec.json.encode(self.applications).decode() if self.applications else "",
            "throttledUntil": self.throttled_until,
            "updatedAt": clock.now(),
        }

    def _all(self) -> dict[str, Outage]:
        return {**({"": self.everybody} if self.everybody else {}), **self.applications}

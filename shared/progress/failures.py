"""The table `failures`: one row a failure that a check saw; and in `health`, how far each application was checked."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec

from shared.core.clock import moment_of
from shared.core.failure import Failure
from shared.core.json_text import JsonError, decoded
from shared.core.values import Immutable, Mutable
from shared.storage.table_writes import NO_MOMENT, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_CHECKS = "failure-check"
# An overlap of some days is compared; older days only add up.
_DAYS_KEPT = 35


class SeenFailure(Mutable):
    """What is known of a failure that happened.

    Args:
        failure: Which.
        name: The failure's name.
        product: The application's name.
        file: Its file or package.
        version: The version that was seen last.
        days: How often it happened on each of the last days, sampled: fractions.
        earlier: How often it happened before these.
        first_date: The first day that was seen.
    """

    failure: Failure
    name: str = ""
    product: str = ""
    file: str = ""
    version: str = ""
    days: dict[date, float] = msgspec.field(default_factory=dict)
    earlier: float = 0.0
    first_date: date | None = None

    @classmethod
    def of(cls, row: Row) -> SeenFailure:
        """Decode a row of the table."""
        try:
            days = decoded(row.text("days").encode() or b"{}", dict[date, float])
        except JsonError:
            days = {}  # Somebody wrote it by hand: what comes is news then.
        return cls(
            failure=Failure(row.partition, row.key, row.text("family")),
            name=row.text("failureName"),
            product=row.text("product"),
            file=row.text("file"),
            version=row.text("version"),
            days=days,
            earlier=float(row.columns.get("earlier", 0.0)),
            first_date=_day(row.text("firstDate")),
        )

    @property
    def events(self) -> float:
        """Return how often it happened in all, as far as checks saw."""
        return self.earlier + sum(self.days.values())

    def first_news(self, known: SeenFailure | None) -> date | None:
        """Return the first day of which something is news: it is new, or it happened oftener on it; None without any.

        Args:
            known: How it was last seen; None where it never was.
        """
        # A day is told late at times; those that were dropped lie farther back than the API tells of.
        before = known.days if known else {}
        news = (day for day, events in self.days.items() if day not in before or events > before[day] + 1e-9)
        return min(news, default=None)

    def joined(self, known: SeenFailure | None) -> SeenFailure:
        """Return both together: each day as it was seen last."""
        if known is None:
            return self
        days = {**known.days, **self.days}
        kept = dict(sorted(days.items())[-_DAYS_KEPT:])
        first = min((day for day in (known.first_date, *days) if day), default=None)
        dropped = sum(days.values()) - sum(kept.values())
        return SeenFailure(
            self.failure,
            self.name or known.name,
            self.product or known.product,
            self.file or known.file,
            self.version or known.version,
            kept,
            known.earlier + dropped,
            first,
        )

    def columns(self) -> Columns:
        """Return the row's columns."""
        days = {day.isoformat(): events for day, events in sorted(self.days.items())}
        first, last = self.first_date or min(self.days, default=None), max(self.days, default=None)
        return {
            "family": self.failure.family,
            "failureName": self.name,
            "product": self.product,
            "file": self.file,
            "version": self.version,
            "days": msgspec.json.encode(days).decode(),
            "earlier": float(self.earlier),
            "events": float(self.events),
            "firstDate": first.isoformat() if first else "",
            "lastDate": last.isoformat() if last else "",
        }


class ApplicationCheck(Immutable, frozen=True):
    """How far the failures of an application were looked for.

    Args:
        family: The application's family.
        application_id: Which.
        covered_to: The last day of the last check that was complete; None before the first.
        checked_at: When it was last checked, complete or not; None before the first.
        failures: How many failures the last check saw.
        queued: How many of them were queued.
        error: Why it was not complete, or what could not be read; empty where all is well.
        next_try_at: When a check that somebody asked for is tried again, as the Dev Center asked; None where it is not.
    """

    family: str
    application_id: str
    covered_to: date | None
    checked_at: datetime | None
    failures: int
    queued: int
    error: str
    next_try_at: datetime | None = None


class FailureRows:
    """Read and write what checks saw."""

    def __init__(self, table: TableRows, health: TableRows) -> None:
        self._table, self._health = table, health

    def of_application(self, application_id: str) -> dict[Failure, SeenFailure]:
        """Return what is known of an application's failures: one request for 1,000."""
        rows = self._table.query("PartitionKey eq @application", {"application": application_id})
        return {seen.failure: seen for seen in map(SeenFailure.of, rows)}

    def write(self, application_id: str, seen: Iterable[SeenFailure]) -> None:
        """Write rows of an application, 100 a request."""
        self._table.write_all(
            application_id, (Write(each.failure.failure_hash, each.columns(), "upsert") for each in seen)
        )

    def check_of(self, family: str, application_id: str) -> ApplicationCheck:
        """Return how far an application was checked."""
        row = self._health.get(_CHECKS, application_id)
        return _check(row, family) if row else ApplicationCheck(family, application_id, None, None, 0, 0, "")

    def checks(self) -> Iterator[ApplicationCheck]:
        """Yield how far each application was checked."""
        for row in self._health.query("PartitionKey eq @checks", {"checks": _CHECKS}):
            yield _check(row, row.text("family"))

    def note_check(self, check: ApplicationCheck, at: datetime) -> None:
        """Write down how a check ended.

        Args:
            check: How far it came.
            at: When it began.
        """
        columns: Mapping[str, str | int | datetime] = {
            "family": check.family,
            "coveredTo": check.covered_to.isoformat() if check.covered_to else "",
            "checkedAt": at,
            "failures": check.failures,
            "queued": check.queued,
            "error": check.error[:2_000],
            "nextTryAt": check.next_try_at or NO_MOMENT,
        }
        self._health.write_all(_CHECKS, [Write(check.application_id, columns, "upsert")])


def _day(text: str) -> date | None:
    """Read a day; what is none was written by hand, and is as if it were not there."""
    moment = moment_of(text)
    return moment.date() if moment else None


def _check(row: Row, family: str) -> ApplicationCheck:
    return ApplicationCheck(
        family,
        row.key,
        _day(row.text("coveredTo")),
        row.moment("checkedAt"),
        row.number("failures"),
        row.number("queued"),
        row.text("error"),
        row.set_moment("nextTryAt"),
    )

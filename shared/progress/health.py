"""The table `health`: what the last reconcile and check of the reports found, and messages that are no pull.

The circuit breaker has a row of its own there (shared/progress/circuit.py).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Self

from msgspec.structs import asdict

from shared.core import clock
from shared.core.errors import AgainLater
from shared.core.redaction import excerpt, redact
from shared.core.values import Immutable, Mutable
from shared.storage.table_writes import NO_MOMENT, Write, column_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_RECONCILE, _REPORTS, _LATEST, _POISON, _SCHEDULES = "reconcile", "reports", "latest", "poison", "schedules"
_TEXT_LENGTH = 2_000
_TRIES = 5


class Reconciled(Mutable):
    """What one run of the reconcile found and did.

    Args:
        at: When it began.
        failures: Failures that the pulls, the cab rows or the container know.
        under_way: Those that were being pulled right then, and were left alone.
        failed_pulls: Pulls that stand as Failed after the run.
        missing: Cabs that could still be had and are not in the container.
        expiring_within_48_hours: Those of them that Microsoft deletes within 48 hours.
        lost: Cabs that Microsoft has deleted before they could be copied, as far as this run noticed.
        messages_sent: Pulls that waited or died without a message, and got one.
        queued_again: Pulls that were asked for once more.
        rows_mended: Rows of cabs that did not agree with the container.
        rows_removed: Rows that nobody needs any more.
        poison: Messages kept because no pull could be made of them.
        broken: Failures that could not be looked after.
        error: What was wrong with the first of these; empty where none was.
    """

    at: datetime
    failures: int = 0
    under_way: int = 0
    failed_pulls: int = 0
    missing: int = 0
    expiring_within_48_hours: int = 0
    lost: int = 0
    messages_sent: int = 0
    queued_again: int = 0
    rows_mended: int = 0
    rows_removed: int = 0
    poison: int = 0
    broken: int = 0
    error: str = ""

    def __iadd__(self, other: Reconciled) -> Self:
        """Add what was found at one failure."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int):
                setattr(self, name, value + getattr(other, name))
        self.error = self.error or other.error
        return self

    def numbers(self) -> dict[str, int]:
        """Return what the row and the event `reconciled` tell, by their names there."""
        return {column_of(name): value for name, value in asdict(self).items() if isinstance(value, int)}


class CheckedReports(Immutable, frozen=True):
    """How the last check of the reports went.

    Args:
        at: When it ended.
        runs: How many runs it looked at, and odd items.
        failed: How many of them failed.
        error: What was wrong with the first of them, or what ended the check; empty where all is well.
        problems: What is wrong with the schedules, a sentence each; None leaves what an earlier check found.
    """

    at: datetime
    runs: int
    failed: int
    error: str
    problems: tuple[str, ...] | None = ()


class HealthRows:
    """Read and write these rows."""

    def __init__(self, table: TableRows) -> None:
        self._table = table

    def write_reconciled(self, found: Reconciled) -> None:
        """Put what a run found in the place of what the one before it did."""
        columns = {column_of(name): value for name, value in asdict(found).items()}
        self._table.write_all(_RECONCILE, [Write(_LATEST, columns, "upsert")])

    def reconciled(self) -> Reconciled | None:
        """Return what the last run found; None before the first: one request."""
        row = self._table.get(_RECONCILE, _LATEST)
        at = row.moment("at") if row else None
        if row is None or at is None:
            return None
        counts = {name: row.number(column_of(name)) for name in Reconciled.__struct_fields__ if name not in _TOLD}
        return Reconciled(at=at, error=row.text("error"), **counts)

    def write_checked(self, checked: CheckedReports) -> None:
        """Put how a check of the reports went in the place of the one before it."""
        columns: Columns = {
            "at": checked.at,
            "runs": checked.runs,
            "failed": checked.failed,
            "error": checked.error[:_TEXT_LENGTH],
        }
        if checked.problems is not None:
            columns = {**columns, "problems": "\n".join(checked.problems)[: 5 * _TEXT_LENGTH]}
        self._table.write_all(_REPORTS, [Write(_LATEST, columns, "upsert")])

    def checked(self) -> CheckedReports | None:
        """Return how the last check of the reports went; None before the first: one request."""
        row = self._table.get(_REPORTS, _LATEST)
        at = row.moment("at") if row else None
        if row is None or at is None:
            return None
        problems = tuple(row.text("problems").splitlines())
        return CheckedReports(at, row.number("runs"), row.number("failed"), row.text("error"), problems)

    def schedules(self) -> dict[str, Row]:
        """Return what is known of each report schedule, by report: one query."""
        return {row.key: row for row in self._table.query("PartitionKey eq @schedules", {"schedules": _SCHEDULES})}

    def note_schedule(
        self, report_id: str, known: Row | None, mark: str, last_run_at: datetime | None, *, is_new: bool
    ) -> bool:
        """Record how a schedule stands; tell whether this call did, and no other check before it.

        Args:
            report_id: The schedule's id.
            known: Its row as it was read.
            mark: What tells how it stands from how it stood before.
            last_run_at: When its newest run was made that was ever seen.
            is_new: Whether it stood otherwise before.
        """
        columns: Columns = {"mark": mark, "lastRunAt": last_run_at or NO_MOMENT}
        columns = {**columns, "markedAt": clock.now()} if is_new else columns
        row = self._table.merge(known, columns) if known else self._table.insert(_SCHEDULES, report_id, columns)
        return row is not None

    def keep_poison(self, text: str, reason: str) -> None:
        """Keep a message that no pull can be made of; one that comes again is counted in its row.

        Args:
            text: The message; kept redacted, and its first 2,000 characters.
            reason: Why it is none.

        Raises:
            AgainLater: Others keep changing the row.
        """
        shown, now = excerpt(text, _TEXT_LENGTH), clock.now()
        key = hashlib.sha256(redact(text).encode()).hexdigest()[:32]
        for _ in range(_TRIES):
            row = self._table.get(_POISON, key)
            if row and self._table.merge(row, {"times": row.number("times") + 1, "lastAt": now}):
                return
            first: Columns = {"text": shown, "reason": reason, "times": 1, "firstAt": now, "lastAt": now}
            if not row and self._table.insert(_POISON, key, first):
                return
        raise AgainLater(f"the poison row {key} kept changing")

    def poison(self) -> Iterator[Row]:
        """Yield the rows of kept messages: one request for 1,000."""
        yield from self._table.query("PartitionKey eq @poison", {"poison": _POISON})

    def forget_poison(self, row: Row) -> bool:
        """Remove the version of a kept message that was read; tell whether it was still that version."""
        return self._table.write_together(_POISON, [Write(row.key, {}, "delete", row.etag)]) is not None


_TOLD = {"at", "error"}

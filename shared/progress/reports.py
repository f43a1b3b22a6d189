"""The table `reports`: one row a report run, so that each is ingested once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from shared.core import clock
from shared.storage.lease import HeldElsewhere, RowLease

if TYPE_CHECKING:
    from shared.devcenter.reports import ReportRun
    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_READING = timedelta(seconds=60)
# What a RowKey may not hold: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_NO_KEY = re.compile(r"[/\\#?%\x00-\x1f\x7f-\x9f]")
type CheckState = Literal["Queued", "Running", "Completed", "Failed"]
type Outcome = Literal["ingested", "known", "pending", "busy", "failed"]


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of the table, decoded.

    Args:
        report_id: The schedule's id.
        report_datetime: When the run was made, as the API spells it.
        status: As the API last named it.
        failures: How many distinct failures it names; 0 until it is ingested.
        cabs: How many cabs it lists, counted once a part; 0 until it is ingested.
        ingested_at: When its last message was sent; None until then.
        error: Why it could not be ingested, or what of it could not be read; empty where all is well.
    """

    report_id: str
    report_datetime: str
    status: str
    failures: int
    cabs: int
    ingested_at: datetime | None
    error: str


class ReportRows:
    """Read and write the runs that were seen.

    Args:
        table: The table `reports`.
    """

    def __init__(self, table: TableRows) -> None:
        self._table = table

    def of(self, report_id: str) -> dict[str, ReportRow]:
        """Return what is known of a schedule's runs, by ReportDatetime: one query."""
        rows = self._table.query("PartitionKey eq @report", {"report": report_id})
        return {row.text("reportDatetime"): _decoded(row) for row in rows}

    def page(self, limit: int, after: dict[str, str] | None) -> tuple[list[ReportRow], dict[str, str] | None]:
        """Return a page of runs in the order of their reports and dates, and what continues after it.

        Args:
            limit: The most runs of a page.
            after: What an earlier page returned.
        """
        rows, following = self._table.page("", {}, limit, after)
        return [_decoded(row) for row in rows], following

    def note(self, run: ReportRun) -> None:
        """Record the status of a run that cannot be ingested yet."""
        lease = self.take(run)
        if isinstance(lease, RowLease):
            lease.release(_seen(run))

    def take(self, run: ReportRun) -> RowLease | HeldElsewhere:
        """Take the lease on a run, so that a timer and a call of the API do not both read it."""
        return RowLease.take(self._table, run.report_id, _key(run), _READING, lambda _: _seen(run))


def ingested(failures: int, cabs: int, error: str) -> Columns:
    """Return the columns of a run whose every message was sent."""
    return {"failures": failures, "cabs": cabs, "ingestedAt": clock.now(), "error": error}


def _seen(run: ReportRun) -> Columns:
    return {"reportDatetime": run.report_datetime, "status": run.status, "updatedAt": clock.now()}


def _key(run: ReportRun) -> str:
    return _NO_KEY.sub("_", run.report_datetime)


def _decoded(row: Row) -> ReportRow:
    return ReportRow(
        report_id=row.partition,
        report_datetime=row.text("reportDatetime"),
        status=row.text("status"),
        failures=row.number("failures"),
        cabs=row.number("cabs"),
        ingested_at=row.moment("ingestedAt"),
        error=row.text("error"),
    )

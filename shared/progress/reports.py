"""The table `reports`: one row a report run, so that each is ingested once."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.values import Immutable
from shared.storage.lease import HeldElsewhere, RowLease, held_for
from shared.storage.table_writes import Write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.devcenter.reports import ReportRun
    from shared.storage.table_rows import Row, TableRows
    from shared.storage.table_writes import Columns

_READING = timedelta(seconds=60)
# What a RowKey may not hold: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
_NO_KEY = re.compile(r"[/\\#?%\x00-\x1f\x7f-\x9f]")
# What an error tells anew each time: a request, a time.
_TOLD_ANEW = re.compile(r"[0-9A-Fa-f-]{16,}|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+")


class ReportRow(Immutable, frozen=True):
    """One row of the table, decoded.

    Args:
        report_id: The schedule's id.
        report_datetime: When the run was made, as the API spells it.
        status: As the API last named it.
        failures: How many distinct failures it names; 0 until its file was read, to its end or as far as it can be.
        cabs: How many distinct cabs it lists; likewise.
        ingested_at: When its last message was sent; None until then.
        error: Why it could not be ingested, or what of it could not be read; empty where all is well.
        file: What its file is known by; empty until it has one.
    """

    report_id: str
    report_datetime: str
    status: str
    failures: int
    cabs: int
    ingested_at: datetime | None
    error: str
    file: str


class ReportRows:
    """Read and write the runs that were seen."""

    def __init__(self, table: TableRows) -> None:
        self._table = table

    def of(self, report_id: str) -> dict[str, ReportRow]:
        """Return what is known of a schedule's runs, by their RowKey: one query."""
        rows = self._table.query("PartitionKey eq @report", {"report": report_id})
        return {row.key: _decoded(row) for row in rows}

    def page(self, limit: int, after: dict[str, str] | None) -> tuple[list[ReportRow], dict[str, str] | None]:
        """Return a page of runs in the order of their reports and dates, and what continues after it.

        Args:
            limit: The most runs of a page.
            after: What an earlier page returned.
        """
        rows, following = self._table.page("", {}, limit, after)
        return [_decoded(row) for row in rows], following

    def note(self, run: ReportRun, key: str) -> bool:
        """Record the status of a run that cannot be ingested yet; tell whether this call did, and none before it."""
        row = self._table.get(run.report_id, key)
        if row is None:
            return self._table.insert(run.report_id, key, _seen(run)) is not None
        # Who reads it meanwhile knows it better.
        is_news = row.text("status") != run.status and not held_for(row)
        return is_news and self._table.merge(row, _seen(run)) is not None

    def take(self, run: ReportRun, key: str) -> RowLease | HeldElsewhere:
        """Take the lease on a run, so that a timer and a call of the API do not both read it."""
        return RowLease.take(self._table, run.report_id, key, _READING, lambda _: _seen(run))

    def tell(self, report_id: str, key: str, error: str) -> None:
        """Record what is wrong with a report, or with something in a list that is no run.

        Args:
            report_id: Whose; `schedules` where that is not known.
            key: The RowKey, which no run has: `report`, or `odd_key`.
            error: What is wrong; empty where nothing is any more.
        """
        columns: Columns = {"reportDatetime": "", "status": "", "error": error, "updatedAt": clock.now()}
        self._table.write_all(report_id, [Write(key, columns, "upsert")])


def key_of(run: ReportRun, others: Sequence[ReportRun], known: Mapping[str, ReportRow]) -> str:
    """Return the RowKey of a run: its time, and where that is no name for it alone, its file's as well.

    A row of an earlier version tells no file. Where one of two runs is in it, both are read (again): a pull that is
    made twice copies nothing twice.

    Args:
        run: A run of a schedule.
        others: The runs that were listed together with it.
        known: The schedule's rows.
    """
    plain = _NO_KEY.sub("_", run.report_datetime)
    shares = any(each.report_datetime == run.report_datetime and each is not run for each in others)
    if plain and (not shares or (plain in known and known[plain].file == file_of(run))):
        return plain
    return f"{plain}_{file_of(run)}"


def odd_key(what: str) -> str:
    """Return the RowKey of something odd: the same as long as it is odd in the same way, whatever it names."""
    return f"odd_{hashlib.sha256(_TOLD_ANEW.sub('', what).encode()).hexdigest()[:16]}"


def file_of(run: ReportRun) -> str:
    """Return what a run's file is known by: its signature is another each time; empty where it has none."""
    path = run.location.partition("?")[0]
    return hashlib.sha256(path.encode()).hexdigest()[:16] if path else ""


def ingested(failures: int, cabs: int, error: str) -> Columns:
    """Return the columns of a run whose every message was sent."""
    return {"failures": failures, "cabs": cabs, "ingestedAt": clock.now(), "error": error}


def _seen(run: ReportRun) -> Columns:
    seen: Columns = {"reportDatetime": run.report_datetime, "status": run.status, "updatedAt": clock.now()}
    return {**seen, "file": file_of(run)} if run.location else seen


def _decoded(row: Row) -> ReportRow:
    return ReportRow(
        report_id=row.partition,
        report_datetime=row.text("reportDatetime"),
        status=row.text("status"),
        failures=row.number("failures"),
        cabs=row.number("cabs"),
        ingested_at=row.moment("ingestedAt"),
        error=row.text("error"),
        file=row.text("file"),
    )

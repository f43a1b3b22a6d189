"""Answer the report calls: the list of schedules, and the runs of one."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta

import msgspec

from local.simulator.catalogue import Report, ReportRun

_DEFAULT_LOOKBACK = timedelta(days=30)


class ScheduleRow(msgspec.Struct, frozen=True, rename="camel"):
    """A schedule; `schedule` is JSON within a text, as the API has it."""

    report_id: int
    template_id: int
    schedule: str
    is_active: bool
    created_datetime: str
    modified_datetime: str


class RunRow(msgspec.Struct, frozen=True, rename="pascal"):
    """A run of a schedule."""

    report_datetime: str
    report_status: str
    report_location: str


def schedule_row(report: Report) -> ScheduleRow:
    """Return a schedule's row.

    Args:
        report: The schedule.
    """
    created = f"{report.created:%Y-%m-%dT%H:%M:%SZ}"
    schedule = {"startTime": created, "recurrenceInterval": 24, "recurrence": 90}
    return ScheduleRow(
        report_id=report.report_id,
        template_id=report.template_id,
        schedule=msgspec.json.encode(schedule).decode(),
        is_active=report.active,
        created_datetime=created,
        modified_datetime=created,
    )


def run_row(run: ReportRun, location: Callable[[ReportRun], str]) -> RunRow:
    """Return a run's row.

    Args:
        run: The run.
        location: Mints its location; not called where the run has no file.
    """
    return RunRow(
        report_datetime=f"{run.at:%Y-%m-%dT%H:%M:%S}",
        report_status=run.form.status,
        report_location=location(run) if run.form.has_file else "",
    )


def runs_within(report: Report, query: Mapping[str, str]) -> list[ReportRun]:
    """Return the runs that were generated from `startDate` to `endDate`, both days included, UTC.

    Args:
        report: The schedule.
        query: The request's parameters.

    Raises:
        ValueError: A date is not `yyyy-mm-dd`.
    """
    today = datetime.now(UTC).date()
    end = _day(query["endDate"]) if "endDate" in query else today
    start = _day(query["startDate"]) if "startDate" in query else end - _DEFAULT_LOOKBACK
    return [run for run in report.runs if start <= run.at.date() <= end]


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()

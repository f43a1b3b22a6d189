"""Answer the report calls: templates, schedules, and the runs of one."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec

from local.simulator.builder import WorldBuilder
from local.simulator.catalogue import Report, ReportRun, Template, World
from local.simulator.report_file import IHV_DRIVER_COLUMNS, OEM_DRIVER_COLUMNS

_DEFAULT_LOOKBACK = timedelta(days=30)
_VIEWS = {"IHVDriver": IHV_DRIVER_COLUMNS, "OEMDriver": OEM_DRIVER_COLUMNS}
_PERIODS = {"Yesterday", *(f"Last{days}Days" for days in (3, 7, 10, 15, 30, 60, 90))}

type Row = dict[str, object]


class _DateRange(msgspec.Struct, rename="camel"):
    report_period: str


class _TemplateAsked(msgspec.Struct, rename="camel"):
    view: str
    projection: list[str]
    date_range: _DateRange


class _Recurring(msgspec.Struct, rename="camel"):
    start_time: datetime
    recurrence_interval: Annotated[int, msgspec.Meta(ge=12)]
    recurrence: Annotated[int, msgspec.Meta(ge=1)]


class _ScheduleAsked(msgspec.Struct, rename="camel"):
    template_id: int
    schedule: _Recurring
    callback_url: str = msgspec.field(default="", name="CallbackURL")


def template_row(number: int, template: Template) -> Row:
    """Return a template's row; `template` is JSON within a text, as the API has it.

    Args:
        number: Its templateId.
        template: The template.
    """
    created = f"{template.created:%Y-%m-%dT%H:%M:%S}.123"
    return {
        "templateId": number,
        "template": template.definition,
        "createdDatetime": created,
        "modifiedDatetime": created,
    }


def new_template(builder: WorldBuilder, body: bytes) -> int:
    """Make a template, and return its number.

    Args:
        builder: Where to.
        body: What is asked for.

    Raises:
        ValueError: It is not what the API takes.
    """
    asked = msgspec.json.decode(body, type=_TemplateAsked)
    columns = _VIEWS.get(asked.view, ())
    if not columns or asked.date_range.report_period not in _PERIODS:
        raise ValueError("view or reportPeriod is none of those that are documented")
    if unknown := set(asked.projection) - set(columns):
        raise ValueError(f"the view has no column {min(unknown)}")
    return builder.template(Template(body.decode(), tuple(asked.projection), datetime.now(UTC)))


def new_schedule(builder: WorldBuilder, world: World, body: bytes) -> int:
    """Make a schedule, and return its number.

    Args:
        builder: Where to.
        world: Holds the templates.
        body: What is asked for.

    Raises:
        ValueError: It is not what the API takes.
    """
    asked = msgspec.json.decode(body, type=_ScheduleAsked)
    if asked.template_id not in world.templates:
        raise ValueError(f"there is no template {asked.template_id}")
    report = builder.schedule(asked.template_id, datetime.now(UTC))
    report.starts, report.callback = asked.schedule.start_time, asked.callback_url
    report.interval, report.recurrence = asked.schedule.recurrence_interval, asked.schedule.recurrence
    return report.report_id


def schedule_row(report: Report) -> Row:
    """Return a schedule's row; `schedule` is JSON within a text, as the API has it.

    Args:
        report: The schedule.
    """
    schedule = {
        "startTime": f"{report.starts or report.created:%Y-%m-%dT%H:%M:%SZ}",
        "recurrenceInterval": report.interval,
        "recurrence": report.recurrence,
    }
    return {
        "reportId": report.report_id,
        "templateId": report.template_id,
        "schedule": msgspec.json.encode(schedule).decode(),
        "isActive": report.active,
        "createdDatetime": f"{report.created:%Y-%m-%dT%H:%M:%SZ}",
        "modifiedDatetime": f"{report.modified or report.created:%Y-%m-%dT%H:%M:%SZ}",
    }


def run_row(run: ReportRun, location: Callable[[ReportRun], str]) -> Row:
    """Return a run's row.

    Args:
        run: The run.
        location: Mints its location; not called where the run has no file.
    """
    return {
        "ReportDatetime": f"{run.at:%Y-%m-%dT%H:%M:%S}",
        "ReportStatus": run.form.status,
        "ReportLocation": location(run) if run.form.has_file else "",
    }


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

"""What the HTTP API takes and tells of report templates and schedules."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.scalars import Count, Moment
from shared.core import clock
from shared.core.ids import REPORT_ID
from shared.core.values import hiding
from shared.reports.scheduling import (
    CALLBACK_URL,
    LEAST_HOURS,
    MOST_HOURS,
    MOST_RUNS,
    PERIODS,
    NewSchedule,
    missing_columns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.devcenter.reports import Listed, Schedule, Template
    from shared.storage.table_rows import Row

type ReportId = Annotated[
    str,
    Meta(
        description="Names the schedule, as the Dev Center does.",
        # Held by the call, whose error a person can read.
        extra_json_schema={"pattern": f"^(?:{REPORT_ID.pattern})$(?!\\n)"},
        examples=["43000"],
    ),
]
type TemplateId = Annotated[str, Meta(description="Names the template, as the Dev Center does.", examples=["925"])]
type Odd = Annotated[
    list[str], Meta(description="What else the Dev Center listed that cannot be read, a sentence each.")
]


class TemplateAsked(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Ask for a template with every column that the app shows, and none that identifies a device."""

    report_period: Annotated[
        str | None,
        Meta(
            description="Which days a run looks back on. Left out: Last30Days, so that a run that fails costs no cab.",
            extra_json_schema={"enum": [*PERIODS, None]},
        ),
    ] = None


class TemplateMade(Struct, frozen=True, rename="camel"):
    """The template that was made."""

    template_id: TemplateId


class TemplateBody(Struct, frozen=True, rename="camel"):
    """A template as the Dev Center tells it."""

    template_id: TemplateId
    view: Annotated[str | None, Meta(description="IHVDriver, or OEMDriver, whose rows name no application.")]
    columns: list[str]
    report_period: Annotated[str | None, Meta(description="Which days a run looks back on.")]
    created_at: Moment | None
    missing_columns: Annotated[
        list[str], Meta(description="What the app cannot do without; where it lacks any, it is not scheduled.")
    ]

    @classmethod
    def of(cls, template: Template) -> TemplateBody:
        """Return a template as the API tells it."""
        missing = list(missing_columns(template))
        return body_of(cls, template, report_period=template.period, missing_columns=missing)


class TemplatesBody(Struct, frozen=True):
    """The templates of the account."""

    templates: list[TemplateBody]
    odd: Odd

    @classmethod
    def of(cls, listed: Listed[Template]) -> TemplatesBody:
        """Return the templates as the API tells them."""
        return cls([TemplateBody.of(each) for each in listed.items], listed.odd)


class ScheduleAsked(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Ask for a report to be made again and again."""

    template_id: Annotated[
        TemplateId | None,
        Meta(description="What it shall make. Left out: a template with all columns, made where there is none."),
    ] = None
    start_time: Annotated[datetime | None, Meta(description="Of its first run, in UTC; left out: in ten minutes.")] = (
        None
    )
    recurrence_interval: Annotated[
        int,
        Meta(
            description="Hours from run to run.",
            extra_json_schema={"minimum": LEAST_HOURS, "maximum": MOST_HOURS},
        ),
    ] = 24
    recurrence: Annotated[
        int,
        Meta(
            description="How many runs it makes; there is no schedule without an end.",
            extra_json_schema={"minimum": 1, "maximum": MOST_RUNS},
        ),
    ] = 365
    callback_url: Annotated[
        str | None,
        Meta(
            description="The address of the app's own callback with its key, or another that takes a POST; https.",
            extra_json_schema={"pattern": f"^(?:{CALLBACK_URL.pattern})$(?!\\n)"},
        ),
    ] = None

    __repr__ = hiding("callback_url")

    @property
    def schedule(self) -> NewSchedule:
        """Return what is wished for.

        Raises:
            BadInput: The Dev Center does not take it.
        """
        told = self.start_time
        starts_at = told and (clock.moment_of(told.isoformat()) or clock.FIRST_MOMENT)  # what is before that is past
        return NewSchedule(starts_at, self.recurrence_interval, self.recurrence, self.callback_url)


class ScheduleMade(Struct, frozen=True, rename="camel"):
    """The schedule that was made, and what it makes."""

    report_id: ReportId
    template_id: TemplateId


class ScheduleSet(Struct, frozen=True, rename="camel"):
    """A schedule that was paused or resumed."""

    report_id: ReportId
    is_active: bool


class ScheduleBody(Struct, frozen=True, rename="camel"):
    """A schedule as the Dev Center tells it; what it does not tell is null."""

    report_id: ReportId
    template_id: TemplateId | None
    state: Annotated[
        Literal["active", "paused", "ended"], Meta(description="ended: it has made as many runs as it was to make.")
    ]
    start_time: Annotated[Moment | None, Meta(description="When its first run was due.")]
    recurrence_interval: Annotated[Count | None, Meta(description="Hours from run to run.")]
    recurrence: Annotated[Count | None, Meta(description="How many runs it makes in all.")]
    runs_left: Annotated[Count | None, Meta(description="How many of them are still to come.")]
    next_run_at: Annotated[Moment | None, Meta(description="When the next is due.")]
    last_run_at: Annotated[Moment | None, Meta(description="When the newest run was made that a check has seen.")]

    @classmethod
    def of(cls, schedule: Schedule, known: Row | None) -> ScheduleBody:
        """Return a schedule as the API tells it, with what the checks know of it."""
        now = clock.now()
        left = schedule.runs_left(now)
        return body_of(
            cls,
            schedule,
            state="ended" if left == 0 else "active" if schedule.is_active else "paused",
            start_time=schedule.starts_at,
            recurrence_interval=schedule.interval_hours or None,
            recurrence=schedule.recurrence or None,
            runs_left=left,
            next_run_at=schedule.next_due(now),
            last_run_at=known.set_moment("lastRunAt") if known else None,
        )


class SchedulesBody(Struct, frozen=True):
    """The schedules of the account."""

    schedules: list[ScheduleBody]
    odd: Odd

    @classmethod
    def of(cls, listed: Listed[Schedule], known: Mapping[str, Row]) -> SchedulesBody:
        """Return the schedules as the API tells them, with what the checks know of them."""
        return cls([ScheduleBody.of(each, known.get(each.report_id)) for each in listed.items], listed.odd)

"""What the HTTP API tells of report runs, and of the checks for them and for failures: the types that encode it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.scalars import ApplicationId, Continuation, Count, Moment
from shared.reports.outcome import CheckState, Outcome

if TYPE_CHECKING:
    from shared.reports.asked_check import AskedCheck


class RunBody(Struct, frozen=True, rename="camel"):
    """A report run that was seen."""

    report_id: str
    report_datetime: Annotated[str, Meta(description="When it was made, as the Dev Center spells it.")]
    status: Annotated[str, Meta(description="As the Dev Center names it.")]
    failures: Annotated[Count, Meta(description="How many failures it names; 0 until it is ingested.")]
    cabs: Annotated[Count, Meta(description="How many cabs it lists; 0 until it is ingested.")]
    ingested_at: Annotated[Moment | None, Meta(description="When its last pull was queued.")]
    error: Annotated[str | None, Meta(description="Why it was not ingested, or what of it could not be read.")]


class RunsPage(Struct, frozen=True):
    """A page of report runs, in the order of their reports and dates."""

    runs: list[RunBody]
    continuation: Continuation


class OutcomeBody(Struct, frozen=True, rename="camel"):
    """What a check did with a report run."""

    report_id: str
    report_datetime: Annotated[str, Meta(description="When it was made, as the Dev Center spells it.")]
    status: Annotated[str, Meta(description="As the Dev Center names it.")]
    outcome: Outcome
    failures: Annotated[Count, Meta(description="How many failures were queued.")]
    cabs: Annotated[Count, Meta(description="How many cabs were listed.")]
    named: Annotated[
        Count, Meta(description="How many of them were known before, and lacked something that the report tells.")
    ]
    held: Annotated[
        Count,
        Meta(description="Failures that were not queued: their cabs are held, gone, or skipped, or a pull waits."),
    ]
    error: Annotated[str | None, Meta(description="Why it failed, or what of it could not be read.")]


class ApplicationBody(Struct, frozen=True, rename="camel"):
    """How far the failures of an application were looked for."""

    family: str
    application_id: ApplicationId
    covered_to: Annotated[date | None, Meta(description="The last day of the last check that was complete.")]
    checked_at: Annotated[Moment | None, Meta(description="When it was last checked, complete or not.")]
    failures: Annotated[Count, Meta(description="How many failures that check saw.")]
    queued: Annotated[Count, Meta(description="How many of them were new, or happened again, and were queued.")]
    error: Annotated[str | None, Meta(description="Why it was not complete, or what could not be read.")]
    next_try_at: Annotated[
        Moment | None, Meta(description="When a check that was asked for is tried again, as the Dev Center asked.")
    ]


class FailureCheckBody(Struct, frozen=True, rename="camel"):
    """How far the failures of every application were looked for."""

    applications: list[ApplicationBody]


class CheckAccepted(Struct, frozen=True):
    """Where a check that was asked for can be looked at."""

    location: str


class CheckBody(Struct, frozen=True, rename="camel"):
    """How the check stands that was last asked for."""

    state: Annotated[CheckState, Meta(description="Failed: the Dev Center could not be asked for every report.")]
    asked_at: Moment | None
    ended_at: Moment | None
    error: Annotated[str | None, Meta(description="Why it failed, and what to do.")]
    next_try_at: Annotated[
        Moment | None, Meta(description="When a Queued check is tried again that the Dev Center asked to wait.")
    ]
    runs: Annotated[list[OutcomeBody], Meta(description="Empty until it has ended; those first that failed.")]
    left_out: Annotated[Count, Meta(description="How many runs are not among them; GET /api/reports has all.")]

    @classmethod
    def of(cls, check: AskedCheck) -> CheckBody:
        """Return a check as the API tells it."""
        return body_of(cls, check, runs=[body_of(OutcomeBody, each) for each in check.outcomes])

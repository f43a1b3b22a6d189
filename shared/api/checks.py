"""What the HTTP API tells of report runs, and of the checks for them and for failures: the types that encode it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from shared.api.scalars import ApplicationId, Continuation, Count, Moment, moment_text
from shared.progress.reports import CheckState, Outcome

if TYPE_CHECKING:
    from shared.progress.failures import ApplicationCheck
    from shared.progress.reports import ReportRow
    from shared.reports.asked_check import AskedCheck
    from shared.reports.outcome import RunOutcome


class RunBody(Struct, frozen=True, rename="camel"):
    """A report run that was seen."""

    report_id: str
    report_datetime: Annotated[str, Meta(description="When it was made, as the Dev Center spells it.")]
    status: Annotated[str, Meta(description="As the Dev Center names it.")]
    failures: Annotated[Count, Meta(description="How many failures it names; 0 until it is ingested.")]
    cabs: Annotated[Count, Meta(description="How many cabs it lists; 0 until it is ingested.")]
    ingested_at: Annotated[Moment | None, Meta(description="When its last pull was queued.")]
    error: Annotated[str | None, Meta(description="Why it was not ingested, or what of it could not be read.")]

    @classmethod
    def of(cls, row: ReportRow) -> RunBody:
        """Return a run as the API tells it."""
        return cls(
            report_id=row.report_id,
            report_datetime=row.report_datetime,
            status=row.status,
            failures=row.failures,
            cabs=row.cabs,
            ingested_at=moment_text(row.ingested_at),
            error=row.error or None,
        )


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

    @classmethod
    def of(cls, outcome: RunOutcome) -> OutcomeBody:
        """Return what a check did with a run as the API tells it."""
        return cls(
            report_id=outcome.report_id,
            report_datetime=outcome.report_datetime,
            status=outcome.status,
            outcome=outcome.outcome,
            failures=outcome.failures,
            cabs=outcome.cabs,
            named=outcome.named,
            held=outcome.held,
            error=outcome.error or None,
        )


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

    @classmethod
    def of(cls, check: ApplicationCheck) -> ApplicationBody:
        """Return how far an application was checked, as the API tells it."""
        return cls(
            family=check.family,
            application_id=check.application_id,
            covered_to=check.covered_to,
            checked_at=moment_text(check.checked_at),
            failures=check.failures,
            queued=check.queued,
            error=check.error or None,
            next_try_at=moment_text(check.next_try_at),
        )


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
        return cls(
            state=check.state,
            asked_at=moment_text(check.asked_at),
            ended_at=moment_text(check.ended_at),
            error=check.error or None,
            next_try_at=moment_text(check.next_try_at),
            runs=[OutcomeBody.of(each) for each in check.outcomes],
            left_out=check.left_out,
        )

"""What the HTTP API takes and tells: the types that decode and encode it, and that its OpenAPI document is made of."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from shared.core.failure import APPLICATION_ID, GUID, HASH
from shared.progress.cabs import CabState
from shared.progress.pulls import PullState
from shared.progress.reports import CheckState, Outcome

if TYPE_CHECKING:
    from shared.core.failure import Failure
    from shared.progress.cabs import CabRow
    from shared.progress.failures import ApplicationCheck
    from shared.progress.pulls import CabCounts, PullRow
    from shared.progress.reports import ReportRow
    from shared.reports.asked_check import AskedCheck
    from shared.reports.check import RunOutcome

NAMED_HASH = re.compile(rf"{HASH.pattern}|\{{(?:{GUID.pattern})\}}|\((?:{GUID.pattern})\)")
BODY_BYTES = 1 << 20
_MOST_PULLS = 1_000

type ApplicationId = Annotated[
    str,
    Meta(
        pattern=f"^(?:{APPLICATION_ID.pattern})$(?!\\n)",
        description="A decimal of 17 digits; a text, since it is above 2^53.",
        examples=["13984104677400476"],
    ),
]
type FailureHash = Annotated[
    str,
    Meta(
        pattern=f"^(?:{HASH.pattern})$(?!\\n)",
        description="Identifies the failure within the application.",
        examples=["1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"],
    ),
]
type NamedHash = Annotated[
    str,
    Meta(
        description="Identifies the failure within the application; a GUID in any spelling. NULL and such name none.",
        # Held by `PullRequest.decode`, whose error a person can read.
        extra_json_schema={"pattern": f"^(?:{NAMED_HASH.pattern})$(?!\\n)"},
        examples=["1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", "{1FD83F6D-9FE0-96EC-2C47-EF08B65CCBED}"],
    ),
]
type CabIdHash = Annotated[str, Meta(pattern=f"^(?:{HASH.pattern})$(?!\\n)", description="Identifies the cab.")]
type Moment = Annotated[str, Meta(description="In UTC, to the millisecond.", extra_json_schema={"format": "date-time"})]
type Count = Annotated[int, Meta(ge=0)]
type Bytes = Annotated[int, Meta(ge=0, extra_json_schema={"format": "int64"})]
type Continuation = Annotated[str | None, Meta(description="What continues after this page; null on the last.")]


type FamilyName = Annotated[
    Literal["driver", "desktop", "app"],
    Meta(description="Whose failure it is. Left out: that of the configured application, or what the pull has."),
]


class PullAsked(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Ask for the pulls of one failure, or of several of one application."""

    application_id: ApplicationId
    failure_hash: NamedHash | None = None
    failure_hashes: Annotated[list[NamedHash], Meta(min_length=1, max_length=_MOST_PULLS)] | None = None
    family: FamilyName | None = None
    start_date: date | None = None
    end_date: date | None = None


def _with(kind: str, *names: str) -> dict[str, object]:
    return {"required": names, "properties": {name: {"type": kind} for name in names}}


# What `PullRequest.decode` holds beside the types: one kind of hash, and both dates or neither. Null is the same as
# nothing, which is how many clients write it.
_DATES = ("startDate", "endDate")
type PullsAsked = Annotated[
    PullAsked,
    Meta(
        extra_json_schema={
            "oneOf": [_with("string", "failureHash"), _with("array", "failureHashes")],
            "anyOf": [
                {"properties": {name: {"type": "null"} for name in _DATES}},
                _with("string", *_DATES),
            ],
        }
    ),
]


class PullLocation(Struct, frozen=True, rename="camel"):
    """Where a pull that was asked for can be looked at."""

    application_id: ApplicationId
    failure_hash: FailureHash
    location: str

    @classmethod
    def of(cls, failure: Failure) -> PullLocation:
        """Return the location of a failure's pull."""
        location = f"/api/pulls/{failure.application_id}/{failure.failure_hash}"
        return cls(failure.application_id, failure.failure_hash, location)


class PullsAccepted(Struct, frozen=True):
    """The pulls that were queued."""

    pulls: list[PullLocation]


class WindowBody(Struct, frozen=True, rename="camel"):
    """The days that a pull asks for, both included, in UTC."""

    start_date: date
    end_date: date


class CountsBody(Struct, frozen=True, rename="camel"):
    """What became of a pull's cabs."""

    seen: Annotated[Count, Meta(description="Distinct cabs that the Dev Center named and that are settled.")]
    copied: Annotated[Count, Meta(description="Brought into the container by this pull.")]
    already_held: Annotated[Count, Meta(description="Brought by an earlier pull.")]
    expired: Annotated[Count, Meta(description="Gone before they could be copied.")]
    unavailable: Annotated[Count, Meta(description="Listed, but not to be had.")]
    failed: Annotated[Count, Meta(description="Not copied for another reason, which the cab's error tells.")]

    @classmethod
    def of(cls, counts: CabCounts) -> CountsBody:
        """Return the counts of a row."""
        return cls(counts.seen, counts.copied, counts.already_held, counts.expired, counts.unavailable, counts.failed)


class PullBody(Struct, frozen=True, rename="camel"):
    """How a pull stands."""

    family: Annotated[str, Meta(description="driver, desktop or app.")]
    application_id: ApplicationId
    failure_hash: FailureHash
    failure_name: Annotated[str | None, Meta(description="The failure's name, once a row told it.")]
    driver_name: Annotated[str | None, Meta(description="The file or package that failed, likewise.")]
    state: PullState
    window: WindowBody | None
    cabs: CountsBody
    without_cab: Annotated[Count, Meta(description="Rows that told of a crash which left no cab.")]
    bytes: Annotated[Bytes, Meta(description="Length of the copied cabs together.")]
    attempts: Annotated[Count, Meta(description="How often it was sent again to be tried later.")]
    last_error: Annotated[str | None, Meta(description="What went wrong last, and what to do.")]
    queued_at: Moment | None
    started_at: Moment | None
    updated_at: Moment | None
    completed_at: Moment | None

    @classmethod
    def of(cls, row: PullRow) -> PullBody:
        """Return a pull as the API tells it."""
        return cls(
            family=row.failure.family,
            application_id=row.failure.application_id,
            failure_hash=row.failure.failure_hash,
            failure_name=row.failure_name or None,
            driver_name=row.driver_name or None,
            state=row.state,
            window=WindowBody(row.window.start, row.window.end) if row.window else None,
            cabs=CountsBody.of(row.counts),
            without_cab=row.without_cab,
            bytes=row.counts.bytes,
            attempts=row.attempts,
            last_error=row.last_error or None,
            queued_at=moment_text(row.queued_at),
            started_at=moment_text(row.started_at),
            updated_at=moment_text(row.updated_at),
            completed_at=moment_text(row.completed_at),
        )


class PullsPage(Struct, frozen=True):
    """A page of pulls, in the order of their names."""

    pulls: list[PullBody]
    continuation: Continuation


class CabBody(Struct, frozen=True, rename="camel"):
    """What became of a cab, and what a report told of it."""

    cab_id_hash: CabIdHash
    state: CabState
    blob_name: Annotated[str | None, Meta(description="Where it stands in the container.")]
    length: Annotated[Bytes | None, Meta(description="Its bytes.")]
    md5: Annotated[str | None, Meta(description="Its MD5 as hexadecimal digits.")]
    date: Annotated[Moment | None, Meta(description="Its date at the Dev Center.")]
    expires: Annotated[Moment | None, Meta(description="When the Dev Center deletes it.")]
    settled_at: Annotated[Moment | None, Meta(description="When it came into its state.")]
    error: Annotated[str | None, Meta(description="Why it is not copied.")]
    failure_name: str | None
    driver_name: str | None
    driver_version: str | None
    os_version: str | None
    architecture: str | None
    cab_type: str | None
    market: str | None

    @classmethod
    def of(cls, cab_id_hash: str, row: CabRow) -> CabBody:
        """Return a cab as the API tells it."""
        facts = row.facts
        return cls(
            cab_id_hash=cab_id_hash,
            state=row.state,
            blob_name=row.blob_name or None,
            length=row.length,
            md5=row.md5 or None,
            date=moment_text(row.date),
            expires=moment_text(row.expires),
            settled_at=moment_text(row.settled_at),
            error=row.error or None,
            failure_name=facts.failure_name or None,
            driver_name=facts.driver_name or None,
            driver_version=facts.driver_version or None,
            os_version=facts.os_version or None,
            architecture=facts.architecture or None,
            cab_type=facts.cab_type or None,
            market=facts.market or None,
        )


class CabsPage(Struct, frozen=True):
    """A page of a failure's cabs, in the order of their names."""

    cabs: list[CabBody]
    continuation: Continuation


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
            runs=[OutcomeBody.of(each) for each in check.outcomes],
            left_out=check.left_out,
        )


class Problem(Struct, frozen=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="What happened, and what to do.")]


def moment_text(moment: datetime | None) -> str | None:
    """Return a time as the API tells it; None where it has not come."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None

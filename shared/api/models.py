"""What the HTTP API takes and tells: the types that decode and encode it, and that its OpenAPI document is made of."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from shared.core import clock
from shared.core.failure import APPLICATION_ID, GUID, HASH
from shared.progress.cabs import CabState
from shared.progress.pull_row import PullState
from shared.progress.reports import CheckState, Outcome

if TYPE_CHECKING:
    from shared.core.failure import Failure
    from shared.progress.cabs import CabRow
    from shared.progress.failures import ApplicationCheck
    from shared.progress.overview import FailureSeen
    from shared.progress.pull_row import CabCounts, PullRow
    from shared.progress.reports import ReportRow
    from shared.reports.asked_check import AskedCheck
    from shared.reports.check import RunOutcome

NAMED_HASH = re.compile(rf"{HASH.pattern}|\{{(?:{GUID.pattern})\}}|\((?:{GUID.pattern})\)")
BODY_BYTES = 1 << 20
_MOST_PULLS = 1_000

type ApplicationId = Annotated[
    str,
    Meta(
        description="A decimal of 17 digits; a text, since it is above 2^53.",
        # Held by `PullRequest.decode`, whose error a person can read.
        extra_json_schema={"pattern": f"^(?:{APPLICATION_ID.pattern})$(?!\\n)"},
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
        # Likewise.
        extra_json_schema={"pattern": f"^(?:{NAMED_HASH.pattern})$(?!\\n)"},
        examples=["1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", "{1FD83F6D-9FE0-96EC-2C47-EF08B65CCBED}"],
    ),
]
type CabIdHash = Annotated[str, Meta(pattern=f"^(?:{HASH.pattern})$(?!\\n)", description="Identifies the cab.")]
type Moment = Annotated[str, Meta(description="In UTC, to the millisecond.", extra_json_schema={"format": "date-time"})]
type Count = Annotated[int, Meta(ge=0)]
type Percent = Annotated[int, Meta(ge=0, le=100)]
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


def _with(schema: dict[str, object], *names: str) -> dict[str, object]:
    return {"required": names, "properties": dict.fromkeys(names, schema)}


# What `PullRequest.decode` holds beside the types: one kind of hash, and both dates or neither. Null is the same as
# nothing, which is how many clients write it.
_DATES, _TEXT = ("startDate", "endDate"), dict[str, object](type="string")
type PullsAsked = Annotated[
    PullAsked,
    Meta(
        extra_json_schema={
            "oneOf": [
                _with(_TEXT, "failureHash"),
                _with({"type": "array", "items": _TEXT}, "failureHashes"),
            ],
            "anyOf": [
                {"properties": {name: {"type": "null"} for name in _DATES}},
                _with(_TEXT, *_DATES),
            ],
        }
    ),
]


class CabAsked(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Say of which failure a cab is, where no row of the app tells it."""

    failure_hash: NamedHash | None = None


class CabAccepted(Struct, frozen=True, rename="camel"):
    """The cab that is copied, and where it is told of."""

    application_id: ApplicationId
    failure_hash: FailureHash
    cab_id_hash: CabIdHash
    location: str


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


class HeldBody(Struct, frozen=True):
    """What is in the container; null where an earlier version of the app pulled it, until the reconcile counts."""

    cabs: Count | None
    bytes: Bytes | None

    @classmethod
    def of(cls, row: PullRow) -> HeldBody:
        """Return what a pull's row tells of it."""
        return cls(row.tally.held, row.tally.bytes) if row.tally else cls(None, None)


class PullBody(Struct, frozen=True, rename="camel"):
    """How a pull stands."""

    family: Annotated[str, Meta(description="driver, desktop or app.")]
    application_id: ApplicationId
    failure_hash: FailureHash
    failure_name: Annotated[str | None, Meta(description="The failure's name, once a row told it.")]
    driver_name: Annotated[str | None, Meta(description="The file or package that failed, likewise.")]
    state: PullState
    window: WindowBody | None
    total: Annotated[
        Count | None, Meta(description="How many rows the Dev Center says there are; null where it did not.")
    ]
    seen: Annotated[Count, Meta(description="How many distinct cabs are settled: cabs.seen.")]
    percent: Annotated[
        Percent | None, Meta(description="How much of total is settled; 100 where the pull is Completed.")
    ]
    cabs: CountsBody
    without_cab: Annotated[Count, Meta(description="Rows that told of a crash which left no cab.")]
    bytes: Annotated[
        Bytes, Meta(description="Length of the copied cabs together, as far as it is known: all of it at the end.")
    ]
    rate: Annotated[Bytes | None, Meta(description="Bytes a second since it started; null where none are known.")]
    held: Annotated[HeldBody, Meta(description="What is held of this failure in all, by this pull and earlier ones.")]
    note: Annotated[str | None, Meta(description="What its numbers mean, where they do not say it themselves.")]
    attempts: Annotated[Count, Meta(description="How often it was sent again to be tried later.")]
    last_error: Annotated[str | None, Meta(description="What went wrong last, and what to do.")]
    asked_at: Annotated[Moment | None, Meta(description="When somebody last asked for it.")]
    asked_by: Annotated[str | None, Meta(description="Who did: a call, a report, a check or the reconcile.")]
    queued_at: Annotated[Moment | None, Meta(description="When this run of it was asked for.")]
    started_at: Annotated[Moment | None, Meta(description="When it first ran since then.")]
    updated_at: Annotated[Moment | None, Meta(description="When it last wrote down what it did.")]
    next_try_at: Annotated[Moment | None, Meta(description="When it is tried again; null where it does not wait.")]
    completed_at: Annotated[Moment | None, Meta(description="When it ended, Completed or Failed.")]

    @classmethod
    def of(cls, row: PullRow) -> PullBody:
        """Return a pull as the API tells it."""
        waits = row.state is PullState.QUEUED
        return cls(
            family=row.failure.family,
            application_id=row.failure.application_id,
            failure_hash=row.failure.failure_hash,
            failure_name=row.failure_name or None,
            driver_name=row.driver_name or None,
            state=row.state,
            window=WindowBody(row.window.start, row.window.end) if row.window else None,
            total=row.total or None,
            seen=row.counts.seen,
            percent=_percent(row),
            cabs=CountsBody.of(row.counts),
            without_cab=row.without_cab,
            bytes=row.counts.bytes,
            rate=_rate(row),
            held=HeldBody.of(row),
            note=_note(row),
            attempts=row.attempts,
            last_error=row.last_error or None,
            asked_at=moment_text(row.asked_at),
            asked_by=row.asked_by or None,
            queued_at=moment_text(row.queued_at),
            started_at=moment_text(row.started_at),
            updated_at=moment_text(row.updated_at),
            next_try_at=moment_text(row.next_try_at) if waits else None,
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


class FailureCabsBody(Struct, frozen=True, rename="camel"):
    """How the cabs of a failure stand; all null where an earlier version of the app pulled it, until the reconcile."""

    held: Annotated[Count | None, Meta(description="In the container.")]
    missing: Annotated[
        Count | None,
        Meta(description="Not in the container, though they could still be had: listed, or failed so far."),
    ]
    expired: Annotated[Count | None, Meta(description="Gone before they could be copied.")]
    unavailable: Annotated[Count | None, Meta(description="Listed by Microsoft, but not to be had.")]
    failed: Annotated[Count | None, Meta(description="Not copied for another reason.")]
    skipped: Annotated[Count | None, Meta(description="Left out by a rule, though they could still be had.")]
    expiring_soon: Annotated[
        Count | None, Meta(description="Those of the missing that Microsoft deletes within 48 hours.")
    ]


class FailureLinks(Struct, frozen=True):
    """Where more is told of a failure."""

    pull: str
    cabs: str


class FailureBody(Struct, frozen=True, rename="camel"):
    """A failure: its names, and what is held of it."""

    family: Annotated[str, Meta(description="driver, desktop or app.")]
    application_id: ApplicationId
    failure_hash: FailureHash
    failure_name: Annotated[str | None, Meta(description="The failure's name, once somebody told it.")]
    driver_name: Annotated[str | None, Meta(description="The file or package that failed, likewise.")]
    versions: Annotated[list[str], Meta(description="The versions of it that cabs told, the lowest first.")]
    state: Annotated[PullState | None, Meta(description="Where its pull stands; null where its row cannot be read.")]
    cabs: FailureCabsBody
    next_expiry: Annotated[Moment | None, Meta(description="When Microsoft deletes the next of the missing cabs.")]
    days: Annotated[list[Count], Meta(description="Its cabs of each of the last 30 days, today as the last.")]
    first_seen: Annotated[date | None, Meta(description="The day of its oldest cab that is known.")]
    last_seen: Annotated[date | None, Meta(description="The day of its newest cab that is known.")]
    bytes: Annotated[Bytes | None, Meta(description="Length of the cabs in the container together.")]
    updated_at: Annotated[Moment | None, Meta(description="When something of this was last written down.")]
    links: FailureLinks

    @classmethod
    def of(cls, seen: FailureSeen) -> FailureBody:
        """Return a failure as the API tells it."""
        tally, pull = seen.tally, f"/api/pulls/{seen.application_id}/{seen.failure_hash}"
        return cls(
            family=seen.family,
            application_id=seen.application_id,
            failure_hash=seen.failure_hash,
            failure_name=seen.failure_name or None,
            driver_name=seen.driver_name or None,
            versions=list(tally.versions) if tally else [],
            state=seen.state,
            cabs=FailureCabsBody(
                tally.held,
                tally.missing,
                tally.expired,
                tally.unavailable,
                tally.failed,
                tally.skipped,
                tally.expiring,
            )
            if tally
            else FailureCabsBody(None, None, None, None, None, None, None),
            next_expiry=moment_text(tally.next_expiry) if tally else None,
            days=tally.last_days(clock.now().date()) if tally else [],
            first_seen=tally.first_cab.date() if tally and tally.first_cab else None,
            last_seen=tally.last_cab.date() if tally and tally.last_cab else None,
            bytes=tally.bytes if tally else None,
            updated_at=moment_text(seen.updated_at),
            links=FailureLinks(pull, f"{pull}/cabs"),
        )


class FailuresPage(Struct, frozen=True):
    """A page of failures, in the order that was asked for."""

    failures: list[FailureBody]
    total: Annotated[Count, Meta(description="How many failures are asked for in all, on this page and others.")]
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


class Problem(Struct, frozen=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="What happened, and what to do.")]


def _percent(row: PullRow) -> int | None:
    if row.state is PullState.COMPLETED:
        return 100
    return min(99, 100 * (row.counts.seen + row.without_cab) // row.total) if row.total else None


def _rate(row: PullRow) -> int | None:
    ended = row.completed_at or row.updated_at
    if not (row.counts.bytes and row.started_at and ended and ended > row.started_at):
        return None
    return round(row.counts.bytes / (ended - row.started_at).total_seconds())


def _note(row: PullRow) -> str | None:
    if row.skipped_by:
        return f"nobody asked Microsoft: {row.skipped_by} of the settings file keeps nothing of this failure"
    if row.state is not PullState.COMPLETED or row.counts.seen or row.window is None:
        return None
    days = f"from {row.window.start} to {row.window.end}"
    if row.without_cab:
        return f"Microsoft tells of {row.without_cab} crashes with these ids {days}, and keeps a cab of none"
    return f"Microsoft names no cab for these ids {days}: check the ids, or ask for other days"


def moment_text(moment: datetime | None) -> str | None:
    """Return a time as the API tells it; None where it has not come."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None

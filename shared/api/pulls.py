"""What the HTTP API takes and tells of pulls, and how they are asked for."""

from __future__ import annotations

from copy import replace
from datetime import date
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.requests import asked_in
from shared.api.scalars import (
    NAMED_HASH,
    ApplicationId,
    Bytes,
    Continuation,
    Count,
    FailureHash,
    Family,
    Moment,
    NamedHash,
    Percent,
)
from shared.core.errors import BadInput
from shared.core.failure import HASH_RULE, Failure, Window, default_window
from shared.core.ids import APPLICATION_ID, APPLICATION_RULE
from shared.core.redaction import excerpt
from shared.core.values import Immutable
from shared.progress.pull_row import PullState

if TYPE_CHECKING:
    from shared.progress.pull_row import PullRow
    from shared.services import Services

_MOST_PULLS = 1_000


class PullAsked(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Ask for the pulls of one failure, or of several of one application."""

    application_id: ApplicationId
    failure_hash: NamedHash | None = None
    failure_hashes: Annotated[list[NamedHash], Meta(min_length=1, max_length=_MOST_PULLS)] | None = None
    family: Annotated[
        Family | None,
        Meta(description="Whose failure it is. Left out: that of the configured application, or what the pull has."),
    ] = None
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


class PullRequest(Immutable, frozen=True):
    """The body of `POST /api/pulls`, decoded.

    Args:
        failures: The distinct failures to pull, in the order of the body, in the case that they are written in there.
        window: The days to ask for; None where the body leaves them to the app.
    """

    failures: tuple[Failure, ...]
    window: Window | None

    @classmethod
    def decode(cls, body: bytes) -> PullRequest:
        """Read a body.

        Raises:
            BadInput: It is not what it should be; says what, and where.
        """
        if not body.strip():
            raise BadInput(
                "the body is missing: send JSON with applicationId and failureHash, or failureHashes for several; "
                "family, startDate and endDate may be left out"
            )
        asked = asked_in(body, PullAsked)
        if (asked.failure_hash is None) == (asked.failure_hashes is None):
            raise BadInput("the body must have failureHash or failureHashes, and not both")
        hashes = [asked.failure_hash] if asked.failure_hash is not None else asked.failure_hashes or []
        if not APPLICATION_ID.fullmatch(asked.application_id):
            told = excerpt(asked.application_id, 80)
            raise BadInput(f"applicationId is {told!r}, which is not one: it must be {APPLICATION_RULE}")
        if odd := [each for each in hashes if not NAMED_HASH.fullmatch(each)]:
            raise BadInput(f"failureHash is {excerpt(odd[0], 80)!r}, which is not one: it must be {HASH_RULE}")
        if (asked.start_date is None) != (asked.end_date is None):
            raise BadInput("the body must have startDate and endDate, or neither")
        window = Window(asked.start_date, asked.end_date) if asked.start_date and asked.end_date else None
        failures = {
            Failure.named(asked.application_id, each): Failure.spelled(asked.application_id, each, asked.family or "")
            for each in hashes
        }
        return cls(tuple(failures.values()), window)


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


def ask_for_pulls(services: Services, asked: PullRequest, requested_by: str) -> list[Failure]:
    """Queue pulls; return their failures as they are stored.

    Args:
        services: The app's parts.
        asked: Which, and of which days.
        requested_by: Who asks.

    Raises:
        CabferryError: Sorted by what helps.
    """
    settings = services.settings
    named = [replace(each, family=each.family or settings.family_of(each.application_id)) for each in asked.failures]
    failures = services.requests.as_stored(named)
    services.requests.make(failures, asked.window or default_window(settings.cab_lookback), requested_by)
    return failures


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


class HeldBody(Struct, frozen=True):
    """What is in the container; null where an earlier version of the app pulled it, until the reconcile counts."""

    cabs: Count | None
    bytes: Bytes | None


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
        return body_of(
            cls,
            row.failure,
            row,
            row.counts,
            window=WindowBody(row.window.start, row.window.end) if row.window else None,
            total=row.total or None,
            percent=_percent(row),
            cabs=body_of(CountsBody, row.counts),
            rate=_rate(row),
            held=HeldBody(row.tally.held, row.tally.bytes) if row.tally else HeldBody(None, None),
            note=_note(row),
            next_try_at=row.next_try_at if row.state is PullState.QUEUED else None,
        )


class PullsPage(Struct, frozen=True):
    """A page of pulls, in the order of their names."""

    pulls: list[PullBody]
    continuation: Continuation


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

"""What the HTTP API tells of failures: the types that encode it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.scalars import ApplicationId, Bytes, Continuation, Count, FailureHash, Moment
from shared.core import clock
from shared.progress.pull_row import PullState

if TYPE_CHECKING:
    from shared.progress.overview import FailureSeen


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
        return body_of(
            cls,
            seen,
            tally,
            versions=list(tally.versions) if tally else [],
            cabs=body_of(FailureCabsBody, tally, expiring_soon=tally.expiring if tally else None),
            days=tally.last_days(clock.now().date()) if tally else [],
            first_seen=tally.first_cab.date() if tally and tally.first_cab else None,
            last_seen=tally.last_cab.date() if tally and tally.last_cab else None,
            links=FailureLinks(pull, f"{pull}/cabs"),
        )


class FailuresPage(Struct, frozen=True):
    """A page of failures, in the order that was asked for."""

    failures: list[FailureBody]
    total: Annotated[Count, Meta(description="How many failures are asked for in all, on this page and others.")]
    continuation: Continuation

"""What the HTTP API takes and tells of single cabs, and how one is asked for by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.scalars import (
    ApplicationId,
    Bytes,
    CabIdHash,
    Continuation,
    FailureHash,
    Moment,
    NamedHash,
)
from shared.core.facts import NO_FACTS
from shared.core.failure import Failure, checked_application_id
from shared.core.values import Immutable
from shared.progress.cab_row import CabState

if TYPE_CHECKING:
    from shared.progress.cab_row import CabRow
    from shared.services import Services


class CabAsked(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Say of which failure a cab is, where no row of the app tells it."""

    failure_hash: NamedHash | None = None


class CabAccepted(Struct, frozen=True, rename="camel"):
    """The cab that is copied, and where it is told of."""

    application_id: ApplicationId
    failure_hash: FailureHash
    cab_id_hash: CabIdHash
    location: str

    @classmethod
    def of(cls, failure: Failure, cab_id_hash: str) -> CabAccepted:
        """Return what is told of a cab that was asked for."""
        location = f"/api/pulls/{failure.application_id}/{failure.failure_hash}/cabs"
        return cls(failure.application_id, failure.failure_hash, cab_id_hash, location)


class CabWish(Immutable, frozen=True):
    """What became of the wish for a cab.

    Args:
        failure: Whose cab; None where no row names it and nobody said, so that nothing was asked for.
        held: Its state where it was copied before, so that nothing was asked for either; None elsewhere.
    """

    failure: Failure | None
    held: CabState | None = None


def ask_for_cab(services: Services, application_id: str, cab: str, asked: CabAsked, requested_by: str) -> CabWish:
    """Let one cab be copied by itself, unless it is held, or was.

    Args:
        services: The app's parts.
        application_id: As it came, from anyone.
        cab: Which, in its normal form.
        asked: What the body says.
        requested_by: Who asks.

    Raises:
        BadInput: An id is none.
        CabferryError: Sorted by what helps.
    """
    cabs = services.pull_tools.cabs
    if asked.failure_hash is None:
        failure = cabs.failure_of(checked_application_id(application_id), cab)
    else:
        failure = services.pulls.as_stored(Failure.spelled(application_id, asked.failure_hash))
    if failure is None:
        return CabWish(None)
    known = cabs.one(failure, cab)
    if known and known.is_held:
        return CabWish(failure, known.state)
    if known is None:
        cabs.list_new(failure, {cab: NO_FACTS})
    services.requests.make_one(failure, cab, requested_by)
    return CabWish(failure)


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
        return body_of(cls, row, row.facts, cab_id_hash=cab_id_hash)


class CabsPage(Struct, frozen=True):
    """A page of a failure's cabs, in the order of their names."""

    cabs: list[CabBody]
    continuation: Continuation

"""What people fetch of the container: cabs that a row names, and nothing else that stands there."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from azure.core.exceptions import HttpResponseError
from msgspec import Meta, Struct

from shared.api.scalars import Moment
from shared.core.errors import BadInput
from shared.core.failure import Failure, checked_cab_id
from shared.core.redaction import excerpt
from shared.core.values import Immutable, hiding
from shared.progress.cab_row import CabState
from shared.storage.refusals import storage_errors

if TYPE_CHECKING:
    from shared.cabs.container import CabContainer
    from shared.services import Services

MOST_BYTES = 8 << 20
_ENDED = {HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?", re.ASCII)


class CabLink(Struct, frozen=True, rename="camel"):
    """A link that reads one cab, and nothing else, until it ends."""

    url: Annotated[str, Meta(description="Keep it as secret as the cab; whoever has it can read that.")]
    expires_at: Annotated[Moment | None, Meta(description="When it ends, some minutes from now.")]

    __repr__ = hiding("url")


class BytesAsked(Immutable, frozen=True):
    """The bytes that a request asks for.

    Args:
        first: The first of them.
        length: How many; the cab may have fewer.
    """

    first: int
    length: int

    @classmethod
    def parse(cls, header: str | None) -> BytesAsked:
        """Read a Range; none asks for the first bytes.

        Raises:
            BadInput: It is not one range that says where it begins.
        """
        if header is None:
            return cls(0, MOST_BYTES)
        found = _RANGE.fullmatch(header.strip())
        if not found or (found[2] and int(found[2]) < int(found[1])):
            raise BadInput(f"Range is {excerpt(header, 40)!r}, not one range such as bytes=0-{MOST_BYTES - 1}")
        first = int(found[1])
        return cls(first, min(MOST_BYTES, int(found[2]) - first + 1) if found[2] else MOST_BYTES)


class CabPart(Immutable, frozen=True):
    """Some bytes of a cab.

    Args:
        body: They themselves.
        total: How many the whole cab has.
        etag: Of its blob, so that two parts are known to be of one blob.
    """

    body: bytes
    total: int
    etag: str

    __repr__ = hiding("body")


class HeldCab(Immutable, frozen=True):
    """A cab that is in the container.

    Args:
        blob_name: Whole, as its row tells it.
        length: Its bytes; None until the container was read back.
        container: Where it is.
    """

    blob_name: str
    length: int | None
    container: CabContainer

    def read(self, asked: BytesAsked) -> CabPart | None:
        """Return bytes of it; None where it ends before them, or has gone meanwhile.

        Raises:
            CabferryError: Sorted by what helps.
        """
        if self.length is not None and asked.first >= self.length:
            return None
        with storage_errors(f"reading {self.blob_name}"):
            try:
                stream = self.container.blob(self.blob_name).download_blob(asked.first, asked.length)
            except HttpResponseError as error:
                if error.status_code not in _ENDED:
                    raise
                return None
            # The SDK tells the length of the part as that of the blob; the range has both.
            total = str(stream.properties.content_range).rpartition("/")[2]
            return CabPart(stream.readall(), int(total), str(stream.properties.etag))


def held_cab(services: Services, application_id: str, failure_hash: str, cab_id_hash: str) -> HeldCab | None:
    """Return a cab that its row says is in the container; None where there is no such row.

    Args:
        services: The app's parts.
        application_id: As it came, from anyone; likewise the others.
        failure_hash: Of the cab's failure.
        cab_id_hash: The cab's own.

    Raises:
        BadInput: One of them is no id.
        CabferryError: Sorted by what helps.
    """
    failure = services.pulls.as_stored(Failure.spelled(application_id, failure_hash))
    row = services.pull_tools.cabs.one(failure, checked_cab_id(cab_id_hash))
    if row is None or row.state is not CabState.COPIED or not row.blob_name.startswith(failure.prefix):
        return None
    return HeldCab(row.blob_name, row.length, services.pull_tools.container)

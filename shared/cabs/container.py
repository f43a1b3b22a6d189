"""What the container of cabs really holds."""

from __future__ import annotations

import io
from http import HTTPStatus
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from shared.cabs.content import why_no_cab
from shared.cabs.identity import cab_in
from shared.cabs.labels import lacks_a_name
from shared.core.clock import FIRST_MOMENT
from shared.core.errors import BadAnswer
from shared.core.headers import http_date, md5_in, whole_number
from shared.core.shape import shape_of
from shared.core.values import Immutable, hiding
from shared.storage.refusals import storage_errors
from shared.storage.service import StorageRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from azure.storage.blob import BlobClient, ContainerClient

    from shared.storage.service import StorageService

# The most that the service lists in one answer.
_LISTING_PAGE = 5_000
_ENTRIES, _ENTRY_DEPTH = {"Blob", "BlobPrefix", "NextMarker"}, 2


class StoredCab(Immutable, frozen=True):
    """A blob as the container lists it.

    Args:
        name: The whole blob name.
        length: Its bytes.
        md5: Its Content-MD5 property as hexadecimal digits; empty where it has none.
        created: When it was made, as the service writes it.
        cab_id_hash: Which cab it is, by its metadata and name; empty where it is none.
        content_type: Its Content-Type, which a copy takes over from the source.
        metadata: All that it carries, where that lacks something which a report may tell later; None for the others,
            which are nearly all.
    """

    name: str
    length: int
    md5: str
    created: str
    cab_id_hash: str = ""
    content_type: str = ""
    metadata: Mapping[str, str] | None = None

    __repr__ = hiding("metadata")

    @property
    def created_at(self) -> datetime:
        """Return when it was made, which is what the lifecycle rule counts from; few need it, and it costs."""
        return http_date(self.created) or FIRST_MOMENT

    @property
    def why_no_cab(self) -> str:
        """Return why its bytes can be no cab, whatever its name says; empty where they can."""
        return why_no_cab(self.length, self.content_type)


class CabContainer:
    """Name blobs and list them.

    Args:
        client: The container.
        service: The blob service.
    """

    def __init__(self, client: ContainerClient, service: StorageService) -> None:
        self._client, self._service = client, service
        self._path = f"{service.base_path}/{client.container_name}"

    @property
    def url(self) -> str:
        """Return the container's address, without what authorizes."""
        return f"{self._service.origin}{self._path}"

    def blob(self, name: str) -> BlobClient:
        """Return the client of one blob."""
        return self._client.get_blob_client(name)

    def stored(self, prefix: str) -> Iterator[StoredCab]:
        """Yield what the container holds below a prefix, in the order of the names.

        Args:
            prefix: Of a failure's blobs, or of all of an application.

        Raises:
            CabferryError: Sorted by what helps.
        """
        for told in self._listed("Blob", {"prefix": prefix, "include": "metadata"}):
            name, properties = told.findtext("Name", ""), _texts(told, "Properties")
            metadata = _texts(told, "Metadata")
            yield StoredCab(
                name=name,
                length=whole_number(properties.get("Content-Length", "")) or 0,
                md5=(md5_in(properties.get("Content-MD5", "")) or b"").hex(),
                created=properties.get("Creation-Time", ""),
                cab_id_hash=cab_in(name, metadata),
                content_type=properties.get("Content-Type", ""),
                metadata=metadata if lacks_a_name(metadata) else None,
            )

    def applications(self) -> Iterator[str]:
        """Yield the first part of the blobs' names, each once: one request for 5,000."""
        for told in self._listed("BlobPrefix", {"delimiter": "/"}):
            yield told.findtext("Name", "").rstrip("/")

    def _listed(self, entry: str, wanted: dict[str, str]) -> Iterator[ElementTree.Element]:
        """Yield the entries of a listing: https://learn.microsoft.com/rest/api/storageservices/list-blobs."""
        marker = ""
        while True:
            names = {"restype": "container", "comp": "list", **wanted, "maxresults": str(_LISTING_PAGE)}
            request = StorageRequest("GET", self._path, names | ({"marker": marker} if marker else {}), {})
            with storage_errors(what := f"the listing of {wanted.get('prefix') or self._client.container_name}"):
                body = self._service.send(request, what, HTTPStatus.OK).body
            marker = ""
            for told in _entries(body, what):
                if told.tag == "NextMarker":
                    marker = told.text or ""
                elif told.tag == entry:
                    yield told
            if not marker:
                return


def _texts(entry: ElementTree.Element, below: str) -> dict[str, str]:
    return {each.tag: each.text or "" for each in entry.iterfind(f"{below}/*")}


def _entries(body: bytes, what: str) -> Iterator[ElementTree.Element]:
    """Yield what a page names, and drop each thereafter: as a tree, 5,000 blobs take dozens of megabytes.

    A page of something else must not be taken for an empty one: cabs would seem to be missing.
    """
    last, depth = "", 0
    try:
        for event, element in ElementTree.iterparse(io.BytesIO(body), ("start", "end")):  # noqa: S314 - our own storage
            depth += 1 if event == "start" else -1
            # Deeper, a name is one that somebody gave to metadata.
            if event == "end" and element.tag in _ENTRIES and depth <= _ENTRY_DEPTH:
                yield element
                element.clear()
            last = element.tag
    except ElementTree.ParseError:
        last = ""
    if last != "EnumerationResults":
        raise BadAnswer(f"{what}: storage answered what is no listing; its shape: {shape_of(body)}")

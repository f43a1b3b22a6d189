"""The container of cabs: what a blob is called and tagged with, and what the container really holds."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree

from shared.core.errors import BadAnswer
from shared.core.redaction import excerpt, redact
from shared.storage.refusals import storage_errors
from shared.storage.wire import WireRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from azure.storage.blob import BlobClient, ContainerClient

    from shared.core.failure import Failure
    from shared.devcenter.batch import BatchCab
    from shared.progress.cabs import CabFacts
    from shared.storage.wire import StorageWire

# The most that the service lists in one answer.
_LISTING_PAGE = 5_000
_ENTRIES = {"Blob", "BlobPrefix", "NextMarker"}
# Printable ASCII but the percent sign, which is the escape (RFC 9110 allows these in a header's value).
_HEADER_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
# https://learn.microsoft.com/rest/api/storageservices/set-blob-tags: values hold up to 256 of these characters.
_NO_TAG = re.compile(r"[^0-9A-Za-z +\-./:=_]")
_TAG_LENGTH = 256
# All metadata of a blob together may have 8 KiB; ten values of ours stay far below.
_METADATA_LENGTH = 512


@dataclass(frozen=True, slots=True)
class CabLabels:
    """What a blob carries beside its bytes.

    Args:
        metadata: Names and header-safe values; a value is percent-decoded to read it.
        tags: Index tags, at most ten.
    """

    metadata: dict[str, str]
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class StoredCab:
    """A blob as the container lists it.

    Args:
        name: The whole blob name.
        length: Its bytes.
        md5: Its Content-MD5 property as hexadecimal digits; empty where it has none.
        created: When it was made, as the service writes it.
    """

    name: str
    length: int
    md5: str
    created: str

    @property
    def created_at(self) -> datetime:
        """Return when it was made, which is what the lifecycle rule counts from; few need it, and it costs."""
        return parsedate_to_datetime(self.created)


class CabContainer:
    """Name blobs and list them.

    Args:
        client: The container.
        wire: The blob service.
    """

    def __init__(self, client: ContainerClient, wire: StorageWire) -> None:
        self._client, self._wire = client, wire
        self._path = f"{wire.base_path}/{client.container_name}"

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
        for told in self._listed("Blob", {"prefix": prefix}):
            md5 = base64.b64decode(told.get("Content-MD5", "")).hex()
            length = int(told.get("Content-Length") or 0)
            yield StoredCab(told.get("Name", ""), length, md5, told.get("Creation-Time", ""))

    def applications(self) -> Iterator[str]:
        """Yield the first part of the blobs' names, each once: one request for 5,000."""
        for told in self._listed("BlobPrefix", {"delimiter": "/"}):
            yield told.get("Name", "").rstrip("/")

    def _listed(self, entry: str, wanted: dict[str, str]) -> Iterator[dict[str, str]]:
        """Yield the entries of a listing: https://learn.microsoft.com/rest/api/storageservices/list-blobs."""
        marker = ""
        while True:
            names = {"restype": "container", "comp": "list", **wanted, "maxresults": str(_LISTING_PAGE)}
            request = WireRequest("GET", self._path, names | ({"marker": marker} if marker else {}), {})
            with storage_errors(what := f"the listing of {wanted.get('prefix') or self._client.container_name}"):
                body = self._wire.send(request, what, HTTPStatus.OK).body
            marker = ""
            for tag, told in _entries(body, what):
                if tag == "NextMarker":
                    marker = told[tag]
                elif tag == entry:
                    yield told
            if not marker:
                return


def labels(failure: Failure, cab: BatchCab, facts: CabFacts, source: str) -> CabLabels:
    """Return the metadata and index tags of a cab.

    Args:
        failure: The cab's failure.
        cab: The cab's row of the batch.
        facts: What the report told of it.
        source: Host and path of the cabUrl; never its query, which is the key to the cab.
    """
    told = {
        "applicationId": failure.application_id,
        "failureHash": failure.failure_hash,
        "cabIdHash": cab.cab_id_hash,
        "submissionId": cab.submission_id,
        "cabdate": cab.date,
        "cabexpires": cab.expires,
        "source": source,
        "failurename": facts.failure_name,
        "drivername": facts.driver_name,
        "driverversion": facts.driver_version,
        "osversion": facts.os_version,
        "architecture": facts.architecture,
        "cabtype": facts.cab_type,
    }
    tags = {
        "applicationId": failure.application_id,
        "failureHash": failure.failure_hash,
        "date": cab.date,
        "driverVersion": facts.driver_version,
    }
    # Looked through together, which most cabs pass: seventeen searches a cab would be felt.
    together = "\n".join((*told.values(), *tags.values()))
    if redact(together) != together:
        told, tags = ({name: redact(value) for name, value in each.items()} for each in (told, tags))
    return CabLabels(
        metadata={name: _header_safe(value) for name, value in told.items() if value.strip()},
        tags={name: _tag_safe(value) for name, value in tags.items() if value.strip()},
    )


def _entries(body: bytes, what: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what a page names, each with the texts below it: as a tree, 5,000 blobs take dozens of megabytes.

    A page of something else must not be taken for an empty one: cabs would seem to be missing.
    """
    told, last = dict[str, str](), ""
    try:
        for _, element in ElementTree.iterparse(io.BytesIO(body)):  # noqa: S314 - our own storage
            last = element.tag
            told[last] = element.text or ""
            if last in _ENTRIES:
                yield last, told
                told = {}
                element.clear()
    except ElementTree.ParseError:
        last = ""
    if last != "EnumerationResults":
        raise BadAnswer(f"{what}: storage answered what is no listing: {excerpt(body.decode('utf-8', 'replace'))}")


def _tag_safe(value: str) -> str:
    return _NO_TAG.sub("_", value)[:_TAG_LENGTH].strip()


def _header_safe(value: str) -> str:
    encoded = quote(value.strip(), safe=_HEADER_SAFE)
    if len(encoded) <= _METADATA_LENGTH:
        return encoded
    # Not in the middle of an escape.
    return re.sub(r"%[0-9A-F]?$", "", encoded[:_METADATA_LENGTH]).strip()

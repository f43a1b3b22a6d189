"""What a copy needs: a container, sources in another account, and a proxy that answers as Azure does."""

import base64
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import urllib3
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, ContentSettings, generate_blob_sas

from local.azurite.server import Azurite
from shared.cabs.container import CabContainer
from shared.cabs.copy import BLOCK_BYTES, DIRECT_BYTES, CabCopy
from shared.cabs.direct_copy import DirectCopy
from shared.cabs.labels import CabLabels
from shared.core import clock
from shared.storage.service import AccountSas, StorageService
from shared.web.untrusted_source import UntrustedSource
from tests.support.azurite import SOURCES, StorageAccount
from tests.support.loopback import Answer, Seen, passed_on

API_VERSION = "2025-05-05"
CONTAINER = "failure-cabs"
NAME = "13984104677400476/1fd83f6d/fb57b37b.ext.zip"
LABELS = CabLabels(
    {
        "applicationId": "13984104677400476",
        "failureHash": "1fd83f6d",
        "cabIdHash": "fb57b37b",
        "drivername": "contos%C3%B6.sys",
        "cabdate": "2017-04-07 13:53:43",
        "source": "a.b/c/d",
    },
    {"driverVersion": "7.6.1637.7", "date": "2017-04-07 13:53:43", "applicationId": "13984104677400476"},
)


class Later(clock.Clock):
    """A clock that a test sets forward."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return the machine's seconds and those that were added."""
        return super().monotonic() + self.seconds


class Destination:
    """The container that receives cabs, and what it holds."""

    def __init__(self, storage: StorageAccount) -> None:
        self._storage = storage
        service = BlobServiceClient.from_connection_string(storage.connection_string, api_version=API_VERSION)
        self.container = service.create_container(CONTAINER)

    def copies(
        self, endpoint: str | None = None, direct_bytes: int = DIRECT_BYTES, block_bytes: int = BLOCK_BYTES
    ) -> CabCopy:
        """Return what copies into it.

        Args:
            endpoint: Where its requests go in place of the account's own endpoint: a proxy.
            direct_bytes: As of CabCopy.
            block_bytes: As of CabCopy.
        """
        text = self._storage.connection_string
        if endpoint:
            text = text.replace(self.endpoint, endpoint)
        service = BlobServiceClient.from_connection_string(text, api_version=API_VERSION, retry_total=0)
        client = service.get_container_client(CONTAINER)
        sas = AccountSas(self._storage.name, self._storage.key, "b", "wlct")
        blobs = StorageService(service.url, API_VERSION, 4, sas.current)
        direct, source = DirectCopy(blobs, CONTAINER), UntrustedSource(4, ("127.0.0.1",))
        return CabCopy(CabContainer(client, blobs), direct, source, direct_bytes, block_bytes)

    @property
    def endpoint(self) -> str:
        """Scheme, host and port of its blob service."""
        return self.container.url.split(f"/{self._storage.name}/")[0]

    def content(self, name: str = NAME) -> bytes:
        """Return a blob's bytes."""
        return self.container.download_blob(name).readall()

    def names(self) -> list[str]:
        """Return what it holds; blocks that were never committed make no blob."""
        return [blob.name for blob in self.container.list_blobs()]

    def labels(self, name: str = NAME) -> tuple[dict[str, str], dict[str, str]]:
        """Return a blob's metadata, its names spelled as LABELS spells them (a proxy may have), and its tags."""
        blob = self.container.get_blob_client(name)
        spelled = {each.lower(): each for each in LABELS.metadata}
        metadata = blob.get_blob_properties().metadata
        return {spelled.get(each.lower(), each): value for each, value in metadata.items()}, blob.get_blob_tags()

    def md5(self, name: str = NAME) -> str:
        """Return a blob's Content-MD5 as hexadecimal digits; empty where it has none."""
        return bytes(
            self.container.get_blob_client(name).get_blob_properties().content_settings.content_md5 or b""
        ).hex()

    def put(self, content: bytes, name: str = NAME, *, content_type: str = "", is_ours: bool = True) -> None:
        """Put a blob there beforehand, with metadata that says that it is the cab, or without any."""
        settings = ContentSettings(content_type=content_type or None)
        metadata = LABELS.metadata if is_ours else None
        self.container.upload_blob(name, content, content_settings=settings, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Source:
    """A cab that Microsoft holds.

    Args:
        url: Its cabUrl.
        content: Its bytes.
    """

    url: str
    content: bytes

    @property
    def md5(self) -> str:
        """The MD5 of its bytes as hexadecimal digits."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


class SourceAccount:
    """A storage account of the same Azurite that holds cabs."""

    def __init__(self, azurite: Azurite) -> None:
        self._name, self._key = SOURCES[0], azurite.accounts[SOURCES[0]]
        service = BlobServiceClient.from_connection_string(azurite.connection_string(self._name))
        self._container = service.create_container(f"kernel-{uuid.uuid4()}")

    def put(
        self,
        content: bytes,
        *,
        told_md5: bool = True,
        ends_in: timedelta = timedelta(hours=1),
        begins_in: timedelta | None = None,
        name: str = "",
    ) -> Source:
        """Hold a cab, and return it with a SAS.

        Args:
            content: Its bytes.
            told_md5: Whether it has a Content-MD5.
            ends_in: When the SAS ends.
            begins_in: When it begins; None where it does not say.
            name: The blob's; empty for one of its own.
        """
        name = name or f"{uuid.uuid4()}.ext.zip"
        md5 = hashlib.md5(content, usedforsecurity=False).digest() if told_md5 else None
        self._container.upload_blob(name, content, content_settings=ContentSettings(content_md5=bytearray(md5 or b"")))
        sas = generate_blob_sas(
            self._name,
            self._container.container_name,
            name,
            account_key=self._key,
            permission=BlobSasPermissions(read=True),
            start=None if begins_in is None else datetime.now(UTC) + begins_in,
            expiry=datetime.now(UTC) + ends_in,
        )
        return Source(f"{self._container.url}/{quote(name)}?{sas.replace('/', '%2F')}", content)

    def remove(self, source: Source) -> None:
        """Delete a cab, as Microsoft does when it has expired."""
        self._container.delete_blob(source.url.split("?")[0].rsplit("/", 1)[1])


def passing_to(endpoint: str, instead: Callable[[Seen], Answer | None]) -> Callable[[Seen], Answer]:
    """Return what passes requests on to storage, but for those that it answers itself.

    Args:
        endpoint: Scheme, host and port of the storage.
        instead: Returns an answer, or None for storage's own.
    """
    pool = urllib3.PoolManager()

    def answer(seen: Seen) -> Answer:
        return instead(seen) or passed_on(seen, endpoint, pool)

    return answer


def refusal(status: int, code: str) -> Answer:
    """Return a refusal as storage words it."""
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Answer(body.encode(), status, {"x-ms-error-code": code, "Content-Type": "application/xml"})


def is_direct_copy(seen: Seen) -> bool:
    """Tell Copy Blob From URL from every other request."""
    return seen.method == "PUT" and "x-ms-copy-source" in seen.headers and "comp" not in seen.query


def seen_as(form: str) -> dict[str, str]:
    """Return a blob's metadata when the function has seen its first bytes."""
    return {**LABELS.metadata, "content": form}


def outside(content: bytes, *, md5: bytes | None = None, sent: int | None = None) -> Answer:
    """Return a cab as a source outside the Azurite gives it.

    Args:
        content: Its bytes.
        md5: Its Content-MD5; None gives the true one.
        sent: After how many bytes the connection breaks; None sends all.
    """
    told = hashlib.md5(content, usedforsecurity=False).digest() if md5 is None else md5
    return Answer(content, headers={"Content-MD5": base64.b64encode(told).decode()} if told else {}, sent=sent)

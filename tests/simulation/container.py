"""A container in memory: blobs that are created only once, whole or not at all, and copied from a URL."""

from __future__ import annotations

import hashlib
import io
from copy import replace
from dataclasses import dataclass, field
from email.utils import format_datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock

from shared.cabs.container import CabContainer, StoredCab
from shared.cabs.direct_copy import DirectCopy
from shared.cabs.identity import cab_in
from shared.cabs.labels import CabLabels, lacks_a_name
from shared.core import clock
from shared.core.refusals import Refusal, Where
from shared.storage.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from azure.storage.blob import BlobClient, BlobProperties, ContentSettings

    from .lines import Called, Line

LISTED = 5_000
_TYPE = "application/octet-stream"


@dataclass(frozen=True, eq=False)
class Blob:
    """A blob.

    Args:
        content: Its bytes.
        md5: Its Content-MD5; empty where it has none.
        created: When it was made.
        etag: Its version.
        labels: What it carries.
    """

    content: bytes
    md5: bytes
    created: datetime
    etag: str
    labels: CabLabels


class ReadSource(Protocol):
    """Read a source as storage does, for a copy."""

    def __call__(self, url: str) -> tuple[int, bytes, bytes]:
        """Return status, bytes and Content-MD5."""


@dataclass(slots=True)
class Container:
    """The blobs of one container, whoever asks.

    Args:
        name: Its name.
        read_source: How storage reads what is copied.
        blobs: By name.
        created: Called with each name when a blob is made.
        copied_at_once: The largest source that Copy Blob From URL takes.
    """

    name: str
    read_source: ReadSource
    blobs: dict[str, Blob] = field(default_factory=dict)
    created: Callable[[str], None] = lambda _name: None
    copied_at_once: int = 256 * 1024 * 1024
    _blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _etags: int = 0

    def create(self, name: str, content: bytes, md5: bytes, labels: CabLabels, instead_of: str = "") -> None:
        """Make a blob, unless there is one of that name; or one in the place of a version that is there."""
        self.raise_if_there(name, instead_of)
        self._etags += 1
        self.blobs[name] = Blob(content, md5, clock.now(), f'"{self._etags}"', labels)
        self._blocks.pop(name, None)
        self.created(name)

    def raise_if_there(self, name: str, instead_of: str) -> None:
        """Refuse to make a blob where another one is than the version that may be replaced."""
        there = self.blobs.get(name)
        if instead_of and (there is None or there.etag != instead_of):
            raise RefusedError(Refusal(Where.STORAGE, 412, "ConditionNotMet"))
        if there and not instead_of:
            raise RefusedError(Refusal(Where.STORAGE, 409, "BlobAlreadyExists"))

    def copy(self, name: str, url: str, labels: CabLabels, instead_of: str) -> None:
        """Make a blob of what a URL gives."""
        self.raise_if_there(name, instead_of)
        content, md5 = self._read(url)
        if len(content) > self.copied_at_once:
            raise RefusedError(Refusal(Where.STORAGE, 409, "CannotVerifyCopySource"))
        self.create(name, content, md5, labels, instead_of)

    def uncommitted(self, name: str) -> list[BlobBlock]:
        """Return the blocks that are kept of a blob, each with its size."""
        blocks = [BlobBlock(block) for block in self._blocks.get(name, {})]
        for block in blocks:
            block.size = len(self._blocks[name][str(block.id)])
        return blocks

    def stage(self, name: str, block: str, content: bytes) -> None:
        """Keep a block that is not committed yet."""
        self._blocks.setdefault(name, {})[block] = content

    def stage_from(self, name: str, block: str, url: str, offset: int, length: int) -> None:
        """Keep a block of what a URL gives."""
        self.stage(name, block, self._read(url)[0][offset : offset + length])

    def commit(self, name: str, blocks: list[str], md5: bytes, labels: CabLabels, instead_of: str) -> None:
        """Make a blob of its blocks."""
        self.raise_if_there(name, instead_of)
        kept = self._blocks.get(name, {})
        if any(block not in kept for block in blocks):
            raise RefusedError(Refusal(Where.STORAGE, 400, "InvalidBlockList"))
        self.create(name, b"".join(kept[block] for block in blocks), md5, labels, instead_of)

    def label(self, name: str, **labels: dict[str, str]) -> None:
        """Change what a blob carries: its metadata, or its tags."""
        blob = self.blobs.get(name)
        if blob is None:
            raise RefusedError(Refusal(Where.STORAGE, 404, "BlobNotFound"))
        self.blobs[name] = replace(blob, labels=replace(blob.labels, **labels))

    def listed(self, prefix: str, after: str) -> list[str]:
        """Return a page of names."""
        return sorted(name for name in self.blobs if name.startswith(prefix) and name > after)[:LISTED]

    def _read(self, url: str) -> tuple[bytes, bytes]:
        status, content, md5 = self.read_source(url)
        if status != 200:
            raise RefusedError(Refusal(Where.STORAGE, status, "CannotVerifyCopySource"))
        return content, md5


class MemoryContainer(CabContainer):
    """One process's way to the container.

    Args:
        container: The container.
        line: Makes the calls.
    """

    def __init__(self, container: Container, line: Line) -> None:
        self._container, self._line = container, line

    def blob(self, name: str) -> BlobClient:
        """Return what the app uses of a blob's client."""
        return cast("BlobClient", _MemoryBlob(self._container, self._line, name))

    def stored(self, prefix: str) -> Iterator[StoredCab]:
        """Yield what the container holds below a prefix, in the order of the names."""
        after = ""
        while names := self._page(prefix, after):
            for name in names:
                if blob := self._container.blobs.get(name):
                    yield _as_listed(name, blob)
            if len(names) < LISTED:
                return
            after = names[-1]

    def applications(self) -> Iterator[str]:
        """Yield the first part of the blobs' names, each once."""
        yield from dict.fromkeys(name.split("/")[0] for name in self._page("", ""))

    def _page(self, prefix: str, after: str) -> list[str]:
        return self._line.call("read", f"lists the blobs of {prefix}", lambda: self._container.listed(prefix, after))


class MemoryDirectCopy(DirectCopy):
    """One process's way to Copy Blob From URL.

    Args:
        container: Where the copies go.
        line: Makes the calls.
    """

    def __init__(self, container: Container, line: Line) -> None:
        self._container, self._line = container, line

    def copy(self, blob_name: str, source_url: str, labels: CabLabels, instead_of: str = "") -> None:
        """Copy one blob, unless there is one of that name."""
        what = f"copies to {blob_name}"
        self._line.call("copy", what, lambda: self._container.copy(blob_name, source_url, labels, instead_of))


@lru_cache(1_000)
def _as_listed(name: str, blob: Blob) -> StoredCab:
    """Return how a listing tells of a blob, which never changes, and is listed hundreds of times in a game."""
    created = format_datetime(blob.created.replace(microsecond=0), usegmt=True)
    told = dict(blob.labels.metadata)
    lacking = told if lacks_a_name(told) else None
    return StoredCab(name, len(blob.content), blob.md5.hex(), created, cab_in(name, told), _TYPE, lacking)


class _MemoryBlob:
    """What the app uses of `BlobClient`; refuses as the SDK does."""

    def __init__(self, container: Container, line: Line, name: str) -> None:
        self._container, self._line, self._name = container, line, name

    def upload_blob(
        self,
        data: bytes,
        *,
        overwrite: bool,
        validate_content: bool,
        content_settings: ContentSettings,
        metadata: dict[str, str],
        tags: dict[str, str] | None,
        etag: str = "",
        match_condition: object = None,
    ) -> None:
        labels = CabLabels(metadata, tags or {})
        md5 = bytes(content_settings.content_md5 or md5_of(data))
        self._call("uploads", lambda: self._container.create(self._name, bytes(data), md5, labels, etag))

    def stage_block(self, block: str, data: bytes, *, validate_content: bool) -> None:
        self._call(f"stages block {block} of", lambda: self._container.stage(self._name, block, bytes(data)))

    def stage_block_from_url(self, block: str, url: str, source_offset: int, source_length: int) -> None:
        self._call(
            f"stages block {block} from its URL of",
            lambda: self._container.stage_from(self._name, block, url, source_offset, source_length),
        )

    def get_block_list(self, kind: str) -> tuple[list[BlobBlock], list[BlobBlock]]:
        def kept() -> list[BlobBlock]:
            blocks = self._container.uncommitted(self._name)
            if not blocks and self._name not in self._container.blobs:
                raise RefusedError(Refusal(Where.STORAGE, 404, "BlobNotFound"))
            return blocks

        return [], self._call(f"asks for the {kind} blocks of", kept)

    def commit_block_list(
        self,
        blocks: list[BlobBlock],
        *,
        content_settings: ContentSettings,
        match_condition: object,
        metadata: dict[str, str],
        tags: dict[str, str] | None,
        etag: str = "",
    ) -> None:
        ids, labels = [str(block.id) for block in blocks], CabLabels(metadata, tags or {})
        md5 = bytes(content_settings.content_md5 or b"")
        self._call("commits", lambda: self._container.commit(self._name, ids, md5, labels, etag))

    def set_blob_tags(self, tags: dict[str, str]) -> None:
        self._call("tags", lambda: self._container.label(self._name, tags=tags))

    def set_blob_metadata(self, metadata: dict[str, str]) -> None:
        self._call("names", lambda: self._container.label(self._name, metadata=metadata))

    def download_blob(self) -> io.BytesIO:
        def content() -> bytes:
            blob = self._container.blobs.get(self._name)
            if blob is None:
                raise RefusedError(Refusal(Where.STORAGE, 404, "BlobNotFound"))
            return blob.content

        return io.BytesIO(self._call("reads", content))

    def get_blob_properties(self) -> BlobProperties:
        def properties() -> Any:
            blob = self._container.blobs.get(self._name)
            if blob is None:
                raise RefusedError(Refusal(Where.STORAGE, 404, "BlobNotFound"))
            return SimpleNamespace(
                size=len(blob.content),
                etag=blob.etag,
                content_settings=SimpleNamespace(content_md5=blob.md5 or None, content_type=_TYPE),
                metadata=dict(blob.labels.metadata),
                creation_time=blob.created.replace(microsecond=0),
            )

        return cast("BlobProperties", self._call("looks at", properties))

    def _call[T](self, verb: str, do: Callable[[], T]) -> T:
        try:
            kind: Called = "copy" if "URL" in verb else "blob"
            return self._line.call(kind, f"{verb} {self._name}", do)
        except RefusedError as refused:
            raise _as_sdk(refused.refusal) from None


def _as_sdk(refusal: Refusal) -> HttpResponseError:
    kind = {404: ResourceNotFoundError, 409: ResourceExistsError}.get(refusal.status, HttpResponseError)
    error = kind(refusal.text)
    error.status_code = refusal.status
    vars(error)["error_code"] = refusal.code
    return error


def md5_of(content: bytes) -> bytes:
    """Return the Content-MD5 of bytes."""
    return hashlib.md5(content, usedforsecurity=False).digest()

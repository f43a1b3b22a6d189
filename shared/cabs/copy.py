"""Copy one cab into the container, in the cheapest of three ways that works.

1. Copy Blob From URL: one request, no byte through the function, for sources of up to 256 MiB.
2. Put Block From URL in blocks, and a commit, for larger sources.
3. Stream through the function in bounded memory, where storage cannot reach the source.

The first way is always tried first, since its success is the only fact that one request can give. What comes after a
refusal is decided by facts: the refusal's code, and what a HEAD of the source answers to the function itself. Each way
creates only (If-None-Match: *), with metadata and tags in the creating request, and makes the blob appear at once or
not at all: a blob that exists is whole.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings

from shared.cabs.source import SourceFacts, opened_source, sas_expiry, source_facts
from shared.core import clock
from shared.core.errors import AgainLater, AgainNow, CabUnavailable, FreshUrl, Never, OutOfTime
from shared.core.refusals import Meaning, Refusal, Where
from shared.storage.refusals import RefusedError, refusal_of, storage_errors
from shared.web.http_source import at_once_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.cabs.container import CabContainer, CabLabels
    from shared.cabs.direct_copy import DirectCopy
    from shared.web.untrusted_source import UntrustedSource

_log = logging.getLogger(__name__)

# https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url
DIRECT_BYTES = 256 * 1024 * 1024
BLOCK_BYTES = 128 * 1024 * 1024
_CHUNK_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Copied:
    """What is known of a cab that is in the container now.

    Args:
        length: Its bytes, where the way of copying told.
        md5: Its MD5 as hexadecimal digits, where the way of copying told.
        tags_refused: Why it has no index tags; empty where it has them.
    """

    length: int | None = None
    md5: str = ""
    tags_refused: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    url: str = field(repr=False)
    host: str
    name: str
    labels: CabLabels
    until: float | None = None


class _SourceRefused(Exception):
    """Storage could not read the source, or not in this way."""


class _Exists(Exception):
    """The blob is there already."""


class _TagsRefused(Exception):
    """The request may have been refused for its tags."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        # An account or a role refuses all tags, and says nothing of these.
        self.is_for_all = "Tag" not in refusal.code


class CabCopy:
    """Copy cabs from their cabUrls into the container.

    Args:
        container: Where they go.
        copy_directly: The first way.
        source: Checks cabUrls, and asks them itself where storage cannot.
        direct_bytes: The largest source that Copy Blob From URL takes.
        block_bytes: The length of a block of Put Block From URL.
    """

    def __init__(
        self,
        container: CabContainer,
        copy_directly: DirectCopy,
        source: UntrustedSource,
        direct_bytes: int = DIRECT_BYTES,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._container, self._copy_directly = container, copy_directly
        self._source, self._direct_bytes, self._block_bytes = source, direct_bytes, block_bytes
        # Facts that hold for every later cab too, so that each costs one refusal and not one a cab.
        self._unreachable: set[str] = set()
        self._tags_refused = ""

    def copy(self, url: str, blob_name: str, labels: CabLabels, until: float | None = None) -> Copied:
        """Copy one cab.

        Args:
            url: The cabUrl, passed on byte for byte.
            blob_name: Where it goes.
            labels: What it carries.
            until: When to stop, by `clock.monotonic()`; None for never.

        Raises:
            OutOfTime: That moment came first.
            BadInput: The URL is not one that may be copied from.
            FreshUrl: Its SAS has expired or is refused.
            CabUnavailable: The source is gone.
            Never: Another blob has the name.
            AgainLater: Either side is busy, or the connection broke three times.
            NeedsPerson: The container refuses the app.
        """
        parts = self._source.checked(url, f"the cabUrl of {blob_name}")
        if (expiry := sas_expiry(parts)) and expiry <= clock.now():
            raise FreshUrl(f"the SAS of {blob_name} expired at {expiry:%Y-%m-%d %H:%M:%S} UTC")
        job = _Job(url, parts.netloc, blob_name, labels, until)
        return self._stream(job) if job.host in self._unreachable else self._direct(job)

    def _direct(self, job: _Job) -> Copied:
        def create(labels: CabLabels) -> None:
            self._copy_directly.copy(job.name, job.url, labels)

        try:
            return self._created(job, create, Copied())
        except _SourceRefused as refusal:
            return self._another_way(job, str(refusal))

    def _another_way(self, job: _Job, refusal: str) -> Copied:
        facts = at_once_again(lambda: source_facts(self._source, job.url, job.name))
        if facts.length <= self._direct_bytes:
            return self._stream_from_now_on(job, refusal)
        _log.info("%s has %d bytes (%s): it is copied in blocks", job.name, facts.length, refusal)
        return self._in_blocks(job, facts)

    def _in_blocks(self, job: _Job, facts: SourceFacts) -> Copied:
        blob, blocks = self._container.blob(job.name), list[BlobBlock]()
        try:
            for offset in range(0, facts.length, self._block_bytes):
                blocks.append(_next_block(blocks))
                length = min(self._block_bytes, facts.length - offset)
                with _refusals(job.name):
                    blob.stage_block_from_url(blocks[-1].id, job.url, source_offset=offset, source_length=length)
        except _SourceRefused as refusal:
            return self._stream_from_now_on(job, str(refusal))
        return self._committed(job, blocks, facts)

    def _stream_from_now_on(self, job: _Job, refusal: str) -> Copied:
        _log.warning("storage cannot read from %s (%s), the function can: its cabs are streamed", job.host, refusal)
        self._unreachable.add(job.host)
        return self._stream(job)

    def _stream(self, job: _Job) -> Copied:
        return at_once_again(lambda: self._streamed(job))

    def _streamed(self, job: _Job) -> Copied:
        """Pass the bytes on, a chunk at a time, and create the blob when all have come with the MD5 of the source."""
        blob, blocks = self._container.blob(job.name), list[BlobBlock]()
        digest, length = hashlib.md5(usedforsecurity=False), 0
        with opened_source(self._source, job.url, job.name) as (told, body):
            while chunk := body.read(_CHUNK_BYTES):
                digest.update(chunk)
                length += len(chunk)
                if told.length <= _CHUNK_BYTES:
                    return self._uploaded(job, chunk, _checked(job, told, length, digest.digest()))
                blocks.append(_next_block(blocks))
                with _refusals(job.name):
                    blob.stage_block(blocks[-1].id, chunk, validate_content=True)
                del chunk  # before the next one is read
                if job.until is not None and clock.monotonic() >= job.until:
                    raise OutOfTime(f"{job.name}: the time is over after {length} of {told.length} bytes")
        return self._committed(job, blocks, _checked(job, told, length, digest.digest()))

    def _uploaded(self, job: _Job, data: bytes, facts: SourceFacts) -> Copied:
        def create(labels: CabLabels) -> None:
            self._container.blob(job.name).upload_blob(
                data,
                validate_content=True,
                content_settings=_settings(facts),
                metadata=labels.metadata,
                tags=labels.tags or None,
            )

        return self._created(job, create, _known(facts))

    def _committed(self, job: _Job, blocks: list[BlobBlock], facts: SourceFacts) -> Copied:
        def create(labels: CabLabels) -> None:
            self._container.blob(job.name).commit_block_list(
                blocks,
                content_settings=_settings(facts),
                match_condition=MatchConditions.IfMissing,
                metadata=labels.metadata,
                tags=labels.tags or None,
            )

        return self._created(job, create, _known(facts))

    def _created(self, job: _Job, create: Callable[[CabLabels], None], done: Copied) -> Copied:
        """Send the one request that makes the blob, with its metadata, and with its tags unless they are refused."""
        if self._tags_refused:
            return self._created_without_tags(job, create, done, self._tags_refused)
        try:
            with _refusals(job.name, tagged=True):
                create(job.labels)
        except _Exists:
            return self._found(job)
        except _TagsRefused as refusal:
            _log.warning("%s is copied without index tags: they are refused (%s)", job.name, refusal)
            copied = self._created_without_tags(job, create, done, str(refusal))
            # Only now is it known that the tags were the reason.
            self._tags_refused = str(refusal) if refusal.is_for_all else ""
            return copied
        return done

    def _created_without_tags(self, job: _Job, create: Callable[[CabLabels], None], done: Copied, why: str) -> Copied:
        try:
            with _refusals(job.name):
                create(replace(job.labels, tags={}))
        except _Exists:
            return self._found(job)
        return replace(done, tags_refused=why)

    def _found(self, job: _Job) -> Copied:
        """Take a blob that is there already for this cab where the lengths agree: an answer or a row was lost."""
        with storage_errors(job.name):
            try:
                blob = self._container.blob(job.name).get_blob_properties()
            except ResourceNotFoundError:
                raise AgainLater(f"{job.name} was there, and is not any more") from None
        md5 = bytes(blob.content_settings.content_md5 or b"").hex()
        try:
            told = at_once_again(lambda: source_facts(self._source, job.url, job.name))
        except CabUnavailable:
            return Copied(blob.size, md5)
        if told.length != blob.size:
            raise Never(
                f"{job.name} is in the container with {blob.size} bytes, its source has {told.length}: "
                "move the blob away and pull again"
            )
        return Copied(blob.size, md5)


@contextmanager
def _refusals(name: str, *, tagged: bool = False) -> Iterator[None]:
    """Sort what storage refuses while a blob is made."""
    with storage_errors(name):
        try:
            yield
        except (HttpResponseError, RefusedError) as error:
            refusal = refusal_of(error)
            match refusal.means(Where.TAGGED_BLOB if tagged else Where.STORAGE):
                case Meaning.EXISTS | Meaning.CHANGED:
                    raise _Exists from None
                case Meaning.SOURCE_UNREAD:
                    raise _SourceRefused(str(refusal)) from None
                case Meaning.TAGS_REFUSED:
                    raise _TagsRefused(refusal) from None
                case _:
                    raise refusal.as_error(name) from None


def _checked(job: _Job, told: SourceFacts, length: int, md5: bytes) -> SourceFacts:
    if length != told.length:
        raise AgainNow(f"{job.name}: {length} bytes came of {told.length}")
    if told.md5 and md5 != told.md5:
        raise AgainNow(f"{job.name}: the bytes that came have the MD5 {md5.hex()}, the source says {told.md5.hex()}")
    return SourceFacts(length, md5)


def _next_block(blocks: list[BlobBlock]) -> BlobBlock:
    # Ids must have one length within a blob; 50,000 blocks are the service's limit.
    return BlobBlock(f"{len(blocks):08}")


def _settings(facts: SourceFacts) -> ContentSettings:
    return ContentSettings(content_md5=bytearray(facts.md5) if facts.md5 else None)


def _known(facts: SourceFacts) -> Copied:
    return Copied(facts.length, facts.md5.hex() if facts.md5 else "")

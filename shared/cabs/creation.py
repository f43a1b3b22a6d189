"""The one request that makes a cab's blob, whichever way its bytes came, and what storage may say to it.

It creates only (If-None-Match: *), with metadata and tags, and makes the blob appear at once or not at all: a blob that
exists is whole. What is there already is the cab where its metadata says so and length and MD5 agree.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from copy import replace
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import ContentSettings

from shared.cabs.content import why_no_cab
from shared.cabs.identity import MOVE_IT_AWAY, named_in
from shared.cabs.refusal_memory import RefusalMemory
from shared.cabs.source import source_facts
from shared.core.errors import AgainLater, CabUnavailable, Never
from shared.core.refusals import Meaning, Refusal, Where
from shared.core.values import Immutable, hiding
from shared.storage.refusals import RefusedError, refusal_of, storage_errors
from shared.web.http_source import at_once_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from azure.storage.blob import BlobProperties

    from shared.cabs.container import CabContainer
    from shared.cabs.labels import CabLabels
    from shared.cabs.source import SourceFacts
    from shared.web.untrusted_source import UntrustedSource

_log = logging.getLogger(__name__)
# An identity without the tags/write action is refused so, and may be given it at any time.
_TAGS = "tags"


class Copied(Immutable, frozen=True):
    """What is known of a cab that is in the container now.

    Args:
        length: Its bytes, where the way of copying told.
        md5: Its MD5 as hexadecimal digits, where the way of copying told.
        note: What a person should know of it although it is there; empty where all is well.
        since: When its blob was made, where it was there already; None where it is new.
    """

    length: int | None = None
    md5: str = ""
    note: str = ""
    since: datetime | None = None

    def noted(self, note: str) -> Copied:
        """Return it with a further note."""
        return replace(self, note="; ".join(filter(None, (self.note, note))))


class CopyJob(Immutable, frozen=True):
    """One cab to copy.

    Args:
        url: Its cabUrl, as it is sent.
        host: Scheme-less host and port of that.
        name: The blob's name.
        labels: What the blob carries.
        until: When to stop, by `clock.monotonic()`; None for never.
        instead_of: The etag of a blob that may be replaced, since it is no cab; empty for none.
    """

    url: str
    host: str
    name: str
    labels: CabLabels
    until: float | None = None
    instead_of: str = ""

    __repr__ = hiding("url")

    def condition(self) -> dict[str, Any]:
        """Return what the SDK's calls take so that nothing else is replaced."""
        if self.instead_of:
            return {"etag": self.instead_of, "match_condition": MatchConditions.IfNotModified}
        return {"match_condition": MatchConditions.IfMissing}


class SourceRefused(Exception):
    """Storage could not read the source, or not in this way."""


class NoCab(Exception):
    """The app itself has made the blob, from an answer that was no cab.

    Args:
        etag: The blob's.
    """

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class _Exists(Exception):
    """The blob is there already."""


class _TagsRefused(Exception):
    """The request may have been refused for its tags."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class BlobCreation:
    """Make the blobs of cabs.

    Args:
        container: Where they go.
        source: Asks for what a cab should be, where a blob has its name already.
    """

    def __init__(self, container: CabContainer, source: UntrustedSource) -> None:
        self._container, self._source = container, source
        self._tags_refused = RefusalMemory()
        self._no_tags_here = ""

    def created(self, job: CopyJob, create: Callable[[CabLabels], None], done: Copied) -> Copied:
        """Send the request that makes the blob, without its tags where they are refused.

        Args:
            job: The cab.
            create: Sends it, with what the blob carries.
            done: What is known of the cab then.

        Raises:
            SourceRefused: Storage cannot read the source.
            NoCab: A blob is there that must be replaced.
            CabferryError: Anything else, sorted by what helps.
        """
        if known := self._no_tags_here or self._tags_refused.known(_TAGS):
            return self._without_tags(job, create, done, known)
        try:
            with refusals(job.name, tagged=True):
                create(job.labels)
        except _Exists:
            return self._found(job)
        except _TagsRefused as error:
            refusal = error.refusal
            _log.warning("%s is copied without index tags: they are refused (%s)", job.name, refusal)
            copied = self._without_tags(job, create, done, str(refusal))
            # Only now is it known that the tags were the reason.
            if "Supported" in refusal.code:
                self._no_tags_here = str(refusal)
            elif refusal.meaning is Meaning.NO_PERMISSION:
                self._tags_refused.note(_TAGS, str(refusal))
            return copied
        self._tags_refused.forget(_TAGS)
        return done

    def _without_tags(self, job: CopyJob, create: Callable[[CabLabels], None], done: Copied, why: str) -> Copied:
        try:
            with refusals(job.name):
                create(replace(job.labels, tags={}))
        except _Exists:
            return self._found(job)
        return done.noted(f"index tags refused: {why}")

    def _found(self, job: CopyJob) -> Copied:
        """Take a blob that is there already for this cab, where it is: an answer or a row was lost."""
        with storage_errors(job.name):
            try:
                blob = self._container.blob(job.name).get_blob_properties()
            except ResourceNotFoundError:
                raise AgainLater(f"{job.name} was there, and is not any more") from None
        is_ours = _is_same(named_in(blob.metadata or {}), named_in(job.labels.metadata))
        why = why_no_cab(blob.size, blob.content_settings.content_type or "")
        try:
            told = at_once_again(lambda: source_facts(self._source, job.url, job.name))
        except CabUnavailable:
            if is_ours and not why:
                return _held(blob)
            raise
        if why and is_ours and not job.instead_of:
            _log.warning("%s %s: it was made from an answer that was no cab, and is replaced", job.name, why)
            raise NoCab(blob.etag)
        if told.length != blob.size:
            raise Never(
                f"{job.name} is in the container with {blob.size} bytes, its source has {told.length}: {MOVE_IT_AWAY}"
            )
        md5s_agree = told.md5 == _md5_of(blob) if told.md5 and _md5_of(blob) else None
        if md5s_agree is False or not (is_ours or md5s_agree):
            why = "has another MD5 than its source" if md5s_agree is False else "does not say that it is this cab"
            raise Never(f"{job.name} is in the container and {why}: {MOVE_IT_AWAY}")
        return _held(blob)


@contextmanager
def refusals(name: str, *, tagged: bool = False) -> Iterator[None]:
    """Sort what storage refuses while a blob is made.

    Args:
        name: The blob's.
        tagged: Whether the request carries index tags.
    """
    with storage_errors(name):
        try:
            yield
        except (HttpResponseError, RefusedError) as error:
            refusal = refusal_of(error)
            match refusal.means(Where.TAGGED_BLOB if tagged else Where.STORAGE):
                case Meaning.EXISTS | Meaning.CHANGED:
                    raise _Exists from None
                case Meaning.SOURCE_UNREAD:
                    raise SourceRefused(str(refusal)) from None
                case Meaning.TAGS_REFUSED:
                    raise _TagsRefused(refusal) from None
                case _:
                    raise refusal.as_error(name) from None


def settings_of(facts: SourceFacts) -> ContentSettings:
    """Return the settings of a blob whose bytes are known."""
    return ContentSettings(content_md5=bytearray(facts.md5) if facts.md5 else None)


def known_of(facts: SourceFacts) -> Copied:
    """Return what is known of a cab when its blob is there."""
    return Copied(facts.length, facts.md5.hex() if facts.md5 else "")


def _held(blob: BlobProperties) -> Copied:
    return Copied(blob.size, _md5_of(blob).hex(), since=blob.creation_time)


def _is_same(found: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return [each.lower() for each in found] == [each.lower() for each in wanted]


def _md5_of(blob: BlobProperties) -> bytes:
    return bytes(blob.content_settings.content_md5 or b"")

"""Copy one cab into the container, in the cheapest of three ways that works.

1. Copy Blob From URL: one request, no byte through the function, for sources of up to 256 MiB.
2. Put Block From URL in blocks, and a commit, for larger sources.
3. Stream through the function in bounded memory, where storage cannot reach the source.

The first way is always tried first, since its success is the only fact that one request can give. What comes after a
refusal is decided by facts: the refusal's code, and what a HEAD of the source answers to the function itself. A host
that was refused for several cabs in a row is not tried again for some minutes.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.cabs.blocks import BlockCommits
from shared.cabs.creation import BlobCreation, Copied, CopyJob, NoCab, SourceRefused, refusals
from shared.cabs.refusal_memory import RefusalMemory
from shared.cabs.source import SourceFacts, sas_time, source_facts
from shared.cabs.streaming import Streaming
from shared.core import clock, stopping
from shared.core.errors import AgainLater, CabferryError, FreshUrl, Never, OutOfTime
from shared.core.metrics import COPIES
from shared.core.redaction import excerpt
from shared.web.http_source import at_once_again
from shared.web.source_hosts import sendable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from shared.cabs.container import CabContainer
    from shared.cabs.direct_copy import DirectCopy
    from shared.cabs.labels import CabLabels
    from shared.web.untrusted_source import UntrustedSource

_log = logging.getLogger(__name__)

# https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url
DIRECT_BYTES = 256 * 1024 * 1024
BLOCK_BYTES = 128 * 1024 * 1024
# Clocks differ by seconds, and a URL that is given up for another one is followed by one that begins as late.
_LONGEST_WAIT_FOR_SAS = timedelta(seconds=30)


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
        self._creation = BlobCreation(container, source)
        self._commits = BlockCommits(container, self._creation)
        self._streaming = Streaming(container, self._creation, self._commits, source)
        self._unreachable = RefusalMemory()

    def copy(self, url: str, blob_name: str, labels: CabLabels, until: float | None = None) -> Copied:
        """Copy one cab.

        Args:
            url: The cabUrl, passed on byte for byte, but for what no URL may hold.
            blob_name: Where it goes.
            labels: What it carries.
            until: When to stop, by `clock.monotonic()`; None for never. Only what moves bytes in blocks, or through the
                function, is stopped: the one request of the first way is not.

        Raises:
            OutOfTime: That moment came first, and what was moved by then is kept.
            BadInput: The URL is not one that may be copied from.
            FreshUrl: Its SAS has expired or is refused.
            CabUnavailable: The source is gone.
            Never: Another blob has the name, or something happened that nobody foresaw.
            AgainLater: Either side is busy, the connection broke three times, or what came is no cab.
            NeedsPerson: The container refuses the app.
        """
        with _only_this_cab(blob_name):
            parts = self._source.checked(url, f"the cabUrl of {blob_name}")
            _raise_if_ended(parts, blob_name)
            _wait_for_start(parts, blob_name, until)
            job = CopyJob(sendable(url), parts.netloc, blob_name, labels, until)
            try:
                return self._copied(job)
            except NoCab as found:
                return self._copied(replace(job, instead_of=found.etag))

    def _copied(self, job: CopyJob) -> Copied:
        if self._unreachable.known(job.host):
            return self._by_the_app(job, self._facts(job))

        def create(labels: CabLabels) -> None:
            self._copy_directly.copy(job.name, job.url, labels, job.instead_of)

        try:
            copied = self._creation.created(job, create, Copied())
        except SourceRefused as refusal:
            return self._another_way(job, str(refusal))
        self._unreachable.forget(job.host)
        COPIES.record(1, way="direct")
        return copied

    def _another_way(self, job: CopyJob, refusal: str) -> Copied:
        facts = self._facts(job)
        if facts.length <= self._direct_bytes:
            return self._streamed(job, facts, refusal)
        _log.info("%s has %d bytes (%s): it is copied in blocks", job.name, facts.length, refusal)
        try:
            return self._in_blocks(job, facts)
        except SourceRefused as refused:
            return self._streamed(job, facts, str(refused))

    def _in_blocks(self, job: CopyJob, facts: SourceFacts) -> Copied:
        blob, blocks = self._container.blob(job.name), self._commits.begun(job, facts.version)
        while left := facts.length - blocks.length:
            if job.until is not None and clock.monotonic() >= job.until:
                raise OutOfTime(f"{job.name}: the time is over after {blocks.length} of {facts.length} bytes")
            length = min(self._block_bytes, left)
            with refusals(job.name):
                blob.stage_block_from_url(
                    blocks.next_id(length), job.url, source_offset=blocks.length, source_length=length
                )
            blocks.add(length)
        copied = self._commits.committed(job, blocks, facts)
        COPIES.record(1, way="blocks")
        return copied

    def _streamed(self, job: CopyJob, facts: SourceFacts, refusal: str) -> Copied:
        """Stream a cab that storage was refused; where its host was several times, do so with all for some minutes."""
        is_lasting = self._unreachable.note(job.host, refusal)
        which = "its cabs are streamed for now" if is_lasting else f"{job.name} is streamed"
        _log.warning("storage cannot read from %s (%s), the function can: %s", job.host, refusal, which)
        return self._by_the_app(job, facts)

    def _by_the_app(self, job: CopyJob, facts: SourceFacts) -> Copied:
        copied = self._streaming.copy(job, facts)
        COPIES.record(1, way="streamed")
        return copied

    def _facts(self, job: CopyJob) -> SourceFacts:
        return at_once_again(lambda: source_facts(self._source, job.url, job.name))


@contextmanager
def _only_this_cab(name: str) -> Iterator[None]:
    """Let what nobody foresaw about one cab be that cab's failure: 700 good ones may be copied beside it."""
    try:
        yield
    except CabferryError:
        raise
    except Exception as error:  # noqa: BLE001 - see above; it is told with its traceback
        _log.exception("%s: something that nobody foresaw", name)
        seen = excerpt(f"{type(error).__name__}: {error}")
        raise Never(f"{name} failed in a way that nobody foresaw: {seen}") from None


def _raise_if_ended(parts: SplitResult, name: str) -> None:
    """Save the request where the SAS has ended, unless only the machine's own clock says so."""
    expiry = sas_time(parts, "se")
    if expiry and clock.is_compared() and expiry <= clock.true_now():
        raise FreshUrl(f"the SAS of {name} expired at {expiry:%Y-%m-%d %H:%M:%S} UTC")


def _wait_for_start(parts: SplitResult, name: str, until: float | None) -> None:
    """Wait for some seconds until the SAS is good: the clock that it was made by is a little ahead."""
    start = sas_time(parts, "st")
    left = start - clock.true_now() if start else timedelta()
    if left <= timedelta():
        return
    message = f"the SAS of {name} is good from {start:%Y-%m-%d %H:%M:%S} UTC on"
    seconds = left.total_seconds()
    if left > _LONGEST_WAIT_FOR_SAS or (until is not None and clock.monotonic() + seconds >= until):
        raise AgainLater(message, left)
    if stopping.wait(seconds):
        raise AgainLater(message, left)

"""Pass a cab's bytes through the function, where storage cannot reach their source: checked, in bounded memory.

A cab of more than one chunk goes in blocks. Where its time is over, or a connection breaks, it goes on after the last
block that storage holds, if the source still is what it was. Each block travels with an MD5 of its own; that of the
whole cab can be checked only where all of it came in one run, and a cab that did not says so.
"""

from __future__ import annotations

import hashlib
from copy import replace
from typing import TYPE_CHECKING

from shared.cabs.blocks import SourceBlocks
from shared.cabs.content import UNKNOWN, form_of, is_markup
from shared.cabs.creation import known_of, refusals, settings_of
from shared.cabs.source import SourceFacts, opened_source
from shared.core import clock
from shared.core.errors import AgainLater, AgainNow, BadAnswer, OutOfTime
from shared.web.http_source import at_once_again

if TYPE_CHECKING:
    from shared.cabs.blocks import BlockCommits
    from shared.cabs.container import CabContainer
    from shared.cabs.creation import BlobCreation, Copied, CopyJob
    from shared.cabs.labels import CabLabels
    from shared.cabs.source import OpenedSource
    from shared.web.untrusted_source import UntrustedSource

_CHUNK_BYTES = 8 * 1024 * 1024
_START_BYTES = 256


class Streaming:
    """Copy cabs through the function.

    Args:
        container: Where they go.
        creation: Makes their blobs.
        commits: Makes them of blocks.
        source: Opens their sources.
    """

    def __init__(
        self, container: CabContainer, creation: BlobCreation, commits: BlockCommits, source: UntrustedSource
    ) -> None:
        self._container, self._creation, self._commits, self._source = container, creation, commits, source

    def copy(self, job: CopyJob, facts: SourceFacts) -> Copied:
        """Copy one cab.

        Args:
            job: The cab.
            facts: What its source told of it, asked for nothing else.

        Raises:
            OutOfTime: The time is over, and what has come by then is kept.
            AgainLater: The connection broke three times, or the time is over and there is nothing to keep.
            BadAnswer: What comes is no cab, or not what the source told before.
            CabferryError: As the source and storage.
        """
        if facts.length <= _CHUNK_BYTES:
            return at_once_again(lambda: self._at_once(job, facts))
        passage = _Passage(self._commits.begun(job, facts.version))
        return at_once_again(lambda: self._in_blocks(job, facts, passage))

    def _at_once(self, job: CopyJob, facts: SourceFacts) -> Copied:
        with opened_source(self._source, job.url, job.name, until=job.until) as opened:
            _raise_if_other(job, facts, opened)
            data = opened.body.read(facts.length)
            if len(data) < facts.length and opened.body.is_out_of_time:
                raise AgainLater(f"{job.name}: the time is over after {len(data)} of {facts.length} bytes")
        if len(data) != facts.length:
            raise AgainNow(f"{job.name}: {len(data)} bytes came of {facts.length}")
        form, md5 = _looked_at(job, data), hashlib.md5(data, usedforsecurity=False).digest()
        _raise_if_damaged(job, opened.facts.md5 or facts.md5, md5)
        known = SourceFacts(len(data), md5)

        def create(labels: CabLabels) -> None:
            self._container.blob(job.name).upload_blob(
                data,
                overwrite=bool(job.instead_of),
                validate_content=True,
                content_settings=settings_of(known),
                metadata=labels.metadata,
                tags=labels.tags or None,
                **(job.condition() if job.instead_of else {}),
            )

        return _noted(form, self._creation.created(_labelled(job, form), create, known_of(known)))

    def _in_blocks(self, job: CopyJob, facts: SourceFacts, passage: _Passage) -> Copied:
        if passage.is_from_before:
            with opened_source(self._source, job.url, job.name) as opened:
                _raise_if_other(job, facts, opened)
                passage.form = _looked_at(job, opened.body.read(_START_BYTES))
        if passage.blocks.length < facts.length:
            # Where no version tells that the source is the same still, it is read from its first byte on.
            begins = passage.blocks.length if facts.version else 0
            with opened_source(self._source, job.url, job.name, begins, job.until) as opened:
                _raise_if_other(job, facts, opened)
                passage.begin_at(job, facts, opened)
                kept = passage.blocks.length
                while data := opened.body.read(_CHUNK_BYTES):
                    self._stage(job, passage, facts, data)
                    del data  # before the next ones are read
                    _raise_if_over(job, passage, facts, kept)
                _raise_if_over(job, passage, facts, kept)
        if passage.blocks.length != facts.length:
            raise AgainNow(f"{job.name}: {passage.blocks.length} bytes came of {facts.length}")
        md5 = passage.digest.digest() if passage.digest else None
        copied = self._commits.committed(_labelled(job, passage.form), passage.blocks, SourceFacts(facts.length, md5))
        return _noted(passage.form, copied if md5 else copied.noted("came in several runs, so its MD5 was not checked"))

    def _stage(self, job: CopyJob, passage: _Passage, facts: SourceFacts, data: bytes) -> None:
        blocks, blob = passage.blocks, self._container.blob(job.name)
        if not blocks.length:
            passage.form = _looked_at(job, data)
        if passage.digest:
            passage.digest.update(data)
            if blocks.length + len(data) == facts.length and facts.md5 not in {None, passage.digest.digest()}:
                # One byte under the first block's id: no other run goes on with what is not the source's.
                with refusals(job.name):
                    blob.stage_block(blocks.first_id(), b"\0", validate_content=True)
                md5 = passage.digest.digest()
                passage.begin_anew(facts.version)
                _raise_if_damaged(job, facts.md5, md5)
        with refusals(job.name):
            blob.stage_block(blocks.next_id(len(data)), data, validate_content=True)
        blocks.add(len(data))


class _Passage:
    """A cab on its way, across connections that break."""

    def __init__(self, blocks: SourceBlocks) -> None:
        self.form = ""
        self.blocks = blocks
        # What earlier runs staged cannot be read back before it is a blob.
        self.digest = None if blocks.length else hashlib.md5(usedforsecurity=False)

    @property
    def is_from_before(self) -> bool:
        """Tell whether an earlier run staged its first bytes, which nobody has looked at in this one."""
        return self.blocks.length > 0 and not self.form

    def begin_at(self, job: CopyJob, facts: SourceFacts, opened: OpenedSource) -> None:
        """Go on where the opened source begins, or anew where it is another by now, or knows no ranges."""
        if opened.begins == 0:
            self.begin_anew(opened.facts.version)
        elif opened.facts.version != facts.version:
            self.begin_anew(opened.facts.version)
            raise AgainNow(f"{job.name}: its source has changed while it was read")

    def begin_anew(self, version: str) -> None:
        """Drop what has come so far."""
        self.blocks, self.digest, self.form = SourceBlocks(version), hashlib.md5(usedforsecurity=False), ""


def _looked_at(job: CopyJob, start: bytes) -> str:
    """Return the form of a cab's first bytes."""
    if is_markup(start):
        raise BadAnswer(f"the source of {job.name} answered with a page of HTML or XML in place of a cab")
    return form_of(start)


def _labelled(job: CopyJob, form: str) -> CopyJob:
    return replace(job, labels=replace(job.labels, metadata={**job.labels.metadata, "content": form}))


def _noted(form: str, copied: Copied) -> Copied:
    return copied.noted("its first bytes are those of no known archive or dump") if form == UNKNOWN else copied


def _raise_if_other(job: CopyJob, facts: SourceFacts, opened: OpenedSource) -> None:
    if opened.facts.length != facts.length:
        raise BadAnswer(f"the source of {job.name} told {facts.length} bytes, and then {opened.facts.length}")


def _raise_if_damaged(job: CopyJob, told: bytes | None, came: bytes) -> None:
    if told and told != came:
        raise AgainNow(f"{job.name}: the bytes that came have the MD5 {came.hex()}, the source says {told.hex()}")


def _raise_if_over(job: CopyJob, passage: _Passage, facts: SourceFacts, kept: int) -> None:
    """Raise where the time is over and bytes are left."""
    came = passage.blocks.length
    if job.until is None or clock.monotonic() < job.until or came == facts.length:
        return
    message = f"{job.name}: the time is over after {came} of {facts.length} bytes"
    raise OutOfTime(message) if came > kept else AgainLater(message)

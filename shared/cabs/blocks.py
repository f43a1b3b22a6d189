"""The blocks of a blob that is not there yet: the next run goes on where this one stopped.

Storage keeps uncommitted blocks for a week, and tells the id and the length of each. An id says which bytes of which
version of the source its block holds, so that no block is taken for another one: not for one of a source that has
changed since, nor for one that somebody else staged, and not where two runs cut the source at different places.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock

from shared.cabs.creation import known_of, settings_of
from shared.storage.refusals import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.cabs.container import CabContainer
    from shared.cabs.creation import BlobCreation, Copied, CopyJob
    from shared.cabs.labels import CabLabels
    from shared.cabs.source import SourceFacts

# Ids have one length within a blob, and had this one from the start.
_INDEX_BITS, _CHECK_BITS = 18, 30


class SourceBlocks:
    """The blocks that hold a source's bytes from the first one on, in their order.

    Args:
        version: What tells this version of the source from any other; empty where nothing does, and no other run can
            go on with its blocks.
    """

    def __init__(self, version: str) -> None:
        self._version = version or secrets.token_hex()
        self.ids: list[BlobBlock] = []
        self.length = 0

    def go_on_with(self, held: Iterable[BlobBlock]) -> None:
        """Take over the blocks that follow each other from the first byte on.

        Args:
            held: What storage holds for the blob, each with its size.
        """
        sizes: dict[str, int] = {block.id: block.size for block in held}
        while size := next((size for size in set(sizes.values()) if sizes.get(self.next_id(size)) == size), 0):
            self.add(size)

    def next_id(self, size: int) -> str:
        """Return the id of the block that follows.

        Args:
            size: Its bytes.
        """
        said = hashlib.sha256(f"{self._version}\n{self.length}\n{size}".encode()).digest()
        check = int.from_bytes(said[:4]) >> (32 - _CHECK_BITS)
        number = len(self.ids) << _CHECK_BITS | check
        return base64.urlsafe_b64encode(number.to_bytes((_INDEX_BITS + _CHECK_BITS) // 8)).decode()

    def add(self, size: int) -> None:
        """Note that the block that follows is held.

        Args:
            size: Its bytes.
        """
        self.ids.append(BlobBlock(self.next_id(size)))
        self.length += size

    def first_id(self) -> str:
        """Return the id of the first block: a single byte that is staged under it ends what others could go on with."""
        return str(self.ids[0].id)


class BlockCommits:
    """Go on with the blocks that storage holds of a blob, and make the blob of them.

    Args:
        container: Where it goes.
        creation: Makes it.
    """

    def __init__(self, container: CabContainer, creation: BlobCreation) -> None:
        self._container, self._creation = container, creation

    def begun(self, job: CopyJob, version: str) -> SourceBlocks:
        """Return the blocks of a source that earlier runs have staged.

        Args:
            job: The cab.
            version: Of its source.
        """
        blocks = SourceBlocks(version)
        with storage_errors(f"the blocks of {job.name}"):
            try:
                _, held = self._container.blob(job.name).get_block_list("uncommitted")
            except ResourceNotFoundError:
                return blocks
        blocks.go_on_with(held)
        return blocks

    def committed(self, job: CopyJob, blocks: SourceBlocks, facts: SourceFacts) -> Copied:
        """Make the blob.

        Args:
            job: The cab.
            blocks: All of its blocks.
            facts: What is known of it.
        """

        def create(labels: CabLabels) -> None:
            self._container.blob(job.name).commit_block_list(
                blocks.ids,
                content_settings=settings_of(facts),
                metadata=labels.metadata,
                tags=labels.tags or None,
                **job.condition(),
            )

        return self._creation.created(job, create, known_of(facts))

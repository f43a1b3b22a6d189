"""A blob as a file that is read here and there: only the blocks that are looked at are fetched."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from .container import told

if TYPE_CHECKING:
    from collections.abc import Buffer

    from azure.storage.blob import BlobClient

_BLOCK = 64 * 1024
_KEPT = 32


class RemoteFile(io.RawIOBase):
    """A blob, read by ranges.

    Args:
        blob: The blob.
        length: Its bytes.
    """

    def __init__(self, blob: BlobClient, length: int) -> None:
        super().__init__()
        self._blob, self._length, self._at = blob, length, 0
        self._blocks: dict[int, bytes] = {}
        self.fetched = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; ZIP archives are read from their end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        """Read what the block at this place has; fewer bytes than asked for are no end."""
        view = memoryview(buffer).cast("B")
        if self._at >= self._length:
            return 0
        number, within = divmod(self._at, _BLOCK)
        piece = self._block(number)[within : within + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            offset = number * _BLOCK
            with told(f"{self._blob.blob_name} could not be read"):
                data = self._blob.download_blob(offset, min(_BLOCK, self._length - offset)).readall()
            self.fetched += len(data)
            if len(self._blocks) >= _KEPT:
                self._blocks.pop(next(iter(self._blocks)))
            self._blocks[number] = data
        return self._blocks[number]

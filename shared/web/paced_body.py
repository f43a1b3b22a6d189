"""Read a large body that may drip: a source that sends a byte a minute must not hold a thread for ever."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater

if TYPE_CHECKING:
    import requests

# Far below what any network gives that a cab of some MB could come over.
LEAST_BYTES_A_SECOND = 4_096
# Of waiting, before the pace is looked at.
_GRACE_SECONDS = 60.0
_PIECE_BYTES = 1 << 20


class PacedBody:
    """The bytes of an answer as they were sent, without their encoding taken off.

    Args:
        response: An answer that is still to be read.
        what: Names the request in errors.
        until: When reading ends before the body does, by `clock.monotonic()`; None for never.
    """

    def __init__(self, response: requests.Response, what: str, until: float | None = None) -> None:
        self._raw, self._what, self._until = response.raw, what, until
        self._bytes, self._waited = 0, 0.0

    @property
    def is_out_of_time(self) -> bool:
        """Tell whether reading has ended, or will at once, because its time is over."""
        return self._until is not None and clock.monotonic() >= self._until

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, as many as were asked for except at the end, or when the time is over.

        Args:
            size: How many; below zero all there are.

        Raises:
            AgainLater: They come too slowly. What the reader does in between does not count.
        """
        read = io.BytesIO()
        while (size < 0 or read.tell() < size) and not self.is_out_of_time:
            wanted = _PIECE_BYTES if size < 0 else min(size - read.tell(), _PIECE_BYTES)
            asked = time.monotonic()
            piece = self._raw.read1(wanted, decode_content=False)
            self._waited += time.monotonic() - asked
            if not piece:
                break
            read.write(piece)
            self._bytes += len(piece)
            if self._waited > _GRACE_SECONDS and self._bytes < self._waited * LEAST_BYTES_A_SECOND:
                raise AgainLater(f"{self._what}: {self._bytes} bytes came in {self._waited:.0f} seconds")
        return read.getvalue()  # not a copy

"""From the bytes of a report file to its lines: gzip by its magic number, UTF-16 or UTF-8 by their marks.

Nobody documented any of it, and the file is streamed: what is kept is one chunk, and a line that has not ended yet.
"""

from __future__ import annotations

import codecs
import re
import zlib
from itertools import chain
from typing import IO, TYPE_CHECKING

from shared.core.errors import BadInput
from shared.core.redaction import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_CHARACTERS = 1 << 20
_CHUNK_BYTES = 1 << 18
_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = 31  # zlib's number for a gzip header, with a window of 32 KiB
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# What writers and file systems put behind the end of a file, and how much else is no part of a report that was lost.
_PADDING, _MOST_BEHIND = b"\0\r\n\t \x1a", 1 << 16
# Marks that nobody sees, and that would make another id of an id: byte order, zero width, direction, soft hyphen.
_UNSEEN = re.compile("[\xad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")


class ReportLines:
    """Read a file's lines once, and tell how it ended.

    Args:
        stream: The file as it came, read forwards only.
        name: Names the report in errors.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name
        self.is_packed = False
        self.has_last_end = False
        self.bytes_behind = 0

    def chunks(self) -> Iterator[list[str]]:
        r"""Yield the lines of each chunk of the file, without the \n, or the lone \r, that ends them.

        Raises:
            BadInput: A line is too long, or what is packed is damaged or cut.
        """
        decoder, begun, end, header, is_new_member = None, "", "", "", False
        for data in self._unpacked():
            if not data:
                is_new_member = True
                continue
            # Ids are ASCII whatever the rest is: a byte that cannot be decoded in some other column costs no report.
            decoder = decoder or codecs.getincrementaldecoder(_encoding(data))(errors="replace")
            text = decoder.decode(data)
            if not text.isascii():
                text = _UNSEEN.sub("", text)
            if is_new_member and begun and header and text.startswith(header):
                begun += end  # the member before ended without a line end, and this one is a file of its own
            text, is_new_member = begun + text, False
            end = end or ("\r" if "\r" in text[:-1] and "\n" not in text else "\n")
            *whole, begun = text.split(end)
            if len(begun) > LINE_CHARACTERS:
                raise BadInput(f"{self._name} has a line that is longer than {LINE_CHARACTERS} characters")
            if whole:
                header = header or whole[0]
                yield whole
        begun += decoder.decode(b"", final=True) if decoder else ""
        self.has_last_end = not begun.strip("\r\0\x1a ")
        if not self.has_last_end:
            yield [begun]

    def _unpacked(self) -> Iterator[bytes]:
        """Yield the file's bytes, its first four together, and nothing at all where a member of a gzip file begins."""
        pieces = _four_at_first(iter(lambda: self._stream.read(_CHUNK_BYTES), b""))
        first = next(pieces, b"")
        self.is_packed = first.startswith(_GZIP)
        pieces = chain([first], pieces)
        return _four_at_first(self._members(pieces)) if self.is_packed else pieces

    def _members(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        member, behind, half = zlib.decompressobj(_GZIP_FORMAT), 0, b""
        try:
            for piece in pieces:
                packed = piece
                while packed:
                    if member.eof:
                        behind += len(packed)
                        packed = (half + packed).lstrip(_PADDING)
                        if len(packed) < len(_GZIP):
                            half = packed
                            break
                        if not packed.startswith(_GZIP):
                            self._pass_over(behind, pieces)
                            return
                        member, behind, half = zlib.decompressobj(_GZIP_FORMAT), 0, b""
                        yield b""
                    data = member.decompress(packed, _CHUNK_BYTES)
                    packed = member.unused_data if member.eof else member.unconsumed_tail
                    if data:
                        yield data
        except zlib.error as error:
            raise BadInput(f"{self._name} is damaged: {excerpt(str(error))}") from None
        if not member.eof:
            raise BadInput(f"{self._name} is cut: its gzip has no end")
        self.bytes_behind = behind

    def _pass_over(self, seen: int, pieces: Iterator[bytes]) -> None:
        self.bytes_behind = seen + sum(map(len, pieces))
        if self.bytes_behind > _MOST_BEHIND:
            raise BadInput(f"{self._name} has {self.bytes_behind} bytes behind its gzip that are no gzip")


def _four_at_first(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes, the first four of them together: they tell what the rest is."""
    first = b""
    while len(first) < 4 and (piece := next(pieces, None)) is not None:  # noqa: PLR2004
        first += piece
    yield first
    yield from pieces


def _encoding(start: bytes) -> str:
    if start[:2] in _UTF16:
        return "utf-16"
    if start[:1] == b"\0":
        return "utf-16-be"
    return "utf-16-le" if start[1:2] == b"\0" else "utf-8"

"""Read cabinets ([MS-CAB]) in flat memory and from any file that seeks: stored and MSZIP; LZX and Quantum need a tool.

Every length and offset of a cabinet is the sender's word: all are checked against what is there.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import groupby
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-cab, 2.1 to 2.4; little-endian throughout.
_HEADER = struct.Struct("<4sIIIIIBBHHHHH")
_RESERVE = struct.Struct("<HBB")
_FOLDER = struct.Struct("<IHH")
_FILE = struct.Struct("<IIHHHH")
_DATA = struct.Struct("<IHH")
_HAS_PREVIOUS, _HAS_NEXT, _HAS_RESERVE = 1, 2, 4
_NAME_IS_UTF = 0x80
_LONGEST_NAME = 256
_LONGEST_BLOCK = 32_768
_METHODS = {0: "none", 1: "MSZIP", 2: "Quantum", 3: "LZX"}


class CabinetError(Exception):
    """The bytes are no whole cabinet; the text says what is wrong."""


class NeedsToolError(Exception):
    """The cabinet is compressed by a method that a tool must undo; the text names it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a cabinet.

    Args:
        name: As the cabinet has it, not to be trusted as a path.
        size: Its bytes.
        offset: Where it begins in what its folder unpacks to.
        folder: The number of its folder.
    """

    name: str
    size: int
    offset: int
    folder: int


@dataclass(frozen=True, slots=True)
class _Folder:
    at: int
    blocks: int
    method: int


class Cabinet:
    """A cabinet.

    Args:
        file: Its bytes.

    Raises:
        CabinetError: They are none, or one of a set of several.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        header = _HEADER.unpack(self._exactly(_HEADER.size))
        signature, files_at, folders, files, flags = header[0], header[4], header[8], header[9], header[10]
        if signature != b"MSCF":
            raise CabinetError("it does not begin as a cabinet")
        if flags & (_HAS_PREVIOUS | _HAS_NEXT):
            raise CabinetError("it is one part of a set of cabinets")
        folder_reserve, self._data_reserve = 0, 0
        if flags & _HAS_RESERVE:
            header_reserve, folder_reserve, self._data_reserve = _RESERVE.unpack(self._exactly(_RESERVE.size))
            self._exactly(header_reserve)
        self._folders = []
        for _ in range(folders):
            self._folders.append(_Folder(*_FOLDER.unpack(self._exactly(_FOLDER.size))))
            self._exactly(folder_reserve)
        self._file.seek(files_at)
        self.members = [self._member() for _ in range(files)]

    @property
    def needs_tool(self) -> str:
        """The method that only a tool can undo; empty where there is none."""
        methods = {_METHODS.get(folder.method & 0xF, "an unknown method") for folder in self._folders}
        return ", ".join(sorted(methods - {"none", "MSZIP"}))

    def read(self, member: Member) -> Iterator[bytes]:
        """Yield a file's bytes; what stands before it in its folder is unpacked first.

        Raises:
            CabinetError: The cabinet is damaged.
            NeedsToolError: Its method needs a tool.
        """
        for _, chunks in self._of_folder(member.folder, [member]):
            yield from chunks

    def contents(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Yield each file with its bytes, which must be taken before the next; each folder is unpacked once.

        Raises:
            CabinetError: The cabinet is damaged.
            NeedsToolError: Its method needs a tool.
        """
        ordered = sorted(self.members, key=lambda each: (each.folder, each.offset))
        for folder, members in groupby(ordered, key=lambda each: each.folder):
            yield from self._of_folder(folder, list(members))

    def _of_folder(self, number: int, members: list[Member]) -> Iterator[tuple[Member, Iterator[bytes]]]:
        stream = _Stream(self._blocks(self._folders[number]))
        for member in members:
            stream.skip_to(member.offset)
            yield member, stream.take(member.size)

    def _member(self) -> Member:
        size, offset, folder, _, _, attributes = _FILE.unpack(self._exactly(_FILE.size))
        name = bytearray()
        while not name.endswith(b"\0"):
            if len(name) > _LONGEST_NAME:
                raise CabinetError("a name in it has no end")
            name += self._exactly(1)
        if folder >= len(self._folders):
            raise CabinetError("a file in it belongs to another cabinet of a set")
        encoding = "utf-8" if attributes & _NAME_IS_UTF else "cp1252"
        return Member(name[:-1].decode(encoding, "replace"), size, offset, folder)

    def _blocks(self, folder: _Folder) -> Iterator[bytes]:
        method = _METHODS.get(folder.method & 0xF, "an unknown method")
        if method not in {"none", "MSZIP"}:
            raise NeedsToolError(method)
        at, before = folder.at, b""
        for _ in range(folder.blocks):
            self._file.seek(at)
            checksum, packed, unpacked = _DATA.unpack(self._exactly(_DATA.size))
            self._exactly(self._data_reserve)
            data = self._exactly(packed)
            at = self._file.tell()
            if checksum and not self._data_reserve and checksum != _checksum(packed, unpacked, data):
                raise CabinetError("a block of it is damaged")
            before = data if method == "none" else _unzipped(data, before)
            if len(before) != unpacked or unpacked > _LONGEST_BLOCK:
                raise CabinetError("a block of it is not as long as it says")
            yield before

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._file.read(count - len(data))
            if not more:
                raise CabinetError("it ends too soon")
            data += more
        return data


class _Stream:
    """What a folder unpacks to, read forward only."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._left, self._at = blocks, b"", 0

    def skip_to(self, offset: int) -> None:
        if offset < self._at:
            raise CabinetError("files in it overlap")
        for _ in self.take(offset - self._at):
            pass

    def take(self, count: int) -> Iterator[bytes]:
        while count:
            if not self._left:
                self._left = next(self._blocks, b"")
                if not self._left:
                    raise CabinetError("it has fewer bytes than its files")
            piece, self._left = self._left[:count], self._left[count:]
            count -= len(piece)
            self._at += len(piece)
            yield piece


def _unzipped(data: bytes, before: bytes) -> bytes:
    """Return an MSZIP block: `CK`, then deflate that may point back into the block before it ([MS-MCI])."""
    if not data.startswith(b"CK"):
        raise CabinetError("a block of it is no MSZIP")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS, zdict=before)
    try:
        return inflate.decompress(data[2:], _LONGEST_BLOCK + 1)
    except zlib.error:
        raise CabinetError("a block of it cannot be inflated") from None


def _checksum(packed: int, unpacked: int, data: bytes) -> int:
    """Return the checksum of a block ([MS-CAB] 3.1): its words, exclusive-ored, with the two lengths before them."""
    whole = len(data) - len(data) % 4
    words = int.from_bytes(data[:whole], "little")
    width = 32 * (1 << max(0, (whole // 4 - 1)).bit_length())
    # A long number folds in halves, which a loop over its words would do a hundred times slower.
    while width > 32:  # noqa: PLR2004 - one word
        width //= 2
        words = (words >> width) ^ (words & ((1 << width) - 1))
    rest = int.from_bytes(data[whole:], "big")
    return words ^ rest ^ int.from_bytes(struct.pack("<HH", packed, unpacked), "little")

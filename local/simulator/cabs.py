"""Make failure cabs: real archives with a minidump inside, deterministic by a seed, streamed in flat memory.

The Dev Center names its archives `.ext.zip`, and only the bytes tell what they are: ZIP (`PK`) or cabinet (`MSCF`).
Both are made here. Cabinets follow [MS-CAB], the published cabinet file format: one folder, stored (not compressed)
CFDATA blocks of 32,768 bytes with their checksums, so that WinDbg, `expand`, `cabextract` and `7z` open them.
"""

import io
import random
import struct
import zipfile
from collections.abc import Buffer, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

CFDATA_BLOCK = 32_768
_CFHEADER = struct.Struct("<4sIIIIIBBHHHHH")
_CFFOLDER = struct.Struct("<IHH")
_CFFILE = struct.Struct("<IIHHHH")
_CFDATA = struct.Struct("<IHH")
_ARCHIVE_ATTRIBUTE = 0x20
_MOST_CFDATA = 0xFFFF

_MINIDUMP_HEADER = struct.Struct("<4sIIIIIQ")
_MINIDUMP_VERSION = 0xA793
_DUMP_CHUNK = 1 << 20
_PAGE = 4_096
# A fixed time in every archive: the same seed gives the same bytes, whenever it is asked.
_MEMBER_TIME = datetime(2026, 1, 1)  # noqa: DTZ001 (DOS times in archives have no zone)


class ArchiveKind(StrEnum):
    """What the bytes of an archive are."""

    ZIP = "zip"
    CAB = "cab"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Args:
        name: Its name inside the archive, ASCII.
        size: Its length in bytes, known before its first byte.
        chunks: Gives its bytes, in chunks of any length, from the start at each call.
    """

    name: str
    size: int
    chunks: Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class CabArchive:
    """Describe one failure cab; its bytes are made when they are asked for.

    Args:
        kind: ZIP or cabinet.
        seed: The same seed and description give the same bytes.
        dump_size: Length of the minidump in bytes, at least its header's 32; the archive is a little longer.
        compressible: Whether the dump is mostly zeros (a ZIP then deflates it) or random bytes.
    """

    kind: ArchiveKind
    seed: int
    dump_size: int
    compressible: bool = False

    def chunks(self) -> Iterator[bytes]:
        """Yield the archive's bytes from its start, in chunks of at most about 1 MiB."""
        members = self._members()
        if self.kind is ArchiveKind.CAB:
            return cabinet(members)
        return zip_archive(members, zipfile.ZIP_DEFLATED if self.compressible else zipfile.ZIP_STORED)

    def _members(self) -> tuple[Member, ...]:
        notes = f'<?xml version="1.0" encoding="utf-8"?>\n<SYSTEMINFO seed="{self.seed}"/>\n'.encode()
        return (
            Member("memory.dmp", self.dump_size, lambda: minidump(self.seed, self.dump_size, self.compressible)),
            Member("sysdata.xml", len(notes), lambda: [notes]),
        )


def minidump(seed: int, size: int, compressible: bool = False) -> Iterator[bytes]:
    """Yield a file with the header of a minidump (`MDMP`), filled up to a size.

    Args:
        seed: The same seed and size give the same bytes.
        size: The length in bytes, at least the header's 32.
        compressible: Fill each page of 4,096 bytes with 64 random ones and zeros, as an idle machine's memory looks.

    Raises:
        ValueError: The size is below that of the header.
    """
    if size < _MINIDUMP_HEADER.size:
        raise ValueError(f"a minidump has at least {_MINIDUMP_HEADER.size} bytes, not {size}")
    yield _MINIDUMP_HEADER.pack(b"MDMP", _MINIDUMP_VERSION, 0, _MINIDUMP_HEADER.size, 0, 0, 0)
    bytes_of = random.Random(seed)  # noqa: S311 (filler, not a secret)
    left = size - _MINIDUMP_HEADER.size
    while left:
        length = min(left, _DUMP_CHUNK)
        if compressible:
            page = bytes_of.randbytes(64).ljust(_PAGE, b"\0")
            yield (page * (length // _PAGE + 1))[:length]
        else:
            yield bytes_of.randbytes(length)
        left -= length


def zip_archive(members: Iterable[Member], compression: int = zipfile.ZIP_DEFLATED) -> Iterator[bytes]:
    """Yield a ZIP archive without holding more than a chunk of it.

    Args:
        members: Its files, in order.
        compression: `zipfile.ZIP_DEFLATED` or `zipfile.ZIP_STORED`.
    """
    written = _Written()
    with zipfile.ZipFile(written, "w", compression, compresslevel=1) as archive:
        for member in members:
            info = zipfile.ZipInfo(member.name, _MEMBER_TIME.timetuple()[:6])
            info.compress_type = compression
            info.file_size = member.size
            with archive.open(info, "w") as file:
                for chunk in member.chunks():
                    file.write(chunk)
                    # Deflate keeps bytes back, and an empty chunk would look like the end to who reads this.
                    if written.parts:
                        yield written.taken()
    yield written.taken()


class _Written(io.RawIOBase):
    """A file that only grows at its end: keeps what was written until it is taken."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        part = bytes(data)
        if part:
            self.parts.append(part)
        return len(part)

    def taken(self) -> bytes:
        parts = b"".join(self.parts)
        self.parts.clear()
        return parts


def cabinet(members: Iterable[Member]) -> Iterator[bytes]:
    """Yield a cabinet of one folder in store mode ([MS-CAB] 2), without holding more than a few blocks of it.

    Args:
        members: Its files, in order; together less than 2 GiB (65,535 blocks), which is what one folder can hold.

    Raises:
        ValueError: The files are too long for one folder, or a file is not as long as it says.
    """
    files = tuple(members)
    data_size = sum(member.size for member in files)
    blocks = -(-data_size // CFDATA_BLOCK)
    if blocks > _MOST_CFDATA:
        raise ValueError(f"one folder of a cabinet holds at most {_MOST_CFDATA * CFDATA_BLOCK} bytes, not {data_size}")
    yield _cabinet_head(files, data_size, blocks)
    for block in _in_blocks(_all_bytes(files)):
        # The checksum covers the data first, then the two lengths that stand before it ([MS-CAB] 3.1).
        lengths = struct.pack("<HH", len(block), len(block))
        yield _CFDATA.pack(cfdata_checksum(lengths, cfdata_checksum(block)), len(block), len(block)) + block


def _cabinet_head(files: tuple[Member, ...], data_size: int, blocks: int) -> bytes:
    entries = bytearray()
    offset = 0
    for member in files:
        date = (_MEMBER_TIME.year - 1980) << 9 | _MEMBER_TIME.month << 5 | _MEMBER_TIME.day
        entries += (
            _CFFILE.pack(member.size, offset, 0, date, 0, _ARCHIVE_ATTRIBUTE) + member.name.encode("ascii") + b"\0"
        )
        offset += member.size
    files_at = _CFHEADER.size + _CFFOLDER.size
    data_at = files_at + len(entries)
    total = data_at + blocks * _CFDATA.size + data_size
    header = _CFHEADER.pack(b"MSCF", 0, total, 0, files_at, 0, 3, 1, 1, len(files), 0, 0, 0)
    return header + _CFFOLDER.pack(data_at, blocks, 0) + bytes(entries)


def _all_bytes(files: tuple[Member, ...]) -> Iterator[bytes]:
    for member in files:
        seen = 0
        for chunk in member.chunks():
            seen += len(chunk)
            yield chunk
        if seen != member.size:
            raise ValueError(f"{member.name} has {seen} bytes, not the {member.size} it was said to have")


def _in_blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        whole = len(waiting) - len(waiting) % CFDATA_BLOCK
        for start in range(0, whole, CFDATA_BLOCK):
            yield bytes(waiting[start : start + CFDATA_BLOCK])
        del waiting[:whole]
    if waiting:
        yield bytes(waiting)


def cfdata_checksum(data: bytes, seed: int = 0) -> int:
    """Return the checksum of a CFDATA block: its little-endian 32-bit words, exclusive-ored ([MS-CAB] 3.1).

    The one to three bytes after the last whole word count as one more word, with their first byte highest.

    Args:
        data: The bytes to sum.
        seed: The checksum of what came before.
    """
    whole = len(data) - len(data) % 4
    words = int.from_bytes(data[:whole], "little")
    # Folding the number in halves does in a dozen steps what a loop over thousands of words would do.
    width = 32
    while width < 8 * whole:
        width *= 2
    while width > 32:  # noqa: PLR2004 (one word)
        width //= 2
        words = (words >> width) ^ (words & ((1 << width) - 1))
    return seed ^ words ^ int.from_bytes(data[whole:], "big")

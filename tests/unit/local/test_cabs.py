"""The archives are real: whoever opens a cab of the playground must find a whole minidump in it."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.cabs import CFDATA_BLOCK, ArchiveKind, CabArchive, Member, cabinet, cfdata_checksum, minidump


def documented_checksum(data: bytes, seed: int = 0) -> int:
    """CSUMCompute of [MS-CAB] 3.1, transcribed word by word."""
    checksum, position = seed, 0
    for _ in range(len(data) // 4):
        checksum ^= data[position] | data[position + 1] << 8 | data[position + 2] << 16 | data[position + 3] << 24
        position += 4
    rest, last = data[position:], 0
    if len(rest) == 3:
        last = rest[0] << 16 | rest[1] << 8 | rest[2]
    elif len(rest) == 2:
        last = rest[0] << 8 | rest[1]
    elif len(rest) == 1:
        last = rest[0]
    return checksum ^ last


def expand(archive: bytes) -> dict[str, bytes]:
    """Open a stored cabinet of one folder by the published structures alone, checking all that says a length."""
    signature, size, files_at, minor, major, folders, files = struct.unpack_from("<4s4xI4xI4xBBHH", archive)
    assert (signature, size, minor, major, folders) == (b"MSCF", len(archive), 3, 1, 1)
    position, blocks, compression = struct.unpack_from("<IHH", archive, 36)
    assert (files_at, compression) == (44, 0)
    entries = []
    at = files_at
    for _ in range(files):
        length, offset, folder = struct.unpack_from("<IIH", archive, at)
        end = archive.index(b"\0", at + 16)
        assert folder == 0
        entries.append((archive[at + 16 : end].decode("ascii"), offset, length))
        at = end + 1
    assert at == position, "the data does not follow the file entries"
    data = b""
    for number in range(blocks):
        checksum, packed, unpacked = struct.unpack_from("<IHH", archive, position)
        block = archive[position + 8 : position + 8 + packed]
        assert packed == unpacked == len(block)
        assert packed == CFDATA_BLOCK or number == blocks - 1, "only the last block may be short"
        assert checksum == documented_checksum(archive[position + 4 : position + 8], documented_checksum(block))
        data += block
        position += 8 + packed
    assert position == len(archive), "bytes after the last block"
    return {name: data[offset : offset + length] for name, offset, length in entries}


@pytest.mark.parametrize("size", [32, 33, 34, 35, CFDATA_BLOCK - 1, CFDATA_BLOCK, CFDATA_BLOCK + 1, 200_003])
def test_a_cabinet_holds_the_whole_dump(size: int) -> None:
    members = expand(b"".join(CabArchive(ArchiveKind.CAB, 5, size).chunks()))
    assert members["memory.dmp"] == b"".join(minidump(5, size))
    assert members["memory.dmp"].startswith(b"MDMP")
    assert members["sysdata.xml"].startswith(b"<?xml")


@given(st.lists(st.binary(max_size=70_000), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_cabinet_gives_back_any_files(contents: list[bytes]) -> None:
    archive = b"".join(cabinet(of_bytes(f"file{number}", content) for number, content in enumerate(contents)))
    assert expand(archive) == {f"file{number}": content for number, content in enumerate(contents)}


@given(st.binary(max_size=4_100), st.integers(0, 2**32 - 1))
def test_the_folded_checksum_is_the_documented_one(data: bytes, seed: int) -> None:
    assert cfdata_checksum(data, seed) == documented_checksum(data, seed)


@pytest.mark.parametrize("compressible", [False, True])
@pytest.mark.parametrize("size", [32, 100_000, 3_000_001])
def test_a_zip_holds_the_whole_dump(size: int, compressible: bool) -> None:
    archive = b"".join(CabArchive(ArchiveKind.ZIP, 9, size, compressible).chunks())
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert opened.read("memory.dmp") == b"".join(minidump(9, size, compressible))
    assert (len(archive) < size) == (compressible and size > 32)


@pytest.mark.parametrize("kind", ArchiveKind)
@pytest.mark.parametrize("compressible", [False, True])
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(kind: ArchiveKind, compressible: bool) -> None:
    first, again, other = (b"".join(CabArchive(kind, seed, 50_000, compressible).chunks()) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", ArchiveKind)
def test_a_large_archive_is_made_in_flat_memory(kind: ArchiveKind) -> None:
    """A cab over 256 MiB must not cost its size in memory: the playground would take the machine down."""
    size = 24 * 1024 * 1024
    tracemalloc.start()
    try:
        made = sum(len(chunk) for chunk in CabArchive(kind, 1, size).chunks())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made > size
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("kind", ArchiveKind)
def test_no_chunk_is_empty(kind: ArchiveKind) -> None:
    """An empty chunk reads as the end of a stream, and would cut an upload short."""
    assert all(CabArchive(kind, 1, 2_000_000, compressible=True).chunks())


def test_a_cabinet_that_is_too_long_is_refused() -> None:
    too_long = Member("memory.dmp", 0xFFFF * CFDATA_BLOCK + 1, list)
    with pytest.raises(ValueError, match="at most 2147450880 bytes"):
        next(cabinet([too_long]))


def test_a_file_that_is_not_as_long_as_it_says_is_refused() -> None:
    with pytest.raises(ValueError, match="has 3 bytes, not the 4"):
        list(cabinet([Member("a", 4, lambda: [b"abc"])]))


def test_a_dump_has_at_least_its_header() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        next(minidump(1, 31))


def of_bytes(name: str, content: bytes) -> Member:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(content), 10_000):
            yield content[start : start + 10_000]

    return Member(name, len(content), chunks)

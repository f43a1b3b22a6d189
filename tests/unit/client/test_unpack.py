"""Archives come from machines that nobody knows: nothing is written outside, nothing fills the disk."""

import base64
import io
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cabarchive import CabArchive, CabFile
from cabferry.cabinet import Cabinet
from cabferry.show import dump_in
from cabferry.unpack import ArchiveError, unpack

from local.simulator.cabs import ArchiveKind
from local.simulator.cabs import CabArchive as SimulatedCab
from tests.support.dumps import kernel_dump

Make = Callable[[dict[str, bytes]], bytes]
LIMIT = 1 << 24
# mszip_lzx_qtm.cab of libmspack's tests: three folders, each with a file of the method that names it.
THREE_METHODS = base64.b64decode(
    "TVNDRgAAAAB7AQAAAAAAADwAAAAAAAAAAwEDAAMAAAAAAAAAhgAAAAEAAQDJAAAAAQADEkMBAAABACISOQAAAAAAAAAAAGwiulkg"
    "AG1zemlwLnR4dAC7AAAAAAAAAAEAbCK6WSAAbHp4LnR4dAA7AAAAAAAAAAIAbCK6WSAAcXRtLnR4dAA2eZKJOwA5AENL80xTqMwv"
    "VUhOzFMoSk1MUSjJyCzWAZKpCr7BUZ4BCimpyfm5BUWpxcX5RQqZxQrl+UXZmXnpilwA6QYIInIAuwBbgICNABCyCwAAAAAiAABV"
    "DkPAUvI+jItzQfAIXpERppe8R6h/fyAsAAAAADACAwB4IDGNjWBfE36/QBAAAAAAAACGCIohL+Nz0b7vl52XmtEBOdgUs7wmWVc/"
    "JhkEYabj5I/fIdp20PU5U9oKjpe5ALb9LexLMAA7ANYGaQvLR/AsKjqPLKu7PLkzAYvYWEt7AbpvbVFuOsNnQkvrAjZD1mZWyp5y"
    "zDAAAA=="
)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, compression
            archive.writestr(info, data)
    return file.getvalue()


def cabinet(members: dict[str, bytes], compress: bool = True) -> bytes:
    archive = CabArchive()
    for name, data in members.items():
        archive[name] = CabFile(data)
    return archive.save(compress=compress)


def unpacked(data: bytes, folder: Path, limit: int = LIMIT) -> dict[str, bytes]:
    (folder / "archive").write_bytes(data)
    unpack(folder / "archive", folder / "to", limit)
    assert {path.name for path in folder.iterdir()} == {"archive", "to"}
    return {path.relative_to(folder / "to").as_posix(): path.read_bytes() for path in (folder / "to").rglob("*.*")}


# More than two blocks of 32 KiB, half of it so that MSZIP points back into the block before.
DUMP = kernel_dump(50_000) + random.Random(7).randbytes(20_000) * 2  # noqa: S311 - filler


@pytest.mark.parametrize(
    "data",
    [
        zipped({"a.dmp": DUMP, "b.xml": b"<x/>"}),
        cabinet({"a.dmp": DUMP, "b.xml": b"<x/>"}),
        cabinet({"a.dmp": DUMP, "b.xml": b"<x/>"}, compress=False),
    ],
    ids=["zip", "mszip", "stored"],
)
def test_a_dump_comes_out_of_its_archive(tmp_path: Path, data: bytes) -> None:
    assert unpacked(data, tmp_path) == {"a.dmp": DUMP, "b.xml": b"<x/>"}
    facts = dump_in(io.BytesIO(data))
    assert facts is not None
    assert facts.bug_check == "0x9F"


def test_a_block_may_point_back_into_the_one_before(tmp_path: Path) -> None:
    """As makecab and Windows write MSZIP; cabarchive begins each block anew."""
    blocks = [DUMP[at : at + 32_768] for at in range(0, len(DUMP), 32_768)]
    data = b""
    for before, block in zip([b"", *blocks], blocks, strict=False):
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=before)
        packed = b"CK" + deflate.compress(block) + deflate.flush()
        data += struct.pack("<IHH", 0, len(packed), len(block)) + packed
    file = struct.pack("<IIHHHH", len(DUMP), 0, 0, 0, 0, 0x20) + b"a.dmp\0"
    begin = 36 + 8 + len(file)
    header = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, begin + len(data), 0, 44, 0, 3, 1, 1, 1, 0, 0, 0)
    assert unpacked(header + struct.pack("<IHH", begin, len(blocks), 1) + file + data, tmp_path) == {"a.dmp": DUMP}


@pytest.mark.parametrize("kind", ArchiveKind)
def test_the_archives_of_the_simulator_are_unpacked(tmp_path: Path, kind: ArchiveKind) -> None:
    data = b"".join(SimulatedCab(kind, 3, 100_000, compressible=True).chunks())
    found = unpacked(data, tmp_path)
    assert set(found) == {"memory.dmp", "sysdata.xml"}
    assert len(found["memory.dmp"]) == 100_000


def test_an_archive_in_an_archive_is_unpacked_where_there_is_no_dump_else(tmp_path: Path) -> None:
    found = unpacked(zipped({"x.cab": cabinet({"a.dmp": DUMP}), "readme.txt": b"hello"}), tmp_path)
    assert found["a.dmp"] == DUMP
    facts = dump_in(io.BytesIO(zipped({"x.cab": cabinet({"a.dmp": DUMP})})))
    assert facts is not None
    assert facts.processors == 16


def test_a_bare_dump_needs_no_unpacking(tmp_path: Path) -> None:
    assert unpacked(DUMP, tmp_path) == {"memory.dmp": DUMP}


@pytest.mark.parametrize(
    "name", ["../evil.dmp", "a/../../evil.dmp", "/evil.dmp", "\\evil.dmp", "C:\\evil.dmp", "..\\evil.dmp", "C:evil"]
)
@pytest.mark.parametrize("make", [zipped, cabinet])
def test_no_file_is_written_outside(tmp_path: Path, name: str, make: Make) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ArchiveError, match="outside"):
        unpacked(make({name: DUMP}), tmp_path / "in")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"archive"}


def test_names_that_windows_refuses_or_takes_for_one_are_changed(tmp_path: Path) -> None:
    members = {
        "CON.dmp": b"1",
        "ab:c.txt": b"2",
        "A.txt": b"3",
        "a.txt": b"4",
        "d/trailing. /x.y": b"5",
        "nul/e.f": b"6",
    }
    found = unpacked(zipped(members), tmp_path)
    assert found == {
        "_CON.dmp": b"1",
        "ab_c.txt": b"2",
        "A.txt": b"3",
        "2_a.txt": b"4",
        "d/trailing/x.y": b"5",
        "_nul/e.f": b"6",
    }


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"becomes 16\.8 MB, more than the 1\.0 MB of --max-unpacked"):
        unpacked(zipped({"a.dmp": b"\0" * (1 << 24)}), tmp_path, 1 << 20)
    assert not any(path.is_file() for path in (tmp_path / "to").rglob("*"))


def test_a_bomb_that_lies_of_its_length_is_stopped(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.dmp": b"\0" * (1 << 22)}))
    for at in (22, data.rindex(b"PK\x01\x02") + 24):
        data[at : at + 4] = (1000).to_bytes(4, "little")
    with pytest.raises(ArchiveError, match="damaged"):
        unpacked(bytes(data), tmp_path)
    assert sum(path.stat().st_size for path in (tmp_path / "to").rglob("*")) <= 1000


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="10001 files"):
        unpacked(zipped({f"{number}.x": b"" for number in range(10_001)}, zipfile.ZIP_STORED), tmp_path)


def test_an_encrypted_archive_says_what_to_do(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.dmp": DUMP}))
    for at in (6, data.rindex(b"PK\x01\x02") + 8):
        data[at] |= 1
    with pytest.raises(ArchiveError, match="encrypted: unpack it with 7z"):
        unpacked(bytes(data), tmp_path)


def test_an_unknown_compression_says_what_to_do(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.dmp": DUMP}))
    for at in (8, data.rindex(b"PK\x01\x02") + 10):
        data[at] = 9
    with pytest.raises(ArchiveError, match="7z"):
        unpacked(bytes(data), tmp_path)


@pytest.mark.parametrize("make", [zipped, cabinet])
def test_a_damaged_archive_is_one_finding_and_no_crash(tmp_path: Path, make: Make) -> None:
    whole = make({"a.dmp": DUMP})
    pick = random.Random(5)  # noqa: S311 - damage
    for number in range(60):
        data = bytearray(whole[: pick.randrange(4, len(whole))] if number % 2 else whole)
        for _ in range(pick.randrange(1, 30)):
            data[pick.randrange(4, min(len(data), 300))] = pick.randrange(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "archive").write_bytes(data)
        try:
            unpack(folder / "archive", folder / "to", LIMIT)
        except (ArchiveError, OSError):
            continue


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="neither"):
        unpacked(b"<html>sign in</html>", tmp_path)


def test_lzx_is_left_to_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cabinet(io.BytesIO(THREE_METHODS)).needs_tool == "LZX, Quantum"
    (tmp_path / "without").mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(ArchiveError, match="LZX, Quantum, which needs a tool: install cabextract or 7-Zip"):
            unpacked(THREE_METHODS, tmp_path / "without")
    if shutil.which("cabextract") is None:
        pytest.skip("cabextract is not installed here")
    (tmp_path / "with").mkdir()
    found = unpacked(THREE_METHODS, tmp_path / "with")
    assert set(found) == {"mszip.txt", "lzx.txt", "qtm.txt"}
    assert len(set(found.values())) == 3

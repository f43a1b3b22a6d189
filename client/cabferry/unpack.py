"""Unpack what came as a cab, by its bytes. What an archive says of itself is not trusted: names, lengths, count."""

from __future__ import annotations

import lzma
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .cabinet import Cabinet, CabinetError
from .dump import SIGNATURES
from .names import safe_name, shown
from .output import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMS = _ZIP, _CABINET, _DUMP, _OTHER = ("zip", "cab", "dmp", "bin")
_CHUNK = 1 << 20
_MOST_FILES = 10_000
# What stays free on the disk, and how often that is looked at while a file grows.
_KEPT_FREE = 512 << 20
_LOOKED_AT_EVERY = 64 << 20
_ENCRYPTED = 1

# What a damaged archive makes its readers stumble over.
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, OverflowError, RuntimeError, CabinetError),
)


class ArchiveError(Exception):
    """An archive cannot be unpacked, or must not be; the text says why, and what to do."""


def form_of(path: Path) -> str:
    """Return what a file is by its first bytes, as the extension that fits: zip, cab, dmp, or bin for all else."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _ZIP
    if start.startswith(b"MSCF"):
        return _CABINET
    return _DUMP if start.startswith(SIGNATURES) else _OTHER


def unpack(archive: Path, folder: Path, limit: int) -> list[Path]:
    """Unpack an archive into a folder, and archives in it where it holds no dump itself; return the dumps.

    Args:
        archive: A ZIP archive, a cabinet, or a dump, which is linked or copied.
        folder: Made by this; nothing is written outside of it.
        limit: The most bytes that it may become.

    Raises:
        ArchiveError: It is damaged, encrypted, names files outside, becomes too much, or a tool is missing.
    """
    room = _Room(folder, limit)
    form = form_of(archive)
    if form == _DUMP:
        return [room.write("memory.dmp", _chunks(archive))]
    if form == _OTHER:
        raise ArchiveError("it is neither a ZIP archive nor a cabinet nor a dump")
    files = _unpacked(archive, form, room)
    dumps = [path for path in files if form_of(path) == _DUMP]
    if dumps:
        return dumps
    for path in files:
        inner = form_of(path)
        if inner in {_ZIP, _CABINET}:
            dumps += [each for each in _unpacked(path, inner, room) if form_of(each) == _DUMP]
    return dumps


class _Room:
    """Where files may be written, and how many bytes of them.

    Args:
        folder: All files are put into it.
        limit: The most bytes of all files together.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._limit, self._left = limit, limit
        self._taken: set[str] = set()
        folder.mkdir(parents=True)

    def expect(self, count: int, files: int) -> None:
        """Refuse what says itself that it becomes too much, before a byte of it is written."""
        if files > _MOST_FILES:
            raise ArchiveError(f"it holds {files} files, more than the {_MOST_FILES} that are unpacked")
        if count > self._left:
            raise ArchiveError(f"it becomes {size(count)}, more than the {size(self._limit)} of --max-unpacked")
        self._look_at_disk(count)

    def write(self, name: str, chunks: Iterable[bytes]) -> Path:
        """Write a file under a name that stays within the folder and that every system takes."""
        path = self._place(name)
        looked = 0
        with path.open("xb") as file:
            for chunk in chunks:
                self._left -= len(chunk)
                if self._left < 0:
                    raise ArchiveError(f"it becomes more than the {size(self._limit)} of --max-unpacked")
                looked += len(chunk)
                if looked >= _LOOKED_AT_EVERY:
                    looked = 0
                    self._look_at_disk(0)
                file.write(chunk)
        return path

    def _place(self, name: str) -> Path:
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or parts[0][1:2] == ":":
            raise ArchiveError(f"it names a file outside of its folder, {shown(name)!r}: do not trust it")
        *folders, last = [safe_name(part, "_") for part in parts if part not in {"", "."}] or ["_"]
        path = self.folder.joinpath(*folders, last)
        number = 1
        # Systems differ in whether case tells two names apart, so none is relied on.
        while str(path).casefold() in self._taken:
            number += 1
            path = self.folder.joinpath(*folders, f"{number}_{last}")
        self._taken.add(str(path).casefold())
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _look_at_disk(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < needed + _KEPT_FREE:
            raise ArchiveError(f"the disk has {size(free)} free, and {size(needed + _KEPT_FREE)} are needed")


def _unpacked(archive: Path, form: str, room: _Room) -> list[Path]:
    try:
        return _unzipped(archive, room) if form == _ZIP else _from_cabinet(archive, room)
    except NotImplementedError:
        raise ArchiveError("its compression is not known here: unpack it with 7z") from None
    except DAMAGED as error:
        raise ArchiveError(f"it is damaged: {shown(str(error))}") from None


def _unzipped(archive: Path, room: _Room) -> list[Path]:
    with zipfile.ZipFile(archive) as opened:
        members = [each for each in opened.infolist() if not each.is_dir()]
        if any(each.flag_bits & _ENCRYPTED for each in members):
            raise ArchiveError("it is encrypted: unpack it with 7z and its password")
        room.expect(sum(each.file_size for each in members), len(members))
        found = []
        for member in members:
            with opened.open(member) as file:
                found.append(room.write(member.filename, _chunks_of(file)))
        return found


def _from_cabinet(archive: Path, room: _Room) -> list[Path]:
    with archive.open("rb") as file:
        cabinet = Cabinet(file)
        room.expect(sum(member.size for member in cabinet.members), len(cabinet.members))
        if cabinet.needs_tool:
            return _by_tool(archive, room, cabinet.needs_tool)
        return [room.write(member.name, chunks) for member, chunks in cabinet.contents()]


def _by_tool(archive: Path, room: _Room, method: str) -> list[Path]:
    """Let a tool unpack a cabinet beside the folder, then take its files under names of ours."""
    aside = room.folder.with_name(f"{room.folder.name}.tool")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        command = _tool(archive.absolute(), aside.absolute())
        if command is None:
            advice = "install cabextract or 7-Zip" if sys.platform != "win32" else "install 7-Zip"
            raise ArchiveError(f"it is a cabinet compressed by {method}, which needs a tool: {advice}, and try again")
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603 - a list, no shell
        if done.returncode:
            raise ArchiveError(f"{Path(command[0]).name} could not unpack it (exit code {done.returncode})")
        return [
            room.write(path.relative_to(aside).as_posix(), _chunks(path))
            for path in sorted(aside.rglob("*"))
            if path.is_file() and not path.is_symlink()
        ]
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _tool(archive: Path, folder: Path) -> list[str] | None:
    """Return the command of a tool that unpacks LZX; `expand` elsewhere than on Windows is about tabulators."""
    if sys.platform == "win32":
        expand = Path(os.environ.get("SystemRoot", r"C:\Windows"), "System32", "expand.exe")  # noqa: SIM112 - its name
        if expand.exists():
            return [str(expand), "-F:*", str(archive), str(folder)]
    if found := shutil.which("cabextract"):
        return [found, "-q", "-d", str(folder), str(archive)]
    if found := shutil.which("7z") or shutil.which("7zz"):
        return [found, "x", "-y", f"-o{folder}", str(archive)]
    found = "/usr/bin/tar" if sys.platform == "darwin" else shutil.which("bsdtar")
    return [found, "-xf", str(archive), "-C", str(folder)] if found else None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _chunks_of(file)


def _chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk

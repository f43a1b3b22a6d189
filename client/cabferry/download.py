"""Fetch a blob by ranges into `NAME.part`, go on where an earlier attempt was cut, and check length and MD5."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from .container import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from threading import Event

    from azure.storage.blob import BlobClient

_RANGE = 8 << 20
_READ = 1 << 20


class DamagedError(Exception):
    """What came is not what the container or the catalog says; the text says how."""


class StoppedError(Exception):
    """Somebody asked to stop; what came so far stays, for the next time, as the text says."""


def download(blob: BlobClient, path: Path, md5: str, ranges: int, advance: Callable[[int], None], stop: Event) -> None:
    """Fetch a blob into a file that has its whole name only when it is whole and checked.

    Args:
        blob: The blob.
        path: The file. Where it is there and right, nothing is fetched.
        md5: What the catalog says, as hexadecimal digits; empty where it says nothing. The blob's own comes first.
        ranges: How many are fetched side by side, each of 8 MiB.
        advance: Told the bytes that came, those of an earlier attempt included.
        stop: Set to stop at the next range.

    Raises:
        DamagedError: It came whole and is not what it should be, twice.
        ProblemError: The container does not give it.
        StoppedError: It was asked to stop.
    """
    with told(f"{blob.blob_name} could not be fetched"):
        properties = blob.get_blob_properties()
    known = properties.content_settings.content_md5
    wanted = bytes(known).hex() if known else md5.casefold()
    if path.exists() and path.stat().st_size == properties.size:
        digest = _digest(path)
        if not wanted or digest == wanted:
            advance(properties.size)
            return
    part = path.with_name(f"{path.name}.part")
    for is_last in (False, True):
        length, came = _fetch(blob, part, properties.size, ranges, advance, stop)
        if length == properties.size and (not wanted or came == wanted):
            part.replace(path)
            return
        part.unlink()
        if not is_last:
            advance(-length)
    raise DamagedError(
        f"it came twice with {length} bytes and the MD5 {came}, not {properties.size} and {wanted or 'any'}"
    )


def _fetch(
    blob: BlobClient, part: Path, length: int, ranges: int, advance: Callable[[int], None], stop: Event
) -> tuple[int, str]:
    """Append what is missing to the part; return the length and the MD5 of all."""
    digest = hashlib.md5(usedforsecurity=False)
    with part.open("a+b") as file:
        if file.tell() > length:
            file.truncate(0)
        file.seek(0)
        while chunk := file.read(_READ):
            digest.update(chunk)
            advance(len(chunk))
        for data in _ranges(blob, file.tell(), length, ranges, stop):
            file.write(data)
            digest.update(data)
            advance(len(data))
        return file.tell(), digest.hexdigest()


def _ranges(blob: BlobClient, start: int, length: int, parallel: int, stop: Event) -> Iterator[bytes]:
    """Yield a blob's bytes from a place on, in order, a few ranges fetched ahead."""

    def fetched(offset: int) -> bytes:
        wanted = min(_RANGE, length - offset)
        with told(f"{blob.blob_name} could not be fetched"):
            data = blob.download_blob(offset, wanted).readall()
        if len(data) != wanted:
            raise DamagedError(f"{len(data)} bytes came where {wanted} were asked for")
        return data

    offsets = iter(range(start, length, _RANGE))
    with ThreadPoolExecutor(parallel) as pool:
        ahead = deque(pool.submit(fetched, offset) for offset in islice(offsets, parallel))
        try:
            while ahead:
                if stop.is_set():
                    raise StoppedError("stopped; the same again goes on")
                data = ahead.popleft().result()
                ahead.extend(pool.submit(fetched, offset) for offset in islice(offsets, 1))
                yield data
        finally:
            for each in ahead:
                each.cancel()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

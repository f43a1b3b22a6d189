"""Read a failure report: a delimited file of any length, whose delimiter, quoting and encoding nobody documented.

The file is streamed: what is kept is one buffer of failures and cabs. Its first bytes tell how to read it: gzip by its
magic number, UTF-16 or UTF-8 by their marks, tab or comma by the header.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass, field
from operator import itemgetter
from sys import intern
from typing import IO, TYPE_CHECKING, Any

from shared.cab_rows import CabFacts
from shared.errors import BadInput
from shared.failure import Failure, checked_cab_id
from shared.redaction import excerpt

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterator, Sequence

_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_FIELD_CHARACTERS = 1 << 20
# As many failures and cabs are gathered before they are handed on: enough that most failures come in one piece, and
# some megabytes of memory.
_BUFFERED = 10_000
_NEEDED = ("ApplicationId", "FailureHash")
_FACTS = ("FailureName", "DriverName", "DriverVersion", "OSVersion", "Architecture", "CabType")


@dataclass(slots=True)
class ReportPart:
    """What a stretch of a report names.

    Args:
        cabs: For each distinct failure of the stretch, what is told of its cabs by cabIdHash; empty where its rows
            carry none. A failure can come again in a later part.
        unreadable: How many failures, cabs or rows of the stretch could not be used.
        why_unreadable: What was wrong with the first of them.
    """

    cabs: dict[Failure, dict[str, CabFacts]] = field(default_factory=dict)
    unreadable: int = 0
    why_unreadable: str = ""

    def note_unreadable(self, why: str) -> None:
        """Count something that could not be used."""
        self.unreadable += 1
        self.why_unreadable = self.why_unreadable or why


def read_report(stream: IO[bytes], name: str, buffered: int = _BUFFERED) -> Iterator[ReportPart]:
    """Yield what a report names, part by part.

    Args:
        stream: The file as it came, read forwards only.
        name: Names the report in errors.
        buffered: How many failures and cabs a part gathers.

    Raises:
        BadInput: A needed column is missing (the error names those that are there), or the file cannot be decoded.
    """
    csv.field_size_limit(_FIELD_CHARACTERS)
    try:
        text = _text(stream)
        header = text.readline()
        delimiter = "\t" if "\t" in header else ","
        columns = _Columns(next(csv.reader([header], delimiter=delimiter), []), name)
        yield from _parts(csv.reader(text, delimiter=delimiter), columns, buffered)
    except (UnicodeError, csv.Error, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadInput(f"{name} cannot be read as a report: {type(error).__name__}: {excerpt(str(error))}") from None


class _Columns:
    """Where the wanted columns are; a template projects only some, in an order of its own."""

    def __init__(self, header: Sequence[str], name: str) -> None:
        places = {column.strip().lower(): place for place, column in reversed(list(enumerate(header)))}
        missing = [column for column in _NEEDED if column.lower() not in places]
        if missing:
            there = ", ".join(excerpt(column, 60) for column in header[:60]) or "none"
            raise BadInput(
                f"{name} has no column {' and no '.join(missing)}; its columns are: {there}. Use a report template "
                "that projects them (the OEMDriver view has no ApplicationId)."
            )
        self.pair = itemgetter(*(places[column.lower()] for column in _NEEDED))
        self.cab = places.get("cabidhash")
        self._facts = [places.get(column.lower()) for column in _FACTS]

    def facts(self, row: Sequence[str]) -> CabFacts:
        # The same names come back a thousand times; interned, they are kept once.
        told = (row[place].strip() if place is not None and place < len(row) else "" for place in self._facts)
        return CabFacts(*(intern(value) for value in told))


def _parts(rows: Iterator[list[str]], columns: _Columns, buffered: int) -> Iterator[ReportPart]:
    pairs: dict[tuple[str, str], dict[str, CabFacts]] = {}
    part, held, cab_place = ReportPart(), 0, columns.cab
    # A million rows pass through here: what can wait until a failure or a cab turns out to be new, waits.
    for row in rows:
        try:
            pair = columns.pair(row)
            cab = row[cab_place] if cab_place is not None else ""
        except IndexError:
            if row:
                part.note_unreadable(f"a row has {len(row)} fields, fewer than the header")
            continue
        cabs = pairs.get(pair)
        if cabs is None:
            cabs = pairs[pair] = {}
            held += 1
        if cab and cab not in cabs:
            cabs[cab] = columns.facts(row)
            held += 1
        if held >= buffered:
            yield _checked(part, pairs)
            pairs, part, held = {}, ReportPart(), 0
    if pairs or part.unreadable:
        yield _checked(part, pairs)


def _checked(part: ReportPart, pairs: dict[tuple[str, str], dict[str, CabFacts]]) -> ReportPart:
    for (application_id, failure_hash), cabs in pairs.items():
        try:
            failure = Failure(application_id.strip(), failure_hash.strip())
        except BadInput as error:
            part.note_unreadable(str(error))
            continue
        known = part.cabs.setdefault(failure, {})
        for cab, facts in cabs.items():
            try:
                known[checked_cab_id(cab.strip())] = facts
            except BadInput as error:
                part.note_unreadable(f"{failure}: {error}")
    return part


def _text(stream: IO[bytes]) -> io.TextIOWrapper:
    file: io.BufferedReader[Any] = io.BufferedReader(_Raw(stream))
    if file.peek(2)[:2] == _GZIP:
        file = io.BufferedReader(gzip.GzipFile(fileobj=file))
    start = file.peek(4)[:4]
    if start[:2] in _UTF16:
        return io.TextIOWrapper(file, encoding="utf-16", newline="")
    if start[1:2] == b"\0":
        return io.TextIOWrapper(file, encoding="utf-16-le", newline="")
    # Ids are ASCII whatever the rest is: a byte that is not UTF-8 in some other column must not cost a report.
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")


class _Raw(io.RawIOBase):
    """Anything with `read`, as the raw stream that a BufferedReader wants."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        chunk = self._stream.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)

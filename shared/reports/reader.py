"""Read a failure report: a delimited file of any length, whose delimiter, quoting and encoding nobody documented.

The file is streamed: what is kept is one buffer of failures and cabs. Its first bytes tell how to read it: gzip by its
magic number, UTF-16 or UTF-8 by their marks, tab or comma by the header.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice, repeat
from operator import itemgetter
from sys import intern
from typing import IO, TYPE_CHECKING, Any, cast

from isal import igzip, isal_zlib

from shared.core.errors import BadInput
from shared.core.failure import Failure, checked_cab_id, normal_id
from shared.core.redaction import excerpt, redact
from shared.progress.cabs import CabFacts

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterable, Iterator, Sequence

_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CHUNK_BYTES = 1 << 18
_LINE_CHARACTERS = 1 << 20
# A text column of a table holds 32 Ki characters, and blob metadata 8 KiB in all.
_FACT_CHARACTERS = 1_000
# As many failures and cabs are gathered before they are handed on: enough that most failures come in one piece, and
# some megabytes of memory.
_BUFFERED = 16_000
# Failures, and what is told of their cabs, come back in row after row: so many are remembered instead of made anew.
_REMEMBERED = 8_192
# What a column's name looks like, and no device's id does: those have digits.
_NAME = re.compile(r"[A-Za-z _]{0,60}")
# Its stub says that isal's error is an object, and not a class.
_BROKEN = cast("tuple[type[Exception], ...]", (UnicodeError, csv.Error, gzip.BadGzipFile, isal_zlib.error, EOFError))
_NEEDED = ("ApplicationId", "FailureHash")
_FACTS = {
    "failure_name": "FailureName",
    "driver_name": "DriverName",
    "driver_version": "DriverVersion",
    "os_version": "OSVersion",
    "architecture": "Architecture",
    "cab_type": "CabType",
}


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
    csv.field_size_limit(_LINE_CHARACTERS)
    try:
        chunks = _lines(stream)
        first = next(chunks, [""])
        header = first[0].removesuffix("\r")
        if header.lstrip().startswith("<"):
            raise BadInput(f"{name} is no report; a page came in its place: {excerpt(header)}")
        delimiter = "\t" if "\t" in header else ","
        columns = _Columns(next(csv.reader([header], delimiter=delimiter), []), name)
        yield from _parts(_rows(chain([first[1:]], chunks), delimiter), columns, buffered)
    except _BROKEN as error:
        raise BadInput(f"{name} cannot be read as a report: {type(error).__name__}: {excerpt(str(error))}") from None


class _Columns:
    """Where the wanted columns are; a template projects only some, in an order of its own."""

    def __init__(self, header: Sequence[str], name: str) -> None:
        places = {column.strip().lower(): place for place, column in reversed(list(enumerate(header)))}
        missing = [column for column in _NEEDED if column.lower() not in places]
        if missing:
            # In a file without a header these are the first row's values, and some tell of a person's device.
            there = ", ".join(column if _NAME.fullmatch(column) else "…" for column in header[:60]) or "none"
            raise BadInput(
                f"{name} has no column {' and no '.join(missing)}; its columns are: {there}. Use a report template "
                "that projects them (the OEMDriver view has no ApplicationId)."
            )
        self.pair = itemgetter(*(places[column.lower()] for column in _NEEDED))
        self.cab = places.get("cabidhash")
        self.count, self.last_needed = len(header), max(places[column.lower()] for column in _NEEDED)
        told = {field: places[column.lower()] for field, column in _FACTS.items() if column.lower() in places}
        self._fact_fields, self._fact_places = tuple(told), tuple(told.values())
        self._remembered = lru_cache(_REMEMBERED)(self._facts_of)

    def facts(self, row: Sequence[str]) -> CabFacts:
        return self._remembered(tuple([row[place] for place in self._fact_places]))

    def _facts_of(self, told: tuple[str, ...]) -> CabFacts:
        # The same names come back in many failures; interned, they are kept once.
        values = (intern(redact(value.strip())[:_FACT_CHARACTERS]) for value in told)
        return CabFacts(**dict(zip(self._fact_fields, values, strict=True)))

    def is_padded(self, row: Sequence[str]) -> bool:
        """Tell whether a row is longer than the header by empty fields only."""
        return len(row) > self.count and not any(row[self.count :])


def _parts(rows: Iterator[list[str]], columns: _Columns, buffered: int) -> Iterator[ReportPart]:
    pairs: dict[tuple[str, str], dict[str, CabFacts]] = {}
    part, held = ReportPart(), 0
    # A million rows pass through here: what can wait until a failure or a cab turns out to be new, waits.
    count, pair_of, cab_place = columns.count, columns.pair, columns.cab
    for row in rows:
        if len(row) != count and not columns.is_padded(row):
            if any(row):
                # Its fields may have moved, so that a device's id stands where a cab's is expected.
                part.note_unreadable(f"a row has {len(row)} fields, the header {count}; its cab is left out")
                if len(row) > columns.last_needed:
                    pairs.setdefault(pair_of(row), {})
            continue
        pair = pair_of(row)
        cab = row[cab_place] if cab_place is not None else ""
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
            failure = _failure(application_id, failure_hash)
        except BadInput:
            # The values are not shown: in a row whose fields have moved, one may be a device's id.
            part.note_unreadable("an ApplicationId or FailureHash is missing or not one")
            continue
        known = part.cabs.setdefault(failure, {})
        for cab, facts in cabs.items():
            name = normal_id(cab)
            try:
                if name:
                    known.setdefault(checked_cab_id(name), facts)
            except BadInput:
                part.note_unreadable(f"a CabIdHash of {failure} is not one")
    return part


@lru_cache(_REMEMBERED)
def _failure(application_id: str, failure_hash: str) -> Failure:
    return Failure.named(application_id, failure_hash)


def _rows(chunks: Iterator[list[str]], delimiter: str) -> Iterator[list[str]]:
    """Yield the fields of each row. Where nothing is quoted, splitting does what csv does, and is much faster."""
    return chain.from_iterable(_rows_of_chunks(chunks, delimiter))


def _rows_of_chunks(chunks: Iterator[list[str]], delimiter: str) -> Iterator[Iterable[list[str]]]:
    for lines in chunks:
        together = "".join(lines)
        ended = map(str.removesuffix, lines, repeat("\r")) if "\r" in together else lines
        if '"' not in together:
            # Row by row, but without a step of the interpreter for each.
            yield map(str.split, ended, repeat(delimiter))
            continue
        first = next(number for number, line in enumerate(lines) if '"' in line)
        yield map(str.split, islice(ended, first), repeat(delimiter))
        # From there on, since a quoted field may reach over any number of lines.
        rest = chain(lines[first:], chain.from_iterable(chunks))
        yield csv.reader((f"{each}\n" for each in rest), delimiter=delimiter)


def _lines(stream: IO[bytes]) -> Iterator[list[str]]:
    r"""Yield the lines of each chunk of the file, without the \n, or the lone \r, that ends them."""
    file: io.BufferedReader[Any] = io.BufferedReader(_Raw(stream))
    if file.peek(2)[:2] == _GZIP:
        file = io.BufferedReader(igzip.IGzipFile(fileobj=file))
    # Ids are ASCII whatever the rest is: a byte that cannot be decoded in some other column must not cost a report.
    decoder = codecs.getincrementaldecoder(_encoding(file.peek(4)[:4]))(errors="replace")
    begun, end = "", ""
    while chunk := file.read(_CHUNK_BYTES):
        text = begun + decoder.decode(chunk)
        end = end or ("\r" if "\r" in text and "\n" not in text else "\n")
        *whole, begun = text.split(end)
        if len(begun) > _LINE_CHARACTERS:
            raise csv.Error(f"a line is longer than {_LINE_CHARACTERS} characters")
        if whole:
            yield whole
    begun += decoder.decode(b"", final=True)
    if begun:
        yield [begun]


def _encoding(start: bytes) -> str:
    if start[:2] in _UTF16:
        return "utf-16"
    return "utf-16-le" if start[1:2] == b"\0" else "utf-8-sig"


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

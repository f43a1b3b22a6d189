"""Read a failure report of any length: which failures it names, and what it tells of their cabs.

What a file is stands in its first bytes (lines.py) and in its header (records.py). What is kept is one buffer of
failures and cabs. A row that is not as its header says is told and passed over: its fields may have moved, so that the
id of another thing, or a person's device, stands where a failure's or a cab's is expected.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import IO, TYPE_CHECKING

import msgspec

from shared.core.errors import BadInput
from shared.core.facts import CONTROLS, CabFacts, fact
from shared.core.failure import DRIVER, GUID, Failure, checked_cab_id, normal_id
from shared.core.shape import shape_of
from shared.core.values import Mutable
from shared.reports.lines import ReportLines
from shared.reports.records import MOST_FIELDS, Records

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

# What is kept of a fact at most (shared/core/facts.py).
_FACT_CHARACTERS = 1_000
# A longer id is none, whatever is blank in it; and what is told of a cab is rarely longer. Whatever is remembered or
# gathered is bounded by these too.
_ID_CHARACTERS, _USUAL_CHARACTERS, _TIME_CHARACTERS = 300, 500, 40
# As many failures and cabs are gathered before they are handed on: enough that most failures come in one piece, and
# some megabytes of memory.
_BUFFERED = 16_000
# So many rows that are not as the header says are looked at before a file is given up that is mostly such; and so many
# headers may a file have that was put together.
_MISSHAPEN_AT_FIRST, _MOST_HEADERS = 100_000, 10_000
# Failures, and what is told of their cabs, come back in row after row: so many are remembered instead of made anew.
_REMEMBERED = 8_192
# What a column's name looks like, and no device's id does: those have digits.
_NAME = re.compile(r"[A-Za-z _]{0,60}")
# What nearly every id is, in the form that all are brought into.
_USUAL_ID = re.compile(r"(?!00000000-0000-0000-0000-000000000000)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A number, a GUID, or what a sample of the Dev Center has among GUIDs: 012345-5dbc9-b12f-c124-9d9810f05d8b.
_ID = re.compile(r"[A-Fa-f-]*[0-9][0-9A-Fa-f-]*")
# A count of more digits is none.
_EVENT_DIGITS = 10
_NEEDED = ("ApplicationId", "FailureHash")
_FACTS = {
    "failure_name": "FailureName",
    "driver_name": "DriverName",
    "driver_version": "DriverVersion",
    "os_version": "OSVersion",
    "architecture": "Architecture",
    "cab_type": "CabType",
}


class ReportPart(Mutable):
    """What a stretch of a report names.

    Args:
        cabs: For each distinct failure of the stretch, what is told of its cabs by cabIdHash; empty where its rows
            carry none. A failure can come again in a later part.
        facts: What a row of each of these failures tells.
        expires: When Microsoft deletes a cab, as its row spells it, by cabIdHash; those alone whose rows tell it.
        hits: How often each failure happened: the sum of the EventCount of its rows, each of which is one where that is
            not told.
        unreadable: How many failures, cabs or rows of the stretch could not be used.
        why_unreadable: What was wrong with the first of them.
        note: What else a person should know of the file.
    """

    cabs: dict[Failure, dict[str, CabFacts]] = msgspec.field(default_factory=dict)
    facts: dict[Failure, CabFacts] = msgspec.field(default_factory=dict)
    expires: dict[str, str] = msgspec.field(default_factory=dict)
    hits: dict[Failure, int] = msgspec.field(default_factory=dict)
    unreadable: int = 0
    why_unreadable: str = ""
    note: str = ""

    def note_unreadable(self, why: str) -> None:
        """Count something that could not be used."""
        self.unreadable += 1
        self.why_unreadable = self.why_unreadable or why

    def note_expiry(self, cab: str, expires: str) -> None:
        """Note when Microsoft deletes a cab; what is told first stays."""
        if 0 < len(expires) <= _TIME_CHARACTERS:
            self.expires.setdefault(cab, expires)


def read_report(
    stream: IO[bytes], name: str, buffered: int = _BUFFERED, *, is_length_told: bool = True
) -> Iterator[ReportPart]:
    """Yield what a report names, part by part.

    Args:
        stream: The file as it came, read forwards only.
        name: Names the report in errors.
        buffered: How many failures and cabs a part gathers.
        is_length_told: Whether the stream breaks off with an error where it is cut; else its end tells.

    Raises:
        BadInput: A needed column is missing (the error names those that are there), or the file is damaged, cut, or
            mostly unreadable: the last after all parts that could be read.
    """
    lines = ReportLines(stream, name)
    chunks = lines.chunks()
    first = next(chunks, [""])
    while len(first) > 1 and not first[0].strip():
        first = first[1:]
    header = first[0].removesuffix("\r")
    if header.lstrip().startswith("<"):
        raise BadInput(f"{name} is no report; a page came in its place, its first line {shape_of(header.encode())}")
    reading = _Reading(header, name, buffered)
    yield from reading.parts(chain([first[1:]], chunks))
    if reading.is_mostly_unreadable:
        raise BadInput(f"{name} is mostly unreadable: {reading.misshapen} of {reading.rows} rows are not as its header")
    is_text_of_no_length = not (is_length_told or lines.is_packed)
    if not lines.has_last_end and (reading.ends_misshapen or is_text_of_no_length):
        raise BadInput(f"{name} is cut: its last row has no end")
    notes = []
    if lines.bytes_behind:
        notes.append(f"{lines.bytes_behind} bytes behind the end of its gzip were passed over")
    if is_text_of_no_length:
        notes.append("the server told no length, so that nobody can say whether the file is whole")
    if notes:
        yield ReportPart(note="; ".join(notes))


class _Columns:
    """Where the wanted columns are; a template projects only some, in an order of its own."""

    def __init__(self, header: Sequence[str], name: str) -> None:
        places = {_heading(column): place for place, column in reversed(list(enumerate(header)))}
        missing = [column for column in _NEEDED if column.lower() not in places]
        if missing:
            # In a file without a header these are the first row's values, and some tell of a person's device.
            there = ", ".join(column if _NAME.fullmatch(column) else "…" for column in header[:60]) or "none"
            raise BadInput(
                f"{name} has no column {' and no '.join(missing)}; its columns are: {there}. Use a report template "
                "that projects them (the OEMDriver view has no ApplicationId)."
            )
        if len(header) > MOST_FIELDS:
            raise BadInput(f"{name} has {len(header)} columns, more than {MOST_FIELDS}")
        self.pair = itemgetter(*(places[column.lower()] for column in _NEEDED))
        self.cab, self._expires = places.get("cabidhash"), places.get("cabexpirationtime")
        self.events = places.get("eventcount")
        self.count, self._named = len(header), len(header)
        while not _heading(header[self._named - 1]):  # it ends in a delimiter
            self._named -= 1
        told = {field: places[column.lower()] for field, column in _FACTS.items() if column.lower() in places}
        self._fact_fields, self._fact_places = tuple(told), tuple(told.values())
        self._remembered = lru_cache(_REMEMBERED)(self._facts_of)

    def expiry(self, row: Sequence[str]) -> str:
        """Return when Microsoft deletes a row's cab, as the row spells it; empty where it does not say."""
        return row[self._expires] if self._expires is not None else ""

    def facts(self, row: Sequence[str]) -> tuple[CabFacts, int]:
        """Return what a row tells of its cab, and how many usual cabs take as much memory."""
        told = tuple([row[place] for place in self._fact_places])
        characters = sum(map(len, told))
        if characters <= _USUAL_CHARACTERS:
            return self._remembered(told), 1
        return self._facts_of(told), 1 + min(characters, _FACT_CHARACTERS * len(told)) // _USUAL_CHARACTERS

    def _facts_of(self, told: tuple[str, ...]) -> CabFacts:
        return CabFacts(**dict(zip(self._fact_fields, map(fact, told), strict=True)))

    def fits(self, row: Sequence[str]) -> bool:
        """Tell whether a row is as wide as the header, but for empty fields where the header ends in a delimiter."""
        if len(row) == self.count:
            return True
        return self._named < self.count and len(row) >= self._named and not any(row[self._named :])


class _Reading:
    """The rows of one report, as they are read.

    Args:
        header: Its first line.
        name: Names the report in errors.
        buffered: How many failures and cabs a part gathers.
    """

    def __init__(self, header: str, name: str, buffered: int) -> None:
        self._name, self._buffered = name, buffered
        self._records = Records(header, self._is_row)
        self._columns = _Columns(self._records.header, name)
        self._has_numbers = self._has_guids = self._has_cab_guids = False
        self.rows = self.misshapen = self._silent = self._misfit = 0
        self.ends_misshapen = False

    @property
    def is_mostly_unreadable(self) -> bool:
        """Tell whether most rows are not as the header says; one without ids says nothing about it."""
        return self.misshapen * 2 > self.rows - self._silent

    def parts(self, chunks: Iterator[list[str]]) -> Iterator[ReportPart]:
        """Yield what the rows name.

        Args:
            chunks: The lines after the header.
        """
        records = self._records.of(chunks)
        for _ in range(_MOST_HEADERS):
            if not (yield from self._parts_under_one_header(records)):
                return
        raise BadInput(f"{self._name} has more than {_MOST_HEADERS} headers")

    def _parts_under_one_header(self, records: Iterator[list[str]]) -> Generator[ReportPart, None, bool]:
        """Yield what the rows name, until the header of a further file comes, of which this one was put together."""
        part, pairs, held = ReportPart(), dict[tuple[str, str], dict[str, CabFacts]](), 0
        hits = defaultdict[tuple[str, str], int](int)
        columns, number, is_header = self._columns, 0, False
        self._misfit = 0
        # A million rows pass through here: what can wait until a failure or a cab turns out to be new, waits.
        count, pair_of, cab_place, events = columns.count, columns.pair, columns.cab, columns.events
        for number, row in enumerate(records, 1):
            pair = pair_of(row) if len(row) == count or columns.fits(row) else None
            cabs = pairs.get(pair) if pair else None
            if cabs is None:
                failure = _failure_of(pair) if pair else None
                if (failure is None or _is_text(failure.application_id)) and (is_header := _is_header(row)):
                    break
                if failure is None or pair is None:
                    if self._goes_on_after(part, row, pair, number):
                        continue
                    break
                cabs = pairs[pair] = part.cabs.setdefault(failure, {})
                part.facts[failure], weight = columns.facts(row)
                held += weight
            hits[pair] += _events(row[events]) if events is not None else 1  # type: ignore[index]  # as `cabs` is there
            cab = row[cab_place] if cab_place is not None else ""
            if cab and cab not in cabs:
                if len(cab) > _ID_CHARACTERS:
                    part.note_unreadable("a CabIdHash is not one")
                    continue
                cabs[cab], weight = columns.facts(row)
                held += weight
                part.note_expiry(cab, columns.expiry(row))
            if held >= self._buffered:
                yield self._checked(part, hits)
                part, pairs, held = ReportPart(), {}, 0
                hits.clear()
        self.rows += number - is_header
        self.ends_misshapen = 0 < self._misfit == number
        yield self._checked(part, hits)
        if is_header:
            self._columns = _Columns(row, self._name)
        return is_header

    def _is_row(self, row: Sequence[str]) -> bool:
        return self._columns.fits(row) and _failure_of(self._columns.pair(row)) is not None

    def _goes_on_after(self, part: ReportPart, row: list[str], pair: tuple[str, str] | None, number: int) -> bool:
        """Note a row that names no failure; tell whether the file is worth going on with.

        A megabyte of gzip can hold a gigabyte of rows that are none.
        """
        # Its values are not shown: where fields have moved, one may be a device's id.
        if not pair and not any(map(str.strip, row)):
            self._silent += 1
        elif not pair:
            self.misshapen, self._misfit = self.misshapen + 1, number
            part.note_unreadable(f"a row has {len(row)} fields, the header {self._columns.count}")
        elif all(map(_bare, pair)):
            self.misshapen += 1
            part.note_unreadable("an ApplicationId or FailureHash is not one")
        else:
            self._silent += 1
            part.note_unreadable("an ApplicationId or FailureHash is missing")
        return self.misshapen <= _MISSHAPEN_AT_FIRST or self.misshapen * 2 <= self.rows + number - self._silent

    def _checked(self, part: ReportPart, hits: Mapping[tuple[str, str], int]) -> ReportPart:
        """Return the part with its cabs under their normal ids, and nothing in it that is no id."""
        failures = part.cabs
        for pair, count in hits.items():
            if failure := _failure_of(pair):
                part.hits[failure] = part.hits.get(failure, 0) + count
        self._has_numbers = self._has_numbers or any(each.application_id.isdecimal() for each in failures)
        self._has_guids = self._has_guids or any(GUID.fullmatch(each.failure_hash) for each in failures)
        for failure in list(failures):
            if (self._has_numbers and _is_text(failure.application_id)) or (
                self._has_guids and _is_text(failure.failure_hash)
            ):
                moved = failures.pop(failure)
                # What stands in its place may be a person's device: neither a row nor a message may be made of it.
                del part.facts[failure], part.hits[failure]
                self.misshapen += max(1, len(moved))
                part.note_unreadable("an ApplicationId or FailureHash is a text, where others are numbers and GUIDs")
            else:
                self._check_cabs(part, failure, failures[failure])
        return part

    def _check_cabs(self, part: ReportPart, failure: Failure, cabs: dict[str, CabFacts]) -> None:
        odd = {cab: _bare(cab) for cab in cabs if not _USUAL_ID.fullmatch(cab)}
        self._has_cab_guids = self._has_cab_guids or len(odd) < len(cabs) or any(map(GUID.fullmatch, odd.values()))
        for cab, name in odd.items():
            facts = cabs.pop(cab)
            try:
                if name and self._has_cab_guids and _is_text(name):
                    part.note_unreadable(f"a CabIdHash of {failure} is a text, where others are GUIDs")
                elif name:
                    cabs.setdefault(normal := checked_cab_id(name), facts)
                    part.note_expiry(normal, part.expires.pop(cab, ""))
            except BadInput:
                part.note_unreadable(f"a CabIdHash of {failure} is not one")


def _events(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < _EVENT_DIGITS else 1


def _failure_of(pair: tuple[str, str]) -> Failure | None:
    return _failure(*pair) if len(pair[0]) + len(pair[1]) <= _ID_CHARACTERS * 2 else None


@lru_cache(_REMEMBERED)
def _failure(application_id: str, failure_hash: str) -> Failure | None:
    try:
        return Failure(_bare(application_id), _bare(failure_hash), DRIVER)
    except BadInput:
        return None


def _bare(text: str) -> str:
    """Return the normal form of an id, without what nobody sees; empty where it stands for none."""
    if '"' in text or not text.isprintable():
        text = CONTROLS.sub("", text).strip().strip('"')
    return normal_id(text)


def _is_text(name: str) -> bool:
    """Tell whether an id is like none of the Dev Center's: where fields have moved, some text stands in its place."""
    return not _ID.fullmatch(name)


def _is_header(row: Sequence[str]) -> bool:
    return "failurehash" in "".join(row).lower() and {_heading(each) for each in row} >= set(map(_heading, _NEEDED))


def _heading(column: str) -> str:
    return CONTROLS.sub("", column).strip().strip('"').strip().lower()

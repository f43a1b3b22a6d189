"""From the lines of a report file to its records: split at tabs or commas, and quoted where that makes sense of them.

A quote is the one thing that can make rows disappear: a field that opens with one and never closes would swallow all
that comes after. So a line that makes a row of its own is never taken for the inside of a field of another.
"""

from __future__ import annotations

import csv
from collections import deque
from itertools import chain, repeat
from typing import TYPE_CHECKING

from shared.reports.lines import LINE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

# More than any view has; a row of more is none.
MOST_FIELDS = 1_000
# What a quoted field of several lines may take, and how many lines of a file are looked at in vain.
_MOST_LINES, _MOST_CHARACTERS, _MOST_TRIES = 20, 1 << 14, 100_000


class Records:
    """Split the lines of a report.

    Args:
        header: Its first line.
        is_row: Tells whether fields are a row of the report: as wide as the header, and with the ids of a failure.
    """

    def __init__(self, header: str, is_row: Callable[[Sequence[str]], bool]) -> None:
        self._delimiter = "\t" if "\t" in header else ","
        # In a file of tabs a quote is a character, unless the header shows that everything is quoted.
        self._quotes = self._delimiter == "," or header.lstrip().startswith('"')
        self._is_row, self._tries_left = is_row, _MOST_TRIES
        csv.field_size_limit(LINE_CHARACTERS)
        self.header = self._alone(header)

    def of(self, chunks: Iterator[list[str]]) -> Iterator[list[str]]:
        """Yield the fields of each record; what is no row comes as it is.

        Args:
            chunks: The lines after the header.
        """
        return chain.from_iterable(self._of_chunks(chunks))

    def _of_chunks(self, chunks: Iterator[list[str]]) -> Iterator[Iterable[list[str]]]:
        for lines in chunks:
            together = "".join(lines)
            ended = map(str.removesuffix, lines, repeat("\r")) if "\r" in together else lines
            if '"' in together:
                yield self._quoted(deque(ended), chunks)
            else:
                # Row by row, but without a step of the interpreter for each: splitting does what csv does, but faster.
                yield map(str.split, ended, repeat(self._delimiter), repeat(MOST_FIELDS))

    def _quoted(self, waiting: deque[str], chunks: Iterator[list[str]]) -> Iterator[list[str]]:
        while waiting:
            line = waiting.popleft()
            if '"' not in line:
                yield self._split(line)
                continue
            fields, is_open = self._parsed(line)
            if fields and (self._quotes or self._is_row(fields)):
                yield fields
                continue
            split = self._split(line)
            # Where the line is a row as it stands, only its last field can go on.
            can_go_on = is_open and (split[-1].startswith('"') or not self._is_row(split))
            yield (self._continued(line, waiting, chunks) if can_go_on else None) or split

    def _continued(self, line: str, waiting: deque[str], chunks: Iterator[list[str]]) -> list[str] | None:
        """Return the fields of a record whose last field goes on in the next lines, and take these; else None."""
        record = line
        for place in range(_MOST_LINES):
            if place == len(waiting):
                waiting.extend(each.removesuffix("\r") for each in next(chunks, ()))
            if place == len(waiting):
                return None
            alone = self._alone(waiting[place])
            record, is_row = f"{record}\n{waiting[place]}", self._is_row(alone)
            self._tries_left -= 1
            if len(record) > _MOST_CHARACTERS or self._tries_left < 0:
                return None
            if '"' in waiting[place]:
                fields, is_open = self._parsed(record)
                # Of a row of its own no more than its first field may be the end of the one before.
                if fields and self._is_row(fields) and (not is_row or fields[1:] == alone[1:]):
                    self._tries_left += place + 1
                    for _ in range(place + 1):
                        waiting.popleft()
                    return fields
                if not is_open:
                    return None
            if is_row:
                return None
        return None

    def _alone(self, line: str) -> list[str]:
        return (self._parsed(line)[0] if '"' in line else None) or self._split(line)

    def _split(self, line: str) -> list[str]:
        return line.split(self._delimiter, MOST_FIELDS)

    def _parsed(self, record: str) -> tuple[list[str] | None, bool]:
        """Return the fields of a record whose quotes are as they should be; else None, and whether one is open."""
        if record.count(self._delimiter) > MOST_FIELDS:
            return None, False
        try:
            return next(csv.reader((record,), delimiter=self._delimiter, strict=True), None), False
        except csv.Error as error:
            return None, "unexpected end" in str(error)

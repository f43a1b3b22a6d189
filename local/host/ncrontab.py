"""NCRONTAB: cron with seconds first, in UTC, as the timer trigger reads it.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions, and, where that leaves
something open, what NCrontab 3.3 does (tests/unit/host/ncrontab_cases.json was made with it): fields are split by
spaces, a name may be cut anywhere, a range may be given backwards, a step below 1 counts as 1, and Sunday is 0 alone.
"""

import calendar
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import product
from typing import Self

from local.host.errors import BindingError

# After so many days the calendar is the same, weekdays too: a day that was not found by then never comes.
_DAYS_OF_CALENDAR = 146_097
_TIME_SPAN = re.compile(r"-?(\d+\.)?\d+:\d+(:\d+)?(\.\d+)?")
_STEP = re.compile(r"-?\d+", re.ASCII)
_NUMBER = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    """What a field may hold: numbers, and names for them from the first on."""

    first: int
    last: int
    names: Sequence[str] = ()

    def parse(self, text: str) -> frozenset[int]:
        """Return the numbers that a field names; a ValueError says that it is none."""
        return frozenset(number for part in text.split(",") for number in self._numbers(part))

    def _numbers(self, part: str) -> range:
        part, has_step, step = part.partition("/")
        if has_step and not _STEP.fullmatch(step):
            raise ValueError(step)
        start, is_range, end = part.partition("-")
        if part == "*":
            low, high = self.first, self.last
        elif is_range:
            low, high = sorted((self._number(start), self._number(end)))
        else:
            low = self._number(part)
            high = self.last if has_step else low
        return range(low, high + 1, max(1, int(step or 1)))

    def _number(self, text: str) -> int:
        if _NUMBER.fullmatch(text):
            number = int(text)
        else:
            named = [index for index, name in enumerate(self.names, self.first) if name.startswith(text.lower())]
            number = named[0] if text and named else -1
        if not self.first <= number <= self.last:
            raise ValueError(text)
        return number


_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = tuple(name.lower() for name in calendar.month_name[1:])
_FIELDS = (_Field(0, 59), _Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS), _Field(0, 6, _WEEKDAYS))


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a timer is due: the numbers that each field names. Days of the month and of the week must both match."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Read an expression of six fields, or of five when the seconds are left out.

        Args:
            expression: For example `0 */30 * * * *`.

        Raises:
            BindingError: It is not one, or no day ever matches it.
        """
        if _TIME_SPAN.fullmatch(expression):
            raise BindingError(
                f"The schedule expression {expression!r} is a time span, which a timer takes on an App Service plan "
                "only. Write it as NCRONTAB: 0 */30 * * * * is every half hour"
            )
        texts = [text for text in expression.split(" ") if text]
        if len(texts) == len(_FIELDS) - 1:
            texts.insert(0, "0")
        try:
            schedule = cls(*(field.parse(text) for field, text in zip(_FIELDS, texts, strict=True)))
            schedule.next_after(datetime.now().astimezone())
        except ValueError as error:
            raise BindingError(f"The schedule expression {expression!r} was not recognized as NCRONTAB") from error
        return schedule

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time that is due after a moment.

        Args:
            moment: With a time zone; the fields of the expression are compared in it, so give UTC.

        Raises:
            ValueError: No day ever matches.
        """
        for offset in range(_DAYS_OF_CALENDAR + 1):
            day = moment.date() + timedelta(offset)
            # Python's week begins with Monday as 1, and has Sunday as 7.
            if day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays:
                for due in self._times():
                    if (found := datetime.combine(day, due, moment.tzinfo)) > moment:
                        return found
        raise ValueError("no day ever matches")

    def _times(self) -> Iterator[time]:
        for hour, minute, second in product(sorted(self.hours), sorted(self.minutes), sorted(self.seconds)):
            yield time(hour, minute, second)

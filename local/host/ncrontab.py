"""NCRONTAB: cron with seconds first, in UTC, as the timer trigger reads it.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

import re
from datetime import datetime
from typing import Self

from croniter import CroniterError, croniter

from local.host.errors import BindingError

_VALUE = r"(?:\d{1,2}|[A-Za-z]{3,9})"
_PART = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d{{1,2}})?"
# croniter also reads @daily, L, #, R and more, which would work here and fail in Azure.
_FIELD = re.compile(rf"{_PART}(?:,{_PART})*")
_SUNDAY_AS_7 = re.compile(r"(?<!/)7")
_FIELDS = (5, 6)


class Schedule:
    """When a timer is due."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Read an expression of six fields, or of five when the seconds are left out.

        Args:
            expression: For example `0 */30 * * * *`.

        Raises:
            BindingError: It is not one, or no day ever matches it.
        """
        fields = expression.split()
        known = len(fields) in _FIELDS and all(_FIELD.fullmatch(field) for field in fields)
        if not known or _SUNDAY_AS_7.search(fields[-1]):
            raise BindingError(f"The schedule expression {expression!r} was not recognized as NCRONTAB")
        schedule = cls(expression)
        try:
            schedule.next_after(datetime.now().astimezone())
        except CroniterError as error:
            raise BindingError(f"The schedule expression {expression!r} was not recognized: {error}") from error
        return schedule

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time that is due after a moment.

        Args:
            moment: With a time zone; the fields of the expression are compared in it, so give UTC.
        """
        # NCRONTAB wants day of month and day of week both to match, where cron takes either.
        due: datetime = croniter(
            self._expression, moment, ret_type=datetime, day_or=False, second_at_beginning=True
        ).get_next()
        return due

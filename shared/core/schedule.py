"""When a timer is due next: NCRONTAB, cron with seconds first, in UTC.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

from __future__ import annotations

import re
from calendar import day_abbr, month_abbr
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater

if TYPE_CHECKING:
    from shared.core.errors import CabferryError

_PART = re.compile(r"(?:\*|(\d+|[a-z]{3})(?:-(\d+|[a-z]{3}))?)(?:/[1-9]\d*)?", re.ASCII)
_WEEKDAYS = {day_abbr[number - 1].lower(): number % 7 for number in range(1, 8)}
_NUMBERS = {**_WEEKDAYS, **{name.lower(): number for number, name in enumerate(month_abbr)}}
_FIELDS, _SATURDAY = {5, 6}, 6
# A check that ran over its time, or a host that had to start first, is not overdue.
_GRACE = timedelta(minutes=10)


def next_after(expression: str, moment: datetime) -> datetime | None:
    """Return the first time that is due after a moment; None where the expression is none that this is sure to read.

    Args:
        expression: For example `0 */30 * * * *`.
        moment: In UTC.
    """
    if not _means_the_same(expression.lower()):
        return None
    from croniter import CroniterError, croniter

    try:
        # NCRONTAB wants day of month and day of week both to match, where cron takes either.
        due: datetime = croniter(
            expression, moment, ret_type=datetime, day_or=False, second_at_beginning=True
        ).get_next()
    except CroniterError:
        return None
    return due


def _means_the_same(expression: str) -> bool:
    """Tell whether cron and NCRONTAB read an expression alike.

    NCRONTAB knows no `?`, `L`, `W`, `#`, `@`, no year and no Sunday as 7, and turns a backward range round
    (tests/unit/host/ncrontab_cases.json was made with it).
    """
    fields = [field for field in expression.split(" ") if field]
    found = [[_PART.fullmatch(part) for part in field.split(",")] for field in fields]
    ends = [[_number(text) for text in part.groups() if text] if part else [1, 0] for field in found for part in field]
    last = [_number(text) for part in found[-1] if part for text in part.groups() if text] if found else []
    return len(fields) in _FIELDS and all(each == sorted(each) for each in ends) and max(last, default=0) <= _SATURDAY


def _number(text: str) -> int:
    return _NUMBERS.get(text, -1) if text.isalpha() else int(text)


def next_try(error: CabferryError, due: datetime | None) -> datetime | None:
    """Return when a check that somebody asked for is tried again: after the wait that the other side asked for.

    Args:
        error: What ended it. Where the whole Dev Center is out, waiting alone helps nobody.
        due: When the timer makes a check; None is returned where that is sooner.
    """
    if not isinstance(error, AgainLater) or error.wait is None or error.outage:
        return None
    again_at = clock.now() + error.wait
    return again_at if due and again_at < due else None


def is_overdue(expression: str, last: datetime | None, now: datetime) -> bool:
    """Tell whether two times have passed that were due since a timer last did its work.

    Args:
        expression: Its schedule.
        last: When it did; None where it never did, which nobody can tell from an app that was just deployed.
        now: The present.
    """
    first = next_after(expression, last) if last else None
    second = next_after(expression, first) if first else None
    return second is not None and second + _GRACE < now

"""When a timer is due next: NCRONTAB, cron with seconds first, in UTC.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

from __future__ import annotations

from datetime import datetime, timedelta

# A check that ran over its time, or a host that had to start first, is not overdue.
_GRACE = timedelta(minutes=10)


def next_after(expression: str, moment: datetime) -> datetime | None:
    """Return the first time that is due after a moment; None where the expression is none that this reads.

    Args:
        expression: For example `0 */30 * * * *`.
        moment: In UTC.
    """
    from croniter import CroniterError, croniter

    try:
        # NCRONTAB wants day of month and day of week both to match, where cron takes either.
        due: datetime = croniter(
            expression, moment, ret_type=datetime, day_or=False, second_at_beginning=True
        ).get_next()
    except CroniterError:
        return None
    return due


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

"""Times as the APIs spell them, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

# Table Storage knows no earlier time; .NET writes the year 1 for one that was never set.
_FIRST_MOMENT = datetime(1601, 1, 1, tzinfo=UTC)


def moment_of(text: str) -> datetime | None:
    """Return a time of the API (`2017-05-07 13:53:43`, or ISO 8601) in UTC; None where it is not one."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= _FIRST_MOMENT else None

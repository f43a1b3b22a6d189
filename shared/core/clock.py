"""The present, and times as the APIs spell them, all in UTC.

What decides by the time asks here and not the machine, so that a simulation can put a clock of its own in its place.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Table Storage knows no earlier time; .NET writes the year 1 for one that was never set.
_FIRST_MOMENT = datetime(1601, 1, 1, tzinfo=UTC)


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds of a clock that is never set back; only differences mean something."""
        return time.monotonic()


_clock = Clock()


def now() -> datetime:
    """Return the present in UTC."""
    return _clock.now()


def monotonic() -> float:
    """Return seconds of a clock that is never set back; only differences mean something."""
    return _clock.monotonic()


@contextmanager
def using(clock: Clock) -> Iterator[None]:
    """Let the whole process ask another clock while this lasts.

    Args:
        clock: The clock to ask.
    """
    global _clock  # noqa: PLW0603 - one clock for the process, as the machine's is
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before


def moment_of(text: str) -> datetime | None:
    """Return a time of the API (`2017-05-07 13:53:43`, or ISO 8601) in UTC; None where it is not one."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= _FIRST_MOMENT else None

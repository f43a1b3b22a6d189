"""The present, and times as the APIs spell them, all in UTC.

What decides by the time asks here and not the machine, so that a simulation can put a clock of its own in its place.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.core.headers import http_date

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)
# An answer travels for seconds, and two clocks that are set by the network differ by less.
_APART = timedelta(minutes=5)
# Table Storage knows no earlier time; .NET writes the year 1 for one that was never set.
FIRST_MOMENT, _LAST_MOMENT = datetime(1601, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_AMERICAN = re.compile(
    r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})"
    r"(?:,?\s+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?(?:\s*(?P<half>[AaPp])[Mm])?)?"
)
_HALF_A_DAY = 12


class Clock:
    """The machine's clock.

    `ahead` is how far it goes before that of the Dev Center; None until an answer of that told its time.
    """

    ahead: timedelta | None = None

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


def compare(date_header: str) -> None:
    """Compare the machine's clock with the Dev Center's; one that is off is told when that is found.

    Args:
        date_header: The Date of an answer that was just sent; what is no date tells nothing.
    """
    told = http_date(date_header)
    if told is None:
        return
    before, _clock.ahead = off_by(), now() - told
    if (ahead := off_by()) is not None and before is None:
        _log.error(
            "the clock of this machine is off: it is %s %s that of the Dev Center, which is gone by where cabs expire. "
            "Set the machine's time",
            abs(timedelta(seconds=round(ahead.total_seconds()))),
            "before" if ahead > timedelta() else "behind",
        )


def off_by() -> timedelta | None:
    """Return how far the machine's clock goes before the Dev Center's, by minutes at least; None where it is right."""
    ahead = _clock.ahead
    return ahead if ahead is not None and abs(ahead) >= _APART else None


def is_compared() -> bool:
    """Tell whether an answer of the Dev Center has told its time."""
    return _clock.ahead is not None


def true_now() -> datetime:
    """Return the present in UTC, by the Dev Center's clock where the machine's is known to be off.

    What ends for good by a time (a cab, its SAS) ends by this.
    """
    return now() - (off_by() or timedelta())


@contextmanager
def using[C: Clock](clock: C) -> Iterator[C]:
    """Let the whole process ask another clock while this lasts."""
    global _clock  # noqa: PLW0603 - one clock for the process, as the machine's is
    before, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = before


def moment_of(text: str) -> datetime | None:
    """Return a time as the API and its siblings spell it, in UTC; None where it is not one.

    Args:
        text: ISO 8601, `2017-05-07 13:53:43`, or as .NET writes it for the United States: `5/7/2017`,
            `5/7/2017 1:53:43 PM`. Without a zone it is UTC, and digits below a microsecond are passed over.
    """
    try:
        moment = _american(text) or datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    try:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:  # .NET's last moment, which stands for "never", told in a zone of its own
        return _LAST_MOMENT if moment.year == _LAST_MOMENT.year else None
    return moment if moment >= FIRST_MOMENT else None


def spelled(moment: datetime | None) -> str:
    """Return a time as the API spells it; nothing where there is none."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""


def _american(text: str) -> datetime | None:
    parts = _AMERICAN.fullmatch(text.strip())
    if not parts:
        return None
    month, day, year, hour, minute, second = (int(part or 0) for part in parts.groups()[:6])
    if half := parts["half"]:
        if not 1 <= hour <= _HALF_A_DAY:
            return None
        hour = hour % _HALF_A_DAY + (_HALF_A_DAY if half in "pP" else 0)
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)

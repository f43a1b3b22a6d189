"""Whether a cab has expired is not told by a clock that is known to be wrong."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.core import clock

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


class Fixed(clock.Clock):
    """A machine on which it is noon."""

    def now(self) -> datetime:
        """Return noon."""
        return NOW


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    with clock.using(Fixed()):
        yield


def told(moment: datetime) -> None:
    clock.compare(format_datetime(moment, usegmt=True))


@pytest.mark.parametrize("ahead", [timedelta(days=31), timedelta(minutes=6), timedelta(days=-2)])
def test_a_clock_that_is_off_is_told_once_and_not_followed(ahead: timedelta, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        told(NOW - ahead)
    assert clock.off_by() == ahead
    assert clock.true_now() == NOW - ahead
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the clock of this machine is off" in record.getMessage()
    told(NOW)
    assert (clock.off_by(), clock.true_now()) == (None, NOW)


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(seconds=299), timedelta(seconds=-299)])
def test_seconds_are_no_news(ahead: timedelta, caplog: pytest.LogCaptureFixture) -> None:
    told(NOW - ahead)
    assert (clock.off_by(), clock.true_now(), clock.is_compared()) == (None, NOW, True)
    assert not caplog.records


@pytest.mark.parametrize("date", ["", "soon", "Sat, 21 Nov 99999999999 12:00:30 GMT"])
def test_what_is_no_date_tells_nothing(date: str) -> None:
    clock.compare(date)
    assert not clock.is_compared()

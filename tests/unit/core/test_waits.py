"""Who asks for time gets it, and who does not say how long gets a wait that grows."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import clock
from shared.core.backoff import growing_wait, wait_asked

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SENTENCE = '{"statusCode":429,"message":"Rate limit is exceeded. Try again in 14 seconds."}'
DAY = timedelta(days=1)


class _Fixed(clock.Clock):
    def now(self) -> datetime:
        return NOW


def asked(header: str | None = None, body: str = "") -> timedelta | None:
    with clock.using(_Fixed()):
        return wait_asked({} if header is None else {"Retry-After": header}, body)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("14", 14),
        (" 14 ", 14),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 13:00:30 +0100", 30),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
    ],
)
def test_the_header_is_honoured(header: str, seconds: int) -> None:
    assert asked(header) == timedelta(seconds=seconds)


@pytest.mark.parametrize("header", ["999999999", format_datetime(NOW + timedelta(days=365), usegmt=True)])
def test_no_wait_is_longer_than_a_day(header: str) -> None:
    """A slip of the other side must not silence a pull for years."""
    assert asked(header) == DAY


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "-5",
        "1.5",
        "1e3",
        "9" * 30,
        "Sat, 99 Nov 2026 12:00:30 GMT",
        "Sat, 21 Nov 99999999999 12:00:30 GMT",
    ],
)
def test_what_is_no_header_leaves_it_to_the_sentence(header: str | None) -> None:
    assert asked(header) is None
    assert asked(header, SENTENCE) == timedelta(seconds=14)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ("Out of call volume quota. Quota will be replenished in 00:00:05.", 5),
        ("quota will be REPLENISHED IN 01:02:03", 3_723),
        ("Quota will be replenished in 0.23:59:59.", 86_399),
        ("Quota will be replenished in 3.00:00:00.", 86_400),
        ("Try again in 1 second.", 1),
        ("please TRY AGAIN IN 90 SECONDS", 90),
        ("Try again in 999999 seconds", 86_400),
    ],
)
def test_the_sentence_is_honoured(body: str, seconds: int) -> None:
    assert asked(None, body) == timedelta(seconds=seconds)


@pytest.mark.parametrize("body", ["", "Try again later", "Try again in -1 seconds", "Try again in many seconds"])
def test_other_bodies_ask_for_nothing(body: str) -> None:
    assert asked(None, body) is None


def test_the_header_goes_before_the_sentence() -> None:
    assert asked("3", SENTENCE) == timedelta(seconds=3)


@given(header=st.text(max_size=40), body=st.text(max_size=60))
def test_whatever_comes_asks_for_a_wait_within_a_day_or_for_none(header: str, body: str) -> None:
    wait = asked(header, body)
    assert wait is None or timedelta() <= wait <= DAY


@given(
    day=st.integers(0, 40),
    year=st.integers(0, 100_000),
    zone=st.integers(-(10**8), 10**8).map(lambda zone: f"{zone:+05}") | st.sampled_from(["GMT", "EST", "Z", "X", ""]),
)
def test_whatever_date_comes_asks_for_a_wait_within_a_day_or_for_none(day: int, year: int, zone: str) -> None:
    wait = asked(f"Sat, {day} Nov {year} 12:00:30 {zone}")
    assert wait is None or timedelta() <= wait <= DAY


def test_waits_grow_to_about_an_hour_and_ten_of_them_to_some_hours() -> None:
    """Less would give up on an outage of a morning, more would let a failure's cabs expire unseen."""
    assert timedelta(seconds=4) <= growing_wait(1) <= timedelta(seconds=6)
    assert timedelta(seconds=12) <= growing_wait(2) <= timedelta(seconds=18)
    assert timedelta(minutes=48) <= growing_wait(10) <= timedelta(minutes=72)
    together = sum((growing_wait(tries) for tries in range(1, 11)), timedelta())
    assert timedelta(hours=2) < together < timedelta(hours=6)


@given(st.integers(1, 100_000))
def test_no_growing_wait_is_without_end(tries: int) -> None:
    assert timedelta(seconds=4) <= growing_wait(tries) <= timedelta(minutes=72)


def test_waits_are_spread() -> None:
    """A thousand pulls that failed together must not come back together."""
    assert len({growing_wait(5) for _ in range(20)}) > 1

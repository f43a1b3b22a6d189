"""Timers run when Azure would run them, and an expression that Azure refuses is refused here."""

from datetime import UTC, datetime

import pytest

from local.host.errors import BindingError
from local.host.ncrontab import Schedule

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)  # a Thursday


def at(day: int, hour: int, minute: int = 0, second: int = 0, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 */30 * * * *", at(1, 12, 30)),
        ("*/5 * * * * *", at(1, 12, 0, 5)),
        ("15 0 12 * * *", at(1, 12, 0, 15)),
        ("0 0 12 * * *", at(2, 12)),
        ("0 30 9 * * 1-5", at(2, 9, 30)),
        ("0 30 9 * * Mon-Thu", at(5, 9, 30)),
        ("0 0 0 1 Feb *", at(1, 0, month=2)),
        ("0 0 0 1,15 * *", at(15, 0)),
        ("*/10 * * * *", at(1, 12, 10)),
    ],
)
def test_next_time(expression: str, expected: datetime) -> None:
    assert Schedule.parse(expression).next_after(NOON) == expected


def test_day_of_month_and_day_of_week_must_both_match() -> None:
    # cron would run on every Monday and on every first of a month.
    assert Schedule.parse("0 0 0 1 * MON").next_after(NOON) == at(1, 0, month=6)


def test_a_time_that_is_now_is_not_due_again() -> None:
    schedule = Schedule.parse("0 */30 * * * *")
    due = schedule.next_after(NOON)
    assert due > NOON
    assert schedule.next_after(due) == at(1, 13)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "@daily",
        "0 0 0 L * *",
        "R * * * * *",
        "0 0 0 * * 7",
        "60 * * * * *",
        "0 0 0 31 2 *",
    ],
)
def test_what_azure_refuses_is_refused(expression: str) -> None:
    with pytest.raises(BindingError, match="was not recognized"):
        Schedule.parse(expression)

"""A check that does not come any more must be noticed, and one that is only late must not wake anybody."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.core.schedule import is_overdue, next_after
from shared.core.settings_table import SETTINGS

NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)  # a Friday
HALF_HOURLY = "0 */30 * * * *"


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        (HALF_HOURLY, NOON + timedelta(minutes=30)),
        ("0 10 */2 * * *", NOON + timedelta(minutes=10)),
        ("30 0 12 * * *", NOON + timedelta(seconds=30)),
        ("0 0 3 * * Mon", NOON.replace(day=30, hour=3)),
        # Both must match, where cron takes either: the next 13th that is a Friday.
        ("0 0 3 13 * Fri", datetime(2027, 8, 13, 3, tzinfo=UTC)),
        ("00:30:00", None),
        ("never", None),
    ],
)
def test_the_next_time_is_that_of_the_timer(expression: str, due: datetime | None) -> None:
    assert next_after(expression, NOON) == due


def test_no_time_is_told_that_the_timer_does_not_keep() -> None:
    """Cron reads some expressions otherwise than the host's NCrontab, which these cases were made with."""
    made = json.loads((Path(__file__).parent.parent / "host" / "ncrontab_cases.json").read_text(encoding="utf-8"))
    told = 0
    for case in made["cases"]:
        moment = datetime.fromisoformat(made["after"])
        for due in map(datetime.fromisoformat, case["next"] or ["9999-01-01T00:00:00Z"]):
            found = next_after(case["expression"], moment)
            assert found in {None, due}, case["expression"]
            told, moment = told + (found is not None), due
    assert told > 100


def test_the_defaults_are_schedules() -> None:
    schedules = [setting.default for setting in SETTINGS if setting.name.endswith("_SCHEDULE")]
    assert len(schedules) == 3
    assert all(each and next_after(each, NOON) for each in schedules)


@pytest.mark.parametrize(("after", "is_so"), [(4, False), (39, False), (45, True)])
def test_what_missed_two_of_its_times_is_overdue(after: int, is_so: bool) -> None:
    last = NOON - timedelta(minutes=4)
    assert is_overdue(HALF_HOURLY, last, NOON + timedelta(minutes=after)) == is_so


def test_what_never_ran_or_has_no_schedule_is_not_overdue() -> None:
    assert not is_overdue(HALF_HOURLY, None, NOON)
    assert not is_overdue("00:30:00", NOON - timedelta(days=9), NOON)

"""Timers run when Azure would run them, and an expression that Azure refuses is refused here."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.host.errors import BindingError
from local.host.ncrontab import Schedule

# Made with NCrontab 3.3 as Azure's timer extension calls it; `next` is null where it is refused.
MADE = json.loads((Path(__file__).parent / "ncrontab_cases.json").read_text(encoding="utf-8"))
AFTER = datetime.fromisoformat(MADE["after"])
CASES = [(case["expression"], case["next"]) for case in MADE["cases"]]
TIME_SPAN = re.compile(r"\d\d:\d\d:\d\d")


@pytest.mark.parametrize(
    ("expression", "times"),
    [case for case in CASES if case[1] is not None and not TIME_SPAN.fullmatch(case[0])],
)
def test_it_is_due_when_the_real_timer_is(expression: str, times: list[str]) -> None:
    schedule, found = Schedule.parse(expression), [AFTER]
    for _ in times:
        found.append(schedule.next_after(found[-1]))
    assert [due.isoformat().replace("+00:00", "Z") for due in found[1:]] == times


@pytest.mark.parametrize("expression", [*(expression for expression, times in CASES if times is None), "0 0 0 31 2 *"])
def test_what_the_real_timer_refuses_is_refused(expression: str) -> None:
    with pytest.raises(BindingError, match="was not recognized"):
        Schedule.parse(expression)


@pytest.mark.parametrize("expression", [expression for expression, _ in CASES if TIME_SPAN.fullmatch(expression)])
def test_a_time_span_is_told_to_need_another_plan(expression: str) -> None:
    with pytest.raises(BindingError, match="App Service plan"):
        Schedule.parse(expression)


def test_a_time_that_is_now_is_not_due_again() -> None:
    noon = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    schedule = Schedule.parse("0 */30 * * * *")
    due = schedule.next_after(noon)
    assert due == noon.replace(microsecond=0) + timedelta(minutes=30)
    assert schedule.next_after(due) == due + timedelta(minutes=30)

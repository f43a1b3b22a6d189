"""A plan that is wrong lets people skip what they need, or pay for what they do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from shared.api.plan import plan_of
from shared.core import clock
from shared.core.keep import Rules
from shared.core.keep_text import rules_in
from shared.core.settings import Settings
from shared.progress.overview import FailureSeen
from shared.progress.pull_row import PullState
from shared.progress.tally import CabTally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.api.plan import PlanBody

# Not in the minute before a check of the reports, which comes before what expires in a minute.
NOW = datetime(2026, 11, 20, 12, 10, tzinfo=UTC)
SETTINGS = Settings.from_environment({"CAB_STORAGE": "AccountName=a;AccountKey=a2V5", "DEVCENTER_ACCESS_TOKEN": "x"})
SKIP_CONTOSO = '[[rules]]\nname = "a"\naction = "skip"\ndriver = "contoso*"\n'
SKIP_OLD = '[[rules]]\nname = "a"\naction = "skip"\nversion = "1.*"\n'
AT_MOST = '[[rules]]\nname = "a"\naction = "keep"\nat-most-cabs = 4\n'
OFTEN = '[[rules]]\nname = "a"\naction = "keep"\nat-least-hits = 9\n'


class _Fixed(clock.Clock):
    def now(self) -> datetime:
        return NOW


@pytest.fixture(autouse=True)
def _at_that_time() -> Iterator[None]:
    with clock.using(_Fixed()):
        yield


def seen(
    name: str, *, family: str = "driver", driver: str = "contoso.sys", hits: int | None = 5, **counts: object
) -> FailureSeen:
    tally = CabTally(NOW, **counts)  # type: ignore[arg-type]
    return FailureSeen("1", name, family, name, driver, PullState.COMPLETED, NOW, NOW, tally, hits=hits)


FAILURES = [
    # Held ones tell how long a cab is; what is skipped by now may come under other rules.
    seen(
        "a",
        held=2,
        bytes=20_000_000,
        missing=8,
        expiring=3,
        next_expiry=NOW + timedelta(minutes=1),
        versions=("1.0", "2.0"),
        of_version=(5, 5),
    ),
    seen("b", skipped=10, hits=20),
    seen("c", driver="fabrikam.sys", missing=1, family="desktop", next_expiry=NOW + timedelta(days=9)),
    seen("d", expired=7, held=1),
]


def plan(text: str = "") -> PlanBody:
    return plan_of(FAILURES, rules_in(text.encode()), SETTINGS, NOW)


@pytest.mark.parametrize(
    ("text", "taken", "skipped"),
    [
        ("", (3, 19), (0, 0)),
        (SKIP_CONTOSO, (1, 1), (2, 18)),
        (SKIP_OLD, (3, 15), (0, 4)),
        (AT_MOST, (3, 7), (0, 12)),
        (OFTEN, (1, 10), (2, 9)),
    ],
    ids=["all", "driver", "version", "at most", "at least"],
)
def test_it_tells_what_the_rules_take_and_what_they_leave(
    text: str, taken: tuple[int, int], skipped: tuple[int, int]
) -> None:
    found = plan(text)
    assert (found.failures, found.cabs) == taken
    assert (found.skipped_failures, found.skipped_cabs) == skipped
    assert found.cabs + found.skipped_cabs == 19
    assert sum(each.cabs for each in found.skipped_by) == found.skipped_cabs


def test_it_tells_what_that_costs() -> None:
    found = plan()
    assert found.bytes == 8 * 10_000_000 + 10 * 6_666_666 + 6_666_666
    assert found.cost.dev_center_calls == 1 + 1 + 2
    assert (found.cost.storage_requests, found.cost.queue_requests) == (35, 9)
    assert found.cost.gigabyte_months == pytest.approx(found.bytes / 1e9 * 28 / 30, abs=0.001)


@pytest.mark.parametrize(
    ("family", "cabs", "rules", "calls"),
    [
        ("driver", 250, "", 3),
        ("driver", 250, AT_MOST, 2 * 3),
        ("app", 250, "", 1 + 250),
        ("app", 10_001, "", 2 + 10_001),
        ("desktop", 250, AT_MOST, 2 * 1 + 4),
    ],
)
def test_it_tells_what_the_dev_center_is_asked(family: str, cabs: int, rules: str, calls: int) -> None:
    """A page of a driver's batch has 100 rows, one of an application's 10,000; a limit reads them twice."""
    found = plan_of([seen("a", family=family, missing=cabs)], rules_in(rules.encode()), SETTINGS, NOW)
    assert found.cost.dev_center_calls == calls


def test_it_tells_what_would_expire() -> None:
    found = plan('bytes-a-day = "60 MB"')
    assert (found.days, found.bytes_a_day) == (3, 60_000_000)
    assert (found.expiring_soon, found.expiring_before) == (3, 1)
    assert found.too_late == 1
    assert (plan().days, plan().too_late) == (1, 0)


def test_what_is_wrong_with_the_file_is_told() -> None:
    found = plan_of(FAILURES, Rules(problem="rule 1: no"), SETTINGS, NOW)
    assert (found.problem, found.cabs) == ("rule 1: no", 19)


def test_what_nobody_counted_is_told() -> None:
    uncounted = FailureSeen("1", "e", "driver", "e", "", None, None, None, None)
    assert (
        "the cabs of 1 failures, which nobody has counted yet" in plan_of([uncounted], Rules(), SETTINGS, NOW).unknown
    )

"""Pages of filtered pulls show each that fits once: one that no page shows is one that nobody looks after."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.api import failure_list
from shared.api.failure_list import pulls_of
from shared.core import clock
from shared.core.failure import Failure
from shared.progress.overview import FailureSeen, Seen
from shared.progress.pull_row import PullState


def seen(application_id: str, number: int) -> FailureSeen:
    name, ended_at = "AV_acme" if number % 3 else "other", BEGAN + timedelta(minutes=number * 7 % 31)
    return FailureSeen(
        application_id=application_id,
        failure_hash=f"{number:03}",
        family="driver",
        failure_name=name,
        driver_name="acme.sys",
        state=PullState.FAILED,
        queued_at=None,
        updated_at=None,
        tally=None,
        ended_at=ended_at if number % 5 else None,
    )


BEGAN = datetime(2026, 11, 28, tzinfo=UTC)
KNOWN = [seen(of, number) for of in ("1", "2") for number in range(150)]
# What storage has by now: one was tried again, and one is gone.
NOW = {each.key: PullState.FAILED for each in KNOWN} | {("1", "001"): PullState.QUEUED}
NOW.pop(("2", "149"))


class _Pulls:
    def get(self, failure: Failure) -> Any:
        key = (failure.application_id, failure.failure_hash)
        return SimpleNamespace(failure=failure, state=NOW[key]) if key in NOW else None


@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_of_filtered_pulls_show_each_once_as_it_is_now(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(failure_list, "failures_seen", lambda: Seen(clock.now(), {each.key: each for each in KNOWN}))
    parts = cast("Any", SimpleNamespace(pulls=_Pulls()))
    query = {"text": "av_ACME", "state": "Failed", "limit": str(limit)}
    fits = {each.key for each in KNOWN if each.failure_name == "AV_acme"} - {("1", "001"), ("2", "149")}
    assert all_pages(parts, {**query, "sort": "ids"}) == sorted(fits)
    ended = [each.key for each in sorted(KNOWN, key=ended_first) if each.ended_at and each.key in fits]
    assert all_pages(parts, {**query, "sort": "ended"}) == ended


def ended_first(failure: FailureSeen) -> tuple[float, tuple[str, str]]:
    return -(failure.ended_at.timestamp() if failure.ended_at else 0), failure.key


def all_pages(parts: Any, query: dict[str, str]) -> list[tuple[str, str]]:
    shown, after = list[tuple[str, str]](), ""
    while True:
        rows, following = pulls_of(parts, {**query, "continuation": after})
        shown += [(row.failure.application_id, row.failure.failure_hash) for row in rows]
        if following is None:
            return shown
        after = following

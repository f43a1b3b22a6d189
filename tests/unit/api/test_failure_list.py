"""Pages of filtered pulls show each that fits once: one that no page shows is one that nobody looks after."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.api import failure_list
from shared.api.failure_list import pulls_of
from shared.api.requests import PageAsked, Wanted
from shared.core import clock
from shared.core.failure import Failure
from shared.progress.overview import FailureSeen, Seen
from shared.progress.pulls import PullState


def seen(application_id: str, failure_hash: str, name: str) -> FailureSeen:
    return FailureSeen(application_id, failure_hash, "driver", name, "acme.sys", PullState.FAILED, None, None, None)


KNOWN = [seen(of, f"{number:03}", "AV_acme" if number % 3 else "other") for of in ("1", "2") for number in range(150)]
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
    shown, after = list[tuple[str, str]](), None
    while True:
        rows, after = pulls_of(parts, Wanted.parse({"text": "av_ACME", "state": "Failed"}), PageAsked(limit, after))
        shown += [(row.failure.application_id, row.failure.failure_hash) for row in rows]
        if after is None:
            break
    fits = {each.key for each in KNOWN if each.failure_name == "AV_acme"}
    assert shown == sorted(fits - {("1", "001"), ("2", "149")})

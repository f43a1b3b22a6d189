"""The summary says what it does not know, and gives no reason for what is not so."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from shared.api import failure_list, summary
from shared.api.summary import SummaryBody, summary_now
from shared.core import clock
from shared.core.errors import AgainLater
from shared.core.settings import Settings
from shared.preflight import health
from shared.preflight.health import Health
from shared.progress.outages import Known, Outage
from shared.progress.overview import FailureSeen, Overview, Seen
from shared.progress.pull_row import PullState
from shared.progress.pulls import PullRows

if TYPE_CHECKING:
    from shared.storage.table_rows import Row, TableRows

SETTINGS = {
    "CAB_STORAGE": "UseDevelopmentStorage=true",
    "DEVCENTER_TENANT_ID": "tenant",
    "DEVCENTER_CLIENT_ID": "client",
    "DEVCENTER_CLIENT_SECRET": "a-secret-of-the-tests",
    "REPORT_IDS": "43000",
}
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
FORBIDDEN = Outage("403", 1, "the Dev Center answered 403")


def told(monkeypatch: pytest.MonkeyPatch, circuit: Known, uncounted: int = 0) -> SummaryBody:
    failures = [
        FailureSeen("1", f"{each}", "driver", "", "", PullState.QUEUED, AT, AT, None) for each in range(uncounted)
    ]
    settings = SimpleNamespace(checks_reports=False, applications=(), reconcile_schedule="0 0 * * * *")
    monkeypatch.setattr("shared.core.settings.Settings.from_environment", lambda: settings)
    monkeypatch.setattr(summary, "begin_look", Future)
    monkeypatch.setattr(summary, "found_by", lambda *_: Seen(AT, {each.key: each for each in failures}))
    monkeypatch.setattr(summary, "look", lambda: Health(circuit, None))
    container = SimpleNamespace(url="https://127.0.0.1/failure-cabs")
    monkeypatch.setattr(summary, "services", lambda: SimpleNamespace(pull_tools=SimpleNamespace(container=container)))
    return summary_now()


def test_a_circuit_that_is_closed_has_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    for known, state, reason in (
        (Known(), "closed", None),
        (Known(everybody=FORBIDDEN), "closed", None),
        (Known(everybody=FORBIDDEN.opened()), "open", FORBIDDEN.error),
        (Known(throttled_until=clock.now() + timedelta(hours=1)), "throttled", "the Dev Center asked to be left alone"),
    ):
        circuit = told(monkeypatch, known).circuit
        assert (circuit.state, circuit.reason) == (state, reason)


@pytest.mark.parametrize(("uncounted", "what"), [(1, "1 failure"), (12, "12 failures")])
def test_cabs_that_nobody_counted_are_named_with_who_will(
    monkeypatch: pytest.MonkeyPatch, uncounted: int, what: str
) -> None:
    """Those of a pull that waits are counted by it within seconds, those of one that ended by the next reconcile."""
    assert told(monkeypatch, Known(), uncounted).unknown == [
        f"the cabs of {what}, which a pull or the next reconcile counts"
    ]
    assert told(monkeypatch, Known()).unknown == []


class PullsTable:
    """The table `pulls`, empty, which counts how often it is looked through."""

    def __init__(self) -> None:
        self.times = 0

    def query(self, *_: object) -> list[Row]:
        self.times += 1
        return []

    changed_since = page = query


@pytest.fixture
def pulls(monkeypatch: pytest.MonkeyPatch) -> PullsTable:
    """The table of an app that does all else in memory."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    table = PullsTable()
    rows = SimpleNamespace(reconciled=lambda: None, checked=lambda: None, poison=lambda: iter(()))
    parts = SimpleNamespace(
        settings=Settings.from_environment(),
        circuit=SimpleNamespace(known=Known),
        health=rows,
        overview=Overview(cast("TableRows", table)),
        pulls=PullRows(cast("TableRows", table)),
        pull_tools=SimpleNamespace(
            container=SimpleNamespace(url="https://127.0.0.1/failure-cabs"),
            keep=SimpleNamespace(current=lambda: SimpleNamespace(problem="")),
        ),
    )
    for module in (summary, failure_list, health):
        monkeypatch.setattr(module, "services", lambda: parts)
    return table


def test_dashboards_that_look_again_and_again_cost_no_look_through_the_pulls_each(pulls: PullsTable) -> None:
    """Each open dashboard asks every five seconds, and a look through a large table is many requests."""
    answers = [summary_now() for _ in range(10)]
    assert {each.state for each in answers} == {"ok"}
    # One, and one more where two seconds have gone by.
    assert 1 <= pulls.times <= 2


@pytest.mark.usefixtures("pulls")
def test_a_first_look_that_takes_long_makes_the_app_not_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has just started may not have read a hundred thousand pulls yet, and all is well."""

    def takes_long(_: Overview) -> Seen:
        raise AgainLater("the table pulls has not answered within 4.5 seconds")

    monkeypatch.setattr(Overview, "look", takes_long)
    found = summary_now()
    assert (found.state, found.pulls.Queued) == ("degraded", None)
    assert [each.partition(":")[0] for each in found.problems] == ["How the pulls stand is not known yet"]
    assert [each.partition(":")[0] for each in found.unknown] == ["the pulls and the cabs"]


@pytest.mark.usefixtures("pulls")
def test_whoever_asks_is_answered_in_time_while_storage_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fortieth as well as the first, though a worker has few threads: each would wait for those before."""
    answers_again = Event()

    def hanging() -> object:
        answers_again.wait(30)
        raise AgainLater("it is over")

    for module in (failure_list, health):
        monkeypatch.setattr(module, "services", hanging)
    monkeypatch.setattr(health, "SECONDS", 0.5)
    before, began = threading.active_count(), time.monotonic()
    try:
        with ThreadPoolExecutor(2) as worker:
            answers = list(worker.map(lambda _: summary_now(), range(40)))
            taken, more = time.monotonic() - began, threading.active_count() - before
    finally:
        answers_again.set()
    assert {each.state for each in answers} == {"down"}
    assert all("the pulls and the cabs: the cab storage has not answered" in each.unknown[1] for each in answers)
    # As long as one waits, on a machine with much else to do.
    assert taken < 3
    assert more <= 2 + 2

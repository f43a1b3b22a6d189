"""The summary says what it does not know, and gives no reason for what is not so."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from shared.api import summary
from shared.api.summary import SummaryBody, summary_now
from shared.core import clock
from shared.preflight.health import Health
from shared.progress.circuit import Known, Outage
from shared.progress.overview import FailureSeen, Seen
from shared.progress.pull_row import PullState

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
FORBIDDEN = Outage("403", 1, "the Dev Center answered 403")


def told(monkeypatch: pytest.MonkeyPatch, circuit: Known, uncounted: int = 0) -> SummaryBody:
    failures = [
        FailureSeen("1", f"{each}", "driver", "", "", PullState.QUEUED, AT, AT, None) for each in range(uncounted)
    ]
    settings = SimpleNamespace(checks_reports=False, applications=(), reconcile_schedule="0 0 * * * *")
    monkeypatch.setattr("shared.core.settings.Settings.from_environment", lambda: settings)
    monkeypatch.setattr(summary, "failures_seen", lambda: Seen(AT, {each.key: each for each in failures}))
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

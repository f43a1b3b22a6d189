"""The fault script: what goes wrong does so for the calls, the requests and the times that were asked for."""

import msgspec
import pytest

from local.simulator.faults import Call, Fault, FaultKind, FaultScript


@pytest.mark.parametrize("text", ['{"call": "nope", "kind": "429"}', '{"call": "report", "kind": "500", "tmes": 2}'])
def test_a_misspelled_fault_is_refused(text: str) -> None:
    """A fault that silently never happens would make a test of its handling pass for nothing."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Fault)


def test_a_fault_for_some_seconds_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("local.simulator.faults.time.monotonic", lambda: now)
    script = FaultScript()
    script.add(Fault(call=Call.REPORT, kind=FaultKind.FORBIDDEN, times=None, seconds=30))
    assert script.take(Call.REPORT, {})
    now = 131.0
    assert script.take(Call.REPORT, {}) is None

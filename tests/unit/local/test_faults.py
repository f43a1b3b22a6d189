"""The fault script: what goes wrong does so for the calls, the requests and the times that were asked for."""

import msgspec
import pytest

from local.simulator.faults import Call, Fault, FaultKind, FaultScript


def test_a_fault_happens_as_often_as_asked() -> None:
    script = FaultScript()
    script.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.THROTTLED, times=2))
    assert [script.take(Call.CAB_BATCH, {}) is not None for _ in range(3)] == [True, True, False]
    assert script.waiting == ()


def test_a_fault_without_times_lasts_until_it_is_removed() -> None:
    script = FaultScript()
    script.add(Fault(call=Call.REPORT, kind=FaultKind.FORBIDDEN, times=None))
    assert all(script.take(Call.REPORT, {}) for _ in range(5))
    script.clear()
    assert script.take(Call.REPORT, {}) is None


def test_a_fault_concerns_only_its_call_and_what_it_matches() -> None:
    script = FaultScript()
    script.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.RESET, match={"failureHash": "a", "skip": "100"}))
    assert script.take(Call.REPORT, {"failureHash": "a", "skip": "100"}) is None
    assert script.take(Call.CAB_BATCH, {"failureHash": "a"}) is None
    assert script.take(Call.CAB_BATCH, {"failureHash": "a", "skip": "100", "top": "100"}) is not None


def test_faults_happen_in_the_order_in_which_they_were_added() -> None:
    script = FaultScript()
    for kind in (FaultKind.SERVER_ERROR, FaultKind.HTML):
        script.add(Fault(call=Call.REPORT, kind=kind))
    taken = [script.take(Call.REPORT, {}) for _ in range(2)]
    assert [fault.kind for fault in taken if fault] == [FaultKind.SERVER_ERROR, FaultKind.HTML]


def test_a_fault_is_read_from_its_json() -> None:
    text = '{"call": "cabdownloadbatch", "kind": "429-sentence", "times": 3, "retryAfter": 14, "match": {"skip": "0"}}'
    fault = msgspec.json.decode(text, type=Fault)
    assert (fault.call, fault.kind, fault.times, fault.retry_after, fault.match) == (
        *(Call.CAB_BATCH, FaultKind.THROTTLED_SENTENCE, 3, 14),
        {"skip": "0"},
    )


@pytest.mark.parametrize("text", ['{"call": "nope", "kind": "429"}', '{"call": "report", "kind": "500", "tmes": 2}'])
def test_a_misspelled_fault_is_refused(text: str) -> None:
    """A fault that silently never happens would make a test of its handling pass for nothing."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Fault)

"""The fault script: what goes wrong does so for the calls, the requests and the times that were asked for."""

import msgspec
import pytest

from local.simulator.faults import Fault


@pytest.mark.parametrize("text", ['{"call": "nope", "kind": "429"}', '{"call": "report", "kind": "500", "tmes": 2}'])
def test_a_misspelled_fault_is_refused(text: str) -> None:
    """A fault that silently never happens would make a test of its handling pass for nothing."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Fault)

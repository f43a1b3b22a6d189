"""The page on reliability prints what the tests hold the app to: a table that has gone stale would promise too much."""

from tests.system.faults import matrix
from tests.system.faults.cells import EXPECTED, Call, Fault


def test_the_printed_matrix_is_the_one_that_is_tested() -> None:
    assert matrix.printed() == matrix.tables(matrix.promised())


def test_every_cell_has_one_outcome() -> None:
    for call in Call:
        faults = [fault for some in EXPECTED[call].values() for fault in some]
        assert len(faults) == len(set(faults)), call


def test_every_fault_is_tried_on_every_call_where_it_can_be() -> None:
    """What was left out must be what cannot be, and not what was forgotten."""
    without_a_body = {(call, fault) for call in (Call.COPY, Call.LEASE, Call.END) for fault in _IN_A_BODY}
    behind_another = {(call, Fault.REFUSED) for call in (Call.READ_BACK, Call.CAB_ROWS, Call.END, Call.NEXT_MESSAGE)}
    tried = {(call, fault) for call in Call for some in EXPECTED[call].values() for fault in some}
    assert {(call, fault) for call in Call for fault in Fault} - tried == without_a_body | behind_another


_IN_A_BODY = (Fault.RESET_IN_BODY, Fault.TRUNCATED)

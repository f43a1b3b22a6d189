"""What a report lists of a failure is written beside whoever works on it, and never for ever."""

from collections.abc import Callable

import pytest

from shared.core.errors import AgainLater
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.progress.cab_row import CabRow, CabState
from shared.progress.cabs import CabRows
from tests.simulation.tables import MemoryTable, Table

FAILURE = Failure("1", "a")


class ChangesBefore:
    """Somebody who writes the row of a cab right before some writes of somebody else."""

    def __init__(self, times: int) -> None:
        self.times, self.table = times, Table("cabs")

    def call[T](self, how: str, _what: str, do: Callable[[], T]) -> T:
        if how == "write" and self.times:
            self.times -= 1
            row = CabRow(CabState.FAILED, error=f"{self.times} more")
            CabRows(MemoryTable(self.table, ChangesBefore(0))).write(FAILURE, [("cab", row)])
        return do()


@pytest.mark.parametrize(("times", "is_told"), [(0, True), (4, True), (5, False)])
def test_a_row_that_keeps_changing_is_left_for_later(times: int, is_told: bool) -> None:
    """Else a check of the reports would hold its run for as long as somebody writes."""
    other = ChangesBefore(times)
    rows = CabRows(MemoryTable(other.table, other))
    if is_told:
        rows.list_new(FAILURE, {"cab": CabFacts("BUGCHECK")})
        assert rows.of(FAILURE)["cab"].facts.failure_name == "BUGCHECK"
    else:
        with pytest.raises(AgainLater, match="failure a of application 1 kept changing"):
            rows.list_new(FAILURE, {"cab": CabFacts("BUGCHECK")})

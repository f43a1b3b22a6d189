"""A column of a table holds 32 Ki characters: a row that tells more is refused, and who wrote it comes to no end."""

import pytest

from shared.core.facts import CabFacts
from shared.progress.cab_row import CabRow, CabState
from shared.progress.outages import Known, Outage
from shared.progress.tally import CabTally
from shared.storage.table_writes import Columns
from tests.unit.pull.pull_game import SETTINGS


def longest_of(columns: Columns) -> int:
    """Return how many characters of UTF-16 the longest text has."""
    return max(len(value.encode("utf-16-le")) // 2 for value in columns.values() if isinstance(value, str))


@pytest.mark.parametrize("filling", ["", "v" * 195, '"' * 900, "\N{LADY BEETLE}" * 900])
def test_versions_are_told_as_far_as_a_column_holds_them(filling: str) -> None:
    """A report's DriverVersion may be any text."""
    told = [f"1.{number}.{filling}" for number in range(300)]
    rows = [CabRow(CabState.LISTED, facts=CabFacts(driver_version=each)) for each in [*told, told[-1]]]
    tally = CabTally.taken(rows, SETTINGS)
    # As many as fit, and no fewer than the longest spelling lets in.
    assert longest_of(tally.columns()) <= 32 * 1024
    assert len(tally.versions) >= 5
    assert [*tally.versions] == told[-len(tally.versions) :]
    assert tally.of_version == (*[1] * (len(tally.versions) - 1), 2)
    assert filling or len(tally.versions) == 200


@pytest.mark.parametrize("error", ["forbidden " * 200, '"' * 2_000, "\N{LADY BEETLE}" * 2_000])
def test_of_applications_that_are_forbidden_so_many_are_told_as_a_column_holds(error: str) -> None:
    known = Known()
    for number in range(100):
        known = known.put(f"1398410467{number:07}", Outage("403", 5, error[:700]).opened())
    assert 5_000 < longest_of(known.columns()) <= 32 * 1024

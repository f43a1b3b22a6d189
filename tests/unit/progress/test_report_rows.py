"""That the Dev Center could not make a run is told once, though several checks see it."""

from collections.abc import Callable

import pytest

from shared.devcenter.reports import ReportRun
from shared.progress.reports import ReportRows
from shared.storage.lease import RowLease
from tests.simulation.tables import MemoryTable, Table

FAILED = ReportRun("43000", "2026-11-28T00:00:00Z", "Failed", "")
PENDING = ReportRun("43000", "2026-11-28T00:00:00Z", "Pending", "")


class Counted:
    """Count what the table is asked for, and let somebody write right before."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.before_write: list[Callable[[], object]] = []

    def call[T](self, how: str, _what: str, do: Callable[[], T]) -> T:
        self.calls.append(how)
        if how == "write" and self.before_write:
            self.before_write.pop()()
        return do()


@pytest.fixture
def line() -> Counted:
    return Counted()


@pytest.fixture
def rows(line: Counted) -> ReportRows:
    return ReportRows(MemoryTable(Table("reports"), line))


def test_the_first_who_notes_how_a_run_stands_is_told_so(rows: ReportRows, line: Counted) -> None:
    assert [rows.note(run, "a") for run in (PENDING, PENDING, FAILED, FAILED)] == [True, False, True, False]
    assert line.calls == ["read", "write", "read", "read", "write", "read"]
    assert rows.of("43000")["a"].status == "Failed"


@pytest.mark.parametrize("is_known", [False, True])
def test_of_two_who_note_it_at_once_one_is_the_first(rows: ReportRows, line: Counted, is_known: bool) -> None:
    if is_known:
        rows.note(PENDING, "a")
    line.before_write.append(lambda: rows.note(FAILED, "a"))
    assert not rows.note(FAILED, "a")


def test_a_run_that_another_check_reads_is_left_to_it(rows: ReportRows) -> None:
    lease = rows.take(ReportRun("43000", "2026-11-28T00:00:00Z", "Completed", "https://host/file"), "a")
    assert isinstance(lease, RowLease)
    assert not rows.note(PENDING, "a")
    assert rows.of("43000")["a"].status == "Completed"

"""What is kept in memory of all failures must be what storage has: a list that is behind hides what is lost."""

from datetime import timedelta

import pytest

from shared.core import clock
from shared.core.errors import CabferryError
from shared.progress import overview
from shared.progress.overview import Overview
from shared.progress.pull_row import PullState
from shared.progress.tally import CabTally
from shared.storage.table_rows import TableRows
from shared.storage.table_writes import Columns, Write
from tests.integration.tables import table_of
from tests.support.azurite import StorageAccount


@pytest.fixture
def table(storage: StorageAccount) -> TableRows:
    return table_of(storage, "pulls")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look ask storage: seconds of waiting would prove no more."""
    monkeypatch.setattr(overview, "_FRESH", timedelta())


def write(table: TableRows, key: str, columns: Columns) -> None:
    table.write_all("1", [Write(key, {"updatedAt": clock.now(), **columns}, "upsert")])


def test_it_is_read_once_and_then_what_changed(table: TableRows) -> None:
    for number in range(5):
        write(table, f"failure-{number}", {"state": "Queued"})
    seen = Overview(table)
    assert {each.state for each in seen.look().failures.values()} == {PullState.QUEUED}
    write(table, "failure-3", {"state": "Completed", **CabTally(clock.now(), held=7, versions=("1.2",)).columns()})
    write(table, "failure-5", {"state": "Running"})
    failures = seen.look().failures
    assert len(failures) == 6
    assert failures["1", "failure-5"].state is PullState.RUNNING
    changed = failures["1", "failure-3"]
    assert changed.state is PullState.COMPLETED
    assert changed.tally is not None
    assert (changed.tally.held, changed.tally.versions) == (7, ("1.2",))


def test_a_row_that_was_removed_is_gone_after_a_while(table: TableRows, monkeypatch: pytest.MonkeyPatch) -> None:
    write(table, "failure", {"state": "Completed"})
    seen = Overview(table)
    assert len(seen.look().failures) == 1
    row = table.get("1", "failure")
    assert row is not None
    table.write_together("1", [Write("failure", {}, "delete", row.etag)])
    assert len(seen.look().failures) == 1
    monkeypatch.setattr(overview, "_ANEW", timedelta())
    assert not seen.look().failures


def test_a_row_that_somebody_wrote_by_hand_hides_no_other(table: TableRows) -> None:
    write(table, "odd", {"state": "Done", "versions": "[", "countedAt": clock.now()})
    write(table, "good", {"state": "Failed"})
    failures = Overview(table).look().failures
    assert {key[1]: each.state for key, each in failures.items()} == {"odd": None, "good": PullState.FAILED}


def test_where_storage_is_away_what_was_known_is_told_with_its_age(
    table: TableRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(table, "failure", {"state": "Completed"})
    seen = Overview(table)
    known = seen.look()
    monkeypatch.setattr(table, "_path", f"{table._path}gone")
    later = seen.look()
    assert (later.at, later.failures) == (known.at, known.failures)
    assert "404" in later.error
    monkeypatch.setattr(overview, "_USABLE", timedelta())
    with pytest.raises(CabferryError, match="404"):
        seen.look()

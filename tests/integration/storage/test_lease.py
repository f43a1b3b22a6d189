"""Two owners of one row would copy each cab twice, and a row whose owner died must not stay his for ever."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import TableServiceClient, UpdateMode

from shared.core.errors import AgainLater, LeaseLost
from shared.storage.connections import Answer, Connections
from shared.storage.lease import HeldElsewhere, RowLease
from shared.storage.table_rows import Row, TableRows
from shared.storage.table_writes import Columns
from tests.integration.tables import table_of
from tests.support.azurite import StorageAccount
from tests.support.waiting import wait_until

LONG = timedelta(seconds=60)
SHORT = timedelta(seconds=0.6)
DEADLINE_SECONDS = 20.0


@pytest.fixture
def service(storage: StorageAccount) -> Iterator[TableServiceClient]:
    with TableServiceClient.from_connection_string(storage.connection_string) as client:
        yield client


@pytest.fixture
def table(storage: StorageAccount) -> TableRows:
    return table_of(storage, "rows")


def taken(table: TableRows, duration: timedelta = LONG, **columns: str) -> RowLease:
    lease = RowLease.take(table, "a", "b", duration, lambda _: columns)
    assert isinstance(lease, RowLease)
    return lease


def row_of(table: TableRows) -> Row:
    row = table.get("a", "b")
    assert row is not None
    return row


def test_a_lease_whose_answer_is_lost_is_still_ones_own(table: TableRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the row would be held by nobody until the lease ends, and its message come back only minutes later."""
    taken(table).release({})
    merge, lost = table.merge, list[Columns]()

    def losing(row: Row, columns: Columns) -> Row | None:
        done = merge(row, columns)
        if not lost:
            lost.append(columns)
            raise AgainLater("the answer was lost")
        return done

    monkeypatch.setattr(table, "merge", losing)
    lease = taken(table, state="Running")
    lease.release({"state": "Completed"})
    assert len(lost) == 1
    assert row_of(table).text("state") == "Completed"


def test_a_table_that_stays_away_is_told(table: TableRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is not worth more than two tries: each of them may take minutes."""
    tried: list[Columns] = []

    def failing(_row: Row, columns: Columns) -> None:
        tried.append(columns)
        raise AgainLater("busy")

    taken(table).release({})
    monkeypatch.setattr(table, "merge", failing)
    with pytest.raises(AgainLater, match="busy"):
        taken(table)
    assert len(tried) == 2


def test_of_many_takers_one_wins(table: TableRows) -> None:
    together = threading.Barrier(8, timeout=DEADLINE_SECONDS)

    def take(_: int) -> RowLease | HeldElsewhere:
        together.wait()
        return RowLease.take(table, "a", "b", LONG, lambda _: {"state": "Running"})

    with ThreadPoolExecutor(8) as takers:
        results = list(takers.map(take, range(8)))
    assert len([each for each in results if isinstance(each, RowLease)]) == 1
    for other in results:
        if isinstance(other, HeldElsewhere):
            assert timedelta(seconds=30) < other.remaining <= LONG


def test_what_is_written_with_the_lease_stands_in_the_row(table: TableRows) -> None:
    seen: list[Row | None] = []

    def first(row: Row | None) -> Columns:
        seen.append(row)
        return {"state": "Running"}

    RowLease.take(table, "a", "b", LONG, first)
    assert seen == [None]
    assert row_of(table).text("state") == "Running"
    assert row_of(table).text("owner")


def test_a_released_row_is_free(table: TableRows) -> None:
    with taken(table) as lease:
        lease.release({"state": "Completed"})
    assert row_of(table).text("state") == "Completed"
    with taken(table) as again:
        assert again.row.text("state") == "Completed"
        again.release({})


def test_a_row_whose_owner_died_becomes_free(table: TableRows) -> None:
    dead = taken(table, SHORT)  # not entered: nobody renews it
    assert isinstance(RowLease.take(table, "a", "b", LONG, lambda _: {}), HeldElsewhere)
    wait_until(lambda: dead.is_lost, "the end of the lease", pause=0.02)
    with taken(table) as lease:
        with pytest.raises(LeaseLost):
            dead.write({"state": "mine"})
        with pytest.raises(LeaseLost):
            dead.release({"state": "mine"})
        assert row_of(table).text("state") == ""
        lease.release({"state": "theirs"})
    assert row_of(table).text("state") == "theirs"


def test_a_row_whose_owner_works_stays_his_beyond_the_lease(table: TableRows) -> None:
    with taken(table, SHORT) as lease:
        end = datetime.now(UTC) + SHORT * 2
        wait_until(lambda: datetime.now(UTC) > end, "twice the lease", pause=0.02)
        assert not lease.is_lost
        assert isinstance(RowLease.take(table, "a", "b", LONG, lambda _: {}), HeldElsewhere)
        lease.release({})


def test_a_write_renews(table: TableRows) -> None:
    lease = taken(table, SHORT)
    before = row_of(table).moment("leaseUntil")
    lease.write({"state": "Running"})
    after = row_of(table).moment("leaseUntil")
    assert before is not None
    assert after is not None
    assert after > before


def test_an_owner_whose_row_was_taken_finds_out(table: TableRows, service: TableServiceClient) -> None:
    with taken(table, SHORT) as lease:
        service.get_table_client("rows").update_entity(
            {"PartitionKey": "a", "RowKey": "b", "owner": "another"}, mode=UpdateMode.MERGE
        )
        wait_until(lambda: lease.is_lost, "its loss", pause=0.02)
        with pytest.raises(LeaseLost):
            lease.write({"state": "mine"})
    assert row_of(table).text("state") == ""


def test_an_owner_whose_row_was_deleted_finds_out(table: TableRows, service: TableServiceClient) -> None:
    with taken(table) as lease:
        service.get_table_client("rows").delete_entity("a", "b")
        # Nobody else works on it, and its message must live on: this is no lost lease.
        for _ in range(2):
            with pytest.raises(AgainLater, match="a b was deleted"):
                lease.write({"state": "mine"})
        assert lease.is_lost
    assert table.get("a", "b") is None


def test_a_lost_answer_to_the_owners_own_write_is_no_loss(table: TableRows, service: TableServiceClient) -> None:
    """The SDK repeats a write whose answer was lost, and is then told that the version is an old one."""
    lease = taken(table)
    service.get_table_client("rows").update_entity(
        {"PartitionKey": "a", "RowKey": "b", "owner": lease.row.text("owner"), "skip": 100}, mode=UpdateMode.MERGE
    )
    lease.write({"state": "Running"})
    assert not lease.is_lost
    assert (row_of(table).text("state"), row_of(table).number("skip")) == ("Running", 100)
    lease.release({})


@pytest.mark.parametrize("end", [RowLease.release, RowLease.write])
def test_a_write_that_is_sent_again_and_finds_itself_done_is_no_loss(
    table: TableRows, monkeypatch: pytest.MonkeyPatch, end: Callable[[RowLease, Columns], None]
) -> None:
    """A pull that frees its row and takes that for a loss sends no message, and nobody goes on with it."""
    lease = taken(table)
    ask, lost = Connections.ask, list[Answer]()

    def losing(connections: Connections, method: str, *args: Any, **options: Any) -> Answer:
        answer = ask(connections, method, *args, **options)
        if method == "PATCH" and not lost:
            lost.append(answer)
            raise ConnectionResetError
        return answer

    monkeypatch.setattr(Connections, "ask", losing)
    end(lease, {"state": "Queued"})
    assert [answer.status for answer in lost] == [204]
    assert row_of(table).text("state") == "Queued"
    assert lease.row.etag == row_of(table).etag


def test_the_thread_that_renews_ends_with_the_lease(table: TableRows) -> None:
    before = threading.active_count()
    with taken(table, SHORT) as lease:
        lease.release({})
    assert threading.active_count() == before
    with pytest.raises(ZeroDivisionError), taken(table, SHORT):
        raise ZeroDivisionError
    assert threading.active_count() == before


def test_a_row_that_was_queued_a_moment_ago_is_taken_without_reading_it(table: TableRows) -> None:
    known = table.insert("a", "b", {"state": "Queued"})
    lease = RowLease.take(table, "a", "b", LONG, lambda row: {"state": "Running" if row else "lost"}, known)
    assert isinstance(lease, RowLease)
    assert row_of(table).text("state") == "Running"


def test_a_row_that_changed_since_it_was_queued_is_read(table: TableRows) -> None:
    known = table.insert("a", "b", {"state": "Queued"})
    assert known is not None
    table.merge(known, {"state": "Failed"})
    seen: list[str] = []

    def first(row: Row | None) -> Columns:
        seen.append(row.text("state") if row else "none")
        return {}

    assert isinstance(RowLease.take(table, "a", "b", LONG, first, known), RowLease)
    assert seen[-1] == "Failed"


def test_a_row_that_another_took_since_it_was_queued_is_his(table: TableRows) -> None:
    known = table.insert("a", "b", {"state": "Queued"})
    first = RowLease.take(table, "a", "b", LONG, lambda _: {}, known)
    second = RowLease.take(table, "a", "b", LONG, lambda _: {}, known)
    assert isinstance(first, RowLease)
    assert isinstance(second, HeldElsewhere)

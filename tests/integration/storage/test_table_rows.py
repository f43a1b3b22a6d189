"""Progress lives in rows: a write must either be there or be known to have failed, whoever else writes.

The tables in memory, with which games are played, keep the same rules (tests/simulation/tables.py).
"""

from datetime import UTC, datetime

import pytest

from shared.core.errors import NeedsPerson, Never
from shared.storage.table_rows import TableRows
from shared.storage.table_writes import Columns, Long, Write
from tests.integration.tables import table_of
from tests.simulation.lines import GoodLine
from tests.simulation.tables import MemoryTable, Table
from tests.support.azurite import StorageAccount


@pytest.fixture(params=["azurite", "memory"])
def table(request: pytest.FixtureRequest) -> TableRows:
    if request.param == "memory":
        return MemoryTable(Table("rows"), GoodLine())
    return table_of(request.getfixturevalue("storage"), "rows")


@pytest.fixture
def missing(storage: StorageAccount) -> TableRows:
    """A table that nobody has created."""
    return table_of(storage, "missing", created=False)


def keys(table: TableRows, where: str = "") -> list[str]:
    return [row.key for row in table.query(where, {})]


def inserts(*names: str) -> list[Write]:
    return [Write(name, {"number": 1}, "insert") for name in names]


def test_a_row_comes_back_as_it_was_written(table: TableRows) -> None:
    moment = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
    columns: Columns = {
        "text": "é\U0001f600",
        "number": 7,
        "long": Long(6_000_000_000),
        "moment": moment,
        "yes": True,
        "empty": "",
    }
    written = table.insert("13984104677400476", "1fd83f6d", columns)
    read = table.get("13984104677400476", "1fd83f6d")
    for row in (written, read):
        assert row is not None
        assert (row.partition, row.key) == ("13984104677400476", "1fd83f6d")
        assert (row.text("text"), row.number("number"), row.number("long")) == ("é\U0001f600", 7, 6_000_000_000)
        assert row.moment("moment") == moment
        assert (row.text("nothing"), row.number("nothing"), row.moment("nothing")) == ("", 0, None)
    assert written is not None
    assert read is not None
    assert written.etag == read.etag


def test_a_row_that_is_not_there_is_none(table: TableRows) -> None:
    assert table.get("a", "b") is None


def test_of_two_inserts_one_wins(table: TableRows) -> None:
    assert table.insert("a", "b", {"number": 1})
    assert table.insert("a", "b", {"number": 2}) is None
    row = table.get("a", "b")
    assert row is not None
    assert row.number("number") == 1


def test_of_two_merges_of_one_version_one_wins(table: TableRows) -> None:
    seen = table.insert("a", "b", {"number": 1, "kept": "yes"})
    assert seen is not None
    first = table.merge(seen, {"number": 2})
    assert first is not None
    assert (first.number("number"), first.text("kept")) == (2, "yes")
    assert table.merge(seen, {"number": 3}) is None
    assert table.merge(first, {"number": 4})


def test_a_merge_makes_no_row(table: TableRows) -> None:
    seen = table.insert("a", "b", {"number": 1})
    assert seen is not None
    assert table.write_together("a", [Write("b", {}, "delete", seen.etag)]) == []
    assert table.merge(seen, {"number": 2}) is None
    assert table.get("a", "b") is None


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_any_number_of_rows_is_written(table: TableRows, count: int) -> None:
    """A transaction takes 100 and refuses 101."""
    table.write_all("a", (Write(f"{number:03}", {"number": number}, "upsert") for number in range(count)))
    assert [row.number("number") for row in table.query("PartitionKey eq @partition", {"partition": "a"})] == [
        *range(count)
    ]


def test_an_upsert_leaves_alone_what_it_does_not_name(table: TableRows) -> None:
    table.insert("a", "b", {"told": "by a report", "number": 1})
    table.write_all("a", [Write("b", {"number": 2}, "upsert")])
    row = table.get("a", "b")
    assert row is not None
    assert (row.text("told"), row.number("number")) == ("by a report", 2)


def test_writes_together_are_all_made_or_none(table: TableRows) -> None:
    assert table.write_together("a", inserts("1", "2")) is not None
    assert table.write_together("a", inserts("0", "2", "3")) is None
    assert keys(table) == ["1", "2"]


def test_a_write_of_an_old_version_undoes_those_beside_it(table: TableRows) -> None:
    seen = table.insert("a", "b", {"number": 1})
    assert seen is not None
    table.merge(seen, {"number": 2})
    writes = [Write("b", {"number": 3}, "merge", seen.etag), *inserts("c")]
    assert table.write_together("a", writes) is None
    assert keys(table) == ["b"]


def test_a_query_goes_past_the_thousand_rows_of_a_page(table: TableRows) -> None:
    table.write_all("a", (Write(f"{number:04}", {"number": number}, "upsert") for number in range(1_050)))
    rows = list(table.query("PartitionKey eq @partition", {"partition": "a"}, ("number",)))
    assert [row.number("number") for row in rows] == [*range(1_050)]


def test_a_quote_in_a_value_is_part_of_the_value(table: TableRows) -> None:
    table.insert("a' or '1' eq '1", "b", {"number": 1})
    table.insert("other", "b", {"number": 1})
    (row,) = table.query("PartitionKey eq @partition", {"partition": "a' or '1' eq '1"})
    assert row.partition == "a' or '1' eq '1"


def test_pages_follow_one_another(table: TableRows) -> None:
    table.write_all(
        "a", (Write(f"{number:02}", {"parity": "odd" if number % 2 else "even"}, "upsert") for number in range(25))
    )
    seen: list[str] = []
    after: dict[str, str] | None = None
    for _ in range(4):
        rows, after = table.page("parity eq @parity", {"parity": "odd"}, 5, after)
        seen += [row.key for row in rows]
        if after is None:
            break
    assert seen == [f"{number:02}" for number in range(1, 25, 2)]
    assert after is None


def test_a_page_begins_where_the_last_one_ended_though_rows_have_gone_meanwhile(table: TableRows) -> None:
    table.write_all("a", (Write(f"{number}", {"number": number}, "upsert") for number in range(6)))
    rows, after = table.page("", {}, 2, None)
    assert table.write_together("a", [Write(row.key, {}, "delete", row.etag) for row in rows]) == []
    following, _ = table.page("", {}, 2, after)
    assert [row.key for row in following] == ["2", "3"]


def test_partitions_are_found_one_after_another(table: TableRows) -> None:
    for partition in ("2", "1_a", "1_b"):
        table.insert(partition, "b", {})
    assert [table.partition_after(bound) for bound in ("", "1_a", "1`", "2")] == ["1_a", "1_b", "2", None]


def test_a_delete_of_an_old_version_removes_nothing(table: TableRows) -> None:
    seen = table.insert("a", "b", {"number": 1})
    assert seen is not None
    assert table.merge(seen, {"number": 2})
    assert table.write_together("a", [Write("b", {}, "delete", seen.etag)]) is None
    assert keys(table) == ["b"]


@pytest.mark.parametrize(
    "writes", [inserts("a", "a"), inserts(*(str(number) for number in range(101)))], ids=["twice", "101"]
)
def test_a_transaction_that_cannot_be_made_is_refused(table: TableRows, writes: list[Write]) -> None:
    with pytest.raises(Never):
        table.write_together("a", writes)
    assert keys(table) == []


def test_some_columns_are_brought_where_they_are_named(table: TableRows) -> None:
    table.insert("a", "b", {"one": 1, "two": 2})
    (row,) = table.query("PartitionKey eq @a and RowKey ge @b and RowKey le @b", {"a": "a", "b": "b"}, ("one", "three"))
    assert row.columns == {"one": 1}


def test_a_page_of_nothing_is_empty_and_the_last(table: TableRows) -> None:
    assert table.page("", {}, 10, None) == ([], None)


def test_a_table_that_is_not_there_needs_a_person(missing: TableRows) -> None:
    """Taken for a missing row, it would be `never asked for` to who looks, and copied twice by who works."""
    with pytest.raises(NeedsPerson, match="TableNotFound"):
        missing.get("a", "b")
    with pytest.raises(NeedsPerson, match="TableNotFound"):
        missing.insert("a", "b", {})
    with pytest.raises(NeedsPerson, match="TableNotFound"):
        list(missing.query("PartitionKey eq @a", {"a": "a"}))
    with pytest.raises(NeedsPerson, match="TableNotFound"):
        missing.page("", {}, 10, None)
    with pytest.raises(NeedsPerson, match="TableNotFound"):
        missing.write_all("a", [Write("b", {}, "upsert")])
    with pytest.raises(NeedsPerson, match="TableNotFound"):
        missing.write_together("a", inserts("b"))

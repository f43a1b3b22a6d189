"""A report may name a cab again and again: what became of it must not be forgotten for that."""

from datetime import UTC, datetime

import pytest

from shared.core.facts import NO_FACTS, CabFacts
from shared.core.failure import Failure
from shared.progress.cab_row import CabRow, CabState
from shared.progress.cabs import CabRows
from tests.integration.tables import table_of
from tests.support.azurite import StorageAccount

FAILURE = Failure("13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed")
FACTS = CabFacts("AV_contoso!Read", "contoso.sys", "7.6.1637.7", "10.0.26100.2314", "Arm64", "kernel")
FURTHER = [state for state in CabState if state is not CabState.LISTED]


@pytest.fixture
def cabs(storage: StorageAccount) -> CabRows:
    return CabRows(table_of(storage, "cabs"))


def test_listed_cabs_come_back_with_what_the_report_told(cabs: CabRows) -> None:
    cabs.list_new(FAILURE, {"a": FACTS, "b": NO_FACTS, "c": CabFacts(driver_version="1")})
    rows = cabs.of(FAILURE)
    assert {cab: (row.state, row.facts) for cab, row in rows.items()} == {
        "a": (CabState.LISTED, FACTS),
        "b": (CabState.LISTED, NO_FACTS),
        "c": (CabState.LISTED, CabFacts(driver_version="1")),
    }


@pytest.mark.parametrize("count", [0, 1, 100, 101, 230])
def test_any_number_of_cabs_is_listed(cabs: CabRows, count: int) -> None:
    cabs.list_new(FAILURE, {f"cab-{number}": FACTS for number in range(count)})
    assert len(cabs.of(FAILURE)) == count


@pytest.mark.parametrize("state", FURTHER)
def test_a_cab_that_is_further_on_is_not_listed_again(cabs: CabRows, state: CabState) -> None:
    """A copied cab that becomes `listed` again is one that the read-back takes for lost."""
    row = CabRow(state, "139/1fd/b.ext.zip", 1_342, "d768", datetime.now(UTC), "why")
    cabs.write(FAILURE, [("b", row)])
    cabs.list_new(FAILURE, {"a": FACTS, "b": FACTS, "c": FACTS})
    rows = cabs.of(FAILURE)
    assert [each.state for each in rows.values()] == [CabState.LISTED, state, CabState.LISTED]
    assert (rows["b"].blob_name, rows["b"].length, rows["b"].md5, rows["b"].error) == (
        row.blob_name,
        1_342,
        "d768",
        "why",
    )


def test_many_known_cabs_among_new_ones_are_passed_over(cabs: CabRows) -> None:
    known = {f"cab-{number:03}": FACTS for number in range(0, 250, 2)}
    cabs.list_new(FAILURE, known)
    cabs.write(FAILURE, [(cab, CabRow(CabState.COPIED, "x")) for cab in known])
    cabs.list_new(FAILURE, {f"cab-{number:03}": FACTS for number in range(250)})
    states = {cab: row.state for cab, row in cabs.of(FAILURE).items()}
    assert len(states) == 250
    assert {cab for cab, state in states.items() if state is CabState.COPIED} == set(known)


def test_what_the_report_told_outlives_what_becomes_of_a_cab(cabs: CabRows) -> None:
    cabs.list_new(FAILURE, {"a": FACTS})
    cabs.write(FAILURE, [("a", CabRow(CabState.COPIED, "x", 6_000_000_000, "d768", datetime.now(UTC)))])
    row = cabs.of(FAILURE)["a"]
    assert (row.state, row.length, row.facts) == (CabState.COPIED, 6_000_000_000, FACTS)


def test_what_is_told_of_a_cab_later_is_added_and_changes_nothing_else(cabs: CabRows) -> None:
    """A report of another template may tell what the first did not: when Microsoft deletes the cab."""
    at = datetime(2026, 12, 21, 12, 0, 0, tzinfo=UTC)
    assert cabs.list_new(FAILURE, {"a": FACTS}) == 0
    assert cabs.list_new(FAILURE, {"a": NO_FACTS, "b": NO_FACTS}, {"a": at, "b": at}) == 1
    assert cabs.list_new(FAILURE, {"a": CabFacts("other")}, {"a": at.replace(year=2027)}) == 0
    rows = cabs.of(FAILURE)
    assert [(row.state, row.facts, row.expires) for row in rows.values()] == [
        (CabState.LISTED, FACTS, at),
        (CabState.LISTED, NO_FACTS, at),
    ]


@pytest.mark.parametrize("page", [1, 2, 3, 1_000])
def test_the_rows_of_many_failures_are_read_together(cabs: CabRows, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """A request for each of 20,000 failures would be most of what a report costs."""
    monkeypatch.setattr("shared.progress.cabs._PAGE_ROWS", page)
    failures = sorted(
        (Failure(f"{number % 2}", f"f-{number}") for number in range(12)), key=lambda each: each.cabs_partition
    )
    known = {each: [f"cab-{number}" for number in range(place % 5)] for place, each in enumerate(failures)}
    for each, ids in known.items():
        cabs.list_new(each, dict.fromkeys(ids, FACTS))
    for wanted in (failures, failures[1:-1], failures[::3], failures[:1], []):
        found = {each: [row.key for row in rows] for each, rows in cabs.of_many(wanted)}
        assert found == {each: known[each] for each in wanted}
        assert list(found) == wanted


def test_rows_that_were_read_before_are_listed_by_them(cabs: CabRows) -> None:
    cabs.list_new(FAILURE, {"a": FACTS, "c": NO_FACTS})
    ((_, read),) = cabs.of_many([FAILURE])
    gone = cabs.remove(FAILURE, [row for row in read if row.key == "c"])
    assert (gone, cabs.list_new(FAILURE, {"a": FACTS, "b": FACTS, "c": FACTS}, rows=read)) == (1, 0)
    assert {cab: row.facts for cab, row in cabs.of(FAILURE).items()} == {"a": FACTS, "b": FACTS, "c": FACTS}


def test_a_row_comes_back_as_it_was_written(cabs: CabRows) -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    written = CabRow(CabState.EXPIRED, "", None, "", at, "gone", NO_FACTS, at, at)
    cabs.write(FAILURE, [("a", written)])
    assert cabs.of(FAILURE)["a"] == written


def test_cabs_of_other_failures_are_not_among_them(cabs: CabRows) -> None:
    other = Failure(FAILURE.application_id, f"{FAILURE.failure_hash}0")
    cabs.list_new(FAILURE, {"a": FACTS})
    cabs.list_new(other, {"b": FACTS})
    assert list(cabs.of(FAILURE)) == ["a"]
    assert list(cabs.of(other)) == ["b"]

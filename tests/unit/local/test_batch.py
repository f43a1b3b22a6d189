"""The pages of a cab batch: whatever their form, who follows the links to the end has seen every cab."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from local.simulator.batch import BadQueryError, BatchQuery, link_fields, page_of, row_of
from local.simulator.builder import CabForm, WorldBuilder
from local.simulator.catalogue import Cab, Failure, World
from local.simulator.scenario import BatchForm, LastLink, LinkForm

ORIGIN, FOREIGN = "http://127.0.0.1:1", "http://localhost:1"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def built(cabs: int, form: CabForm | None = None) -> tuple[Failure, list[Cab]]:
    world = World()
    failure = WorldBuilder(world, 3, NOW).failure(cabs, form)
    world.list_cabs(world.waiting_cabs)
    return failure, list(world.cabs(failure.key))


def ask(failure: Failure, **query: str) -> BatchQuery:
    window = {"startDate": "2026-10-01", "endDate": "2026-11-20"}
    key = failure.key
    return BatchQuery.parse({"applicationId": key.application_id, "failureHash": key.failure_hash, **window, **query})


def follow(failure: Failure, cabs: list[Cab], form: BatchForm) -> list[list[str]]:
    """Page by the links alone, and return the cabs of each page."""
    pages, query = [], ask(failure)
    while True:
        page = page_of(cabs, query, form)
        pages.append([cab.cab_id_hash for cab in page.cabs])
        assert len(pages) <= 250, "the links never end"
        link = link_fields(page, query, form, ORIGIN, FOREIGN).get(form.link_key)
        if link is None:
            return pages
        query = BatchQuery.parse({name: values[0] for name, values in parse_qs(urlsplit(link).query).items()})


@pytest.mark.parametrize(
    ("cabs", "sizes"), [(0, [0]), (1, [1]), (99, [99]), (100, [100]), (101, [100, 1]), (250, [100, 100, 50])]
)
def test_pages_have_the_size_that_was_asked(cabs: int, sizes: list[int]) -> None:
    failure, listed = built(cabs)
    assert [len(page) for page in follow(failure, listed, BatchForm())] == sizes


@pytest.mark.parametrize("cabs", [0, 1, 100, 101, 107, 250])
@pytest.mark.parametrize(
    "form",
    [
        BatchForm(repeat_rows=7),
        BatchForm(shift_rows=7),
        BatchForm(repeat_rows=5, shift_rows=3),
        BatchForm(repeat_rows=500),
        BatchForm(largest_page=30),
        BatchForm(link=LinkForm.ABSOLUTE),
        BatchForm(link_key="nextLink", last_link=LastLink.ABSENT, rewrite_dates=True),
    ],
    ids=["repeated", "shifted", "both", "nearly-all-repeated", "short-pages", "absolute", "rewritten"],
)
def test_the_links_lead_to_every_cab(cabs: int, form: BatchForm) -> None:
    failure, listed = built(cabs)
    pages = follow(failure, listed, form)
    assert {cab for page in pages for cab in page} == {cab.cab_id_hash for cab in listed}


def test_repeated_rows_stand_at_the_start_of_the_next_page() -> None:
    failure, listed = built(250)
    first, second, *_ = follow(failure, listed, BatchForm(repeat_rows=7))
    assert first[-7:] == second[:7]


def test_shifted_rows_are_missing_where_they_were_and_come_at_the_end() -> None:
    failure, listed = built(250)
    order = [cab.cab_id_hash for cab in listed]
    pages = follow(failure, listed, BatchForm(shift_rows=7))
    assert pages[1][0] == order[107]
    assert pages[-1][-14:] == order[100:107] + order[207:214]


@pytest.mark.parametrize(
    ("form", "start"),
    [
        (BatchForm(), "driver/cabdownloadbatch?applicationId="),
        (BatchForm(link=LinkForm.ABSOLUTE), ORIGIN + "/v1.0/my/analytics/driver/cabdownloadbatch?"),
        (BatchForm(link=LinkForm.FOREIGN), FOREIGN + "/v1.0/my/analytics/driver/cabdownloadbatch?"),
    ],
)
def test_a_link_has_the_form_that_was_set(form: BatchForm, start: str) -> None:
    failure, listed = built(101)
    query = ask(failure)
    link = link_fields(page_of(listed, query, form), query, form, ORIGIN, FOREIGN)["@nextLink"]
    assert link is not None
    assert link.startswith(start)
    assert link.endswith("&top=100&skip=100")


def test_rewritten_dates_are_not_percent_encoded() -> None:
    """The real service leaves spaces in its links: a client that does not encode them asks for nonsense."""
    failure, listed = built(101)
    query = ask(failure)
    form = BatchForm(rewrite_dates=True)
    link = link_fields(page_of(listed, query, form), query, form, ORIGIN, FOREIGN)["@nextLink"]
    assert "startDate=2026-10-01 00:00:00&endDate=2026-11-21 00:00:00&" in str(link)


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (BatchForm(), {"@nextLink": None}),
        (BatchForm(link_key="nextLink"), {"nextLink": None}),
        (BatchForm(last_link=LastLink.ABSENT), {}),
    ],
)
def test_the_last_page_has_no_link(form: BatchForm, fields: dict[str, None]) -> None:
    failure, listed = built(100)
    query = ask(failure)
    assert link_fields(page_of(listed, query, form), query, form, ORIGIN, FOREIGN) == fields


def test_no_link_at_all_can_be_asked_for() -> None:
    failure, listed = built(101)
    query, form = ask(failure), BatchForm(link=LinkForm.NONE)
    page = page_of(listed, query, form)
    assert (page.next_skip, page.total) == (100, 101)
    assert link_fields(page, query, form, ORIGIN, FOREIGN) == {"@nextLink": None}


def test_a_window_cuts_by_the_date_of_the_cab() -> None:
    failure, listed = built(200)
    query = ask(failure, startDate="2026-11-01", endDate="2026-11-10")
    page = page_of(listed, query, BatchForm())
    wanted = {cab.cab_id_hash for cab in listed if datetime(2026, 11, 1, tzinfo=UTC) <= cab.collected}
    wanted &= {cab.cab_id_hash for cab in listed if cab.collected < datetime(2026, 11, 11, tzinfo=UTC)}
    assert {cab.cab_id_hash for cab in page.cabs} == wanted
    assert 0 < page.total < 200


def test_without_dates_the_last_thirty_days_count() -> None:
    query = BatchQuery.parse({"applicationId": "1", "failureHash": "2"})
    assert query.end - query.start == timedelta(days=30)
    assert abs(query.end - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["2026-11-10 06:00:00", "2026-11-10T06:00:00", "2026-11-10T06:00:00Z"])
def test_a_window_may_end_within_a_day(text: str) -> None:
    failure, _ = built(0)
    assert ask(failure, endDate=text).end == datetime(2026, 11, 10, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"top": "101"}, "top parameter cannot be more than 100"),
        ({"top": "0"}, "top parameter must be at least 1"),
        ({"top": "-1"}, "top parameter must be a whole number"),
        ({"skip": "x"}, "skip parameter must be a whole number"),
        ({"applicationId": ""}, "applicationId parameter is required"),
        ({"failureHash": ""}, "failureHash parameter is required"),
        ({"startDate": "yesterday"}, "startDate parameter is not a date"),
    ],
)
def test_a_wrong_query_is_told(query: dict[str, str], problem: str) -> None:
    failure, _ = built(0)
    with pytest.raises(BadQueryError) as caught:
        ask(failure, **query)
    assert caught.value.problems == [problem]


def test_a_row_looks_like_the_documented_one() -> None:
    failure, (cab,) = built(1)
    row = msgspec.to_builtins(row_of(cab, lambda _: "https://somewhere/x.ext.zip?sig=1"))
    assert list(row) == [
        *("applicationId", "submissionId", "failureHash", "cabIdHash", "cabUrl", "date", "cabExpirationTime"),
    ]
    assert row["applicationId"] == failure.key.application_id
    assert len(row["applicationId"]) == 17
    assert int(row["applicationId"]) > 2**53
    assert row["date"] == f"{cab.collected:%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("form", "more"), [(CabForm(downloadable=False), {"cabDownloadable": False}), (CabForm(has_url=False), {})]
)
def test_a_row_may_lack_its_url(form: CabForm, more: dict[str, bool]) -> None:
    _, (cab,) = built(1, form)
    row = msgspec.to_builtins(row_of(cab, lambda _: "https://somewhere"))
    assert "cabUrl" not in row
    assert {name: row[name] for name in ("cabDownloadable",) if name in row} == more

"""The families of applications: rows as documented, as sampled and as odd as they come; and a cab's redirect."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from copy import replace
from datetime import date, timedelta
from typing import Any

import pytest

from shared.core.errors import AgainLater, BadAnswer, BadInput, CabUnavailable, NeedsPerson
from shared.core.failure import Failure
from shared.devcenter.applications import ApplicationCabs, ApplicationFamily
from shared.devcenter.cursor import BatchCursor, PageRequest
from shared.devcenter.families import APP, DESKTOP, FAMILIES, checked_family, source_of
from shared.devcenter.pages import BatchPage
from shared.progress.failures import SeenFailure
from tests.support.loopback import Answer, LoopbackServer, Seen

from .devcenter_client import FAILURE, WINDOW, dev_center

HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
CAB = "0b9bc639-d3e8-46a6-92be-961c117fa84c"
SAS = "https://uswewatcab09.blob.core.windows.net/kernel/x.ext.zip?sv=1&sig=abcdefgh%3D"
DESKTOP_FAILURE = Failure("10238467886765136388", HASH, "desktop")
STORE_FAILURE = Failure("9NBLGGGZ5QDR", "012345-5dbc9-b12f-c124-9d9810f05d8b", "app")


def listed(rows: object, **envelope: object) -> Answer:
    return Answer(json.dumps({"Value": rows, **envelope}).encode())


def hits(family: ApplicationFamily, *rows: dict[str, Any]) -> Any:
    body = listed(rows).body
    return family.hits_page(body, "the failures", "9NBLGGGZ5QDR")


def details(failure: Failure, answer: Answer) -> tuple[BatchPage, Seen]:
    with LoopbackServer(lambda _: answer) as server:
        page = source_of(dev_center(server.url), failure, WINDOW).page(PageRequest(0))
    return page, server.seen[0]


def test_every_family_is_found_by_its_name() -> None:
    assert list(FAMILIES) == ["driver", "desktop", "app"]
    assert [checked_family(name) for name in ("", *FAMILIES)] == ["", *FAMILIES]
    with pytest.raises(BadInput, match="none of driver, desktop, app"):
        checked_family("ihvdriver")


def test_a_documented_row_of_failurehits_is_read() -> None:
    row = {
        "date": "2018-02-05",
        "applicationId": "10238467886765136388",
        "productName": "Contoso Demo",
        "appName": "Contoso Demo",
        "fileName": "contosodemo.exe",
        "failureName": "SVCHOSTGROUP_localservice_IN_PAGE_ERROR_c0000006_contoso!unknown",
        "failureHash": "11242ef3-ebd8-d525-838d-b5497b52a7b5",
        "applicationVersion": "1.0.0.0",
        "deviceCount": 0.0012422360248447205,
        "eventCount": 0.0012422360248447205,
    }
    (hit,) = hits(DESKTOP, row).hits
    assert hit.failure == Failure("9NBLGGGZ5QDR", "11242ef3-ebd8-d525-838d-b5497b52a7b5")
    assert (hit.failure.family, hit.day, hit.events) == ("desktop", date(2018, 2, 5), 0.0012422360248447205)
    assert (hit.product, hit.file, hit.version) == ("Contoso Demo", "contosodemo.exe", "1.0.0.0")
    store = {"applicationName": "Notes", "packageName": "Notes_8wekyb3d8bbwe", "packageVersion": "1.2", **row}
    (hit,) = hits(APP, {key: value for key, value in store.items() if key not in {"productName", "appName"}}).hits
    assert (hit.product, hit.file, hit.version) == ("Notes", "Notes_8wekyb3d8bbwe", "1.2")


@pytest.mark.parametrize(
    ("told", "events"),
    [(8.94736842105263, 8.94736842105263), ("0.5", 0.5), (0, 0.0), (None, 0.0), ("x", 0.0), (-1, 0.0), ([1], 0.0)],
)
def test_counts_are_fractions_and_an_odd_one_costs_no_row(told: object, events: float) -> None:
    (hit,) = hits(DESKTOP, {"failureHash": HASH, "eventCount": told}).hits
    assert hit.events == events


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ("2018-02-05", date(2018, 2, 5)),
        ("2022-07-12 00:00:00", date(2022, 7, 12)),
        ("2/5/2018", date(2018, 2, 5)),
        (None, None),
        ("", None),
        ("soon", None),
        (20180205, date(2018, 2, 5)),
    ],
)
def test_a_day_is_read_in_every_spelling(told: object, day: date | None) -> None:
    (hit,) = hits(DESKTOP, {"failureHash": HASH, "date": told}).hits
    assert hit.day == day


@pytest.mark.parametrize("named", [None, "", "NULL", "a/b", {"x": 1}, "00000000-0000-0000-0000-000000000000"])
def test_a_hit_without_a_hash_is_told_by_its_shape_and_costs_no_other(named: object) -> None:
    page = hits(DESKTOP, {"failureHash": named, "failureName": "secret!name"}, {"failureHash": HASH})
    assert (page.rows, len(page.hits)) == (2, 1)
    (told,) = page.unreadable
    assert "failureHash" in told
    assert "secret" not in told


def test_what_a_row_tells_is_fit_for_a_table() -> None:
    (hit,) = hits(DESKTOP, {"failureHash": HASH, "failureName": "a\tb\x00c", "productName": "x" * 40_000}).hits
    assert (hit.name, len(hit.product)) == ("a b c", 1_000)


def test_failurehits_are_asked_for_with_american_dates() -> None:
    with LoopbackServer(lambda _: listed([])) as server:
        for family in (DESKTOP, APP):
            family.hits(dev_center(server.url), "9NBLGGGZ5QDR", WINDOW, PageRequest(0))
    desktop, store = server.seen
    assert (desktop.path, store.path) == (
        "/v1.0/my/analytics/desktop/failurehits",
        "/v1.0/my/analytics/failurehits",
    )
    assert store.query == {
        "applicationId": "9NBLGGGZ5QDR",
        "startDate": "10/22/2026",
        "endDate": "11/22/2026",
        "top": "10000",
        "skip": "0",
    }


def test_a_link_that_the_server_itself_broke_is_followed_as_it_is() -> None:
    link = "desktop/failurehits?applicationId=1&endDate2018/02/08&top=1&skip=1&filter=market eq 'US'"
    with LoopbackServer(lambda _: listed([])) as server:
        DESKTOP.hits(dev_center(server.url), "1", WINDOW, PageRequest(1, link))
    assert server.seen[0].target == "/v1.0/my/analytics/" + link.replace(" ", "%20")


def test_a_documented_row_of_failuredetails_is_read() -> None:
    row = {
        "applicationId": "10238467886765136388",
        "failureHash": HASH,
        "failureName": "AV_contoso!ReadQueue",
        "date": "2018-01-28 23:55:29",
        "cabIdHash": CAB.upper(),
        "cabExpirationTime": "2022-08-16 01:37:00",
        "cabDownloadable": True,
        "market": "US",
        "osBuild": "10.0.16299",
        "osVersion": "Windows 10",
        "osArchitecture": "X64",
        "applicationVersion": "1.0.0.0",
        "fileName": "contosodemo.exe",
    }
    page, asked = details(DESKTOP_FAILURE, listed([row]))
    (cab,) = page.cabs
    assert (cab.cab_id_hash, cab.url, cab.date, cab.expires) == (CAB, None, row["date"], row["cabExpirationTime"])
    assert cab.downloadable
    facts = cab.facts
    assert (facts.failure_name, facts.driver_name, facts.driver_version) == (
        "AV_contoso!ReadQueue",
        "contosodemo.exe",
        "1.0.0.0",
    )
    assert (facts.os_version, facts.architecture, facts.market) == ("10.0.16299", "X64", "US")
    assert asked.path == "/v1.0/my/analytics/desktop/failuredetails"
    assert asked.query == {
        "applicationId": DESKTOP_FAILURE.application_id,
        "failureHash": HASH,
        "startDate": "2026-10-22",
        "endDate": "2026-11-22",
        "top": "10000",
        "skip": "0",
    }


@pytest.mark.parametrize("named", ["1234567890123456789", 1234567890123456789], ids=["text", "number"])
def test_a_store_cab_of_nineteen_digits_keeps_every_one(named: object) -> None:
    page, asked = details(STORE_FAILURE, listed([{"cabId": named}]))
    assert [cab.cab_id_hash for cab in page.cabs] == ["1234567890123456789"]
    assert asked.query["failureHash"] == STORE_FAILURE.failure_hash, "a hash that is no GUID stays as it is"


@pytest.mark.parametrize("named", [None, "", "  ", "NULL", "00000000-0000-0000-0000-000000000000"], ids=str)
def test_a_row_without_a_cab_is_a_crash_without_one(named: object) -> None:
    page, _ = details(DESKTOP_FAILURE, listed([{"cabIdHash": named}, {"cabIdHash": CAB}, {}]))
    assert (page.rows, len(page.cabs), page.without_cab, page.unreadable) == (3, 1, 2, ())


@pytest.mark.parametrize("row", [{"cabIdHash": "a/b"}, 5, "x", None, [], {"cabIdHash": "x" * 300}], ids=str)
def test_an_odd_row_is_told_by_its_shape_and_costs_no_other(row: object) -> None:
    page, _ = details(DESKTOP_FAILURE, listed([row, {"cabIdHash": CAB}]))
    assert (len(page.cabs), page.without_cab, len(page.unreadable)) == (1, 0, 1)


@pytest.mark.parametrize(("told", "is_downloadable"), [(False, False), ("False", False), (True, True), (None, True)])
def test_whether_a_cab_is_downloadable_is_read(told: object, is_downloadable: bool) -> None:
    page, _ = details(DESKTOP_FAILURE, listed([{"cabIdHash": CAB, "cabDownloadable": told}]))
    assert page.cabs[0].downloadable is is_downloadable


def test_a_page_may_have_ten_thousand_rows_and_no_more() -> None:
    rows = [{"cabIdHash": f"{number:08x}{CAB[8:]}"} for number in range(10_000)]
    assert len(details(DESKTOP_FAILURE, listed(rows))[0].cabs) == 10_000
    with pytest.raises(BadAnswer, match="10001 rows"):
        details(DESKTOP_FAILURE, listed([*rows, rows[0]]))


def test_pages_without_a_cab_are_news_each() -> None:
    """More crashes without a cab than twenty pages hold are no server that leads in a circle."""
    cursor, request = BatchCursor(2), PageRequest(0)
    for number in range(50):
        page = BatchPage(2, (), f"failuredetails?skip={number * 2 + 2}", True, 200, f"mark-{number}", without_cab=2)
        following = cursor.answered(request, page)
        assert following
        request = following


# A cab's redirect.


def asked_for(answer: Answer, failure: Failure = DESKTOP_FAILURE) -> tuple[str, Seen]:
    with LoopbackServer(lambda _: answer) as server:
        source = ApplicationCabs(
            DESKTOP if failure.family == "desktop" else APP, dev_center(server.url), failure, WINDOW
        )
        cab = details(DESKTOP_FAILURE, listed([{"cabIdHash": CAB}]))[0].cabs[0]
        return source.url(cab), server.seen[0]


@pytest.mark.parametrize(
    ("failure", "path", "key"),
    [(DESKTOP_FAILURE, "desktop/cabdownload", "cabIdHash"), (STORE_FAILURE, "cabdownload", "cabId")],
)
def test_a_cab_is_asked_for_with_the_token_and_its_redirect_is_not_followed(
    failure: Failure, path: str, key: str
) -> None:
    url, asked = asked_for(Answer(status=302, headers={"Location": SAS}), failure)
    assert url == SAS, "byte for byte: its signature is of these"
    assert asked.path == f"/v1.0/my/analytics/{path}"
    assert asked.query == {"applicationId": failure.application_id, key: CAB}
    assert asked.headers["authorization"] == "Bearer token-1"


@pytest.mark.parametrize("status", [301, 303, 307, 308])
def test_every_redirect_tells_where_a_cab_is(status: int) -> None:
    url, _ = asked_for(Answer(status=status, headers={"Location": SAS}))
    assert url == SAS


def test_the_token_goes_to_nobody_that_a_redirect_names() -> None:
    with LoopbackServer(lambda _: Answer(b"a cab")) as other:
        url, _ = asked_for(Answer(status=302, headers={"Location": f"{other.url}/x?sig=abcdefgh"}))
        assert url.startswith(other.url)
    assert not other.seen


def test_a_relative_location_is_of_the_dev_center() -> None:
    url, _ = asked_for(Answer(status=302, headers={"Location": "/cabs/x.cab?sig=abcdefgh"}))
    assert url.endswith("/cabs/x.cab?sig=abcdefgh")
    assert url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (Answer(b'{"code":"Forbidden"}', 403), CabUnavailable, "does not let it be downloaded"),
        (Answer(status=404), CabUnavailable, "404"),
        (Answer(status=410), CabUnavailable, "410"),
        (Answer(status=401), NeedsPerson, "401"),
        (Answer(b"the cab itself"), BadAnswer, "200"),
        (Answer(status=302), BadAnswer, "302"),
        (Answer(status=302, headers={"Location": "https://[x/y?sig=abcdefgh"}), BadInput, "no URL"),
        (Answer(status=500), AgainLater, "500"),
    ],
    ids=str,
)
def test_what_is_no_redirect_is_sorted_by_what_helps(answer: Answer, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told) as raised:
        asked_for(answer)
    assert "abcdefgh" not in str(raised.value)
    if error is CabUnavailable:
        assert not getattr(raised.value, "outage", ""), "one cab says nothing of the account"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b'{"statusCode":429,"message":"Rate limit is exceeded. Try again in 14 seconds."}', 429),
        Answer(b'{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 00:00:14."}', 403),
        Answer(b'{"statusCode":403,"message":"Out of call volume quota."}', 403, {"Retry-After": "14"}),
    ],
    ids=["429", "quota", "quota with a header"],
)
def test_a_wait_is_no_cab_that_may_not_be_downloaded(answer: Answer) -> None:
    with pytest.raises(AgainLater) as raised:
        asked_for(answer)
    assert raised.value.wait == timedelta(seconds=14)
    assert not raised.value.outage


def test_no_more_calls_are_in_flight_than_the_setting_allows() -> None:
    """Of all who ask together: lists, and cabs side by side with their copies."""
    now, most, lock, full = 0, 0, threading.Lock(), threading.Barrier(3, timeout=20)

    def answer(seen: Seen) -> Answer:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        full.wait()
        with lock:
            now -= 1
        return Answer(status=302, headers={"Location": SAS}) if "cabdownload" in seen.path else listed([])

    with LoopbackServer(answer) as server, ThreadPoolExecutor(12) as threads:
        devcenter = dev_center(server.url, calls_in_flight=3)
        cab = devcenter.analytics_url("cabdownload", {})
        page = devcenter.analytics_url("failuredetails", {})
        calls: list[Future[object]] = [threads.submit(devcenter.redirect, cab, "a cab", "1") for _ in range(6)]
        calls += [threads.submit(devcenter.fetch_page, page, "a page", "1") for _ in range(6)]
        for call in calls:
            call.result(20)
    assert most == 3


# What a check has seen.

DAY = date(2026, 11, 20)
SEEN = SeenFailure(FAILURE, "AV_x!y", "Contoso", "x.exe", "1.0", {DAY: 0.5})


@pytest.mark.parametrize(
    ("days", "news"),
    [
        ({DAY: 0.5}, None),
        ({DAY: 0.25}, None),
        ({}, None),
        ({DAY: 0.5 + 1e-12}, None),
        ({DAY: 0.5012}, DAY),
        ({DAY: 0.5, DAY + timedelta(days=1): 0.0}, DAY + timedelta(days=1)),
        ({DAY: 0.5, DAY - timedelta(days=1): 0.001}, DAY - timedelta(days=1)),
    ],
    ids=str,
)
def test_only_what_happened_since_is_news(days: dict[date, float], news: date | None) -> None:
    assert replace(SEEN, days=days).first_news(SEEN) == news
    assert replace(SEEN, days=days).first_news(None) == min(days, default=None)


def test_what_is_seen_again_is_joined_with_what_was_known() -> None:
    again = replace(SEEN, version="1.1", name="", days={DAY: 0.75, DAY + timedelta(days=1): 2.0})
    both = again.joined(SEEN)
    assert (both.name, both.version, both.events) == ("AV_x!y", "1.1", 2.75)
    assert both.first_date == DAY
    assert again.first_news(both) is None
    for ahead in range(2, 60):
        both = replace(SEEN, days={DAY + timedelta(days=ahead): 1.0}).joined(both)
    assert len(both.days) == 35
    assert (both.first_date, both.events) == (DAY, 2.75 + 58)


@pytest.mark.parametrize("failure", [DESKTOP_FAILURE, STORE_FAILURE], ids=["desktop", "app"])
def test_details_go_on_behind_their_first_page(failure: Failure) -> None:
    link = "failuredetails?a=%2B&skip=2"
    answer = listed([{}, {}], **{"@nextLink": link}, TotalCount=5)
    with LoopbackServer(lambda _: answer) as server:
        source = source_of(dev_center(server.url), failure, WINDOW)
        page = source.page(PageRequest(0))
        source.page(PageRequest(2, page.link))
        source.page(PageRequest(2))
    assert (page.rows, page.link, page.total) == (2, link, 5)
    assert server.seen[1].target == f"/v1.0/my/analytics/{link}"
    assert (server.seen[2].path, server.seen[2].query["skip"]) == (server.seen[0].path, "2")

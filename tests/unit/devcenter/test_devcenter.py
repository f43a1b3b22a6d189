"""The Dev Center is old, slow and half documented: each of its answers must end in data or in what helps."""

from datetime import timedelta

import pytest

from shared.core.errors import AgainLater, BadAnswer, BadInput, CabferryError, NeedsPerson, Never
from shared.devcenter.driver import batch_url
from shared.devcenter.report_answers import runs_in, schedules_in
from shared.devcenter.reports import Listed, ReportRun, Schedule
from shared.progress.reports import odd_key
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn

from .devcenter_client import FAILURE, WINDOW, CountingIdentity, dev_center

SIGN_IN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body></body></html>"
FORBIDDEN = (
    b'{"code":"Forbidden","innererror":{"source":"AnalyticsAPI","message":"User UnauthorizedException EC5"},'
    b'"message":"Access to the requested resource is forbidden. See https://x.y/z?code=QZXJ"}'
)
OUT_OF_QUOTA = (
    b'{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 00:00:05."}'  # as it was seen
)
THROTTLED = b'{"statusCode":429,"message":"Rate limit is exceeded. Try again in 14 seconds."}'


def fetch(base_url: str, identity: CountingIdentity | None = None) -> bytes:
    """Fetch the first page of a batch."""
    devcenter = dev_center(base_url, identity)
    return devcenter.fetch_page(batch_url(devcenter, FAILURE, WINDOW, 0), "the page")


def answered(*answers: Answer) -> tuple[bytes, list[Seen]]:
    """Fetch a page from a server that gives these answers."""
    with LoopbackServer(in_turn(*answers)) as server:
        return fetch(server.url), server.seen


def refused(kind: type[CabferryError], *answers: Answer, is_exact: bool = True) -> tuple[CabferryError, int]:
    """Return what a page is refused with, and after how many requests."""
    with LoopbackServer(in_turn(*answers)) as server, pytest.raises(kind) as caught:
        fetch(server.url)
    assert type(caught.value) is kind or not is_exact
    assert str(caught.value).startswith("the page")
    return caught.value, len(server.seen)


def test_the_batch_is_asked_for_as_documented() -> None:
    _, seen = answered(Answer(b"{}"))
    assert seen[0].path == "/v1.0/my/analytics/driver/cabdownloadbatch"
    assert seen[0].query == {
        "applicationId": "13984104677400476",
        "failureHash": "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed",
        "startDate": "2026-10-22",
        "endDate": "2026-11-22",
        "top": "100",
        "skip": "0",
    }
    assert seen[0].headers["authorization"] == "Bearer token-1"


def test_a_token_that_has_ended_is_renewed_once() -> None:
    body, seen = answered(Answer(b"", 401), Answer(b"page"))
    assert body == b"page"
    assert [each.headers["authorization"] for each in seen] == ["Bearer token-1", "Bearer token-2"]


def test_a_token_that_is_refused_twice_needs_a_person() -> None:
    """Asking on would hammer the service with what it refuses."""
    error, requests = refused(NeedsPerson, Answer(b'{"message":"Access token is missing or invalid."}', 401))
    assert requests == 2
    assert "Access token is missing or invalid" in str(error)
    assert "Partner Center" in str(error)


def test_a_fixed_token_that_is_refused_is_not_tried_again() -> None:
    with LoopbackServer(in_turn(Answer(b"", 401))) as server, pytest.raises(NeedsPerson):
        fetch(server.url, CountingIdentity(distinct=False))
    assert len(server.seen) == 1


def test_a_missing_role_is_told_with_what_the_service_said_and_without_its_secrets() -> None:
    error, requests = refused(NeedsPerson, Answer(FORBIDDEN, 403))
    assert requests == 1
    assert "User UnauthorizedException EC5" in str(error)
    assert "Manager role" in str(error)
    assert "QZXJ" not in str(error)


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_request_that_is_refused_is_never_repeated(status: int) -> None:
    body = b'{"code":"BadRequest","innererror":{"data":["top parameter cannot be more than 10000"]}}'
    error, requests = refused(Never, Answer(body, status))
    assert requests == 1
    assert "top parameter cannot be more than 10000" in str(error)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(THROTTLED, 429), 14),
        (Answer(THROTTLED, 429, {"Retry-After": "3"}), 3),
        (Answer(b"", 503, {"Retry-After": "120"}), 120),
        (Answer(OUT_OF_QUOTA, 403), 5),
        (Answer(OUT_OF_QUOTA, 403, {"Retry-After": "7"}), 7),
        (Answer(b"", 403, {"Retry-After": "7"}), 7),
        (Answer(OUT_OF_QUOTA.replace(b"403", b"429"), 429), 5),
        (Answer(OUT_OF_QUOTA, 503), 5),
        (Answer(b"Quota will be replenished in 6.23:59:59.", 403), 86_400),
    ],
)
def test_the_wait_that_is_asked_for_is_carried_on(answer: Answer, seconds: int) -> None:
    error, requests = refused(AgainLater, answer)
    assert isinstance(error, AgainLater)
    assert error.wait == timedelta(seconds=seconds)
    assert error.outage == "", "a quota is no outage, and must open no circuit"
    assert requests == 1


def test_a_quota_that_does_not_say_when_it_is_replenished_is_a_wait_too() -> None:
    error, _ = refused(AgainLater, Answer(b'{"statusCode":403,"message":"Out of call volume quota."}', 403))
    assert error.outage == ""


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500])
def test_what_support_asks_for_is_told(status: int) -> None:
    ids = {"x-ms-request-id": "4e1c-9", "MS-CorrelationId": "a:b", "x-ms-client-request-id": "<script>"}
    error, _ = refused(CabferryError, Answer(b"", status, ids), is_exact=False)
    assert "(x-ms-request-id 4e1c-9, ms-correlationid a:b)" in str(error)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_service_is_asked_again_later(status: int) -> None:
    error, _ = refused(AgainLater, Answer(b'{"statusCode":500,"message":"Internal server error"}', status))
    assert isinstance(error, AgainLater)
    assert error.wait is None
    assert "Internal server error" in str(error)


@pytest.mark.parametrize("status", [204, 206, 301, 418])
def test_any_other_answer_is_told_as_it_is(status: int) -> None:
    error, _ = refused(BadAnswer, Answer(b"", status))
    assert str(status) in str(error)


def test_a_connection_that_breaks_is_made_again_at_once() -> None:
    broken = Answer(b"half of a page", sent=4)
    body, seen = answered(broken, broken, Answer(b"page"))
    assert (body, len(seen)) == (b"page", 3)


def test_a_connection_that_breaks_each_time_is_tried_later() -> None:
    error, requests = refused(AgainLater, Answer(b"half of a page", sent=4))
    assert requests == 3
    assert "3 times" in str(error)


def test_a_server_that_does_not_listen_is_tried_later() -> None:
    with LoopbackServer(in_turn(Answer())) as server:
        gone = server.url
    with pytest.raises(AgainLater):
        fetch(gone)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_token_away(status: int) -> None:
    with LoopbackServer(in_turn(Answer(b"{}"))) as elsewhere:
        refused(BadAnswer, Answer(b"", status, {"Location": f"{elsewhere.url}/x"}))
        assert elsewhere.seen == []


def test_a_token_goes_to_the_configured_host_alone() -> None:
    """Whoever gets the token reads the whole Partner Center account."""
    with LoopbackServer(in_turn(Answer(b"{}"))) as ours, LoopbackServer(in_turn(Answer(b"{}"))) as elsewhere:
        devcenter = dev_center(ours.url)
        host = elsewhere.url.removeprefix("http://")
        for link in (
            f"{elsewhere.url}/v1.0/my/analytics/driver/cabdownloadbatch?skip=100",
            f"//{host}/x",
            f"http://{ours.url.removeprefix('http://')}@{host}/x",
            f"http://user:password@{ours.url.removeprefix('http://')}/x",
            f"http://{host}\\@{ours.url.removeprefix('http://')}/x",
            f"https://{ours.url.removeprefix('http://')}/x",
            f"http://localhost:{ours.port}/x",
            "http://[::1/x",
            "http://127.0.0.1:port/x",
            f"http://127.0.0.1:{ours.port}\r\nHost: {host}/x",
        ):
            with pytest.raises(BadInput):
                devcenter.next_url(link)
            with pytest.raises(BadInput):
                devcenter.fetch_page(link, "the page")
        for link in (f"@{host}/x", f":80@{host}/x", f".{host}/x", f"HTTP://{host}/x", f"\\\\{host}\\x", f" //{host}/x"):
            try:
                url = devcenter.next_url(link)
            except BadInput:
                continue
            devcenter.fetch_page(url, "the page")
        assert elsewhere.seen == []
        assert all(each.headers["host"] == f"127.0.0.1:{ours.port}" for each in ours.seen)


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("driver/cabdownloadbatch?skip=100", "/v1.0/my/analytics/driver/cabdownloadbatch?skip=100"),
        ("v1.0/my/analytics/driver/cabdownloadbatch?skip=1", "/v1.0/my/analytics/driver/cabdownloadbatch?skip=1"),
        ("/v1.0/my/analytics/driver/cabdownloadbatch?skip=1", "/v1.0/my/analytics/driver/cabdownloadbatch?skip=1"),
        ('driver/x?d=2026-01-01 00:00:00&f="a"', "/v1.0/my/analytics/driver/x?d=2026-01-01%2000:00:00&f=%22a%22"),
        ("driver/x?d=2026-01-01%2000%3A00", "/v1.0/my/analytics/driver/x?d=2026-01-01%2000%3A00"),
        ("driver/x?n=%C3%BC", "/v1.0/my/analytics/driver/x?n=%C3%BC"),
        ("driver/x?n=ü", "/v1.0/my/analytics/driver/x?n=%C3%BC"),
    ],
)
def test_a_next_link_is_read_as_the_service_means_it(link: str, path: str) -> None:
    """Relative to /v1.0/my/analytics/, not percent-encoded: a plain urljoin would miss every page but the first."""
    base = "https://manage.devcenter.microsoft.com"
    assert dev_center(base).next_url(link) == base + path


def test_an_absolute_link_to_our_own_host_is_followed() -> None:
    base = "https://manage.devcenter.microsoft.com"
    assert dev_center(base).next_url(f"{base}/x?skip=1") == f"{base}/x?skip=1"
    assert dev_center(base).next_url("//manage.devcenter.microsoft.com/x") == f"{base}/x"


def test_schedules_are_listed_in_every_shape() -> None:
    body = (
        b'{"data":[{"reportId":43000,"templateId":925,"schedule":"{\\"recurrence\\":90}","isActive":true},'
        b'{"reportId":"43007","isActive":false},{"reportId":43014}],"errors":null}'
    )
    with LoopbackServer(in_turn(Answer(body))) as server:
        listed = dev_center(server.url).schedules()
    assert listed == Listed([Schedule("43000", True, "925"), Schedule("43007", False), Schedule("43014", True)], [])
    assert server.seen[0].target == "/analytics/driver/report"


def test_runs_are_listed_in_every_shape() -> None:
    body = (
        b'{"data":[{"ReportDatetime":"2018-01-20T05:35:32","ReportStatus":"Completed","ReportLocation":"https://a/b"},'
        b'{"ReportDatetime":"2018-01-21T05:35:32","ReportStatus":"Success","ReportLocation":"https://a/b.gz"},'
        b'{"ReportDatetime":"2018-01-22T05:35:32","ReportStatus":"Completed","ReportLocation":""},'
        b'{"ReportDatetime":"2018-01-23T05:35:32","ReportStatus":"Failed","ReportLocation":null},'
        b'{"ReportDatetime":"2018-01-24T05:35:32","ReportStatus":"In Progress","Extra":1}],"errors":[]}'
    )
    with LoopbackServer(in_turn(Answer(body))) as server:
        runs = dev_center(server.url).report_runs("43000", WINDOW).items
    assert [run.is_finished for run in runs] == [True, True, False, False, False]
    assert runs[0] == ReportRun("43000", "2018-01-20T05:35:32", "Completed", "https://a/b")
    assert server.seen[0].path == "/analytics/driver/reportdata/43000"
    assert server.seen[0].query == {"startDate": "2026-10-22", "endDate": "2026-11-22"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (SIGN_IN_PAGE, "markup of"),
        (b'{"data":[{"reportId":43', "broken JSON"),
        (b"", "nothing"),
        (b"null", "null"),
        (b'{"data":"none"}', "data: text of 4"),
        (b'{"errors":[]}', "errors: list of 0"),
        (b'{"data":[],"errors":[{"Code":"E1","Message":"no template","TrackingId":"t"}]}', "an error: no template"),
        (b'{"errors":{"message":"no template"}}', "no template"),
        (b'{"data":null,"errors":["no template"]}', "an error: text of 11"),
        (b'{"data":[{"reportId":1,"x":' + b"[" * 20_000, "JSON"),
        (b"\xff\xfe", ""),
    ],
)
def test_an_answer_that_is_no_list_is_told_by_its_shape(body: bytes, told: str) -> None:
    """Nobody can ask Microsoft what its API means; what it said is not quoted, for it may hold a signature."""
    with LoopbackServer(in_turn(Answer(body))) as server, pytest.raises(BadAnswer) as caught:
        dev_center(server.url).schedules()
    assert told in str(caught.value)


GOOD_RUN = b'{"ReportDatetime":"2018-01-20T05:35:32","ReportStatus":"Completed","ReportLocation":"https://a/b"}'


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (b"7", "cannot be read"),
        (b"null", "cannot be read"),
        (b'["x"]', "cannot be read"),
        (b"{}", "no status"),
        (b'{"ReportDatetime":"2018-01-20T05:35:32"}', "no status"),
        (b'{"ReportStatus":"Completed","ReportLocation":7}', "neither time nor file"),
        (b'{"ReportStatus":{"a":"sig=QZXJ"},"ReportDatetime":[]}', "no status"),
    ],
)
def test_an_odd_run_is_told_and_costs_no_other(item: bytes, told: str) -> None:
    for data in (item + b"," + GOOD_RUN, GOOD_RUN + b"," + item):
        listed = runs_in(b'{"data":[' + data + b"]}", "43000", "the status of report 43000")
        assert listed.items == [ReportRun("43000", "2018-01-20T05:35:32", "Completed", "https://a/b")]
        (odd,) = listed.odd
        assert told in odd
        assert "report 43000" in odd
        assert "QZXJ" not in odd


def test_an_error_beside_runs_is_told_and_costs_no_run() -> None:
    listed = runs_in(
        b'{"data":[' + GOOD_RUN + b'],"errors":[{"Code":"E1","Message":"one is late"},"x"]}', "43000", "it"
    )
    assert len(listed.items) == 1
    assert listed.odd == ["it: the answer holds an error: one is late", "it: the answer holds an error: text of 1"]


@pytest.mark.parametrize(
    "item",
    [
        b'{"reportDatetime":"2018-01-20T05:35:32","reportStatus":"success","reportLocation":" https://a/b "}',
        b'{"REPORTDATETIME":"2018-01-20T05:35:32","report_status":"SUCCEEDED","Report_Location":"https://a/b"}',
        b'{"ReportDatetime":20180120,"ReportStatus":"Completed","ReportLocation":"https://a/b","Extra":{"a":[]}}',
        b'{"ReportDatetime":null,"ReportStatus":"Completed","ReportLocation":"https://a/b"}',
    ],
)
@pytest.mark.parametrize("form", [b'{"data":[%s]}', b'{"Data":[%s],"Errors":{}}', b'{"DATA":%s,"errors":""}'])
def test_a_finished_run_is_read_however_it_is_spelled(item: bytes, form: bytes) -> None:
    for body in (form % item, (form % item).decode().encode("utf-8-sig"), (form % item).decode().encode("utf-16")):
        listed = runs_in(body, "43000", "it")
        assert [(run.location, run.is_finished) for run in listed.items] == [("https://a/b", True)]
        assert listed.odd == []


@pytest.mark.parametrize(
    ("active", "is_active", "is_odd"),
    [
        (b"true", True, False),
        (b'"True"', True, False),
        (b"1", True, False),
        (b"null", True, False),
        (b'"False"', False, False),
        (b"0", False, False),
        (b'"paused"', False, False),
        (b'"perhaps"', True, True),
        (b"7", True, True),
    ],
)
def test_a_schedule_is_active_unless_it_says_no(active: bytes, is_active: bool, is_odd: bool) -> None:
    """One that is taken for paused and is not would be a report that nobody reads."""
    listed = schedules_in(b'{"data":[{"ReportId":43000.0,"IsActive":%s},{"reportId":"43007"}]}' % active, "it")
    assert listed.items == [Schedule("43000", is_active), Schedule("43007", True)]
    assert len(listed.odd) == is_odd


@pytest.mark.parametrize(
    "report_id", [b"null", b'""', b"{}", b'"4\\n2026-11-20 INFO all is well"', b'"../x"', b'"https://x/y?sig=QZXJ"']
)
def test_a_schedule_without_an_id_that_is_one_is_told_and_costs_no_other(report_id: bytes) -> None:
    """It becomes a key, a part of a URL, and a line of the log."""
    listed = schedules_in(b'{"data":[{"reportId":%s},{"reportId":43007}]}' % report_id, "it")
    assert listed.items == [Schedule("43007", True)]
    (odd,) = listed.odd
    assert "reportId" in odd
    assert "QZXJ" not in odd
    assert "\n" not in odd


def test_what_a_run_is_told_by_is_one_line() -> None:
    """A time with a line break would be another line of the log."""
    (run,) = runs_in(
        b'{"data":[{"ReportDatetime":"2018\\nINFO","ReportStatus":"Com\\r\\nple\\u2028ted"}]}', "1", "it"
    ).items
    assert f"{run} {run.status}".isprintable()


def test_what_is_odd_has_one_row_however_often_it_is_told() -> None:
    """An error names a request and a time, which are others at each check."""
    first = odd_key("report 43000: an error: late (5f0c2a52-1f0e-4c3e-9f3e-0a1b2c3d4e5f at 2026-11-20T05:35:32.1Z)")
    again = odd_key("report 43000: an error: late (6a0c2a52-1f0e-4c3e-9f3e-0a1b2c3d4e50 at 2026-11-21T06:00:00Z)")
    other = odd_key("report 43007: an error: late (5f0c2a52-1f0e-4c3e-9f3e-0a1b2c3d4e5f at 2026-11-20T05:35:32.1Z)")
    assert first == again != other

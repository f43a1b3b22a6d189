"""Every fault as a client meets it, and the right answer afterwards."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from local.simulator.builder import CabForm
from local.simulator.catalogue import FailureKey
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost

from .api_client import TIMEOUT, ApiClient


@pytest.fixture
def failure(api: ApiClient) -> FailureKey:
    failure = api.simulator.builder.failure(3, CabForm((200_000, 200_000)))
    api.simulator.publish()
    return failure.key


def fail(
    api: ApiClient, kind: FaultKind, call: Call = Call.CAB_BATCH, delay: float = 1.0, retry_after: int = 1
) -> None:
    api.simulator.faults.add(Fault(call=call, kind=kind, delay=delay, retry_after=retry_after))


@pytest.mark.parametrize(
    ("kind", "status", "seen"),
    [
        (FaultKind.SERVER_ERROR, 500, {"statusCode": 500, "message": "Internal server error"}),
        (FaultKind.UNAVAILABLE, 503, {"statusCode": 503, "message": "Service Unavailable"}),
        (FaultKind.TIMED_OUT, 408, {"statusCode": 408, "message": "Request Timeout"}),
    ],
)
def test_the_gateways_errors(api: ApiClient, failure: FailureKey, kind: FaultKind, status: int, seen: object) -> None:
    fail(api, kind)
    answer = api.batch(failure)
    assert (answer.status_code, answer.json()) == (status, seen)
    assert api.batch(failure).status_code == 200


def test_a_missing_or_wrong_token_gets_401(api: ApiClient, failure: FailureKey) -> None:
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        answer = api.session.get(f"{api.simulator.url}/analytics/driver/report", headers=headers, timeout=TIMEOUT)
        assert answer.status_code == 401
        assert answer.json()["statusCode"] == 401
    fail(api, FaultKind.UNAUTHORIZED)
    assert [api.batch(failure).status_code for _ in range(2)] == [401, 200]


def test_a_missing_role_gets_the_body_that_was_seen(api: ApiClient, failure: FailureKey) -> None:
    fail(api, FaultKind.FORBIDDEN)
    answer = api.batch(failure)
    assert answer.status_code == 403
    assert answer.json()["code"] == "Forbidden"
    assert answer.json()["innererror"]["message"] == "User UnauthorizedException EC5"


def test_throttling_by_header_by_date_and_by_the_sentence_alone(api: ApiClient, failure: FailureKey) -> None:
    for kind in (FaultKind.THROTTLED, FaultKind.THROTTLED_DATE, FaultKind.THROTTLED_SENTENCE):
        fail(api, kind, retry_after=14)
    seconds, date, sentence = (api.batch(failure) for _ in range(3))
    assert {answer.status_code for answer in (seconds, date, sentence)} == {429}
    assert seconds.headers["Retry-After"] == "14"
    wait = parsedate_to_datetime(date.headers["Retry-After"]) - datetime.now(UTC)
    assert timedelta(seconds=12) < wait <= timedelta(seconds=15)
    assert "Retry-After" not in sentence.headers
    assert sentence.json()["message"] == "Rate limit is exceeded. Try again in 14 seconds."


def test_bodies_that_are_not_what_they_should_be(api: ApiClient, failure: FailureKey) -> None:
    for kind in (FaultKind.HTML, FaultKind.TRUNCATED, FaultKind.WRONG_TYPE):
        fail(api, kind)
    page, truncated, wrong = (api.batch(failure) for _ in range(3))
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.text.startswith("<!DOCTYPE html>")
    assert truncated.text.startswith('{"Value":[')
    with pytest.raises(requests.exceptions.JSONDecodeError):
        truncated.json()
    assert wrong.json()["Value"] == "none"
    assert len(api.batch(failure).json()["Value"]) == 3


def test_a_slow_answer_is_the_right_one(api: ApiClient, failure: FailureKey) -> None:
    fail(api, FaultKind.SLOW, delay=0.3)
    start = time.monotonic()
    assert len(api.batch(failure).json()["Value"]) == 3
    assert time.monotonic() - start >= 0.3


def test_a_reset_connection(api: ApiClient, failure: FailureKey) -> None:
    fail(api, FaultKind.RESET)
    with pytest.raises(requests.exceptions.ConnectionError, match=r"reset|aborted"):
        api.batch(failure)
    assert api.batch(failure).status_code == 200
    assert api.simulator.ledger.answers(Call.CAB_BATCH, 0) == 1


def test_urls_that_are_expired_when_they_come(api: ApiClient, failure: FailureKey) -> None:
    fail(api, FaultKind.EXPIRED_SAS)
    for expected in (403, 200):
        urls = [row["cabUrl"] for row in api.rows(failure)]
        assert {requests.get(url, timeout=TIMEOUT).status_code for url in urls} == {expected}


def test_rows_that_lack_their_url(api: ApiClient, failure: FailureKey) -> None:
    fail(api, FaultKind.MISSING_URL)
    assert not any("cabUrl" in row for row in api.rows(failure))
    assert all("cabUrl" in row for row in api.rows(failure))


def test_a_fault_of_one_report_leaves_another_alone(api: ApiClient) -> None:
    first, second = (api.simulator.builder.report([]) for _ in range(2))
    match = {"reportId": str(first.report_id)}
    api.simulator.faults.add(Fault(call=Call.REPORT_DATA, kind=FaultKind.SERVER_ERROR, match=match))
    path = "/analytics/driver/reportdata/"
    assert [api.get(f"{path}{report.report_id}").status_code for report in (second, first, first)] == [200, 500, 200]


def test_a_blob_that_breaks_off(api: ApiClient, failure: FailureKey) -> None:
    """A client that takes half a cab for a whole one loses it."""
    api.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    url = api.rows(failure)[0]["cabUrl"]
    fail(api, FaultKind.TRUNCATED, Call.BLOB)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        requests.get(url, timeout=TIMEOUT)
    assert len(requests.get(url, timeout=TIMEOUT).content) > 200_000
    assert api.simulator.ledger.answers(Call.BLOB, 0) == 1


def test_a_blob_by_the_simulators_address_can_be_read_in_parts(api: ApiClient, failure: FailureKey) -> None:
    api.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    url = api.rows(failure)[0]["cabUrl"]
    whole = requests.get(url, timeout=TIMEOUT)
    part = requests.get(url, headers={"Range": "bytes=1000-1999"}, timeout=TIMEOUT)
    assert (part.status_code, part.content) == (206, whole.content[1_000:2_000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(whole.content)}"
    head = requests.head(url, timeout=TIMEOUT)
    assert (head.status_code, int(head.headers["Content-Length"])) == (200, len(whole.content))


@pytest.mark.parametrize(
    ("kind", "status", "wait"),
    [
        (FaultKind.NOT_FOUND, 404, None),
        (FaultKind.CONFLICT, 409, None),
        (FaultKind.PRECONDITION_FAILED, 412, None),
        (FaultKind.THROTTLED_SILENT, 429, None),
        (FaultKind.UNAVAILABLE_WAIT, 503, "7"),
    ],
)
def test_statuses_with_and_without_a_wait(
    api: ApiClient, failure: FailureKey, kind: FaultKind, status: int, wait: str | None
) -> None:
    fail(api, kind, retry_after=7)
    answer = api.batch(failure)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, wait)
    assert "in 7 seconds" not in answer.text


@pytest.mark.parametrize("call", [Call.CAB_BATCH, Call.BLOB])
def test_a_connection_that_is_reset_in_the_middle_of_a_body(api: ApiClient, failure: FailureKey, call: Call) -> None:
    api.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    url = api.rows(failure)[0]["cabUrl"]
    fail(api, FaultKind.RESET_IN_BODY, call)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError), match="reset"):
        api.batch(failure) if call is Call.CAB_BATCH else requests.get(url, timeout=TIMEOUT)
    assert api.simulator.ledger.answers(call, 0) == 1


def test_an_answer_that_is_lost_was_given(api: ApiClient, failure: FailureKey) -> None:
    """What was asked for is done, and who asked cannot know."""
    cab = api.simulator.world.cabs(failure)[0]
    fail(api, FaultKind.LOST)
    with pytest.raises(requests.exceptions.ConnectionError):
        api.batch(failure)
    assert api.simulator.ledger.times_served(cab) == 1
    assert api.batch(failure).status_code == 200


def test_an_answer_that_drips_is_the_right_one(api: ApiClient, failure: FailureKey) -> None:
    fail(api, FaultKind.DRIP, delay=0.3)
    start = time.monotonic()
    assert len(api.batch(failure).json()["Value"]) == 3
    assert time.monotonic() - start >= 0.3


def test_a_connection_that_hangs_is_reset_at_last(api: ApiClient, failure: FailureKey) -> None:
    fail(api, FaultKind.HANG, delay=0.3)
    start = time.monotonic()
    with pytest.raises(requests.exceptions.ConnectionError, match=r"reset|aborted"):
        api.batch(failure)
    assert time.monotonic() - start >= 0.3
    cab = api.simulator.world.cabs(failure)[0]
    assert api.simulator.ledger.times_served(cab) == 0

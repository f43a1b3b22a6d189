"""Who calls the HTTP API with something wrong must hear what."""

import base64
import json
from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.cabs import CabAsked
from shared.api.plan import PlanAsked
from shared.api.pulls import PullRequest
from shared.api.requests import (
    CAB_STATE,
    CONTINUATION,
    LIMIT,
    PULL_STATE,
    PageAsked,
    asked_in,
    continuation_text,
)
from shared.api.schedules import ScheduleAsked, TemplateAsked
from shared.core.errors import BadInput
from shared.core.failure import Failure, Window
from shared.progress.cab_row import CabState
from shared.progress.pull_row import PullState

APPLICATION = "13984104677400476"
HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
ASKED = {"applicationId": APPLICATION, "failureHash": HASH}
KEYS = {"PartitionKey": "1!8!", "RowKey": "1!8!"}


def body(**fields: object) -> bytes:
    return json.dumps({**ASKED, **fields}).encode()


def test_one_failure_is_asked_for() -> None:
    asked = PullRequest.decode(body())
    assert asked == PullRequest((Failure(APPLICATION, HASH),), None)


def test_several_failures_are_asked_for_in_their_order_and_each_once() -> None:
    asked = PullRequest.decode(json.dumps({"applicationId": APPLICATION, "failureHashes": ["b", "a", "b"]}).encode())
    assert [failure.failure_hash for failure in asked.failures] == ["b", "a"]


def test_days_are_asked_for() -> None:
    asked = PullRequest.decode(body(startDate="2026-10-22", endDate="2026-11-22"))
    assert asked.window == Window(date(2026, 10, 22), date(2026, 11, 22))


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the body is missing: send JSON with applicationId"),
    "blank": (b" \n", "the body is missing"),
    "not JSON": (b"applicationId=1", "not what this call takes"),
    "half": (body()[:-5], "not what this call takes"),
    "a list": (b"[]", "object"),
    "null": (b"null", "object"),
    "not UTF-8": (b'{"applicationId":"\xff"}', "not what this call takes"),
    "too deep": (b'{"applicationId":' + b"[" * 20_000, "not what this call takes"),
    "no applicationId": (b'{"failureHash":"a"}', "applicationId"),
    "a number as the applicationId": (b'{"applicationId":13984104677400476,"failureHash":"a"}', "applicationId"),
    "a path as the applicationId": (
        b'{"applicationId":"../x","failureHash":"a"}',
        "applicationId is '../x', which is not one: it must be 1 to 64 letters",
    ),
    "a path as the failureHash": (b'{"applicationId":"1","failureHash":"../x"}', "it must be 1 to 128 letters"),
    "no hash": (b'{"applicationId":"1"}', "failureHash"),
    "both kinds of hash": (body(failureHashes=["a"]), "not both"),
    "no hashes": (b'{"applicationId":"1","failureHashes":[]}', "failureHashes"),
    "too many hashes": (
        json.dumps({"applicationId": "1", "failureHashes": [f"a{number}" for number in range(1_001)]}).encode(),
        "<= 1000",
    ),
    "a bad hash among others": (b'{"applicationId":"1","failureHashes":["a","b/c"]}', "failureHash"),
    "a misspelt field": (body(startdate="2026-10-22"), "startdate"),
    "one date": (body(startDate="2026-10-22"), "endDate"),
    "no date": (body(startDate="soon", endDate="2026-10-22"), "startDate"),
    "dates in the wrong order": (body(startDate="2026-10-23", endDate="2026-10-22"), "is after"),
    "a name that comes twice": (
        b'{"applicationId":"1","failureHash":"a","failureHash":"b"}',
        "failureHash comes twice",
    ),
    "half a surrogate pair": (b'{"applicationId":"1","failureHash":"\\ud800"}', "not what this call takes"),
    "a control character": (b'{"applicationId":"1","failureHash":"a\\u0000"}', "failureHash"),
    "a line break at the end of the applicationId": (b'{"applicationId":"1\\n","failureHash":"a"}', "applicationId"),
    "a line break at the end": (b'{"applicationId":"1","failureHash":"a\\n"}', "failureHash"),
    "half of UTF-16": (body().decode().encode("utf-16")[:-1], "it begins like UTF-16, and is not"),
    "a date with a time": (body(startDate="2026-11-01T00:00:00Z", endDate="2026-11-02"), "must be yyyy-mm-dd"),
    "a date of another country": (body(startDate="2026-11-01", endDate="11/02/2026"), "must be yyyy-mm-dd"),
    "a placeholder as the hash": (body(failureHash="NULL"), "failureHash is '', which is missing"),
}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_body_may_be_in_any_encoding_of_json(encoding: str) -> None:
    """PowerShell writes them with a mark, or in UTF-16."""
    asked = PullRequest.decode(body().decode().encode(encoding))
    assert asked.failures == (Failure(APPLICATION, HASH),)


def test_one_failure_in_two_spellings_is_asked_for_once() -> None:
    asked = PullRequest.decode(
        json.dumps({"applicationId": "1", "failureHashes": [HASH, HASH.upper(), f"{{{HASH}}}", "x"]}).encode()
    )
    assert [each.failure_hash.lower() for each in asked.failures] == [HASH, "x"]


@pytest.mark.parametrize(("content", "told"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_body_is_refused_with_what_is_wrong(content: bytes, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        PullRequest.decode(content)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("wanted", "content", "told"),
    [
        (CabAsked, b'{"failureHash":"a","failureHash":"b"}', "failureHash comes twice"),
        (TemplateAsked, b'{"reportPeriod":"Last7Days","report\\u0050eriod":null}', "reportPeriod comes twice"),
        (ScheduleAsked, b'{"recurrence":3,"recurrenceInterval":24,"recurrence":4}', "recurrence comes twice"),
        (PlanAsked, b'{"keep":"","keep":"[[rules]]"}', "keep comes twice"),
        (PlanAsked, b" ", "required field `keep`"),
    ],
    ids=repr,
)
def test_every_body_is_read_in_one_way(wanted: type[object], content: bytes, told: str) -> None:
    """Of a name that comes twice, each parser takes another one: what a proxy allowed may not be what is done."""
    with pytest.raises(BadInput) as refused:
        asked_in(content, wanted)
    assert told in str(refused.value)


@pytest.mark.parametrize("content", [b"", b" \r\n", b"{}"])
def test_a_body_of_which_all_may_be_left_out_may_be_left_out(content: bytes) -> None:
    assert asked_in(content, CabAsked) == CabAsked()


@given(
    st.binary(max_size=100) | st.text(st.sampled_from('{}[]:,"applicationIdfailureHash1'), max_size=60).map(str.encode)
)
def test_any_body_is_a_request_or_refused(content: bytes) -> None:
    try:
        PullRequest.decode(content)
    except BadInput:
        return


def test_null_is_the_same_as_nothing() -> None:
    """Many clients write what they leave out so."""
    asked = PullRequest.decode(body(failureHashes=None, startDate=None, endDate=None))
    assert asked == PullRequest((Failure(APPLICATION, HASH),), None)


def test_a_query_has_defaults() -> None:
    for query in ({}, {"state": "", "limit": "", "continuation": ""}):
        assert PageAsked.parse(query) == PageAsked(100, None)
        assert PULL_STATE.read(query) is None
        assert CAB_STATE.read(query) is None


@pytest.mark.parametrize("state", PullState)
def test_a_query_may_name_the_state_of_a_pull(state: PullState) -> None:
    assert PULL_STATE.read({"state": state.value}) is state


@pytest.mark.parametrize("state", CabState)
def test_a_query_may_name_the_state_of_a_cab(state: CabState) -> None:
    assert CAB_STATE.read({"state": state.value}) is state


@pytest.mark.parametrize("limit", [1, 1_000])
def test_a_query_may_name_a_limit(limit: int) -> None:
    assert LIMIT.read({"limit": str(limit)}) == limit


@pytest.mark.parametrize(
    "query",
    [
        {"state": "queued"},
        {"state": "Done"},
        {"state": "null"},
        {"state": "Failed\n"},
        {"state": "Failed,Queued"},
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "ten"},
        {"limit": "1e2"},
        {"limit": "1.0"},
        {"limit": "٣"},
        {"limit": "null"},
        {"limit": "1,2"},
        {"limit": "9" * 5_000},
        {"limit": "00000000199999"},
        {"continuation": "x"},
        {"continuation": "é"},
        {"continuation": "\ud800"},
        {"continuation": "1"},
        {"continuation": "a" * 5_000},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":"a"}').decode()},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":"a","RowKey":"b","x":"c"}').decode()},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":1,"RowKey":"b"}').decode()},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":' + b"[" * 20_000).decode()},
    ],
)
def test_a_malformed_query_is_refused_with_the_parameter(query: Mapping[str, str]) -> None:
    with pytest.raises(BadInput, match=next(iter(query))):
        PULL_STATE.read(query)
        PageAsked.parse(query)


@given(st.fixed_dictionaries({}, optional={name: st.text(max_size=20) for name in ("state", "limit", "continuation")}))
def test_any_query_is_refused_or_within_its_limits(query: Mapping[str, str]) -> None:
    try:
        CAB_STATE.read(query)
        asked = PageAsked.parse(query)
    except BadInput:
        return
    assert 1 <= asked.limit <= 1_000


@given(
    partition=st.text(st.characters(exclude_categories=["Cs"])), key=st.text(st.characters(exclude_categories=["Cs"]))
)
def test_a_continuation_comes_back_as_it_went_out(partition: str, key: str) -> None:
    following = {"PartitionKey": partition, "RowKey": key}
    text = continuation_text(following) or ""
    assert PageAsked.parse({"continuation": text}).after == following


def test_a_continuation_of_digits_is_a_text() -> None:
    """Found by a test of the schema: what looked like a number was read as one, and refused."""
    assert CONTINUATION.read({"continuation": "1234"}) == "1234"


def test_the_last_page_has_no_continuation() -> None:
    assert continuation_text(None) is None
    assert continuation_text({}) is None
    assert continuation_text(KEYS)

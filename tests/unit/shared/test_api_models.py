"""Who calls the HTTP API with something wrong must hear what, and who calls it right must get all of it."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api_models import PullRequest, PullsQuery, continuation_text, pull_body, run_body
from shared.errors import BadInput
from shared.failure import Failure, Window
from shared.pull_rows import CabCounts, PullRow, PullState
from shared.report_check import RunOutcome

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
    "empty": (b"", "not a pull request"),
    "not JSON": (b"applicationId=1", "not a pull request"),
    "half": (body()[:-5], "not a pull request"),
    "a list": (b"[]", "object"),
    "null": (b"null", "object"),
    "not UTF-8": (b'{"applicationId":"\xff"}', "not a pull request"),
    "too deep": (b'{"applicationId":' + b"[" * 20_000, "not a pull request"),
    "no applicationId": (b'{"failureHash":"a"}', "applicationId"),
    "a number as the applicationId": (b'{"applicationId":13984104677400476,"failureHash":"a"}', "applicationId"),
    "a path as the applicationId": (b'{"applicationId":"../x","failureHash":"a"}', "applicationId"),
    "no hash": (b'{"applicationId":"1"}', "failureHash"),
    "both kinds of hash": (body(failureHashes=["a"]), "not both"),
    "no hashes": (b'{"applicationId":"1","failureHashes":[]}', "failureHashes has 0"),
    "too many hashes": (
        json.dumps({"applicationId": "1", "failureHashes": [f"a{number}" for number in range(1_001)]}).encode(),
        "1001",
    ),
    "a bad hash among others": (b'{"applicationId":"1","failureHashes":["a","b/c"]}', "failureHash"),
    "a misspelt field": (body(startdate="2026-10-22"), "startdate"),
    "one date": (body(startDate="2026-10-22"), "endDate"),
    "no date": (body(startDate="soon", endDate="2026-10-22"), "startDate"),
    "dates in the wrong order": (body(startDate="2026-10-23", endDate="2026-10-22"), "is after"),
    "too large": (body(failureHash="a" * (1 << 20)), "bytes"),
}


@pytest.mark.parametrize(("content", "told"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_body_is_refused_with_what_is_wrong(content: bytes, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        PullRequest.decode(content)
    assert told in str(refused.value)


@given(
    st.binary(max_size=100) | st.text(st.sampled_from('{}[]:,"applicationIdfailureHash1'), max_size=60).map(str.encode)
)
def test_any_body_is_a_request_or_refused(content: bytes) -> None:
    try:
        PullRequest.decode(content)
    except BadInput:
        return


def test_a_query_has_defaults() -> None:
    assert PullsQuery.parse({}) == PullsQuery(None, 100, None)
    assert PullsQuery.parse({"state": "", "limit": "", "continuation": ""}) == PullsQuery(None, 100, None)


@pytest.mark.parametrize("state", PullState)
def test_a_query_may_name_a_state_and_a_limit(state: PullState) -> None:
    query = PullsQuery.parse({"state": state.value, "limit": "1000"})
    assert (query.state, query.limit) == (state, 1_000)


@pytest.mark.parametrize(
    "query",
    [
        {"state": "queued"},
        {"state": "Done"},
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "ten"},
        {"limit": "1e2"},
        {"limit": "00000000199999"},
        {"continuation": "x"},
        {"continuation": "é"},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":"a"}').decode()},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":"a","RowKey":"b","x":"c"}').decode()},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":1,"RowKey":"b"}').decode()},
        {"continuation": base64.urlsafe_b64encode(b'{"PartitionKey":' + b"[" * 20_000).decode()},
    ],
)
def test_a_malformed_query_is_refused_with_the_parameter(query: Mapping[str, str]) -> None:
    with pytest.raises(BadInput, match=next(iter(query))):
        PullsQuery.parse(query)


@given(st.fixed_dictionaries({}, optional={name: st.text(max_size=20) for name in ("state", "limit", "continuation")}))
def test_any_query_is_refused_or_within_its_limits(query: Mapping[str, str]) -> None:
    try:
        parsed = PullsQuery.parse(query)
    except BadInput:
        return
    assert 1 <= parsed.limit <= 1_000


@given(
    partition=st.text(st.characters(exclude_categories=["Cs"])), key=st.text(st.characters(exclude_categories=["Cs"]))
)
def test_a_continuation_comes_back_as_it_went_out(partition: str, key: str) -> None:
    following = {"PartitionKey": partition, "RowKey": key}
    text = continuation_text(following) or ""
    assert PullsQuery.parse({"continuation": text}).after == following


def test_the_last_page_has_no_continuation() -> None:
    assert continuation_text(None) is None
    assert continuation_text({}) is None
    assert continuation_text(KEYS)


def test_a_pull_is_told_as_the_contract_says() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
    row = PullRow(
        failure=Failure(APPLICATION, HASH),
        state=PullState.COMPLETED,
        window=Window(date(2026, 10, 22), date(2026, 11, 22)),
        skip=6,
        counts=CabCounts(seen=21, copied=1, already_held=2, expired=3, unavailable=4, failed=5, bytes=6_000_000_000),
        attempts=7,
        stalled=1,
        last_error="5 cabs failed",
        requested_by="POST /api/pulls",
        queued_at=at,
        started_at=at + timedelta(seconds=1),
        updated_at=at + timedelta(seconds=2),
        completed_at=at + timedelta(seconds=3),
    )
    assert pull_body(row) == {
        "applicationId": APPLICATION,
        "failureHash": HASH,
        "state": "Completed",
        "window": {"startDate": "2026-10-22", "endDate": "2026-11-22"},
        "cabs": {"seen": 21, "copied": 1, "alreadyHeld": 2, "expired": 3, "unavailable": 4, "failed": 5},
        "bytes": 6_000_000_000,
        "attempts": 7,
        "lastError": "5 cabs failed",
        "queuedAt": "2026-11-21T12:00:00.123Z",
        "startedAt": "2026-11-21T12:00:01.123Z",
        "updatedAt": "2026-11-21T12:00:02.123Z",
        "completedAt": "2026-11-21T12:00:03.123Z",
    }


def test_what_has_not_happened_is_null() -> None:
    row = PullRow(Failure("1", "a"), PullState.QUEUED, None, 0, CabCounts(), 0, 0, "", "", None, None, None, None)
    told = pull_body(row)
    for name in ("window", "lastError", "queuedAt", "startedAt", "updatedAt", "completedAt"):
        assert told[name] is None


def test_a_run_is_told_with_what_was_done() -> None:
    assert run_body(RunOutcome("43000", "2026-11-20T05:35:32", "Completed", "ingested", 3, 7)) == {
        "reportId": "43000",
        "reportDatetime": "2026-11-20T05:35:32",
        "status": "Completed",
        "outcome": "ingested",
        "failures": 3,
        "cabs": 7,
        "error": None,
    }

"""A queue message must mean the same to who sends and who receives it, and a broken one must say how it is broken."""

import base64
import json
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.core.failure import Failure, Window
from shared.progress.messages import PullMessage, failure_named_in, unwrapped

FAILURE = Failure("13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed")
NAMED = {"applicationId": FAILURE.application_id, "failureHash": FAILURE.failure_hash}
WINDOWS = st.tuples(st.dates(), st.dates()).map(lambda days: Window(min(days), max(days)))


@given(window=WINDOWS | st.none(), requested_by=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_message_comes_out_as_it_went_in(window: Window | None, requested_by: str) -> None:
    message = PullMessage(FAILURE, window, requested_by, pull_id="3f9a01c2")
    assert PullMessage.decode(message.encode().encode()) == message


def test_the_json_is_the_documented_one() -> None:
    """Other programs may send messages too."""
    message = PullMessage(FAILURE, Window(date(2026, 10, 22), date(2026, 11, 22)), "report 43000", pull_id="3f9a01c2")
    assert json.loads(message.encode()) == {
        **NAMED,
        "startDate": "2026-10-22",
        "endDate": "2026-11-22",
        "requestedBy": "report 43000",
        "pullId": "3f9a01c2",
    }


@pytest.mark.parametrize("told", [{}, {"pullId": ""}, {"pullId": "a\nb"}, {"pullId": "x" * 41}])
def test_a_message_without_an_id_gets_one(told: dict[str, str]) -> None:
    first, other = (PullMessage.decode(json.dumps({**NAMED, **told}).encode()) for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{8}", first.pull_id)
    assert first.pull_id != other.pull_id


def test_a_message_needs_no_more_than_a_failure() -> None:
    message = PullMessage.decode(json.dumps(NAMED).encode())
    assert (message.failure, message.window) == (FAILURE, None)


def test_a_field_of_a_later_version_is_passed_over() -> None:
    """Messages of a newer version may be waiting while an older one still runs."""
    assert PullMessage.decode(json.dumps({**NAMED, "priority": 1}).encode()).failure == FAILURE


MALFORMED = {
    "empty": b"",
    "not JSON": b"pull!",
    "half": b'{"applicationId": "139',
    "not an object": b'["13984104677400476"]',
    "not UTF-8": b'{"applicationId": "\xff"}',
    "no failureHash": b'{"applicationId": "13984104677400476"}',
    "a number": b'{"applicationId": 13984104677400476, "failureHash": "a"}',
    "null": b'{"applicationId": null, "failureHash": "a"}',
    "a path": b'{"applicationId": "../x", "failureHash": "a"}',
    "an empty hash": b'{"applicationId": "1", "failureHash": ""}',
    "too deep": b'{"applicationId": "1", "failureHash": "a", "x": ' + b"[" * 20_000,
    "one date": json.dumps({**NAMED, "startDate": "2026-01-01"}).encode(),
    "no date": json.dumps({**NAMED, "startDate": "soon", "endDate": "2026-01-01"}).encode(),
    "dates in the wrong order": json.dumps({**NAMED, "startDate": "2026-02-01", "endDate": "2026-01-01"}).encode(),
    "requestedBy a number": json.dumps({**NAMED, "requestedBy": 7}).encode(),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput):
        PullMessage.decode(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(text: bytes) -> None:
    try:
        PullMessage.decode(text)
    except BadInput:
        assert failure_named_in(text) is None or b"ate" in text


@pytest.mark.parametrize(
    "raw",
    [
        base64.b64encode(json.dumps(NAMED).encode()),
        base64.encodebytes(json.dumps({**NAMED, "requestedBy": "x" * 80}).encode()),
        json.dumps(NAMED).encode(),
        b" \r\n" + json.dumps(NAMED, indent=1).encode(),
    ],
    ids=["base64", "base64 with line breaks", "JSON", "JSON with spaces"],
)
def test_a_text_of_the_queue_is_read(raw: bytes) -> None:
    """What a person sends with a storage explorer may lack the base64; nobody would be told for days."""
    assert PullMessage.decode(unwrapped(raw)).failure == FAILURE


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"pull!", "not base64"),
        ("zieh!".encode("utf-16"), "not base64"),
        (b"cHVsbA=", "not base64"),
        (base64.b64encode(b"\xff\xfe\x00pull"), "not UTF-8"),
        (base64.b64encode(b"pull"), "no pull message"),
        (b"", "no pull message"),
    ],
)
def test_a_text_that_is_none_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        PullMessage.decode(unwrapped(raw))


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2026-11-22", "2026-13-40", "0000-01-01", "../x", "a/b", "a b", FAILURE.application_id])
)
FIELDS = st.sampled_from(["applicationId", "failureHash", "startDate", "endDate", "requestedBy", "rowVersion", "x"])


@given(st.dictionaries(FIELDS, VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(FIELDS, VALUES, max_size=2)))
def test_any_json_is_a_message_that_can_be_sent_on_or_refused(fields: dict[str, object]) -> None:
    """A message is sent again where its pull must wait: what was taken once must be taken again."""
    text = json.dumps({**NAMED, **fields}).encode()
    try:
        message = PullMessage.decode(text)
    except BadInput:
        failure_named_in(text)
        return
    assert failure_named_in(text) == message.failure
    assert PullMessage.decode(message.encode().encode()) == message


def test_a_refusal_describes_the_message_and_quotes_nothing() -> None:
    with pytest.raises(BadInput) as refused:
        PullMessage.decode(b'{"applicationId": "1", "failureHash": "a", "startDate": "https://x/y?sig=QZXJ"}')
    assert "{applicationId: text of 1, failureHash: text of 1, startDate: text of 20}" in str(refused.value)
    assert "QZXJ" not in str(refused.value)


@pytest.mark.parametrize("kind", ["one date", "no date", "dates in the wrong order", "requestedBy a number"])
def test_the_failure_is_found_though_the_rest_is_broken(kind: str) -> None:
    """The pull of a poison message must end as Failed, or people wait for it forever."""
    assert failure_named_in(MALFORMED[kind]) == FAILURE


@pytest.mark.parametrize(
    "kind", ["empty", "not JSON", "half", "not an object", "not UTF-8", "no failureHash", "a number", "null", "a path"]
)
def test_a_message_that_names_no_failure_gives_none(kind: str) -> None:
    assert failure_named_in(MALFORMED[kind]) is None


def test_a_message_that_is_too_deep_names_no_failure_and_breaks_nothing() -> None:
    """An error here would bring the message back to the poison queue's trigger again and again."""
    assert failure_named_in(MALFORMED["too deep"]) is None

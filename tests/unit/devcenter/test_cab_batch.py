"""Whichever way the service pages, every row must be read once to its end; a cab that is missed here is lost."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import replace
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from shared.core.errors import AgainLater, BadAnswer, BadInput
from shared.devcenter.driver import PAGE_ROWS, CabBatch
from shared.devcenter.pages import BatchCab, BatchPage
from tests.support.loopback import Answer, LoopbackServer, Seen

from .devcenter_client import FAILURE, WINDOW, batch_pages, dev_center

LINK = "driver/cabdownloadbatch?applicationId=1&failureHash=a&top=100&skip={}"


@dataclass(frozen=True, slots=True)
class Rows:
    """What a page holds.

    Args:
        rows: Its rows.
        total: How many rows there are.
        following: The skip of the next page; None on the last.
        host: Who was asked, host and port.
    """

    rows: list[object]
    total: int
    following: int | None
    host: str

    @property
    def link(self) -> str | None:
        """The next link as the sibling endpoints show it."""
        return None if self.following is None else LINK.format(self.following)

    def link_at(self, base: str) -> str | None:
        """Return the next link with something before it."""
        return self.link and base + self.link


type Envelope = Callable[[Rows], Mapping[str, object]]


def row(number: int) -> dict[str, object]:
    return {
        "cabIdHash": f"cab-{number}",
        "cabUrl": f"https://a.blob.core.windows.net/k/cab-{number}.ext.zip?sig=x",
        "date": "2026-11-01 13:53:43",
        "cabExpirationTime": "2026-12-01 13:53:43",
    }


def linked(page: Rows) -> Mapping[str, object]:
    """The shape of the sibling endpoints, which the documentation and real answers show."""
    return {"Value": page.rows, "@nextLink": page.link, "TotalCount": page.total}


@contextmanager
def server_of(total: int, envelope: Envelope) -> Iterator[LoopbackServer]:
    """Serve so many rows, 100 a page, in an envelope."""

    def answer(seen: Seen) -> Answer:
        skip, top = int(seen.query["skip"]), int(seen.query["top"])
        rows: list[object] = [row(number) for number in range(skip, min(skip + top, total))]
        following = skip + top if skip + top < total else None
        return Answer(json.dumps(envelope(Rows(rows, total, following, seen.headers["host"]))).encode())

    with LoopbackServer(answer) as server:
        yield server


def names(pages: list[BatchPage]) -> list[str]:
    return [cab.cab_id_hash for page in pages for cab in page.cabs]


ENVELOPES: dict[str, Envelope] = {
    "documented": linked,
    "absolute": lambda page: {
        "Value": page.rows,
        "@nextLink": page.link_at(f"http://{page.host}/v1.0/my/analytics/"),
    },
    "rooted": lambda page: {"Value": page.rows, "@nextLink": page.link_at("/v1.0/my/analytics/")},
    "lower case": lambda page: {"value": page.rows, "nextLink": page.link},
    "OData": lambda page: {"value": page.rows, "@odata.nextLink": page.link},
    "absent at the end": lambda page: {"Value": page.rows, **({"@nextLink": page.link} if page.link else {})},
    "spaces in the link": lambda page: {
        "Value": page.rows,
        "@nextLink": page.link and f"{page.link}&startDate=2026-10-22 00:00:00",
    },
    "only a total": lambda page: {"Value": page.rows, "TotalCount": page.total},
    "a total as a text": lambda page: {"Value": page.rows, "TotalCount": str(page.total)},
    "neither": lambda page: {"Value": page.rows},
    "a total too large": lambda page: {"Value": page.rows, "TotalCount": page.total + 500},
    "a total too small": lambda page: {**linked(page), "TotalCount": 7},
    "a total of no sense": lambda page: {**linked(page), "TotalCount": "unknown"},
    "a foreign link": lambda page: {
        **linked(page),
        "@nextLink": page.link_at(f"http://localhost:{page.host.split(':')[1]}/"),
    },
    "null rows at the end": lambda page: {"Value": page.rows or None},
}


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 200, 250])
def test_every_row_is_read_once(envelope: Envelope, total: int) -> None:
    with server_of(total, envelope) as server:
        pages = batch_pages(server.url)
    assert names(pages) == [f"cab-{number}" for number in range(total)]
    assert all(each.headers["host"] == f"127.0.0.1:{server.port}" for each in server.seen)


@pytest.mark.parametrize(("total", "requests"), [(0, 1), (100, 1), (101, 2), (250, 3)])
def test_a_hundred_rows_cost_one_request(total: int, requests: int) -> None:
    with server_of(total, linked) as server:
        batch_pages(server.url)
    assert len(server.seen) == requests


def test_a_pull_goes_on_from_its_checkpoint() -> None:
    with server_of(250, linked) as server:
        assert names(batch_pages(server.url, 200)) == [f"cab-{number}" for number in range(200, 250)]
    # Whether an earlier run has counted rows twice is not known, so the end is made sure of.
    assert [each.query["skip"] for each in server.seen] == ["200", "250"]


def test_rows_that_come_again_are_passed_on() -> None:
    """Order is undocumented and rows shift: the pull knows a cab by its id, and drops what it has."""

    def repeated(page: Rows) -> Mapping[str, object]:
        return {**linked(page), "Value": page.rows if len(page.rows) == PAGE_ROWS else [row(0), *page.rows]}

    with server_of(150, repeated) as server:
        pages = batch_pages(server.url)
    assert set(names(pages)) == {f"cab-{number}" for number in range(150)}


UNREADABLE: dict[str, tuple[object, str]] = {
    "no cabIdHash": ({"cabUrl": "https://x/y?sig=QZXJ"}, "{cabUrl: text of 20}"),
    "null": (None, "null"),
    "a text": ("QZXJ-in-a-text", "text of 14"),
    "a list": ([], "list of 0"),
    "a number as the id": ({"cabIdHash": 7}, "{cabIdHash: number}"),
    "a path as the id": ({"cabIdHash": "../../QZXJ"}, "{cabIdHash: text of 10}"),
    "a slash in the id": ({"cabIdHash": "QZXJ/b"}, "{cabIdHash: text of 6}"),
    "an empty id": ({"cabIdHash": ""}, "{cabIdHash: text of 0}"),
    "a placeholder as the id": ({"cabIdHash": "NULL", "sig\u003dQZXJ123": 1}, "{cabIdHash: text of 4, …: number}"),
    "a device as a key": ({"{QZXJ9d3f-device-1}": {"a": 1}}, "{…: object of 1}"),
}


@pytest.mark.parametrize(("bad", "shape"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_row_that_cannot_be_read_costs_no_other_and_is_not_quoted(bad: object, shape: str) -> None:
    with LoopbackServer(lambda _: Answer(json.dumps({"Value": [row(0), bad, row(1)]}).encode())) as server:
        (page,) = batch_pages(server.url)
    assert [cab.cab_id_hash for cab in page.cabs] == ["cab-0", "cab-1"]
    assert page.rows == 3
    (seen,) = page.unreadable
    assert seen.endswith(f"; its shape: {shape}")
    assert "QZXJ" not in seen


GUID = "fb57b37b-d364-4caf-995b-d99ae651ee18"
ODD: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "a number as the submission": ({"submissionId": 1152921504606846976}, {"submission_id": "1152921504606846976"}),
    "a number beyond all numbers": ({"submissionId": 10**400, "date": 1e-300}, {"submission_id": "1" + "0" * 400}),
    "downloadable as a text": ({"cabDownloadable": "True"}, {"downloadable": True}),
    "not downloadable as a text": ({"cabDownloadable": "False"}, {"downloadable": False}),
    "not downloadable as a number": ({"cabDownloadable": 0}, {"downloadable": False}),
    "downloadable as nobody knows what": ({"cabDownloadable": {"is": "perhaps"}}, {"downloadable": True}),
    "downloadable as null": ({"cabDownloadable": None}, {"downloadable": True}),
    "a number as the date": ({"date": 1494165223}, {"date": "1494165223"}),
    "null as the date": ({"date": None, "cabExpirationTime": None}, {"date": "", "expires": ""}),
    "a list as the date": ({"date": ["2026"], "cabExpirationTime": {}}, {"date": "", "expires": ""}),
    "a number as the URL": ({"cabUrl": 7}, {"url": None}),
    "a GUID in capitals": ({"cabIdHash": GUID.upper()}, {"cab_id_hash": GUID}),
    "a GUID in braces": ({"cabIdHash": f"{{{GUID}}}"}, {"cab_id_hash": GUID}),
    "no field but these two": ({"x": {"y": [None]}, "": 1}, {}),
}


@pytest.mark.parametrize(("odd", "wanted"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("spelled", [str, lambda key: key[:1].upper() + key[1:], str.upper])
def test_a_field_that_is_not_needed_decides_nothing(
    odd: dict[str, object], wanted: dict[str, object], spelled: Callable[[str], str]
) -> None:
    rows = [{spelled(key): value for key, value in {**row(0), **odd}.items()}, row(1)]
    with LoopbackServer(lambda _: Answer(json.dumps({"Value": rows}).encode())) as server:
        (page,) = batch_pages(server.url)
    assert page.unreadable == ()
    assert page.cabs[0] == replace(page.cabs[0], **wanted)  # type: ignore[arg-type]
    assert page.cabs[1].cab_id_hash == "cab-1"


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: b"\xef\xbb\xbf" * 2 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: ("\r\n" + text).encode("utf-16-le"),
        lambda text: text.encode("utf-32"),
    ],
)
def test_a_page_in_any_encoding_of_json_is_read(encode: Callable[[str], bytes]) -> None:
    body = json.dumps({"Value": [{**row(0), "submissionId": "ä€😀"}]}, ensure_ascii=False)
    with LoopbackServer(lambda _: Answer(encode(body))) as server:
        (page,) = batch_pages(server.url)
    assert [(cab.cab_id_hash, cab.submission_id) for cab in page.cabs] == [("cab-0", "ä€😀")]


@pytest.mark.parametrize(
    "expiry", ["9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.9999999-08:00", "9999-12-31", "0001-01-01T00:00:00"]
)
def test_a_cab_that_says_never_does_not_expire(expiry: str) -> None:
    body = json.dumps({"Value": [{**row(0), "cabExpirationTime": expiry}]}).encode()
    with LoopbackServer(lambda _: Answer(body)) as server:
        (page,) = batch_pages(server.url)
    assert not page.cabs[0].has_expired(datetime(2999, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("odd", [{"@nextLink": None}, {"@nextLink": ""}, {"@odata.nextLink": None}])
@pytest.mark.parametrize("name", ["NextLink", "nextLink", "@odata.nextLink"])
def test_the_first_link_that_is_one_counts(odd: dict[str, object], name: str) -> None:
    """A null beside it would end the batch, and all that comes after would be lost."""

    def envelope(page: Rows) -> Mapping[str, object]:
        return {**odd, "Value": page.rows, name: page.link}

    with server_of(250, envelope) as server:
        pages = batch_pages(server.url)
    assert len(names(pages)) == 250


def test_more_rows_than_were_asked_for_are_no_page() -> None:
    body = json.dumps({"Value": [None] * 101}).encode()
    with LoopbackServer(lambda _: Answer(body)) as server, pytest.raises(BadAnswer, match="101 rows, 100 were asked"):
        batch_pages(server.url)


def test_what_a_row_leaves_out_is_empty() -> None:
    rows = [
        {"cabIdHash": "a"},
        {"cabIdHash": "b", "cabUrl": None, "cabDownloadable": False},
        {"cabIdHash": "c", "x": 1},
    ]
    with LoopbackServer(lambda _: Answer(json.dumps({"Value": rows}).encode())) as server:
        (page,) = batch_pages(server.url)
    assert [(cab.url, cab.submission_id, cab.date, cab.expires) for cab in page.cabs] == [(None, "", "", "")] * 3
    assert [cab.downloadable for cab in page.cabs] == [True, False, True]


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><head><title>Sign in QZXJ</title></head></html>",
        b'{"Value":[{"cabIdHash":"QZXJ"',
        b"",
        b"[]",
        b'{"value2":[]}',
        b'{"Value":"none"}',
        b'{"Value":{}}',
        b'{"Value":[],"@nextLink":7}',
        b'{"Value":' + b"[" * 20_000,
    ],
)
def test_an_answer_that_is_no_page_is_tried_again_later(body: bytes) -> None:
    with LoopbackServer(lambda _: Answer(body)) as server, pytest.raises(BadAnswer) as caught:
        batch_pages(server.url)
    assert str(FAILURE) in str(caught.value)
    assert "its shape: " in str(caught.value)
    assert "QZXJ" not in str(caught.value)
    assert isinstance(caught.value, AgainLater)


SAS = "https://a.blob.core.windows.net/k/cab-1.ext.zip?sig=ab%2Fcdefgh"


def url_of(answer: Answer, url: str | None = None) -> tuple[str, list[Seen]]:
    """Ask for the URL of a cab, in whose row of the batch this one stands."""
    with LoopbackServer(lambda _: answer) as server:
        batch = CabBatch(dev_center(server.url), FAILURE, WINDOW)
        return batch.url(BatchCab("cab-1", url, "", "", "", downloadable=True)), server.seen


def test_a_cab_whose_row_has_no_url_is_asked_for_by_itself() -> None:
    url, (asked,) = url_of(Answer(status=302, headers={"Location": SAS}))
    assert url == SAS, "byte for byte: its signature is of these"
    assert asked.path == "/v1.0/my/analytics/driver/cabdownload"
    assert asked.query == {"applicationId": FAILURE.application_id, "cabIdHash": "cab-1"}
    assert asked.headers["authorization"] == "Bearer token-1"
    assert url_of(Answer(status=302, headers={"Location": "https://other"}), SAS) == (SAS, [])


@pytest.mark.parametrize("status", [200, 302, 400, 403, 404])
def test_where_the_call_for_one_cab_does_not_answer_as_such_the_cab_alone_fails(status: int) -> None:
    """Nobody knows whether it still exists: what it answers must not end the pull of the others."""
    with pytest.raises(BadInput, match=f"cabUrl.*{status}"):
        url_of(Answer(b"abcdefgh", status))

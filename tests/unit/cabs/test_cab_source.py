"""What a source says of its cab decides how it is copied, or whether a fresh URL or nothing helps."""

import base64
import hashlib
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from shared.cabs.source import opened_source, sas_time, source_facts
from shared.core.errors import AgainLater, BadAnswer, BadInput, CabferryError, CabUnavailable, FreshUrl
from shared.web.untrusted_source import UntrustedSource
from tests.support.loopback import Answer, LoopbackServer, in_turn

BODY = b"PK\x03\x04 a cab"
LOCAL = ("127.0.0.1",)
MD5 = hashlib.md5(BODY, usedforsecurity=False).digest()


@pytest.mark.parametrize(
    ("query", "expiry"),
    [
        ("sv=2015&se=2017-04-28T02%3A37%3A28Z&sig=x", datetime(2017, 4, 28, 2, 37, 28, tzinfo=UTC)),
        ("se=2017-04-28T02:37:28Z", datetime(2017, 4, 28, 2, 37, 28, tzinfo=UTC)),
        ("se=2017-04-28", datetime(2017, 4, 28, tzinfo=UTC)),
        ("se=2017-04-28T02:37Z", datetime(2017, 4, 28, 2, 37, tzinfo=UTC)),
        ("se=soon", None),
        ("se=", None),
        ("expires=2017-04-28", None),
        ("", None),
    ],
)
def test_the_end_of_a_sas_is_read(query: str, expiry: datetime | None) -> None:
    """A SAS that has ended is known without a request; one that cannot be read is tried."""
    assert sas_time(urlsplit(f"https://a.blob.core.windows.net/k/b?{query}"), "se") == expiry


@pytest.mark.parametrize(
    ("told", "md5"),
    [(base64.b64encode(MD5).decode(), MD5), ("", None), ("no base64!", None)],
)
def test_a_source_tells_length_and_md5(told: str, md5: bytes | None) -> None:
    with LoopbackServer(in_turn(Answer(BODY, headers={"Content-MD5": told}))) as server:
        facts = source_facts(UntrustedSource(1, LOCAL), f"{server.url}/b?sig=x", "the cab")
    assert (facts.length, facts.md5) == (len(BODY), md5)
    assert [(each.method, each.headers["accept-encoding"]) for each in server.seen] == [("HEAD", "identity")]


def test_an_opened_source_gives_its_bytes() -> None:
    with (
        LoopbackServer(in_turn(Answer(BODY))) as server,
        opened_source(UntrustedSource(1, LOCAL), f"{server.url}/b", "the cab") as opened,
    ):
        assert opened.body.read(1_000) == BODY
        assert (opened.facts.length, opened.begins) == (len(BODY), 0)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(b"", 401), FreshUrl),
        (Answer(b"<Error>", 403, {"x-ms-error-code": "AuthenticationFailed"}), FreshUrl),
        (Answer(b"", 404, {"x-ms-error-code": "BlobNotFound"}), CabUnavailable),
        (Answer(b"", 410), CabUnavailable),
        (Answer(b"", 408), AgainLater),
        (Answer(b"", 429), AgainLater),
        (Answer(b"", 500), AgainLater),
        (Answer(b"", 503), AgainLater),
        (Answer(b"", 302, {"Location": "http://evil.com/"}), BadInput),
        (Answer(b"sig=QZXJ", 400), BadAnswer),
    ],
)
def test_a_refusal_is_sorted_by_what_helps(answer: Answer, kind: type[CabferryError]) -> None:
    source = UntrustedSource(1, LOCAL)
    with LoopbackServer(in_turn(answer)) as server:
        url = f"{server.url}/b?sig=QZXJ"
        with pytest.raises(kind) as of_head:
            source_facts(source, url, "the cab")
        with pytest.raises(kind) as of_get, opened_source(source, url, "the cab"):
            pass
    for caught in (of_head, of_get):
        assert type(caught.value) is kind
        assert "the cab" in str(caught.value)
        assert "QZXJ" not in str(caught.value)


def test_a_source_without_a_length_is_no_cab() -> None:
    chunked = Answer(b"2\r\nPK\r\n0\r\n\r\n", headers={"Transfer-Encoding": "chunked", "Content-Length": ""})
    with LoopbackServer(in_turn(chunked)) as server, pytest.raises(BadAnswer, match="length"):
        source_facts(UntrustedSource(1, LOCAL), server.url, "the cab")

"""A source may redirect, to an allowed host and without the token; every hop is checked as if it were the first."""

import socket
from collections.abc import Callable

import pytest

from shared.core.errors import AgainLater, BadAnswer, BadInput
from shared.web.http_source import body_of
from shared.web.untrusted_source import UntrustedSource
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn

TOKEN = {"Authorization": "Bearer QZXJ", "x-ms-version": "2020-10-02"}
SIGNED = "/k/fb57%20b.ext.zip?sv=2015-07-08&sig=lRVFxW%2F7%2B%3D+a/b"


def body(url: str, method: str = "GET") -> bytes:
    with UntrustedSource(2, ("127.0.0.1",)).get(url, TOKEN, "the report", method) as response:
        return body_of(response, "the report")


def to(location: str, status: int = 302) -> Answer:
    return Answer(b"elsewhere", status, {"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_is_followed_without_the_token(status: int, method: str) -> None:
    """The token opens reports, and is nothing for whoever is redirected to; a signature goes byte for byte."""
    with (
        LoopbackServer(in_turn(Answer(b"cab"))) as second,
        LoopbackServer(in_turn(to(second.url + SIGNED, status))) as first,
    ):
        assert body(f"{first.url}/r", method) == (b"cab" if method == "GET" else b"")
    assert first.seen[0].headers["authorization"] == "Bearer QZXJ"
    assert "authorization" not in second.seen[0].headers
    assert (second.seen[0].method, second.seen[0].target) == (method, SIGNED)
    assert second.seen[0].headers["x-ms-version"] == "2020-10-02"


def test_not_even_the_same_host_gets_the_token_again() -> None:
    with LoopbackServer(in_turn(to("/other?x=1"), Answer(b"cab"))) as server:
        assert body(f"{server.url}/r") == b"cab"
    assert [(each.target, "authorization" in each.headers) for each in server.seen] == [
        ("/r", True),
        ("/other?x=1", False),
    ]


def counting(answer: Callable[[int], Answer]) -> Callable[[Seen], Answer]:
    return lambda seen: answer(int(seen.path.removeprefix("/")))


def test_three_redirects_are_followed_and_no_fourth() -> None:
    with LoopbackServer(counting(lambda n: to(f"/{n + 1}") if n < 3 else Answer(b"cab"))) as server:
        assert body(f"{server.url}/0") == b"cab"
    with (
        LoopbackServer(counting(lambda n: to(f"/{n + 1}"))) as server,
        pytest.raises(BadAnswer, match="the report: redirects more than 3 times"),
    ):
        body(f"{server.url}/0")
    assert [each.target for each in server.seen] == ["/0", "/1", "/2", "/3"]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:1/x",
        "http://localhost/x",
        "http://169.254.169.254/metadata?sig=QZXJ",
        "https://evil.com/x",
        "//evil.com/x",
        "https://evil.com\\@127.0.0.1/x",
        "https://127.0.0.1@evil.com/x",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "javascript:1",
        "http://127.0.0.1:port/x",
        "http://user@127.0.0.1/x",
        "http://127.0.0.1/a\\b",
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(location: str) -> None:
    with (
        LoopbackServer(in_turn(to(location))) as server,
        pytest.raises(BadInput, match="a redirect of the report") as refused,
    ):
        body(f"{server.url}/r")
    assert len(server.seen) == 1
    assert "QZXJ" not in str(refused.value)


@pytest.mark.parametrize("location", ["http://[", "//[::1", "http://[v1.x]:x/"])
def test_a_redirect_to_what_is_no_address_is_an_answer_that_is_none(location: str) -> None:
    """It is one server's slip: an error of Python's own ended the pull of 700 good cabs beside it."""
    with (
        LoopbackServer(in_turn(to(location))) as server,
        pytest.raises((BadAnswer, BadInput), match="the report"),
    ):
        body(f"{server.url}/r")


def test_a_redirect_is_mended_as_the_first_address_is() -> None:
    with LoopbackServer(in_turn(to("/a b/\u00e9?x=%2f"), Answer(b"cab"))) as server:
        assert body(f"{server.url}/r") == b"cab"
    assert server.seen[1].path == "/a%20b/%C3%A9"


def test_a_first_host_that_is_not_allowed_is_not_asked() -> None:
    with pytest.raises(BadInput, match="CAB_SOURCE_HOSTS"):
        body("https://evil.com/x")


def test_a_redirect_that_names_no_place_is_an_answer() -> None:
    with LoopbackServer(in_turn(Answer(b"nowhere", 302))) as server:
        assert body(f"{server.url}/r") == b"nowhere"


def test_a_host_that_leads_into_the_own_network_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS may be right again in a minute, so the cab is tried again; until then its row tells this."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("10.0.0.1", 443))])
    source = UntrustedSource(1, (".blob.core.windows.net",))
    with (
        pytest.raises(
            AgainLater, match=r"the cab: the host a\.blob\.core\.windows\.net resolves to 10\.0\.0\.1.*HTTPS_PROXY"
        ),
        source.get("https://a.blob.core.windows.net/k/b?sig=QZXJ", {}, "the cab"),
    ):
        pass


def test_a_cookie_of_one_host_is_sent_to_none() -> None:
    """Nothing that a source says is remembered, and so nothing is told to another."""
    source = UntrustedSource(1, ("127.0.0.1",))
    with LoopbackServer(in_turn(Answer(b"cab", headers={"Set-Cookie": "who=QZXJ; Path=/"}))) as server:
        for _ in range(2):
            with source.get(server.url, {}, "the cab") as response:
                body_of(response, "the cab")
    assert ["cookie" in each.headers for each in server.seen] == [False, False]

"""Connections to storage are used again as long as they live, and lead through a proxy where there must be one."""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pycurl
import pytest

from local.simulator.certificates import make_certificates
from shared.core.errors import BadInput
from shared.storage.connections import Connections
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn


@contextmanager
def refusing_proxy() -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Give the port of a proxy that refuses what it is asked for first, and what returns that."""
    with socket.create_server(("127.0.0.1", 0)) as proxy, ThreadPoolExecutor(1) as aside:

        def refuse() -> bytes:
            heard = b""
            connection, _ = proxy.accept()
            with connection:
                while b"\r\n\r\n" not in heard:
                    heard += connection.recv(4096)
                connection.sendall(b"HTTP/1.1 403 no\r\n\r\n")
            return heard

        refused = aside.submit(refuse)
        yield proxy.getsockname()[1], lambda: refused.result(20)


def test_a_connection_serves_many_requests() -> None:
    with LoopbackServer(in_turn(*[Answer(b"one", headers={"ETag": "x"})] * 3)) as server:
        connections = Connections(server.url, 4)
        answers = [connections.ask("PUT", "/a?b=c", {"x-ms-a": "b"}, b"body") for _ in range(3)]
        connections.close()
    assert {(answer.status, answer.body, answer.header("etag")) for answer in answers} == {(200, b"one", "x")}
    assert {(seen.method, seen.target, seen.body) for seen in server.seen} == {("PUT", "/a?b=c", b"body")}
    assert len({seen.connection for seen in server.seen}) == 1


def test_a_connection_that_the_service_closed_meanwhile_costs_no_request() -> None:
    """Storage closes what idles; a request sent into that would fail, and be waited for in vain."""
    with LoopbackServer(in_turn(*[Answer(b"", 202, sent=0)] * 2)) as server:
        connections = Connections(server.url, 4)
        for _ in range(2):
            assert connections.ask("PUT", "/", {}).status == 202
            _until_closed(connections)
    assert len({seen.connection for seen in server.seen}) == 2


def test_a_write_on_a_connection_that_breaks_is_not_sent_again_unseen() -> None:
    """Whoever writes counts the tries, and finds out whether the first was done after all."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as aside:

        def answer_once() -> list[bytes]:
            connection, _ = server.accept()
            with connection:
                heard = [connection.recv(4096)]
                connection.sendall(b"HTTP/1.1 204 done\r\n\r\n")
                heard.append(connection.recv(4096))
            server.settimeout(0.5)
            with suppress(TimeoutError):
                again, _ = server.accept()
                with again:
                    heard.append(again.recv(4096))
            return heard

        heard = aside.submit(answer_once)
        connections = Connections(f"http://127.0.0.1:{server.getsockname()[1]}", 1)
        assert connections.ask("POST", "/", {}, b"first").status == 204
        with pytest.raises(ConnectionError, match="returned nothing"):
            connections.ask("POST", "/", {}, b"second")
        assert [request[-6:].strip() for request in heard.result(20)] == [b"first", b"second"]


def test_no_more_connections_are_kept_than_wanted() -> None:
    together = threading.Barrier(3, timeout=20)

    def answer(_: Seen) -> Answer:
        together.wait()
        return Answer()

    with LoopbackServer(answer) as server:
        connections = Connections(server.url, 2)
        for _ in range(2):
            threads = [threading.Thread(target=connections.ask, args=("GET", "/", {})) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        connections.close()
    assert len({seen.connection for seen in server.seen}) == 4, "two of three are used again"


def test_a_redirect_is_an_answer() -> None:
    with LoopbackServer(in_turn(Answer(status=307, headers={"Location": "/elsewhere"}))) as server:
        assert Connections(server.url, 1).ask("GET", "/", {"Authorization": "SharedKey a:b"}).status == 307
    assert len(server.seen) == 1


def test_a_proxy_of_plain_http_is_asked_for_whole_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(in_turn(Answer(b"seen"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://me:p%40ss@"))
        assert Connections("http://storage.example:10000", 1).ask("GET", "/a?b=c", {}).body == b"seen"
    (seen,) = proxy.seen
    assert (seen.target, seen.headers["host"]) == ("http://storage.example:10000/a?b=c", "storage.example:10000")
    assert seen.headers["proxy-authorization"] == "Basic bWU6cEBzcw=="


def test_tls_goes_through_a_tunnel_that_alone_sees_the_proxys_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_proxy() as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pass@127.0.0.1:{port}")
        connections = Connections("https://a.blob.core.windows.net", 1)
        with pytest.raises(ConnectionError) as raised:
            connections.ask("GET", "/k/b?sig=x", {"Authorization": "secret"})
        heard = asked()
    assert heard.startswith(b"CONNECT a.blob.core.windows.net:443 HTTP/1.")
    assert b"Basic bWU6cGFzcw==" in heard
    assert b"secret" not in heard
    assert b"sig" not in heard
    assert "pass" not in str(raised.value)


def test_a_proxy_that_is_named_without_a_scheme_is_asked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passed over, the request would leave by another way than the network allows, or not at all."""
    with LoopbackServer(in_turn(Answer(b"seen"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        assert Connections("http://storage.example", 1).ask("GET", "/a", {}).body == b"seen"


def test_hosts_that_need_no_proxy_are_asked_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(in_turn(Answer(b"seen"))) as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert Connections(server.url, 1).ask("GET", "/a", {}).body == b"seen"


def test_no_header_is_sent_that_was_not_signed() -> None:
    """A content type of libcurl's own would be part of what storage checks a signature against."""
    with LoopbackServer(in_turn(*[Answer()] * 2)) as server:
        connections = Connections(server.url, 1)
        connections.ask("PUT", "/", {"x-ms-date": "now"})
        connections.ask("POST", "/", {"Content-Type": "text/plain"}, b"x" * 2_000_000)
    bare, full = (seen.headers for seen in server.seen)
    always = {"host", "accept", "user-agent", "content-length"}
    assert set(bare) == {*always, "x-ms-date"}
    assert set(full) == {*always, "content-type"}
    assert (bare["content-length"], full["content-length"]) == ("0", "2000000")


def test_a_path_is_sent_as_it_was_signed() -> None:
    with LoopbackServer(in_turn(Answer())) as server:
        Connections(server.url, 1).ask("GET", "/a/../b/./c%2Fd?e=%20f", {})
    assert server.seen[0].target == "/a/../b/./c%2Fd?e=%20f"


@pytest.mark.parametrize("value", ["a\r\nx-ms-b: c", "a\nb", "a\0b"])
def test_a_header_cannot_bring_another_one(value: str) -> None:
    with LoopbackServer(in_turn(Answer())) as server, pytest.raises(BadInput, match="header"):
        Connections(server.url, 1).ask("PUT", "/", {"x-ms-copy-source": value})
    assert not server.seen


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_certificates(tmp_path)
    with LoopbackServer(in_turn(Answer(b"seen")), made.server_context()) as server:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        with pytest.raises(ConnectionError, match="certificate"):
            Connections(server.url, 1).ask("GET", "/", {})
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
        assert Connections(server.url, 1).ask("GET", "/", {}).body == b"seen"
        folder = tmp_path / "of authorities"
        folder.mkdir()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder))
        with pytest.raises(ConnectionError, match="peer certificate"):
            Connections(server.url, 1).ask("GET", "/", {})


def test_an_answer_shows_neither_headers_nor_body() -> None:
    with LoopbackServer(in_turn(Answer(b"secret", headers={"x-ms-a": "secret"}))) as server:
        assert "secret" not in repr(Connections(server.url, 1).ask("GET", "/", {}))


def _until_closed(connections: Connections) -> None:
    """Wait until the other side's end of the kept connection has come."""
    kept = connections._kept[0]._handle.getinfo(pycurl.ACTIVESOCKET)
    with socket.socket(fileno=os.dup(kept)) as sock:
        assert select.select([sock], [], [], 20)[0]
        assert sock.recv(1, socket.MSG_PEEK) == b""

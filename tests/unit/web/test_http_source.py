"""A server may be broken or hostile: it must cost bounded memory, and each way to fail must be told apart."""

import gzip
import socket
from http import HTTPStatus
from pathlib import Path

import pytest

from shared.core.errors import AgainLater, AgainNow, BadAnswer, BadInput
from shared.storage import connections
from shared.storage import service as storage_service
from shared.storage.service import StorageRequest, StorageService
from shared.web import http_source
from shared.web.http_source import HttpSource, at_once_again, body_of, without_signature
from tests.support.loopback import Answer, LoopbackServer, in_turn


def body(url: str) -> bytes:
    with HttpSource(2).ask(url, {}, "the file") as response:
        return body_of(response, "the file")


def test_a_signature_is_sent_byte_for_byte() -> None:
    """One changed character makes every cab a 403."""
    target = "/kernel-20170407/fb57%20b.ext.zip?sv=2015-07-08&sr=b&sig=lRVFxW%2F7%2B%3D+a/b&se=2017-04-28T02%3A37%3A28Z"
    with LoopbackServer(in_turn(Answer(b"cab"))) as server:
        assert body(server.url + target) == b"cab"
    assert server.seen[0].target == target


def test_a_password_of_the_machine_is_not_told_to_a_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password QZXJ\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    with LoopbackServer(in_turn(Answer(b"cab"))) as server:
        body(server.url)
    assert "authorization" not in server.seen[0].headers


def test_connections_are_kept() -> None:
    """A new connection for each cab would double the time of small ones."""
    source = HttpSource(2)
    with LoopbackServer(in_turn(Answer(b"cab"))) as server:
        for _ in range(3):
            with source.ask(server.url, {}, "the file") as response:
                body_of(response, "the file")
    assert len({each.connection for each in server.seen}) == 1


def test_an_answer_without_end_is_refused_before_it_fills_the_memory() -> None:
    with (
        LoopbackServer(in_turn(Answer(bytes(33 * 1024 * 1024)))) as server,
        pytest.raises(BadAnswer, match="larger than"),
    ):
        body(server.url)


def test_a_packed_answer_is_as_large_as_it_unpacks() -> None:
    packed = Answer(gzip.compress(bytes(33 * 1024 * 1024)), headers={"Content-Encoding": "gzip"})
    with LoopbackServer(in_turn(packed)) as server, pytest.raises(BadAnswer, match="larger than"):
        body(server.url)


def test_an_answer_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that took the request and hangs would hold a worker for ever; asking it again at once helps nobody."""
    monkeypatch.setattr(http_source, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(AgainLater, match="no answer within"):
        body(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_storage_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SILENT_SECONDS", 1)
    monkeypatch.setattr(storage_service, "_TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service = StorageService(f"http://127.0.0.1:{silent.getsockname()[1]}/account", "2025-05-05", 1)
        with pytest.raises(AgainLater, match="storage does not answer"):
            service.send(StorageRequest("GET", "/account", {}, {}), "the listing", HTTPStatus.OK)


def test_an_answer_that_ends_early_broke() -> None:
    with LoopbackServer(in_turn(Answer(b"0123456789", sent=4))) as server, pytest.raises(AgainNow) as caught:
        body(f"{server.url}/x?sig=QZXJ")
    assert "the file" in str(caught.value)
    assert "QZXJ" not in str(caught.value)


def test_the_body_of_a_redirect_is_not_read_unasked() -> None:
    """It may have no end, and its Location may be anything."""
    endless = Answer(bytes(33 * 1024 * 1024), 302, {"Location": "http://127.0.0.1:port/"})
    with LoopbackServer(in_turn(endless)) as server, pytest.raises(BadAnswer, match="larger than"):
        body(server.url)


def test_an_answer_that_cannot_be_unpacked_is_told() -> None:
    broken = Answer(b"no gzip", headers={"Content-Encoding": "gzip"})
    with LoopbackServer(in_turn(broken)) as server, pytest.raises((BadAnswer, AgainNow), match="the file"):
        body(server.url)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:99999999/", "nothing", "http://a..b/"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises((BadAnswer, AgainNow), match="the file"):
        body(url)


def test_a_broken_call_is_made_three_times() -> None:
    calls = 0

    def broken() -> None:
        nonlocal calls
        calls += 1
        raise AgainNow("the connection broke")

    with pytest.raises(AgainLater, match="3 times in a row") as caught:
        at_once_again(broken)
    assert calls == 3
    assert caught.value.wait is None


def test_any_other_error_is_not_repeated() -> None:
    calls = 0

    def refused() -> None:
        nonlocal calls
        calls += 1
        raise BadInput("no")

    with pytest.raises(BadInput):
        at_once_again(refused)
    assert calls == 1


@pytest.mark.parametrize("spelling", ["lRVFxW%2F7%2B%3D", "lRVFxW/7+="])
def test_a_signature_that_an_answer_quotes_bare_is_not_shown(spelling: str) -> None:
    """No pattern knows it: without its name, a signature is a word."""
    url = "https://cabs09.blob.core.windows.net/k/b.zip?sv=2015&sig=lRVFxW%2F7%2B%3D&se=2017"
    assert without_signature(f"the key {spelling} of b.zip is bad", url) == "the key [redacted] of b.zip is bad"
    assert without_signature("b.zip is bad", None) == "b.zip is bad"

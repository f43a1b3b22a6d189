"""A source that sends a byte now and then keeps every time-out from coming: it must be given up all the same."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from shared.core import clock
from shared.core.errors import AgainLater, BadAnswer
from shared.web import http_source, paced_body
from shared.web.http_source import HttpSource, body_of
from shared.web.paced_body import PacedBody
from tests.support.loopback import Answer, LoopbackServer, in_turn

DRIP_SECONDS = 0.02


@contextmanager
def dripping() -> Iterator[str]:
    """Serve a body of which a byte comes now and then, and yield its address."""
    over = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(DRIP_SECONDS):
                try:
                    connection.sendall(b"x")
                except OSError:  # the client gave up, as it should
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/k/b"
        finally:
            over.set()
            thread.join()


def test_a_large_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_body, "_GRACE_SECONDS", 0.1)
    with (
        dripping() as url,
        pytest.raises(AgainLater, match=r"the cab: \d+ bytes came in"),
        HttpSource(1).ask(url, {}, "the cab") as response,
    ):
        PacedBody(response, "the cab").read(100_000)


def test_reading_ends_when_its_time_is_over() -> None:
    """What came until then is kept: a source that is slow gives its cab in several runs."""
    with dripping() as url, HttpSource(1).ask(url, {}, "the cab") as response:
        body = PacedBody(response, "the cab", until=clock.monotonic() + 0.1)
        assert set(body.read(100_000)) == set(b"x")
        assert body.is_out_of_time
        assert body.read(1) == b""


def test_a_small_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_source, "_BODY_SECONDS", 0.1)
    with (
        dripping() as url,
        pytest.raises(BadAnswer, match="the page: the answer was not complete"),
        HttpSource(1).ask(url, {}, "the page") as response,
    ):
        body_of(response, "the page")


@pytest.mark.parametrize("size", [1, 1_000, 3 << 20])
def test_a_body_comes_whole_in_pieces_of_the_size_that_was_asked_for(size: int) -> None:
    content = bytes(range(256)) * 4_096 * 3
    content = content[: 5_000 if size == 1 else None]
    source, pieces = HttpSource(1), list[bytes]()
    with LoopbackServer(in_turn(Answer(content))) as server:
        for _ in range(2):
            with source.ask(server.url, {}, "the cab") as response:
                body = PacedBody(response, "the cab")
                pieces = list(iter(partial(body.read, size), b""))
            assert b"".join(pieces) == content
            assert all(len(piece) == size for piece in pieces[:-1])
    assert len({each.connection for each in server.seen}) == 1, "what was read to its end is used again"

"""Real HTTP servers on loopback whose answers a test writes, and which remember what they were asked."""

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import urllib3


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came.

    Args:
        method: The HTTP method.
        target: Path and query, byte for byte.
        headers: By lower-case name.
        body: Its body.
        connection: The client's port, one for each connection.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, decoded; of a repeated one the first."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sends.

    Args:
        body: The body.
        status: The status.
        headers: Further headers. A Content-Length here stands in place of the true one.
        sent: How many bytes of the body are sent before the connection is closed; None sends all and keeps it open.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None


class LoopbackServer:
    """A server that answers from entering the context to leaving it; an error in an answer fails the test then."""

    def __init__(self, answer: Callable[[Seen], Answer], tls: ssl.SSLContext | None = None) -> None:
        """Describe it; it already has its port, and listens once the context is entered.

        Args:
            answer: Makes an answer from a request; runs in a thread of the connection.
            tls: With its certificate; None for plain HTTP.
        """
        self.seen: list[Seen] = []
        self._problems: list[BaseException] = []
        self._server = _Server(("127.0.0.1", 0), _handler(answer, self.seen, self._problems))
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="loopback server")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()  # waits for the threads of the connections
        if error is None and self._problems:
            raise self._problems[0]

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    @property
    def open_connections(self) -> int:
        """How many connections clients keep open."""
        return self._server.count_open()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{self._scheme}://127.0.0.1:{self.port}"


def in_turn(*answers: Answer) -> Callable[[Seen], Answer]:
    """Return what gives these answers one after the other, and the last one from then on."""
    left = list(answers)
    lock = threading.Lock()

    def answer(_: Seen) -> Answer:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return answer


# Of the connection, or told anew by whoever sends.
_OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


def passed_on(seen: Seen, origin: str, pool: urllib3.PoolManager) -> Answer:
    """Ask a service what a server was asked, and return its answer.

    Args:
        seen: What was asked.
        origin: Scheme, host and port of the service.
        pool: Its connections.
    """
    headers = {name: value for name, value in seen.headers.items() if name not in {"host", "connection"}}
    theirs = pool.request(
        seen.method, origin + seen.target, headers=headers, body=seen.body, retries=False, redirect=False
    )
    kept = {name: value for name, value in theirs.headers.items() if name.lower() not in _OF_ONE_HOP}
    length = {"Content-Length": theirs.headers.get("Content-Length", "0")} if seen.method == "HEAD" else {}
    return Answer(theirs.data, theirs.status, {**kept, **length})


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def count_open(self) -> int:
        """Return how many connections have not been closed."""
        return len(self._open)

    def hang_up(self) -> None:
        """End the connections that clients keep alive."""
        for connection in list(self._open):
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)


def _handler(
    answer: Callable[[Seen], Answer], seen: list[Seen], problems: list[BaseException]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Seen(self.command, self.path, headers, body, self.client_address[1])
            seen.append(request)
            try:
                self._send(answer(request))
            except ConnectionError:
                self.close_connection = True  # the client went away, which is its right
            except BaseException as error:
                problems.append(error)
                raise

        def _send(self, given: Answer) -> None:
            self.send_response(given.status)
            headers = {"Content-Length": str(len(given.body)), **given.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(given.body[: given.sent])
            self.close_connection = given.sent is not None

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
            pass

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler

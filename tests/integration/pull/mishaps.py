"""What can befall a host at one of its requests: it dies, it is frozen, a connection breaks, an answer is lost.

Everything that the app sends goes through urllib3, or through its own connections to storage. A request belongs to a
host when the thread that sends it does, or was started by a thread that does; all other requests, as those of the test
itself, pass untouched.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit
from weakref import WeakKeyDictionary

import urllib3
from azure.core.pipeline.transport import RequestsTransport
from urllib3.connectionpool import HTTPConnectionPool

from shared.web.connections import Answer, Connections

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class MishapKind(StrEnum):
    """What happens."""

    KILLED = "killed"  # the host is gone, and the request was never sent
    KILLED_AFTER = "killed-after"  # the request was done, and the host is gone
    FROZEN = "frozen"  # nothing of the host runs for a while
    BROKEN = "broken"  # the connection breaks before the request
    LOST = "lost"  # the request is done, and its answer lost
    BUSY = "busy"  # answered 503


@dataclass(frozen=True, slots=True)
class Mishap:
    """One thing that happens to a host.

    Args:
        kind: What.
        at: At which of its requests, from 0.
        times: At how many in a row; the app tries most of them three or four times.
        method: Only requests with this method count; empty for all. Requests that are made side by side come in any
            order.
    """

    kind: MishapKind
    at: int
    times: int = 1
    method: str = ""


class HostDied(SystemExit):
    """The process is gone: nothing in the app catches this, and nothing that it sends later is sent."""


class HostWire:
    """The requests of one host.

    Args:
        container: The path of the container in which blobs that it creates are counted.
    """

    def __init__(self, container: str) -> None:
        self.created: Counter[str] = Counter()
        self._container = container + "/"
        self._lock = threading.Lock()
        self._runs = threading.Event()
        self._meanwhile: Callable[[], None] = lambda: None
        self.expect(None)

    def expect(self, mishap: Mishap | None, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Begin to count anew, as a host that has just started.

        Args:
            mishap: What will happen to it.
            meanwhile: What happens elsewhere while it is frozen.
        """
        self._mishap, self._meanwhile = mishap, meanwhile
        self._asked, self._is_dead = 0, False
        self._runs.set()

    def perform[T: (urllib3.BaseHTTPResponse, Answer)](
        self, method: str, url: str, ask: Callable[[], T], busy: T, broken: Exception
    ) -> T:
        """Send a request, unless something happens to it.

        Args:
            method: Its method.
            url: Its path and query.
            ask: Sends it.
            busy: What a busy service answers.
            broken: What a broken connection raises.
        """
        mishap = self._mishap
        counts = mishap is not None and mishap.method in {"", method}
        with self._lock:
            number, self._asked = self._asked, self._asked + counts
        self._runs.wait()
        self._raise_if_dead(broken)
        if mishap is None or not counts or not mishap.at <= number < mishap.at + mishap.times:
            return self._counted(method, url, ask())
        match mishap.kind:
            case MishapKind.KILLED:
                self._is_dead = True
            case MishapKind.KILLED_AFTER:
                self._drop(self._counted(method, url, ask()))
                self._is_dead = True
            case MishapKind.FROZEN:
                self._freeze()
                return self._counted(method, url, ask())
            case MishapKind.LOST:
                self._drop(self._counted(method, url, ask()))
            case MishapKind.BUSY:
                return busy
            case MishapKind.BROKEN:
                pass
        self._raise_if_dead(broken)
        raise broken

    def _freeze(self) -> None:
        self._runs.clear()
        try:
            self._meanwhile()
        finally:
            self._runs.set()

    def _raise_if_dead(self, broken: Exception) -> None:
        if self._is_dead:
            # A thread that ends by an exception is reported as an error of the test; this one takes a broken connection
            # for what it is, and ends with its pull.
            raise broken if threading.current_thread().name.startswith("lease") else HostDied

    def _counted[T: (urllib3.BaseHTTPResponse, Answer)](self, method: str, url: str, answer: T) -> T:
        parts = urlsplit(url)
        creates = (
            method == "PUT" and answer.status in {201, 202} and "block" not in parse_qs(parts.query).get("comp", ())
        )
        if creates and parts.path.startswith(self._container):
            with self._lock:
                self.created[unquote(parts.path.removeprefix(self._container))] += 1
        return answer

    @staticmethod
    def _drop(answer: urllib3.BaseHTTPResponse | Answer) -> None:
        if isinstance(answer, urllib3.BaseHTTPResponse):
            answer.drain_conn()
            answer.release_conn()


class Wires:
    """All requests of this process, sorted by host.

    Args:
        monkeypatch: Undoes it at the end of the test.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._of: WeakKeyDictionary[threading.Thread, HostWire | None] = WeakKeyDictionary()
        start, urlopen, asked = threading.Thread.start, HTTPConnectionPool.urlopen, Connections.ask

        def started(thread: threading.Thread) -> None:
            if thread not in self._of:
                self._of[thread] = self._of.get(threading.current_thread())
            start(thread)

        def opened(pool: HTTPConnectionPool, method: str, url: str, *args: Any, **options: Any) -> Any:
            wire = self._of.get(threading.current_thread())
            if wire is None:
                return urlopen(pool, method, url, *args, **options)
            busy = urllib3.HTTPResponse(io.BytesIO(), status=503, reason="busy", preload_content=False)
            broken = urllib3.exceptions.ProtocolError("Connection aborted.", _reset())
            return wire.perform(method, url, lambda: urlopen(pool, method, url, *args, **options), busy, broken)

        def ask(connections: Connections, method: str, target: str, *args: Any, **options: Any) -> Answer:
            wire, send = self._of.get(threading.current_thread()), partial(asked, connections, method, target)
            if wire is None:
                return send(*args, **options)
            busy = Answer(503, b"")
            return wire.perform(method, target, lambda: send(*args, **options), busy, _reset())

        monkeypatch.setattr(threading.Thread, "start", started)
        monkeypatch.setattr(HTTPConnectionPool, "urlopen", opened)
        monkeypatch.setattr(Connections, "ask", ask)
        # The clients pause before they try again; how long says nothing about what is lost.
        monkeypatch.setattr(RequestsTransport, "sleep", lambda *_: None)
        monkeypatch.setattr("shared.storage.service._FIRST_PAUSE_SECONDS", 0.0)

    def run(self, wire: HostWire | None, work: Callable[[], object]) -> BaseException | None:
        """Run something in a thread of a host, and return what it raised.

        Args:
            wire: The host; None for the world outside of all hosts.
            work: What is done.
        """
        raised: list[BaseException] = []

        def attempt() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - returned to whoever asked
                raised.append(error)

        thread = threading.Thread(target=attempt, name="host")
        self._of[thread] = wire
        thread.start()
        thread.join()
        return raised[0] if raised else None


def _reset() -> ConnectionResetError:
    return ConnectionResetError(104, "reset by the test")

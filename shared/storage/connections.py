"""Connections to one service that are kept open, for the requests that are made by the thousand.

libcurl sends them, where everything else goes by urllib3, which the SDKs and requests stand on. It lets go of the
interpreter once a request. A plain urllib3 pool took four times the CPU, and so made a whole pull's 1.4 times as much,
which is over its target; docs/scaling.md has the figures.
"""

from __future__ import annotations

import io
import os
import re
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pycurl
from requests.utils import get_environ_proxies, select_proxy

from shared.core.errors import BadInput
from shared.core.values import Immutable, hiding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONNECT_SECONDS = 10
# Less than a byte a second for so long is the end of a request.
_SILENT_SECONDS = 120
_LINE_BREAKS = re.compile(r"[\r\n\0]")


class Answer(Immutable, frozen=True):
    """What a service answered.

    Args:
        status: The HTTP status.
        body: All of it.
        head: The lines of its head, as they came.
    """

    status: int
    body: bytes
    head: Sequence[bytes] = ()

    __repr__ = hiding("body", "head")

    @property
    def text(self) -> str:
        """Return the body for people."""
        return self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str:
        """Return a header, in whatever case it came; empty where there is none."""
        # Backwards: what a proxy answered first stands before it.
        for line in reversed(self.head):
            key, _, value = line.partition(b":")
            if key.decode("latin-1").lower() == name.lower():
                return value.decode("latin-1").strip()
        return ""


class Connections:
    """Ask one service, over as many connections as there are requests at once.

    Args:
        origin: Its scheme, host and port.
        kept: How many connections are kept open between requests.
    """

    def __init__(self, origin: str, kept: int) -> None:
        self._origin = origin
        # The proxy and the certificates that requests takes, which the SDKs stand on.
        self._proxy = select_proxy(origin, get_environ_proxies(origin)) or ""
        self._authorities = Path(_first_named("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") or certifi.where())
        self._kept, self._most_kept = deque[_Connection](), kept

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request, and read the whole answer; no redirect is followed.

        Where a connection that was kept breaks, libcurl sends a request without a body over a new one.

        Args:
            method: The HTTP method.
            target: Path and query, encoded.
            headers: All that libcurl does not add itself (Host, Accept, Content-Length).
            body: What is sent.

        Raises:
            BadInput: A header has more than one line.
            ConnectionError: No connection, or none that lasted until the answer was read; says what libcurl calls it.
        """
        try:
            connection = self._kept.pop()
        except IndexError:  # All are in use: others take them too.
            connection = _Connection(self._proxy, self._authorities)
        answer = connection.ask(method, self._origin + target, headers, body)
        if len(self._kept) < self._most_kept:
            self._kept.append(connection)
        return answer

    def close(self) -> None:
        """Close what is kept open; a connection ends with the last reference to it."""
        self._kept.clear()


class _Connection:
    """A handle of libcurl, which keeps its connection open between requests.

    The options: https://curl.se/libcurl/c/curl_easy_setopt.html
    """

    def __init__(self, proxy: str, authorities: Path) -> None:
        self._head: list[bytes] = []
        self._handle = pycurl.Curl()
        for option, value in {
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.PATH_AS_IS: 1,  # What is signed is what is sent.
            pycurl.USERAGENT: "cabferry",
            pycurl.PROXY: proxy,
            pycurl.NOPROXY: "",  # Whether one is used was decided with the environment's exceptions at hand.
            pycurl.CONNECTTIMEOUT: _CONNECT_SECONDS,
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: _SILENT_SECONDS,
            pycurl.NOSIGNAL: 1,  # Signals are the main thread's.
            pycurl.HEADERFUNCTION: self._head.append,
        }.items():
            self._handle.setopt(option, value)
        for option in (
            (pycurl.CAPATH, pycurl.PROXY_CAPATH) if authorities.is_dir() else (pycurl.CAINFO, pycurl.PROXY_CAINFO)
        ):
            self._handle.setopt(option, str(authorities))

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        # Without a value, libcurl leaves out a header that it would add.
        lines = [f"{name}: {value}" for name, value in {"Content-Type": "", **headers, "Expect": ""}.items()]
        if _LINE_BREAKS.search("".join(lines)):
            raise BadInput("a header of a request has more than one line")
        self._handle.setopt(pycurl.URL, url)
        if method == "GET":
            self._handle.setopt(pycurl.HTTPGET, 1)
        else:
            self._handle.setopt(pycurl.POST, 1)
            self._handle.setopt(pycurl.POSTFIELDSIZE, len(body))
            # What libcurl cannot read twice it does not send twice: how often a write is tried is its caller's matter.
            self._handle.setopt(pycurl.READFUNCTION, io.BytesIO(body).read)
        self._handle.setopt(pycurl.CUSTOMREQUEST, method)
        self._handle.setopt(pycurl.HTTPHEADER, lines)
        self._head.clear()
        try:
            answered = self._handle.perform_rb()
        except pycurl.error as error:
            code = int(error.args[0])
            # That it cannot send a body again is not what went wrong.
            code = pycurl.E_GOT_NOTHING if code == pycurl.E_SEND_FAIL_REWIND else code
            raise ConnectionError(pycurl.easy_strerror(code)) from None
        return Answer(self._handle.getinfo(pycurl.RESPONSE_CODE), answered, tuple(self._head))


def _first_named(*names: str) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")

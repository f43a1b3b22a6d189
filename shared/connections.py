"""Connections to one service that are kept open, for the requests that are made by the thousand.

Sent with http.client, which urllib3 stands on too, a copy takes a little more than half the CPU that it takes with
urllib3; docs/scaling.md has the figures, and those of other ways.
"""

from __future__ import annotations

import os
import ssl
import weakref
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

import certifi
from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.util import wait_for_read

from shared.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPMessage

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Args:
        status: The HTTP status.
        headers: As they came.
        body: All of it.
    """

    status: int
    headers: HTTPMessage = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return a header, in whatever case it came; empty where there is none."""
        return self.headers.get(name, "")


class Connections:
    """Ask one service, over as many connections as there are requests at once.

    Args:
        origin: Its scheme, host and port.
        kept: How many connections are kept open between requests.

    Raises:
        SettingsError: The proxy that the environment names cannot be used.
    """

    def __init__(self, origin: str, kept: int) -> None:
        self._service = urlsplit(origin)
        # The same proxies as requests takes, which the SDKs stand on; many name theirs as a host and a port alone.
        proxy = select_proxy(origin, get_environ_proxies(origin))
        self._proxy = urlsplit(prepend_scheme_if_needed(proxy, "http") if proxy else "")  # type: ignore[no-untyped-call]
        if proxy and self._proxy.scheme != "http":
            raise SettingsError(f"the proxy for {origin} is named by {self._proxy.scheme}://: only http:// can be used")
        self._kept, self._most_kept = deque[HTTPConnection](), kept
        # A service that is dropped without being closed leaves no sockets behind.
        weakref.finalize(self, _close, self._kept)
        # Through TLS a proxy is a tunnel. Without, it reads each request, and wants its whole URL.
        is_read = bool(self._proxy.hostname) and self._service.scheme == "http"
        self._prefix = origin if is_read else ""
        self._for_proxy = _credentials(self._proxy) if is_read else {}

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one request, once, and read the whole answer; no redirect is followed.

        Args:
            method: The HTTP method.
            target: Path and query, encoded.
            headers: All that http.client does not add itself (Host, Accept-Encoding, Content-Length).
            body: What is sent.

        Raises:
            OSError: No connection, or none that lasted until the answer was read.
            http.client.HTTPException: What was answered is not HTTP.
        """
        connection = self._taken()
        try:
            connection.request(method, self._prefix + target, body or None, {**headers, **self._for_proxy})
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except BaseException:
            connection.close()
            raise
        if connection.sock and len(self._kept) < self._most_kept:
            self._kept.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close what is kept open."""
        _close(self._kept)

    def _taken(self) -> HTTPConnection:
        """Return a connection that was kept, unless the service has closed it meanwhile, or a new one."""
        while connection := _popped(self._kept):
            # What can be read before anything was asked is the end.
            if connection.sock and not wait_for_read(connection.sock, timeout=0):
                return connection
            connection.close()
        return self._connected()

    def _connected(self) -> HTTPConnection:
        nearest = self._proxy if self._proxy.hostname else self._service
        host, timeout = nearest.hostname or "", _CONNECT_SECONDS
        connection: HTTPConnection
        if self._service.scheme == "https":
            connection = HTTPSConnection(host, nearest.port, timeout=timeout, context=_certificates(_bundle()))
            if nearest is self._proxy:
                connection.set_tunnel(self._service.hostname or "", self._service.port, _credentials(self._proxy))
        else:
            connection = HTTPConnection(host, nearest.port, timeout=timeout)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(_READ_SECONDS)
        return connection


def _popped(connections: deque[HTTPConnection]) -> HTTPConnection | None:
    """Return the one that was used last, None where all are in use: other threads take them too."""
    try:
        return connections.pop()
    except IndexError:
        return None


def _close(connections: deque[HTTPConnection]) -> None:
    while connection := _popped(connections):
        connection.close()


def _bundle() -> str:
    """Return the file of the certificates that requests trusts too."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()


@cache
def _certificates(bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=bundle)


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    told = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(told.encode()).decode()}"}

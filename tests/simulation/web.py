"""HTTP in memory: one process's way to the Dev Center and to the storage of others."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
import urllib3

from shared.web.http_source import HttpSource
from shared.web.untrusted_source import UntrustedSource

from .center import REPORTS_HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .center import DevCenter, Reply
    from .lines import Line


class MemoryApi(HttpSource):
    """The way to the API.

    Args:
        center: What answers.
        line: Makes the calls.
    """

    def __init__(self, center: DevCenter, line: Line) -> None:
        self._center, self._line = center, line

    @contextmanager
    def ask(
        self, url: str, headers: Mapping[str, str], what: str, method: str = "GET", content: bytes | None = None
    ) -> Iterator[requests.Response]:
        """Ask for a URL and yield the answer."""
        told = f"asks for {url.partition('.com')[2]}"
        token = headers.get("Authorization", "")
        yield response_of(self._line.call("devcenter", told, lambda: self._center.answer(url, token)), url)


class MemorySources(UntrustedSource):
    """The way to cabs and reports.

    Args:
        center: What answers.
        line: Makes the calls.
        allowed: CAB_SOURCE_HOSTS.
    """

    def __init__(self, center: DevCenter, line: Line, allowed: tuple[str, ...]) -> None:
        self._center, self._line, self._allowed = center, line, allowed

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], what: str, method: str = "GET") -> Iterator[requests.Response]:
        """Ask for a URL and yield the answer."""
        parts = self.checked(url, what)
        kind = "report" if parts.hostname == REPORTS_HOST else "source"
        told = f"{method} {parts.path}"
        reply = self._line.call("report" if kind == "report" else "source", told, lambda: self._center.fetch(url))
        yield response_of(reply, url, has_body=method != "HEAD")


def response_of(reply: Reply, url: str, *, has_body: bool = True) -> requests.Response:
    """Return an answer as `requests` gives it."""
    length = {"Content-Length": str(len(reply.body))}
    response = requests.Response()
    response.status_code, response.url = reply.status, url
    response.headers.update({**length, **reply.headers})
    response.raw = urllib3.HTTPResponse(io.BytesIO(reply.body if has_body else b""), preload_content=False)
    response.request = requests.PreparedRequest()
    response.request.url = url
    return response

"""GET from where an answer points: a cabUrl, a report location, and whatever these redirect to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from shared.core.errors import AgainLater, BadAnswer
from shared.web.http_source import REDIRECTS, HttpSource
from shared.web.public_addresses import NotPublicError, PublicOnlyAdapter
from shared.web.source_hosts import checked_source, sendable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from urllib.parse import SplitResult

    import requests

_MOST_HOPS = 3


class UntrustedSource:
    """Fetch from hosts that others named.

    Every address is checked as if it were the first: its host against CAB_SOURCE_HOSTS, and what that resolves to
    against the addresses of the public internet.

    Args:
        connections: How many connections to one host are kept open.
        allowed_hosts: CAB_SOURCE_HOSTS.
    """

    def __init__(self, connections: int, allowed_hosts: tuple[str, ...]) -> None:
        self._source, self._allowed = HttpSource(connections, PublicOnlyAdapter), allowed_hosts

    def checked(self, url: str, what: str) -> SplitResult:
        """Return the parts of a URL that may be fetched or copied from.

        Raises:
            BadInput: It may not.
        """
        return checked_source(url, self._allowed, what)

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], what: str, method: str = "GET") -> Iterator[requests.Response]:
        """Ask for a URL, follow up to three redirects, and yield the answer with its body still to be read.

        Args:
            url: Sent byte for byte, but for characters that no URL may hold.
            headers: A token among them goes to this URL only, and to nothing that it redirects to.
            what: Names the request in errors.
            method: GET, or HEAD where the headers are enough.

        Raises:
            BadInput: The URL, or one that it redirects to, is not of an allowed host.
            AgainNow: The connection broke, before or while the body was read.
            AgainLater: No connection, no answer in time, or a host that resolves to no public address.
            BadAnswer: One redirect too many.
        """
        named = what
        for _ in range(_MOST_HOPS + 1):
            self.checked(url, named)
            url = sendable(url)
            with self._reached(url, headers, what, method) as response:
                location = response.headers.get("Location", "")
                if response.status_code not in REDIRECTS or not location:
                    yield response
                    return
            try:
                url = urljoin(url, sendable(location))
            except ValueError:
                raise BadAnswer(f"{what}: redirects to what is no address") from None
            named = f"a redirect of {what}"
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        raise BadAnswer(f"{what}: redirects more than {_MOST_HOPS} times")

    @contextmanager
    def _reached(self, url: str, headers: Mapping[str, str], what: str, method: str) -> Iterator[requests.Response]:
        try:
            with self._source.ask(url, headers, what, method) as response:
                yield response
        except NotPublicError as error:
            raise AgainLater(f"{what}: {error}") from None

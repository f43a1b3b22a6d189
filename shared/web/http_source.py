"""HTTP: one pool of connections, time-outs, no redirects, and every broken answer as an error of the tree."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import unquote

import requests
import urllib3
from requests.adapters import HTTPAdapter

from shared.core.errors import AgainLater, AgainNow, BadAnswer, CabferryError
from shared.core.refusals import Refusal, Where

REDIRECTS = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
_BODY_BYTES = 32 * 1024 * 1024
_BODY_SECONDS = 120.0
_TRIES = 3
_SIGNATURE = re.compile(r"[?&]sig=([^&#]{8,})", re.IGNORECASE)


class HttpSource:
    """Ask servers that may be slow, broken or hostile.

    Args:
        connections: How many connections to one host are kept open.
        adapter: Makes the connections.
    """

    def __init__(self, connections: int, adapter: type[HTTPAdapter] = HTTPAdapter) -> None:
        self._session = _Session()
        # A host must not receive what a .netrc of the machine says, nor leave anything here to be sent to another.
        self._session.auth = lambda request: request
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        made = adapter(pool_connections=16, pool_maxsize=connections)
        self._session.mount("https://", made)
        self._session.mount("http://", made)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._session.close()

    @contextmanager
    def ask(
        self, url: str, headers: Mapping[str, str], what: str, method: str = "GET", content: bytes | None = None
    ) -> Iterator[requests.Response]:
        """Send a request and yield the answer, whatever its status, with its body still to be read.

        Args:
            url: Sent byte for byte, but for characters that no URL may hold. Redirects are not followed.
            headers: Sent as they are, so a token goes to this URL only.
            what: Names the request in errors, for example "the cab batch of failure X".
            method: The HTTP method; HEAD where the headers are enough.
            content: What is sent; None for nothing.

        Raises:
            AgainNow: The connection broke, before or while the body was read.
            AgainLater: No connection, or no answer in time.
        """
        with again_later_errors(what):
            response = self._session.request(
                method,
                url,
                headers=dict(headers),
                data=content,
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
        with response, again_later_errors(what):
            yield response


def body_of(response: requests.Response, what: str) -> bytes:
    """Read a whole small body.

    Raises:
        BadAnswer: It is larger than any page of the API could be, or drips for longer than two minutes.
    """
    body, end = bytearray(), time.monotonic() + _BODY_SECONDS
    # What is there, and not as much as was asked for: one that drips would be waited for within a single call.
    while piece := response.raw.read1(65_536, decode_content=True):
        body += piece
        if len(body) > _BODY_BYTES:
            raise BadAnswer(f"{what}: the answer is larger than {_BODY_BYTES} bytes")
        if time.monotonic() > end:
            raise BadAnswer(f"{what}: the answer was not complete after {_BODY_SECONDS:.0f} seconds")
    return bytes(body)


def refusal_in(response: requests.Response, body: bytes, where: Where) -> Refusal:
    """Return what an answer that is not a success says.

    Args:
        response: The answer.
        body: Its body, which may hold a code of the service, or a wait in a sentence.
        where: Who answered.
    """
    text = without_signature(body.decode("utf-8", "replace"), response.request.url)
    return Refusal.of(where, response.status_code, response.headers.get, text)


def without_signature(text: str, url: str | None) -> str:
    """Return a text without the signature that a URL was asked with: an answer may quote it bare."""
    for signature in _SIGNATURE.findall(url or ""):
        for spelling in (signature, unquote(signature)):
            text = text.replace(spelling, "[redacted]")
    return text


def at_once_again[T](call: Callable[[], T]) -> T:
    """Call, and call again at once where the connection broke, three times in all.

    Raises:
        AgainLater: It broke each time.
    """
    for _ in range(_TRIES - 1):
        try:
            return call()
        except AgainNow:
            continue
    try:
        return call()
    except AgainNow as error:
        raise AgainLater(f"{error} ({_TRIES} times in a row)", outage=error.outage) from None


@contextmanager
def again_later_errors(what: str) -> Iterator[None]:
    """Turn what requests, and urllib3 below a raw body, raise into errors of the tree, without URLs in their texts."""
    try:
        yield
    except CabferryError:
        raise
    except requests.ConnectTimeout:
        raise AgainLater(f"{what}: no connection within {CONNECT_SECONDS:.0f} seconds", outage="unreachable") from None
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise AgainLater(f"{what}: no answer within {READ_SECONDS:.0f} seconds") from None
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError) as error:
        if reason := _not_connected(error):
            raise AgainNow(f"{what}: no connection ({reason})", outage="unreachable") from None
        raise AgainNow(f"{what}: the connection broke ({type(error).__name__})") from None
    except requests.RequestException as error:
        raise BadAnswer(f"{what}: {type(error).__name__}") from None


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none: where redirects are not followed, requests reads their bodies whole all the same."""


def _not_connected(error: Exception) -> str:
    """Return why no connection came about: the name is unknown, it was refused, TLS failed; empty where one did."""
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return type(error).__name__
    refused = error.args[0] if error.args else None
    reason = refused.reason if isinstance(refused, urllib3.exceptions.MaxRetryError) else None
    return type(reason).__name__ if isinstance(reason, urllib3.exceptions.NewConnectionError) else ""

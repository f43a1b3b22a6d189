"""The app's HTTP API: its address, who asks, and what an answer that is no success means."""

from __future__ import annotations

import logging
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from .names import shown
from .problems import Exit, ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

URL, KEY, KEY_FILE, AUDIENCE = "CABFERRY_URL", "CABFERRY_FUNCTION_KEY", "CABFERRY_KEY_FILE", "CABFERRY_AUDIENCE"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_SECONDS = 60.0
_NOT_ALLOWED = {401, 403}
_CODES = {400: Exit.WRONG_USE, 404: Exit.NOTHING_FOUND}
_NOT_MODIFIED = 304
_FIRST_REDIRECT = 300


class Api:
    """The API of one app.

    Args:
        url: Its address; None takes CABFERRY_URL. Without a scheme it is https, and http on this machine.

    Raises:
        ProblemError: It is not named, or would send a key in the clear.
    """

    def __init__(self, url: str | None) -> None:
        text = (url or os.environ.get(URL, "")).rstrip("/").removesuffix("/api")
        if not text:
            raise ProblemError(
                Exit.WRONG_USE, f"no app is named: set {URL} (or --url) to https://APP.azurewebsites.net"
            )
        try:
            if "://" not in text:
                text = f"{'http' if urlsplit(f'//{text}').hostname in _LOOPBACK else 'https'}://{text}"
            parts = urlsplit(text)
        except ValueError:
            raise ProblemError(Exit.WRONG_USE, f"what {URL} (or --url) says is no address") from None
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ProblemError(Exit.WRONG_USE, "the app's address must be https: a key is sent to it")
        if parts.query or "@" in parts.netloc:
            raise ProblemError(Exit.WRONG_USE, f"no key or password belongs into the address: put a key into {KEY}")
        self._url = text
        self._session = requests.Session()
        if key := os.environ.get(KEY, "") or _key_of_file():
            self._session.headers["x-functions-key"] = key
        elif audience := os.environ.get(AUDIENCE, ""):
            self._session.auth = _by_sign_in(audience)
        self._known: dict[tuple[str | int | None, ...], tuple[str, Any]] = {}

    def get(self, path: str, **query: str | int | None) -> Any:
        """Return a decoded answer; where it is what it was at the last call, it is not sent again."""
        asked = (path, *query.values())
        etag, known = self._known.get(asked, ("", None))
        response = self._call("GET", path, query, headers={"If-None-Match": etag} if etag else {})
        if response.status_code == _NOT_MODIFIED:
            return known
        answer = self._decoded(response)
        self._known[asked] = (response.headers.get("ETag", ""), answer)
        return answer

    def post(self, path: str, body: object) -> Any:
        """Send a JSON body; return the decoded answer."""
        return self._decoded(self._call("POST", path, {}, json=body))

    def _decoded(self, response: requests.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise ProblemError(Exit.UNREACHABLE, f"{self._url} answered no JSON: is that the app?") from None

    def _call(self, method: str, path: str, query: dict[str, str | int | None], **more: Any) -> requests.Response:
        try:
            # Not to another host: the key is for this one.
            response = self._session.request(
                method, f"{self._url}/api/{path}", params=query, timeout=_SECONDS, allow_redirects=False, **more
            )
        except requests.RequestException as error:
            raise ProblemError(Exit.UNREACHABLE, f"{self._url} does not answer ({type(error).__name__})") from None
        if response.status_code in _NOT_ALLOWED:
            advice = f"set {KEY} to a function key, or {AUDIENCE} to sign in with Entra (api://CLIENT-ID of the app)"
            raise ProblemError(Exit.NOT_ALLOWED, f"{self._url} answered {response.status_code}: {advice}")
        if response.status_code >= _FIRST_REDIRECT and response.status_code != _NOT_MODIFIED:
            code = _CODES.get(response.status_code, Exit.UNREACHABLE)
            raise ProblemError(code, f"{self._url} answered {response.status_code}{_detail(response)}")
        return response


def _detail(response: requests.Response) -> str:
    try:
        body = response.json()
        return f": {shown(str(body.get('detail') or body['title']))}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def _by_sign_in(audience: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what gives each request a token of Entra; one lives for an hour, and `watch` for days."""
    from azure.identity import get_bearer_token_provider

    from .identity import Identity

    token = get_bearer_token_provider(Identity(), f"{audience.rstrip('/')}/.default")

    def signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token()}"
        return request

    return signed


def _key_of_file() -> str:
    named = os.environ.get(KEY_FILE, "")
    if not named:
        return ""
    path = Path(named)
    try:
        if sys.platform != "win32" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            logging.getLogger("cabferry").warning("others may read the key in %s: chmod 600 it", path)
        return path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(Exit.WRONG_USE, f"{KEY_FILE} cannot be read: {type(error).__name__}") from None

"""Bare signed requests to storage, for the few calls that are made for every cab or every hundred.

The SDK's copy call cost some 2 ms of CPU a cab; once that was sent from here, its transactions and its listing were 46%
and 30% of what was left of pulls of 1,000 cabs, by a sampling profiler. All else goes through the SDK.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode, urlsplit

from shared.core.errors import AgainLater
from shared.core.refusals import HELPS, Refusal, Where
from shared.storage.refusals import RefusedError
from shared.web.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.identity.access_tokens import AccessTokens
    from shared.web.connections import Answer

_TRIES, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 3, 0.5, 5.0
_CODE, _BEARER = "x-ms-error-code", "Bearer "
_SIGNED_HEADERS = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "If-Modified-Since",
    "If-Match",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
)


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request, before it is authorized.

    Args:
        method: The HTTP method.
        path: The URL's path, encoded as it is sent.
        query: Names and values, not encoded.
        headers: Every header but Authorization and x-ms-date.
        body: What is sent.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Authorization(Protocol):
    """Tell what proves that a request may be made."""

    def value(self, request: WireRequest, headers: Mapping[str, str]) -> str:
        """Return the Authorization header.

        Args:
            request: The request.
            headers: All its headers, x-ms-date and x-ms-version among them.
        """

    def renew(self, refused: str) -> bool:
        """Make anew what proves it, and tell whether that can help.

        Args:
            refused: The header that the service did not accept.
        """


@dataclass(frozen=True, slots=True)
class SharedKey:
    """Sign with an account's key.

    The two signatures: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key

    Args:
        account: The account's name.
        key: Its key, decoded.
        for_tables: Whether the request goes to the table service, which signs less than the others.
    """

    account: str
    key: bytes = field(repr=False)
    for_tables: bool = False

    def value(self, request: WireRequest, headers: Mapping[str, str]) -> str:
        """Return the signature."""
        text = self._table_text(request, headers) if self.for_tables else self._blob_text(request, headers)
        digest = hmac.new(self.key, text.encode(), hashlib.sha256).digest()
        return f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"

    def renew(self, refused: str) -> bool:  # noqa: ARG002 - the same key signs in the same way
        """Return that a key cannot be renewed."""
        return False

    def _table_text(self, request: WireRequest, headers: Mapping[str, str]) -> str:
        content_type, date = headers.get("Content-Type", ""), headers["x-ms-date"]
        return f"{request.method}\n\n{content_type}\n{date}\n/{self.account}{request.path}"

    def _blob_text(self, request: WireRequest, headers: Mapping[str, str]) -> str:
        length = {"Content-Length": str(len(request.body))} if request.body else {}
        standard = {**headers, **length}
        ours = ((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-ms-"))
        return "\n".join(
            [
                request.method,
                *(standard.get(name, "") for name in _SIGNED_HEADERS),
                *(f"{name}:{value}" for name, value in sorted(ours)),
                f"/{self.account}{request.path}",
                *(f"{name}:{value}" for name, value in sorted(request.query.items())),
            ]
        )


class BearerToken:
    """Show the token of an identity.

    Args:
        tokens: The identity's tokens.
    """

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens

    def value(self, request: WireRequest, headers: Mapping[str, str]) -> str:  # noqa: ARG002 - one token for all
        """Return the token.

        Raises:
            NeedsPerson: There is no identity, or it is refused.
            AgainLater: The token endpoint does not answer.
        """
        return _BEARER + self._tokens.current()

    def renew(self, refused: str) -> bool:
        """Ask for another token, once for all that met the same refusal."""
        return self._tokens.renewed(refused.removeprefix(_BEARER)) != refused.removeprefix(_BEARER)


class StorageWire:
    """Send requests to one service of one account.

    Args:
        endpoint: The service's URL, with a SAS where that is what authorizes.
        authorization: What else authorizes; None with a SAS.
        api_version: The version of the storage API.
        connections: How many connections are kept open.
    """

    def __init__(self, endpoint: str, authorization: Authorization | None, api_version: str, connections: int) -> None:
        parts = urlsplit(endpoint)
        self._origin, self._sas = f"{parts.scheme}://{parts.netloc}", parts.query
        self.base_path = parts.path.rstrip("/")
        self._authorization, self._api_version = authorization, api_version
        self._connections = Connections(self._origin, connections)

    @property
    def origin(self) -> str:
        """Return scheme, host and port."""
        return self._origin

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._connections.close()

    def send(self, request: WireRequest, what: str, success: HTTPStatus) -> Answer:
        """Send a request, up to three times while the service is busy or cannot be reached, and return the answer.

        Args:
            request: What to send; it may be sent again though an earlier answer was lost.
            what: Names it in errors.
            success: The status that it is answered with when all is well.

        Raises:
            RefusedError: The service refused.
            AgainLater: The service is busy or not to be reached, even after some tries.
            NeedsPerson: There is no token.
        """
        for tries in range(_TRIES - 1):
            try:
                return self._sent(request, what, success)
            except AgainLater as error:
                pause = error.wait.total_seconds() if error.wait else _FIRST_PAUSE_SECONDS * 2**tries
                if pause > _LONGEST_PAUSE_SECONDS:
                    raise
                time.sleep(pause)
        return self._sent(request, what, success)

    def _sent(self, request: WireRequest, what: str, success: HTTPStatus) -> Answer:
        answer, shown = self._asked(request, what)
        if self._authorization and _is_unauthenticated(answer) and self._authorization.renew(shown):
            answer, _ = self._asked(request, what)
        if answer.status == success:
            return answer
        refusal = Refusal.of(Where.STORAGE, answer.status, answer.header, answer.body.decode("utf-8", "replace"))
        if HELPS.get(refusal.meaning) is AgainLater:
            raise refusal.as_error(what)
        raise RefusedError(refusal)

    def _asked(self, request: WireRequest, what: str) -> tuple[Answer, str]:
        """Send a request once; return the answer, and what was shown as authorization."""
        headers = {**request.headers, "x-ms-version": self._api_version, "x-ms-date": formatdate(usegmt=True)}
        shown = self._authorization.value(request, headers) if self._authorization else ""
        if shown:
            headers["Authorization"] = shown
        query = "&".join(part for part in (urlencode(request.query), self._sas) if part)
        target = f"{request.path}{'?' + query if query else ''}"
        try:
            answer = self._connections.ask(request.method, target, headers, request.body)
        except ConnectionError as error:
            raise AgainLater(f"{what}: storage does not answer ({error})") from None
        return answer, shown


def _is_unauthenticated(answer: Answer) -> bool:
    """Tell whether a token was not accepted, as one that has ended meanwhile; a missing role is another 403."""
    return answer.status == HTTPStatus.UNAUTHORIZED or (
        answer.status == HTTPStatus.FORBIDDEN and answer.header(_CODE) == "AuthenticationFailed"
    )

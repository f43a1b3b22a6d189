"""Plain requests to storage, for the few calls that are made for every cab or every hundred; the SDK sends the rest.

The SDK's call takes several times the CPU of one of these; docs/scaling.md has the figures.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from azure.storage.blob import generate_account_sas

from shared.core import clock
from shared.core.errors import AgainLater
from shared.core.redaction import never_show
from shared.core.refusals import HELPS, Refusal, Where
from shared.core.values import Immutable, hiding
from shared.storage.connections import Connections
from shared.storage.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from http import HTTPStatus

    from shared.identity.access_tokens import AccessTokens
    from shared.storage.connections import Answer

_TRIES, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 3, 0.5, 5.0
_SAS_LIFE, _KINDS = timedelta(days=1), "co"


class StorageRequest(Immutable, frozen=True):
    """A request, before it is authorized.

    Args:
        method: The HTTP method.
        path: The URL's path, encoded as it is sent.
        query: Names and values, not encoded.
        headers: Every header but Authorization, x-ms-version and x-ms-date.
        body: What is sent.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    __repr__ = hiding("headers", "body")


class AccountSas:
    """Stand in for an account's key with a SAS that the SDK makes of it, and makes again when half its life is over.

    Args:
        account: The account's name.
        key: Its key, base64.
        services: What it opens: b for blobs, t for tables.
        permissions: What may be done to containers and objects of these, in the order of the documentation.

    The parameters: https://learn.microsoft.com/rest/api/storageservices/create-account-sas
    """

    def __init__(self, account: str, key: str, services: str, permissions: str) -> None:
        self._account, self._key = account, key
        self._services, self._permissions = services, permissions
        self._kept = self._made()

    def current(self) -> str:
        """Return the SAS, as a query."""
        if clock.true_now() >= self._kept[1]:
            self._kept = self._made()
        return self._kept[0]

    def _made(self) -> tuple[str, datetime]:
        # It has no start: where this machine's clock goes before, it would not have begun.
        now = clock.true_now()
        sas = generate_account_sas(
            self._account, self._key, _KINDS, self._permissions, now + _SAS_LIFE, services=self._services
        )
        never_show(sas.rpartition("sig=")[2], is_passing=True)
        return sas, now + _SAS_LIFE / 2


class StorageService:
    """Send requests to one service of one account.

    Args:
        endpoint: The service's URL.
        api_version: The version of the storage API.
        connections: How many connections are kept open.
        sas: Returns the SAS that authorizes, as a query; empty where a token does.
        tokens: The tokens of the identity that authorizes; None with a SAS.
    """

    def __init__(
        self,
        endpoint: str,
        api_version: str,
        connections: int,
        sas: Callable[[], str] = str,
        tokens: AccessTokens | None = None,
    ) -> None:
        parts = urlsplit(endpoint)
        self.origin, self.base_path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self._api_version, self._sas, self._tokens = api_version, sas, tokens
        self._connections = Connections(self.origin, connections)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._connections.close()

    def send(self, request: StorageRequest, what: str, success: HTTPStatus) -> Answer:
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

    def _sent(self, request: StorageRequest, what: str, success: HTTPStatus) -> Answer:
        def asked(token: str) -> Answer | Refusal:
            return self._asked(request, token, what, success)

        answer = self._tokens.shown(asked) if self._tokens else asked("")
        if not isinstance(answer, Refusal):
            return answer
        if HELPS.get(answer.meaning) is AgainLater:
            raise answer.as_error(what)
        raise RefusedError(answer)

    def _asked(self, request: StorageRequest, token: str, what: str, success: HTTPStatus) -> Answer | Refusal:
        """Send a request once."""
        headers = {**request.headers, "x-ms-version": self._api_version, "x-ms-date": formatdate(usegmt=True)}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        query = "&".join(filter(None, (urlencode(request.query), self._sas())))
        target = f"{request.path}?{query}" if query else request.path
        try:
            answer = self._connections.ask(request.method, target, headers, request.body)
        except ConnectionError as error:
            raise AgainLater(f"{what}: storage does not answer ({error})") from None
        if answer.status == success:
            return answer
        return Refusal.of(Where.STORAGE, answer.status, answer.header, answer.text)

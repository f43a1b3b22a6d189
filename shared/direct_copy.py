"""Copy Blob From URL as one bare signed request: the hot call, made once for every cab.

The SDK's call costs some 2 ms of CPU, most of it in policies that this request does not need; this one costs about a
third of that. Everything else goes through the SDK.

The request: https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import certifi
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from shared.access_tokens import STORAGE_SCOPE
from shared.errors import AgainLater
from shared.storage_errors import Refusal, RefusedError
from shared.waits import wait_asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.credentials import AccessToken, TokenCredential

    from shared.cab_container import CabLabels

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 120.0
_TRIES, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 3, 0.5, 5.0
_RENEW_SECONDS_BEFORE_END = 300
_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class Authorization(Protocol):
    """Tell what proves that a request may be made."""

    def value(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Return the Authorization header.

        Args:
            method: The HTTP method.
            path: The URL's path, encoded as it is sent.
            headers: Every other header of the request.
        """


@dataclass(frozen=True, slots=True)
class SharedKey:
    """Sign with an account's key.

    The signature: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key

    Args:
        account: The account's name.
        key: Its key, decoded.
    """

    account: str
    key: bytes

    def value(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Return the signature of a request without a body and a query."""
        ours = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-ms-"))
        signed = (
            # Of the eleven standard headers that are signed, such a request has one: If-None-Match, the ninth.
            f"{method}\n\n\n\n\n\n\n\n\n{headers.get('If-None-Match', '')}\n\n\n"
            + "".join(f"{name}:{value}\n" for name, value in ours)
            + f"/{self.account}{path}"
        )
        digest = hmac.new(self.key, signed.encode(), hashlib.sha256).digest()
        return f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"


class BearerToken:
    """Show the token of an identity, kept until shortly before it ends.

    Args:
        credential: The identity.
    """

    def __init__(self, credential: TokenCredential) -> None:
        self._credential, self._lock = credential, threading.Lock()
        self._token: AccessToken | None = None

    def value(self, method: str, path: str, headers: Mapping[str, str]) -> str:  # noqa: ARG002 - the token is for all
        """Return the token."""
        with self._lock:
            if self._token is None or self._token.expires_on - time.time() < _RENEW_SECONDS_BEFORE_END:
                self._token = self._credential.get_token(STORAGE_SCOPE)
            return f"Bearer {self._token.token}"


class DirectCopy:
    """Copy blobs into one container, each with a single request that moves no byte through this process.

    Args:
        container_url: The container's URL, with a SAS where that is what authorizes.
        authorization: What else authorizes; None with a SAS.
        api_version: The version of the storage API.
        connections: How many connections are kept open.
    """

    def __init__(
        self, container_url: str, authorization: Authorization | None, api_version: str, connections: int
    ) -> None:
        parts = urlsplit(container_url)
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._query = f"?{parts.query}" if parts.query else ""
        self._authorization, self._api_version = authorization, api_version
        # The same certificates and proxies as requests takes, which the SDKs stand on.
        options: dict[str, Any] = {
            "maxsize": connections,
            "timeout": urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            "ca_certs": os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where(),
        }
        proxy = select_proxy(self._origin, get_environ_proxies(self._origin))
        self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def copy(self, blob_name: str, source_url: str, labels: CabLabels) -> None:
        """Copy one blob, unless there is one of that name.

        Args:
            blob_name: Where it goes.
            source_url: What is copied, with its SAS, byte for byte.
            labels: What the new blob carries.

        Raises:
            RefusedError: The service refused; among the reasons, that the blob exists.
            AgainLater: The service is busy or not to be reached, even after some tries.
        """
        path = f"{self._path}/{quote(blob_name, safe='/~')}"
        headers = {
            "x-ms-version": self._api_version,
            "x-ms-copy-source": source_url,
            "x-ms-requires-sync": "true",
            "If-None-Match": "*",
            "Content-Length": "0",
            **{f"x-ms-meta-{name}": value for name, value in labels.metadata.items()},
        }
        if labels.tags:
            headers["x-ms-tags"] = urlencode(labels.tags)
        for tries in range(_TRIES - 1):
            try:
                return self._put(path, headers, blob_name)
            except AgainLater as error:
                pause = error.wait.total_seconds() if error.wait else _FIRST_PAUSE_SECONDS * 2**tries
                if pause > _LONGEST_PAUSE_SECONDS:
                    raise
                time.sleep(pause)
        return self._put(path, headers, blob_name)

    def _put(self, path: str, headers: dict[str, str], blob_name: str) -> None:
        headers = {**headers, "x-ms-date": formatdate(usegmt=True)}
        if self._authorization:
            headers["Authorization"] = self._authorization.value("PUT", path, headers)
        try:
            answer = self._pool.urlopen(
                "PUT", f"{self._origin}{path}{self._query}", headers=headers, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise AgainLater(f"{blob_name}: storage does not answer ({type(error).__name__})") from None
        if answer.status == HTTPStatus.ACCEPTED:
            return
        code = answer.headers.get("x-ms-error-code", "")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _BUSY:
            raise AgainLater(f"{blob_name}: storage answered {answer.status} {code}", wait_asked(answer.headers, ""))
        raise RefusedError(Refusal(answer.status, code, answer.data.decode("utf-8", "replace")))

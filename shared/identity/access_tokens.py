"""Tokens of Microsoft Entra ID: from a cached credential, with one forced renewal where a token was refused."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.identity import (
    ClientAssertionCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    ManagedIdentityCredential,
)

from shared.core.backoff import wait_asked
from shared.core.errors import AgainLater, CabferryError, NeedsPerson
from shared.core.redaction import excerpt, never_show
from shared.core.refusals import Refusal, Where, request_ids
from shared.core.values import Immutable, hiding

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.core.settings import DevCenterAccess

_log = logging.getLogger(__name__)
DEVCENTER_SCOPE = "https://manage.devcenter.microsoft.com/.default"
STORAGE_SCOPE = "https://storage.azure.com/.default"
# The audience that a managed identity's token must have to serve as a federated assertion:
# https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
_ASSERTION_SCOPE = "api://AzureADTokenExchange/.default"
# azure-identity tries up to ten times, and waits five minutes each; the queue is the better place to wait.
PATIENCE: dict[str, Any] = {"retry_total": 2, "connection_timeout": 10, "read_timeout": 30}
_STATUS = re.compile(r"(?:HTTP (?:Error|status):|Token request error: \(\w*\)) (\d{3})")
# What DefaultAzureCredential tells of each way that it tried; the others are of a developer's machine.
_CHAIN, _OF_IDENTITY = (
    "DefaultAzureCredential failed",
    re.compile(r"^\s*(ManagedIdentityCredential: .*)$", re.MULTILINE),
)
_UNREACHED = re.compile(r"Failed to establish|timed out|Connection (?:aborted|reset)|Max retries", re.IGNORECASE)
_NUMBER = re.compile(r"AADSTS\d+")
_RENEW_SECONDS_BEFORE_END, _RETRY_SECONDS = 300.0, 30.0
_ADVICE = "Check {}, DEVCENTER_CLIENT_ID and the secret or federated credential of the Entra application."


class AccessTokens:
    """Hand out bearer tokens for one scope, each asked for once and kept until shortly before it ends.

    Args:
        credential: Makes the credential. It is made anew where a token was refused, which empties its cache:
            azure-identity has no other way to skip it.
        scope: What the tokens are for.
        whose: Names the identity in errors.
        advice: What a person should check where the identity is refused.
    """

    def __init__(
        self,
        credential: Callable[[], TokenCredential],
        scope: str,
        whose: str,
        advice: str = _ADVICE.format("DEVCENTER_TENANT_ID"),
    ) -> None:
        self._make, self._scope, self._whose, self._advice = credential, scope, whose, advice
        self._lock = threading.Lock()
        self._credential: TokenCredential | None = None
        self._kept: _Kept | None = None

    def current(self) -> str:
        """Return a token that has not expired.

        Threads that need one together ask for it once. Nobody waits while a token still works: one thread renews it,
        the others go on with it.

        Raises:
            NeedsPerson: The identity is refused: a wrong or expired secret, a missing federated credential.
            AgainLater: The token endpoint does not answer.
        """
        return self.token().token

    def token(self) -> AccessToken:
        """Return the token of `current`, with the time when it ends.

        Raises:
            NeedsPerson: As `current`.
            AgainLater: As `current`.
        """
        kept, now = self._kept, time.time()
        if kept is not None and now < kept.renew_at:
            return kept.token
        works = kept if kept is not None and now < kept.token.expires_on else None
        if works is None:
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            return works.token
        try:
            if self._kept is None or self._kept is kept:  # no other thread has renewed it meanwhile
                self._kept = self._renewal(kept)
            return self._kept.token
        finally:
            self._lock.release()

    def renewed(self, refused: str) -> str:
        """Return a token other than one that was just refused.

        Where several threads met the same refusal, one renewal serves them all.

        Args:
            refused: The token that was answered with 401.

        Raises:
            NeedsPerson: As `current`.
            AgainLater: As `current`.
        """
        with self._lock:
            if self._kept is not None and self._kept.token.token == refused:
                self._credential = self._kept = None
        return self.current()

    def _renewal(self, kept: _Kept | None) -> _Kept:
        now = time.time()
        try:
            return _Kept.of(self._asked(), now)
        except CabferryError as error:
            if kept is None or kept is not self._kept or kept.token.expires_on <= now:
                raise
            # A token that still works outlives an endpoint that does not answer for a while, or refuses for once.
            left = kept.token.expires_on - now
            _log.warning("%s; the token that still works serves for %d seconds more", error, left)
            return _Kept(kept.token, min(now + _RETRY_SECONDS, kept.token.expires_on))

    def _asked(self) -> AccessToken:
        try:
            if self._credential is None:
                self._credential = self._make()
            token = self._credential.get_token(self._scope)
        except ValueError as error:
            raise NeedsPerson(
                f"no credential for {self._whose}: {excerpt(str(error))} {self._advice}", outage="token"
            ) from None
        except AzureError as error:
            # MSAL remembers a refusal for a minute, and a person may mend it sooner.
            self._credential = None
            raise self._sorted(_refusal_in(error)) from None
        never_show(token.token, is_passing=True)
        return token

    def _sorted(self, refusal: Refusal) -> CabferryError:
        if refusal.needs_person:
            seen = excerpt(refusal.text, 400)
            return NeedsPerson(f"no token for {self._whose}: {seen}{refusal.ids} {self._advice}", outage="token")
        # What MSAL says where an answer that is no success names no error.
        seen = excerpt(refusal.text).replace("failed: None", "failed without a reason")
        return AgainLater(
            f"no token for {self._whose}: the token endpoint failed, or something before it answered: "
            f"{seen}{refusal.ids}",
            refusal.wait,
            outage="token",
        )


class _Kept(Immutable, frozen=True):
    """A token, and when another is asked for, in seconds since 1970."""

    token: AccessToken
    renew_at: float

    __repr__ = hiding("token")

    @classmethod
    def of(cls, token: AccessToken, now: float) -> _Kept:
        """Keep a new token until some minutes before its end, or for half its life where that is short."""
        left = token.expires_on - now
        return cls(token, token.expires_on - min(_RENEW_SECONDS_BEFORE_END, left / 2))


def _refusal_in(error: AzureError) -> Refusal:
    """Return what Entra or an identity's endpoint says; azure-identity raises all that it meets alike.

    Entra gives each refusal a number after AADSTS. An endpoint that did not answer or failed, and a page of something
    that stands between, say nothing of the identity. The status stands in the error or, where the MSAL library below
    met it, only in the text of what it raised; where the answer was no JSON, nowhere.
    """
    status, code, wait, ids = 0, "", None, ""
    link: BaseException | None = error if isinstance(error, ClientAuthenticationError) else None
    while link is not None:
        if isinstance(link, (ServiceRequestError, ServiceResponseError)):
            status, code = 0, ""
            break
        found = _STATUS.search(str(link))
        status = max(status, getattr(link, "status_code", None) or (int(found[1]) if found else 0))
        # Of a chain there are only texts: where nobody was out of reach, there is no identity.
        has_none = str(link).startswith(_CHAIN) and not _UNREACHED.search(str(link))
        if number := _NUMBER.search(str(link)):
            code = number[0]
        elif has_none or isinstance(link, CredentialUnavailableError):
            code = code or "NoIdentity"
        headers = getattr(getattr(link, "response", None), "headers", None) or {}
        wait, ids = wait or wait_asked(headers, ""), ids or request_ids(headers.get)
        link = link.__cause__ or link.__context__
    return Refusal(Where.TOKEN, status, code, _said(error), wait, ids)


def _said(error: AzureError) -> str:
    """Return what an error says; of a chain of credentials, what the managed identity said."""
    found = _OF_IDENTITY.search(error.message)
    return found[1] if found else error.message


class SharedCredential:
    """Lets the clients of an SDK show the tokens that everything else in the process shows.

    Each client would otherwise ask for its own, and for a new one at each request where tokens live for minutes only.

    Args:
        tokens: The tokens, of the scope that the clients need.
    """

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens, self._shown = tokens, ""

    def get_token(self, *_scopes: str, **options: object) -> AccessToken:
        """Return the token; another one where the service answered 401 (the SDKs then name the tenant that it wants).

        Raises:
            NeedsPerson: As `AccessTokens.current`.
            AgainLater: As `AccessTokens.current`.
        """
        if options.get("tenant_id") or options.get("claims"):
            self._tokens.renewed(self._shown)
        token = self._tokens.token()
        self._shown = token.token
        return token


class FixedToken:
    """A credential that always holds the same token (DEVCENTER_ACCESS_TOKEN)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        """Return the token, valid for as long as anyone asks."""
        return AccessToken(self._token, 2**40)


def devcenter_tokens(access: DevCenterAccess) -> AccessTokens:
    """Return the tokens for the Dev Center: from a fixed token, a secret or a managed identity."""
    return AccessTokens(
        lambda: _credential(access, access.tenant_id),
        DEVCENTER_SCOPE,
        f"the Entra application {access.client_id or '(fixed token)'}",
    )


def report_storage_tokens(access: DevCenterAccess) -> AccessTokens | None:
    """Return the tokens for reports whose location carries no SAS; None where only a fixed token is set.

    The fixed token is for the Dev Center's host, and goes nowhere else.
    """
    if access.access_token:
        return None
    return AccessTokens(
        lambda: _credential(access, access.storage_tenant_id),
        STORAGE_SCOPE,
        f"the Entra application {access.client_id} at Azure Storage",
        _ADVICE.format("DEVCENTER_STORAGE_TENANT_ID"),
    )


def _credential(access: DevCenterAccess, tenant_id: str) -> TokenCredential:
    # AZURE_AUTHORITY_HOST names another cloud, or a token endpoint of a test; azure-identity reads it by itself, but
    # would first ask Microsoft's public cloud whether that host is an authority. It is: the operator named it.
    known: dict[str, Any] = {"disable_instance_discovery": "AZURE_AUTHORITY_HOST" in os.environ, **PATIENCE}
    if access.access_token:
        return FixedToken(access.access_token)
    if access.client_secret:
        return ClientSecretCredential(tenant_id, access.client_id, access.client_secret, **known)
    identity = ManagedIdentityCredential(client_id=access.managed_identity_client_id, **PATIENCE)
    return ClientAssertionCredential(
        tenant_id, access.client_id, lambda: identity.get_token(_ASSERTION_SCOPE).token, **known
    )

"""Tokens of Microsoft Entra ID: from a cached credential, with one forced renewal where a token was refused."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.identity import ClientAssertionCredential, ClientSecretCredential, ManagedIdentityCredential

from shared.errors import AgainLater, NeedsPerson
from shared.redaction import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential

    from shared.settings import DevCenterAccess

DEVCENTER_SCOPE = "https://manage.devcenter.microsoft.com/.default"
STORAGE_SCOPE = "https://storage.azure.com/.default"
# The audience that a managed identity's token must have to serve as a federated assertion:
# https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
_ASSERTION_SCOPE = "api://AzureADTokenExchange/.default"
# azure-identity tries ten times over minutes by default; the queue is the better place to wait.
_RETRIES = 2


class AccessTokens:
    """Hand out bearer tokens for one scope.

    Args:
        credential: Makes the credential. It is made anew where a token was refused, which empties its cache:
            azure-identity has no other way to skip it.
        scope: What the tokens are for.
        whose: Names the identity in errors.
        tenant_setting: Names the setting of its tenant in errors.
    """

    def __init__(
        self,
        credential: Callable[[], TokenCredential],
        scope: str,
        whose: str,
        tenant_setting: str = "DEVCENTER_TENANT_ID",
    ) -> None:
        self._make, self._scope, self._whose, self._tenant_setting = credential, scope, whose, tenant_setting
        self._lock = threading.Lock()
        self._credential: TokenCredential | None = None
        self._refused: str | None = None

    def current(self) -> str:
        """Return a token that has not expired; the credential caches it.

        Raises:
            NeedsPerson: The identity is refused: a wrong or expired secret, a missing federated credential.
            AgainLater: The token endpoint does not answer.
        """
        with self._lock:
            if self._credential is None:
                try:
                    self._credential = self._make()
                except ValueError as error:
                    raise NeedsPerson(
                        f"no credential for {self._whose}: {error} Check {self._tenant_setting}."
                    ) from None
            credential = self._credential
        try:
            return credential.get_token(self._scope).token
        except ClientAuthenticationError as error:
            raise NeedsPerson(
                f"no token for {self._whose}: {excerpt(error.message, 400)} Check {self._tenant_setting}, "
                "DEVCENTER_CLIENT_ID and the secret or federated credential of the Entra application."
            ) from None
        except AzureError as error:
            raise AgainLater(
                f"no token for {self._whose}: the token endpoint failed: {excerpt(error.message)}"
            ) from None

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
            if refused != self._refused:
                self._credential, self._refused = None, refused
        return self.current()


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
        "DEVCENTER_STORAGE_TENANT_ID",
    )


def _credential(access: DevCenterAccess, tenant_id: str) -> TokenCredential:
    # AZURE_AUTHORITY_HOST names another cloud, or a token endpoint of a test; azure-identity reads it by itself, but
    # would first ask Microsoft's public cloud whether that host is an authority. It is: the operator named it.
    known = {"disable_instance_discovery": "AZURE_AUTHORITY_HOST" in os.environ, "retry_total": _RETRIES}
    if access.access_token:
        return FixedToken(access.access_token)
    if access.client_secret:
        return ClientSecretCredential(tenant_id, access.client_id, access.client_secret, **known)
    identity = ManagedIdentityCredential(client_id=access.managed_identity_client_id, retry_total=_RETRIES)
    return ClientAssertionCredential(
        tenant_id, access.client_id, lambda: identity.get_token(_ASSERTION_SCOPE).token, **known
    )

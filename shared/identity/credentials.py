"""Whose tokens the app shows: those of an Entra application, or of the identity that the cab storage is opened by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from azure.core.credentials import AccessToken
from azure.identity import (
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
)

from shared.identity.access_tokens import AccessTokens

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.core.settings import DevCenterAccess
    from shared.core.storage_settings import CabStorage

_DEVCENTER_SCOPE = "https://manage.devcenter.microsoft.com/.default"
_STORAGE_SCOPE = "https://storage.azure.com/.default"
# The audience that a managed identity's token must have to serve as a federated assertion:
# https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
_ASSERTION_SCOPE = "api://AzureADTokenExchange/.default"
# azure-identity tries up to ten times, and waits five minutes each; the queue is the better place to wait.
_PATIENCE: dict[str, Any] = {"retry_total": 2, "connection_timeout": 10, "read_timeout": 30}
_ADVICE = "Check {}, DEVCENTER_CLIENT_ID and the secret or federated credential of the Entra application."


def devcenter_tokens(access: DevCenterAccess) -> AccessTokens:
    """Return the tokens for the Dev Center: from a fixed token, a secret or a managed identity."""
    return AccessTokens(
        lambda: _credential(access, access.tenant_id),
        _DEVCENTER_SCOPE,
        f"the Entra application {access.client_id or '(fixed token)'}",
        _ADVICE.format("DEVCENTER_TENANT_ID"),
    )


def report_storage_tokens(access: DevCenterAccess) -> AccessTokens | None:
    """Return the tokens for reports whose location carries no SAS; None where only a fixed token is set.

    The fixed token is for the Dev Center's host, and goes nowhere else.
    """
    if access.access_token:
        return None
    return AccessTokens(
        lambda: _credential(access, access.storage_tenant_id),
        _STORAGE_SCOPE,
        f"the Entra application {access.client_id} at Azure Storage",
        _ADVICE.format("DEVCENTER_STORAGE_TENANT_ID"),
    )


def storage_tokens(where: CabStorage) -> AccessTokens:
    """Return the tokens for the cab storage, of the identity that its settings name."""
    return AccessTokens(
        lambda: _identity(where),
        _STORAGE_SCOPE,
        "the cab storage",
        "Check that the app has the identity that CAB_STORAGE__clientId names (its own, where none is named).",
    )


def _credential(access: DevCenterAccess, tenant_id: str) -> TokenCredential:
    # AZURE_AUTHORITY_HOST names another cloud, or a token endpoint of a test; azure-identity reads it by itself, but
    # would first ask Microsoft's public cloud whether that host is an authority. It is: the operator named it.
    known: dict[str, Any] = {"disable_instance_discovery": "AZURE_AUTHORITY_HOST" in os.environ, **_PATIENCE}
    if access.access_token:
        return FixedToken(access.access_token)
    if access.client_secret:
        return ClientSecretCredential(tenant_id, access.client_id, access.client_secret, **known)
    identity = ManagedIdentityCredential(client_id=access.managed_identity_client_id, **_PATIENCE)
    return ClientAssertionCredential(
        tenant_id, access.client_id, lambda: identity.get_token(_ASSERTION_SCOPE).token, **known
    )


def _identity(where: CabStorage) -> TokenCredential:
    if where.managed_identity:
        return ManagedIdentityCredential(client_id=where.client_id, **_PATIENCE)
    return DefaultAzureCredential(**_PATIENCE)


class FixedToken:
    """A credential that always holds the same token (DEVCENTER_ACCESS_TOKEN)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        """Return the token, valid for as long as anyone asks."""
        return AccessToken(self._token, 2**40)

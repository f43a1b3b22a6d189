"""A refused token is renewed once for everyone, and an identity that is refused says what a person has to mend."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError

from shared.access_tokens import AccessTokens, FixedToken, devcenter_tokens, report_storage_tokens
from shared.errors import AgainLater, NeedsPerson
from shared.settings import Settings

from .devcenter_client import CountingIdentity

LEAST = {"CAB_STORAGE": "AccountName=a;AccountKey=b"}


class Refusing:
    """A credential that fails in one way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        raise self._error


def tokens(make: Callable[[], Refusing]) -> AccessTokens:
    return AccessTokens(make, "scope", "the Entra application client")


def test_a_credential_is_kept() -> None:
    """It caches its token; a new one for each call would ask Entra a thousand times an hour."""
    identity = CountingIdentity()
    kept = AccessTokens(identity.credential, "scope", "x")
    assert {kept.current() for _ in range(5)} == {"token-1"}
    assert identity.made == 1


def test_a_refused_token_is_renewed_once_for_several_threads() -> None:
    identity = CountingIdentity()
    shared = AccessTokens(identity.credential, "scope", "x")
    refused = shared.current()
    together = threading.Barrier(8, timeout=10)

    def renew() -> str:
        together.wait()
        return shared.renewed(refused)

    with ThreadPoolExecutor(8) as threads:
        renewed = [future.result() for future in [threads.submit(renew) for _ in range(8)]]
    assert set(renewed) == {"token-2"}
    assert identity.made == 2


def test_a_later_refusal_renews_again() -> None:
    shared = AccessTokens(CountingIdentity().credential, "scope", "x")
    assert shared.renewed(shared.current()) == "token-2"
    assert shared.renewed("token-2") == "token-3"


@pytest.mark.parametrize(
    "error",
    [
        ClientAuthenticationError("AADSTS7000215: Invalid client secret provided. client_secret=QZXJ"),
        CredentialUnavailableError("ManagedIdentityCredential authentication unavailable. client_secret=QZXJ"),
    ],
)
def test_an_identity_that_is_refused_needs_a_person(error: Exception) -> None:
    with pytest.raises(NeedsPerson) as caught:
        tokens(lambda: Refusing(error)).current()
    told = str(caught.value)
    assert "the Entra application client" in told
    assert str(error).split(". ", maxsplit=1)[0] in told
    assert "DEVCENTER_CLIENT_ID" in told
    assert "QZXJ" not in told


@pytest.mark.parametrize("kind", [ServiceRequestError, ServiceResponseError, AzureError])
def test_a_token_endpoint_that_does_not_answer_is_tried_later(kind: type[AzureError]) -> None:
    with pytest.raises(AgainLater) as caught:
        tokens(lambda: Refusing(kind("POST https://login/x?code=QZXJ failed"))).current()
    assert "QZXJ" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_fixed_token_is_the_same_for_ever_and_goes_to_the_dev_center_alone() -> None:
    access = Settings.from_environment({**LEAST, "DEVCENTER_ACCESS_TOKEN": "fixed"}).devcenter
    assert devcenter_tokens(access).current() == "fixed"
    assert devcenter_tokens(access).renewed("fixed") == "fixed"
    assert report_storage_tokens(access) is None
    assert FixedToken("x").get_token("scope").expires_on > timedelta(days=365 * 1_000).total_seconds()


@pytest.mark.parametrize("kind", ["DEVCENTER_CLIENT_SECRET", "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID"])
def test_a_malformed_tenant_is_told_as_a_setting(kind: str) -> None:
    """azure-identity raises an error of Python's for one, which nobody would connect with a setting."""
    access = Settings.from_environment(
        {**LEAST, kind: "x", "DEVCENTER_TENANT_ID": "contoso/tenant", "DEVCENTER_CLIENT_ID": "client"}
    ).devcenter
    with pytest.raises(NeedsPerson, match="DEVCENTER_TENANT_ID"):
        devcenter_tokens(access).current()

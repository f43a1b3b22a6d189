"""A refused token is renewed once for everyone, and an identity that is refused says what a person has to mend."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError

from shared.core.errors import AgainLater, NeedsPerson
from shared.core.settings import Settings
from shared.identity.access_tokens import AccessTokens
from shared.identity.credentials import FixedToken, devcenter_tokens, report_storage_tokens
from tests.unit.devcenter.devcenter_client import CountingIdentity

LEAST = {"CAB_STORAGE": "AccountName=a;AccountKey=a2V5"}


class Refusing:
    """A credential that fails in one way."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        raise self._error


def tokens(make: Callable[[], Refusing]) -> AccessTokens:
    return AccessTokens(make, "scope", "the Entra application client", "Check it.")


def test_a_credential_is_kept() -> None:
    """It caches its token; a new one for each call would ask Entra a thousand times an hour."""
    identity = CountingIdentity()
    kept = AccessTokens(identity.credential, "scope", "x", "Check it.")
    assert {kept.current() for _ in range(5)} == {"token-1"}
    assert identity.made == 1


def test_a_refused_token_is_renewed_once_for_several_threads() -> None:
    identity = CountingIdentity()
    shared = AccessTokens(identity.credential, "scope", "x", "Check it.")
    refused = shared.current()
    together = threading.Barrier(8, timeout=10)

    def renew() -> str:
        together.wait()
        return shared.renewed(refused)

    with ThreadPoolExecutor(8) as threads:
        renewed = [future.result() for future in [threads.submit(renew) for _ in range(8)]]
    assert set(renewed) == {"token-2"}
    assert identity.made == 2


class Slow:
    """An identity whose every token takes until the test says, and lives for some seconds."""

    def __init__(self, seconds: float) -> None:
        self.asked, self.go, self._seconds = 0, threading.Event(), seconds
        self.broken, self.refuses = False, ""

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        self.asked += 1
        assert self.go.wait(10)
        if self.broken:
            raise ServiceRequestError("the endpoint is away")
        if self.refuses:
            raise ClientAuthenticationError(self.refuses)
        return AccessToken(f"token-{self.asked}", round(time.time() + self._seconds))


def test_threads_that_need_a_token_together_ask_for_it_once() -> None:
    """Pulls that start together in a new worker would else each ask Entra."""
    identity = Slow(3_600)
    shared = AccessTokens(lambda: identity, "scope", "x", "Check it.")
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(shared.current) for _ in range(8)]
        identity.go.set()
        assert {future.result() for future in waiting} == {"token-1"}
    assert identity.asked == 1


class Door:
    """A lock that knows how many have come to it."""

    def __init__(self) -> None:
        self._lock, self.came = threading.Lock(), 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.came += 1
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self._lock.release()


def test_threads_that_wait_for_a_token_fail_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is away takes half a minute to say so: forty copies would wait for it one after the other."""
    identity, door = Slow(3_600), Door()
    shared = AccessTokens(lambda: identity, "scope", "x", "Check it.")
    monkeypatch.setattr(shared, "_lock", door)
    identity.broken = True
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(shared.current) for _ in range(8)]
        while door.came < 8:
            pass
        identity.go.set()
        met = [future.exception() for future in waiting]
    assert {type(error) for error in met} == {AgainLater}
    assert identity.asked == 1
    assert [isinstance(error, AgainLater) and error.is_echo for error in met].count(False) == 1, "one is counted"
    identity.broken = False
    assert shared.current() == "token-2", "who comes later asks anew"


def test_a_failure_that_is_shared_keeps_nothing_of_who_met_it() -> None:
    """What is remembered of it would else hold the rows of a whole pull."""

    class Rows:
        pass

    def asks() -> weakref.ref[Rows]:
        rows = Rows()
        with pytest.raises(NeedsPerson):
            shared.current()
        return weakref.ref(rows)

    shared = tokens(lambda: Refusing(ClientAuthenticationError("AADSTS7000215: wrong secret")))
    held = asks()
    gc.collect()
    assert held() is None


def test_nobody_waits_for_a_renewal_while_the_token_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that takes its time must not hold up thirty copies."""
    identity = Slow(3_600)
    identity.go.set()
    shared = AccessTokens(lambda: identity, "scope", "x", "Check it.")
    assert shared.current() == "token-1"
    identity.go.clear()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3_500)
    with ThreadPoolExecutor(1) as threads:
        renewing = threads.submit(shared.current)
        while identity.asked < 2:
            pass
        assert shared.current() == "token-1"
        identity.go.set()
        assert renewing.result() == "token-2"
    assert shared.current() == "token-2"


def test_a_token_that_works_outlives_an_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Slow(3_600)
    identity.go.set()
    shared = AccessTokens(lambda: identity, "scope", "x", "Check it.")
    shared.current()
    identity.broken, now = True, time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3_500)
    assert {shared.current() for _ in range(3)} == {"token-1"}
    assert identity.asked == 2, "and it is not asked again at each call"
    monkeypatch.setattr(time, "time", lambda: now + 3_700)
    with pytest.raises(AgainLater):
        shared.current()


@pytest.mark.parametrize("said", ["AADSTS700213: No matching federated identity record found.", "AADSTS90033: Again."])
def test_a_token_that_works_outlives_a_refusal_of_its_renewal(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entra forgets a federated credential for moments; every pull would be Failed with it."""
    identity = Slow(3_600)
    identity.go.set()
    shared = AccessTokens(lambda: identity, "scope", "x", "Check it.")
    shared.current()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3_500)
    identity.refuses = said
    assert {shared.current() for _ in range(3)} == {"token-1"}
    monkeypatch.setattr(time, "time", lambda: now + 3_540)
    identity.refuses = ""
    assert shared.current() == "token-3", "asked for again after half a minute"


def test_a_passing_error_of_entra_is_no_refusal() -> None:
    error = ClientAuthenticationError("AADSTS90033: A transient error has occurred. Please try again.")
    with pytest.raises(AgainLater):
        tokens(lambda: Refusing(error)).current()


def test_a_later_refusal_renews_again() -> None:
    shared = AccessTokens(CountingIdentity().credential, "scope", "x", "Check it.")
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
    assert told.endswith("Check it.")
    assert "QZXJ" not in told


def hidden(cause: Exception) -> ClientAuthenticationError:
    """Return what azure-identity raises over anything that its MSAL library met."""
    error = ClientAuthenticationError(f"Authentication failed: {cause}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "cause",
    [
        ServiceRequestError("Connection refused"),
        ServiceResponseError("timed out"),
        RuntimeError("HTTP Error: 503"),
        ValueError("OIDC Discovery failed on https://login/x. HTTP status: 429, Error: busy"),
        CredentialUnavailableError("App Service managed identity .. Token request error: (invalid_scope) 500, busy"),
        ValueError("Expecting value: line 1 column 1 (char 0)"),
        ValueError("None"),  # what MSAL tells of an answer like 404 or 429 that is none of Entra's
    ],
)
def test_an_outage_that_looks_like_a_refusal_is_tried_later(cause: Exception) -> None:
    """azure-identity raises both alike, and an outage of Entra must not end every pull as Failed."""
    with pytest.raises(AgainLater):
        tokens(lambda: Refusing(hidden(cause))).current()
    with pytest.raises(NeedsPerson):
        tokens(lambda: Refusing(hidden(ValueError("OIDC Discovery failed. HTTP status: 400")))).current()


def test_a_refusal_is_asked_about_anew() -> None:
    """MSAL remembers a refusal for a minute: whoever mended the secret would be told that it is still wrong."""
    made: list[Refusing] = []

    def credential() -> Refusing:
        made.append(Refusing(ClientAuthenticationError("AADSTS7000222: The secret has expired.")))
        return made[-1]

    shared = tokens(credential)
    for _ in range(2):
        with pytest.raises(NeedsPerson):
            shared.current()
    assert len(made) == 2


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
    with pytest.raises(NeedsPerson, match="Check DEVCENTER_TENANT_ID, DEVCENTER_CLIENT_ID and"):
        devcenter_tokens(access).current()


CHAIN = (
    "DefaultAzureCredential failed to retrieve a token from the included credentials.\n"
    "Attempted credentials:\n"
    "\tEnvironmentCredential: EnvironmentCredential authentication unavailable.\n"
    "\tManagedIdentityCredential: {}\n"
    "\tAzureCliCredential: Azure CLI not found on path"
)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Failed to establish a new connection: [Errno 111] Connection refused", AgainLater),
        ("App Service managed identity .. Token request error: (invalid_scope) 503, busy", AgainLater),
        ("App Service managed identity .. Token request error: (invalid_scope) 400, no such identity", NeedsPerson),
        ("ManagedIdentityCredential authentication unavailable, no response from the IMDS endpoint.", NeedsPerson),
    ],
)
def test_of_a_chain_of_credentials_the_managed_identity_is_what_counts(said: str, kind: type[Exception]) -> None:
    """A deployed app has nothing else; what the tools of a developer say would hide it."""
    with pytest.raises(kind) as caught:
        tokens(lambda: Refusing(ClientAuthenticationError(CHAIN.format(said)))).current()
    assert f"ManagedIdentityCredential: {said}" in str(caught.value)
    assert "Azure CLI" not in str(caught.value)

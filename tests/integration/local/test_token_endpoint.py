"""azure-identity itself against the token endpoint, over HTTPS, as in Azure."""

from datetime import timedelta
from functools import partial

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientAssertionCredential, ClientSecretCredential, ManagedIdentityCredential

from local.azurite.server import Azurite
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import LoopThread, SimulatorThread
from local.simulator.token_endpoint import TokenEndpoint
from local.simulator.tokens import DEV_CENTER, STORAGE, TOKEN_EXCHANGE
from tests.support.azurite import SOURCES

from .api_client import TIMEOUT


@pytest.fixture(autouse=True)
def environment(token_endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in token_endpoint.environment.items():
        monkeypatch.setenv(name, value)


def with_secret(endpoint: TokenEndpoint, secret: str) -> ClientSecretCredential:
    return ClientSecretCredential(endpoint.tenant_id, endpoint.client_id, secret, disable_instance_discovery=True)


def test_a_secret_gives_a_token_for_one_audience_and_is_asked_once(token_endpoint: TokenEndpoint) -> None:
    with with_secret(token_endpoint, token_endpoint.secret) as credential:
        token = credential.get_token(f"{DEV_CENTER}/.default")
        assert credential.get_token(f"{DEV_CENTER}/.default").token == token.token
        assert token_endpoint.requests == {"secret": 1, "assertion": 0, "identity": 0}
        credential.get_token(f"{STORAGE}/.default")
    assert token_endpoint.tokens.accepts(token.token, DEV_CENTER)
    assert not token_endpoint.tokens.accepts(token.token, STORAGE)
    assert token_endpoint.requests["secret"] == 2


def test_a_wrong_secret_is_refused_as_entra_does(token_endpoint: TokenEndpoint) -> None:
    with (
        with_secret(token_endpoint, "expired") as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215: Invalid client secret provided"),
    ):
        credential.get_token(f"{DEV_CENTER}/.default")


def test_another_tenant_is_refused(token_endpoint: TokenEndpoint) -> None:
    elsewhere = partial(ClientSecretCredential, "elsewhere", token_endpoint.client_id, token_endpoint.secret)
    with (
        elsewhere(disable_instance_discovery=True) as credential,
        pytest.raises(ClientAuthenticationError, match="double check your tenant name"),
    ):
        credential.get_token(f"{DEV_CENTER}/.default")


def test_a_managed_identitys_token_stands_in_for_the_secret(token_endpoint: TokenEndpoint) -> None:
    with ManagedIdentityCredential(client_id=token_endpoint.identity_client_id) as identity:

        def assertion() -> str:
            token: str = identity.get_token(f"{TOKEN_EXCHANGE}/.default").token
            return token

        made = partial(ClientAssertionCredential, token_endpoint.tenant_id, token_endpoint.client_id)
        with made(assertion, disable_instance_discovery=True) as credential:
            token = credential.get_token(f"{DEV_CENTER}/.default").token
        with (
            made(lambda: "forged", disable_instance_discovery=True) as credential,
            pytest.raises(ClientAuthenticationError, match="AADSTS700213"),
        ):
            credential.get_token(f"{DEV_CENTER}/.default")
    assert token_endpoint.tokens.accepts(token, DEV_CENTER)
    assert token_endpoint.requests == {"secret": 0, "assertion": 2, "identity": 1}


def test_a_token_expires(loop_thread: LoopThread) -> None:
    short = loop_thread.enter(TokenEndpoint(lifetime=timedelta(seconds=-1)))
    assert not short.tokens.accepts(short.tokens.issue(DEV_CENTER, "x"), DEV_CENTER)


def test_the_simulator_takes_the_tokens_that_were_issued_for_it(
    azurite: Azurite, token_endpoint: TokenEndpoint
) -> None:
    sources = {name: azurite.connection_string(name) for name in SOURCES}
    accepts = partial(token_endpoint.tokens.accepts, audience=DEV_CENTER)
    with (
        SimulatorThread(sources, accepts) as simulator,
        with_secret(token_endpoint, token_endpoint.secret) as secret,
    ):
        for scope, status in ((DEV_CENTER, 200), (STORAGE, 401)):
            headers = {"Authorization": f"Bearer {secret.get_token(f'{scope}/.default').token}"}
            answer = requests.get(f"{simulator.url}/analytics/driver/report", headers=headers, timeout=TIMEOUT)
            assert answer.status_code == status


@pytest.mark.parametrize("kind", [FaultKind.UNAUTHORIZED, FaultKind.NOT_FOUND, FaultKind.LOST, FaultKind.HTML])
def test_a_fault_of_the_endpoint_passes(token_endpoint: TokenEndpoint, kind: FaultKind) -> None:
    token_endpoint.faults.add(Fault(call=Call.SIGN_IN, kind=kind))
    url = f"{token_endpoint.url}/{token_endpoint.tenant_id}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": token_endpoint.client_id,
        "client_secret": token_endpoint.secret,
        "scope": f"{DEV_CENTER}/.default",
    }

    def asked() -> requests.Response:
        return requests.post(url, data=form, timeout=TIMEOUT, verify=str(token_endpoint.authority_file))

    if kind is FaultKind.LOST:
        with pytest.raises(requests.exceptions.ConnectionError):
            asked()
    else:
        assert "access_token" not in asked().text
    assert token_endpoint.tokens.accepts(asked().json()["access_token"], DEV_CENTER)
    assert token_endpoint.requests["secret"] == 2

"""An identity's clients share its tokens: one for all services, and a new one where a service says that it ended."""

from azure.storage.blob import BlobServiceClient

from local.simulator.certificates import Certificates
from shared.identity.access_tokens import AccessTokens, SharedCredential
from tests.support.identity import Identity
from tests.support.loopback import Answer, LoopbackServer, in_turn

CHALLENGE = (
    "Bearer authorization_uri=https://login.microsoftonline.com/9d1f0e4e-0000-4000-8000-000000000000/oauth2/authorize "
    "resource_id=https://storage.azure.com"
)
ENDED = Answer(status=401, headers={"WWW-Authenticate": CHALLENGE, "x-ms-error-code": "InvalidAuthenticationInfo"})


def shown(certificates: Certificates, identity: Identity, clients: int, *answers: Answer) -> list[str]:
    """Let clients each look at a blob; return the tokens that they showed."""
    credential = SharedCredential(AccessTokens(lambda: identity, "scope", "the cab storage", "Check it."))
    with LoopbackServer(in_turn(*answers), certificates.server_context()) as server:
        for _ in range(clients):
            with BlobServiceClient(f"{server.url}/account", credential=credential, retry_total=0) as client:
                assert client.get_blob_client("cabs", "x").exists()
    return [seen.headers["authorization"] for seen in server.seen]


def test_clients_share_a_token_though_it_lives_for_minutes_only(certificates: Certificates) -> None:
    """Each would otherwise ask the identity's endpoint at each request: it renews whatever ends within five minutes."""
    identity = Identity(240)
    assert shown(certificates, identity, 4, Answer()) == ["Bearer token-1"] * 4
    assert identity.made == 1


def test_a_token_that_the_service_says_has_ended_is_renewed_once(certificates: Certificates) -> None:
    """Two clocks need not agree."""
    identity = Identity(3_600)
    assert shown(certificates, identity, 2, ENDED, Answer()) == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
    assert identity.made == 2

"""The sign-in to the Dev Center, with azure-identity itself against a token endpoint over HTTPS."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from zlib import crc32

import pytest

from local.azurite.server import Azurite
from local.simulator.catalogue import Failure
from local.simulator.faults import FaultKind
from local.simulator.thread import SimulatorThread
from local.simulator.token_endpoint import TokenEndpoint
from local.simulator.tokens import DEV_CENTER, STORAGE
from tests.support.azurite import SOURCES, StorageAccount
from tests.system.playground import Playground


@pytest.fixture
def simulator(
    azurite: Azurite, token_endpoint: TokenEndpoint, request: pytest.FixtureRequest
) -> Iterator[SimulatorThread]:
    """A Dev Center that takes the endpoint's tokens, each for its own audience only."""
    accepts: Callable[..., bool] = token_endpoint.tokens.accepts
    with SimulatorThread(
        {name: azurite.connection_string(name) for name in SOURCES},
        partial(accepts, audience=DEV_CENTER),
        partial(accepts, audience=STORAGE),
        seed=crc32(request.node.nodeid.encode()),
    ) as running:
        yield running
    assert not running.ledger.problems


@pytest.fixture
def playground(
    azurite: Azurite, storage: StorageAccount, simulator: SimulatorThread, tmp_path: Path
) -> Iterator[Playground]:
    """A playground without a fixed token."""
    made = Playground(azurite, storage, simulator, None, tmp_path)
    yield made
    made.close()


@pytest.fixture
def failure(playground: Playground) -> Failure:
    failure = playground.simulator.builder.failure(2)
    playground.simulator.publish()
    return failure


@pytest.fixture
def with_secret(token_endpoint: TokenEndpoint) -> Mapping[str, str]:
    """The settings of an application with a secret."""
    return {
        **token_endpoint.environment,
        "DEVCENTER_TENANT_ID": token_endpoint.tenant_id,
        "DEVCENTER_CLIENT_ID": token_endpoint.client_id,
        "DEVCENTER_CLIENT_SECRET": token_endpoint.secret,
    }


def test_a_secret_signs_in_once_for_many_pulls(
    playground: Playground, failure: Failure, token_endpoint: TokenEndpoint, with_secret: Mapping[str, str]
) -> None:
    """A token lives an hour: asking for one at each request would be throttled by Entra."""
    others = [playground.simulator.builder.failure(1) for _ in range(5)]
    playground.simulator.publish()
    app = playground.start(with_secret)
    pulls = playground.pull(app, failure) + playground.pull(app, *others)
    assert {pull.state for pull in pulls} == {"Completed"}
    assert token_endpoint.requests == {"secret": 1, "assertion": 0, "identity": 0}
    playground.assert_copied_once(failure, *others)


def test_a_wrong_secret_says_what_to_do_and_a_right_one_mends_it(
    playground: Playground, failure: Failure, token_endpoint: TokenEndpoint, with_secret: Mapping[str, str]
) -> None:
    """Secrets end: the error must name the setting, and the app go on without a restart when Entra takes it again."""
    right, token_endpoint.secret = token_endpoint.secret, "another one"
    app = playground.start(with_secret)
    (pull,) = playground.pull(app, failure)
    assert pull.state == "Failed"
    for told in (pull.last_error or "", playground.checked(app).error or ""):
        assert "AADSTS7000215" in told
        assert "secret" in told
        assert "DEVCENTER_CLIENT_ID" in told
        assert right not in told
    assert not playground.api_requests(failure)
    assert right not in app.log
    token_endpoint.secret = right
    assert playground.pull(app, failure)[0].state == "Completed"


def test_a_managed_identity_stands_in_for_the_secret(
    playground: Playground, failure: Failure, token_endpoint: TokenEndpoint
) -> None:
    """The way without any secret, which is the one that is deployed."""
    app = playground.start(
        {
            **token_endpoint.environment,
            "DEVCENTER_TENANT_ID": token_endpoint.tenant_id,
            "DEVCENTER_CLIENT_ID": token_endpoint.client_id,
            "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID": token_endpoint.identity_client_id,
        }
    )
    (pull,) = playground.pull(app, failure)
    assert pull.state == "Completed"
    assert token_endpoint.requests == {"secret": 0, "assertion": 1, "identity": 1}
    playground.assert_copied_once(failure)


def test_a_token_that_is_refused_is_renewed_once(
    playground: Playground, failure: Failure, token_endpoint: TokenEndpoint, with_secret: Mapping[str, str]
) -> None:
    """A token can end between two looks at the clock; a second refusal is not about the clock."""
    app = playground.start(with_secret)
    playground.fail(failure, FaultKind.UNAUTHORIZED)
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.attempts) == ("Completed", 0)
    assert token_endpoint.requests["secret"] == 2
    refused = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    playground.fail(refused, FaultKind.UNAUTHORIZED, None)
    (pull,) = playground.pull(app, refused)
    assert pull.state == "Failed"
    assert "401" in (pull.last_error or "")
    assert len(playground.api_requests(refused)) == 2
    assert token_endpoint.requests["secret"] == 3

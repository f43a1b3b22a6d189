"""A playground for each test, or for a module whose tests do not disturb each other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azurite.server import Azurite
from local.simulator.thread import SimulatorThread
from tests.support.azurite import StorageAccount
from tests.system.playground import Playground, simulated


@pytest.fixture
def playground(
    azurite: Azurite, storage: StorageAccount, simulator: SimulatorThread, access_token: str, tmp_path: Path
) -> Iterator[Playground]:
    """A playground of the test's own, with a fixed token; no app runs yet."""
    made = Playground(azurite, storage, simulator, access_token, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_playground(
    azurite: Azurite,
    unused_accounts: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Playground]:
    """A playground that the tests of a module share; each has failures of its own, or only looks at what was done."""
    name = next(unused_accounts)
    storage = StorageAccount(name, azurite.accounts[name], azurite.connection_string(name))
    with simulated(azurite, request.node.nodeid) as (simulator, token):
        made = Playground(azurite, storage, simulator, token, tmp_path_factory.mktemp("apps"))
        yield made
        made.close()

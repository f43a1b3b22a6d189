"""What tests share: one Azurite a test process, a fresh account and a simulator for each test that asks for them."""

import os
import secrets
from collections.abc import Iterator
from itertools import islice, zip_longest
from zlib import crc32

import hypothesis
import pytest

from local.azurite.server import Azurite, azurite_command
from local.simulator.thread import LoopThread, SimulatorThread
from local.simulator.token_endpoint import TokenEndpoint
from tests.support.azurite import DESTINATIONS, SOURCES, StorageAccount, new_accounts

# How fast a machine is says nothing about the code; and one commit must not pass and fail by chance.
hypothesis.settings.register_profile(
    "cabferry",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("cabferry")

# A test of these takes a minute.
_LONG = ("system/faults/test_faults.py", "system/test_kills.py")


def pytest_configure(config: pytest.Config) -> None:
    """Install Azurite, where `dev.py` has not, before pytest-xdist's workers would all begin to."""
    if getattr(config.option, "numprocesses", None):
        azurite_command()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the longest tests out to where the workers of pytest-xdist begin: what begins last is waited for alone."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files = [[item for item in items if item.nodeid.partition("::")[0].endswith(name)] for name in _LONG]
    # One of each file after the other: those of one file ask for the same of the machine.
    long = [item for some in zip_longest(*files) for item in some if item is not None]
    others = iter([item for item in items if not item.nodeid.partition("::")[0].endswith(_LONG)])
    dealt: list[pytest.Item] = []
    for worker in range(workers):
        share = (len(items) - len(dealt)) // (workers - worker)
        mine = long[worker::workers]
        dealt += [*mine, *islice(others, max(0, share - len(mine)))]
    items[:] = dealt


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """An Azurite in memory that records its requests: the simulator's source accounts, and one for each test."""
    with Azurite(azurite_command(), new_accounts(), recorded=True) as running:
        yield running


@pytest.fixture(scope="session")
def unused_accounts() -> Iterator[str]:
    """The accounts that no test of this process has had yet."""
    return iter(DESTINATIONS)


@pytest.fixture
def storage(azurite: Azurite, unused_accounts: Iterator[str]) -> StorageAccount:
    """A storage account that no other test has touched: its tables, queues and containers are this test's own."""
    name = next(unused_accounts, None)
    assert name is not None, "all accounts are used; raise the number in tests/support/azurite.py"
    return StorageAccount(name, azurite.accounts[name], azurite.connection_string(name))


@pytest.fixture
def access_token() -> str:
    """The bearer token that the simulator wants."""
    return secrets.token_urlsafe(24)


@pytest.fixture
def simulator(azurite: Azurite, access_token: str, request: pytest.FixtureRequest) -> Iterator[SimulatorThread]:
    """A Dev Center without reports or failures: build them, then publish. An unexpected error in it fails the test."""
    sources = {name: azurite.connection_string(name) for name in SOURCES}
    # Tests share the source accounts: each needs identities of its own, and the same ones every time.
    seed = crc32(request.node.nodeid.encode())
    with SimulatorThread(sources, access_token, seed=seed) as running:
        yield running
    assert not running.ledger.problems


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    """An event loop in a thread, for what is asynchronous in tests that are not."""
    with LoopThread() as running:
        yield running


@pytest.fixture
def token_endpoint(loop_thread: LoopThread) -> TokenEndpoint:
    """An Entra of the test's own; `monkeypatch.setenv` what its `environment` says."""
    return loop_thread.enter(TokenEndpoint())

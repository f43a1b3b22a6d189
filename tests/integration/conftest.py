"""An app on an account of its own, and the simulated Dev Center that it asks."""

from collections.abc import Callable

import pytest

from local.azurite.server import Azurite
from local.simulator.thread import SimulatorThread
from shared.core.settings import Settings
from shared.pull import policy
from shared.pull.state import Pull
from tests.support.azurite import StorageAccount

from .app import App

MakeApp = Callable[..., App]


@pytest.fixture(autouse=True)
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pulls write down each page, as they do where one takes seconds: what may happen in between is tested here."""
    written: dict[int, int] = {}

    def is_page_done(pull: Pull, _now: float) -> bool:
        before, written[id(pull)] = written.get(id(pull), pull.row.skip), pull.safe.skip
        return pull.ledger.unwritten > 0 and pull.safe.skip > before and not policy.is_over(pull)

    monkeypatch.setattr(policy, "must_write", is_page_done)


@pytest.fixture
def make_app(azurite: Azurite, storage: StorageAccount, simulator: SimulatorThread, access_token: str) -> MakeApp:
    """Makes apps on one account; settings are added to those that they need."""

    def make(**settings: str) -> App:
        needed = {
            "CAB_STORAGE": storage.connection_string,
            "CAB_SOURCE_HOSTS": "127.0.0.1",
            "DEVCENTER_BASE_URL": simulator.url,
            "DEVCENTER_ACCESS_TOKEN": access_token,
            "PULL_CONCURRENCY": "8",
        }
        return App(azurite, storage, Settings.from_environment({**needed, **settings}))

    return make


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """An app with the defaults."""
    return make_app()

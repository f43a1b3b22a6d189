"""What the trials of one group of calls run on: an app whose storage calls pass through a proxy, and its playground."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.azurite.server import Azurite
from local.simulator.thread import LoopThread
from tests.support.azurite import StorageAccount
from tests.system.app import App, changed_copy
from tests.system.faults.cells import Cell, Outcome
from tests.system.faults.storage_proxy import StorageProxy
from tests.system.playground import Playground, simulated

# As many pulls at once as there are trials, so that their waits pass side by side; and a message whose function failed
# comes back after a second instead of half a minute.
_QUEUES = {"visibilityTimeout": "00:00:01", "batchSize": 32, "newBatchThreshold": 64, "maxPollingInterval": "00:00:01"}
_THREADS = {"PYTHON_THREADPOOL_THREAD_COUNT": "128"}
# How long what is slow takes here. The app's own time-outs are a minute and more.
SLOW_SECONDS = 0.6


@dataclass(slots=True)
class Seen:
    """What a trial saw.

    Args:
        outcome: What became of the pull or the report while the fault was there.
        reason: What was recorded or answered.
        calls: How many requests of the faulty call there were; 1 where they were refused and nobody could count them.
        wrong: What was not as promised, also after the fault was gone.
    """

    outcome: Outcome
    reason: str = ""
    calls: int = 1
    wrong: list[str] = field(default_factory=list)


type Observed = Mapping[Cell, Seen]


@dataclass(frozen=True, slots=True)
class Stage:
    """A playground, the proxy before its account, and its app."""

    playground: Playground
    proxy: StorageProxy
    app: App


@contextmanager
def staged(azurite: Azurite, storage: StorageAccount, folder: Path, name: str) -> Iterator[Stage]:
    """Run an app, and at the end look for secrets in all that it wrote.

    Args:
        azurite: Where the account is; it records its requests.
        storage: The account that the app fills.
        folder: Where copies of the app and logs go.
        name: Of the stage, for the identities of its failures.
    """
    root = changed_copy(folder / f"{name}-app", **_QUEUES)
    with ExitStack() as opened:
        simulator, token = opened.enter_context(simulated(azurite, name))
        proxy = opened.enter_context(LoopThread()).enter(StorageProxy(storage.connection_string))
        playground = Playground(azurite, storage, simulator, token, folder)
        opened.callback(playground.close)
        settings = {**_THREADS, "CAB_STORAGE": proxy.connection_string}
        yield Stage(playground, proxy, playground.start(settings, root=root, may_raise=True))
        assert_nothing_secret(playground, {"the token": token, "the key": storage.key})
    shutil.rmtree(root)


def assert_nothing_secret(playground: Playground, secret: Mapping[str, str]) -> None:
    """Fail where a secret or a signature is in a log or a table."""
    seen = {f"table {name}": str(playground.stored.rows(name)) for name in ("reports", "pulls", "cabs", "health")}
    seen |= {f"log {number}": app.log for number, app in enumerate(playground.apps)}
    secret = {**secret, "a signature": "sig="}
    found = [f"{what} in {where}" for where, text in seen.items() for what, value in secret.items() if value in text]
    assert found == []

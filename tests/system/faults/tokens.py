"""Tokens. An app keeps one for all its pulls, so that few faults can share an app and its endpoint."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

from local.azurite.server import Azurite
from local.simulator.catalogue import Failure
from local.simulator.faults import Call as DevCenterCall
from local.simulator.faults import Fault as DevCenterFault
from local.simulator.faults import FaultKind
from local.simulator.thread import LoopThread, SimulatorThread
from local.simulator.token_endpoint import TokenEndpoint
from local.simulator.tokens import DEV_CENTER
from tests.support.azurite import SOURCES, StorageAccount
from tests.system.answers import Pull
from tests.system.app import App
from tests.system.faults.cells import KINDS, Call, Cell, Fault, Outcome
from tests.system.faults.stage import SLOW_SECONDS, Observed, Seen, assert_nothing_secret
from tests.system.playground import SMALL, Playground

# An app costs more than a fault takes: so many faults share one, one after the other.
_FAULTS_PER_APP = 4


@dataclass(frozen=True, slots=True)
class _Stage:
    """Some faults, what they have to themselves, and a failure for each cell, after one to warm up with."""

    faults: tuple[Fault, ...]
    endpoint: TokenEndpoint
    playground: Playground
    failures: tuple[Failure, ...]


def observe(azurite: Azurite, accounts: Iterator[StorageAccount], folder: Path) -> Observed:
    """Sign in with each fault, once and for good, side by side, and return what was seen.

    Args:
        azurite: Where the accounts are.
        accounts: One for each app.
        folder: Where the logs go.
    """
    with ExitStack() as opened:
        loop = opened.enter_context(LoopThread())
        stages: list[_Stage] = []

        def accepts(token: str) -> bool:
            return any(stage.endpoint.tokens.accepts(token, DEV_CENTER) for stage in stages)

        sources = {name: azurite.connection_string(name) for name in SOURCES}
        simulator = opened.enter_context(SimulatorThread(sources, accepts, seed=44))
        for faults in batched(KINDS, _FAULTS_PER_APP, strict=False):
            place = folder / f"tokens-{len(stages)}"
            place.mkdir()
            playground = Playground(azurite, next(accounts), simulator, None, place)
            opened.callback(playground.close)
            failures = tuple(simulator.builder.failure(1, SMALL) for _ in range(1 + 2 * len(faults)))
            stages.append(_Stage(faults, loop.enter(TokenEndpoint()), playground, failures))
        simulator.publish()
        with ThreadPoolExecutor(len(stages)) as pool:
            seen = {cell: each for some in pool.map(_tried, stages) for cell, each in some.items()}
        assert not simulator.ledger.problems
    return seen


def _tried(stage: _Stage) -> Observed:
    endpoint, playground = stage.endpoint, stage.playground
    app = playground.start(
        {
            **endpoint.environment,
            "DEVCENTER_TENANT_ID": endpoint.tenant_id,
            "DEVCENTER_CLIENT_ID": endpoint.client_id,
            "DEVCENTER_CLIENT_SECRET": endpoint.secret,
        },
        may_raise=True,  # MSAL logs a traceback where an answer is no JSON.
    )
    warm_up, *failures = stage.failures
    playground.pull(app, warm_up)
    cells = [Cell(Call.TOKEN, fault, lasts) for fault in stage.faults for lasts in (False, True)]
    seen = {cell: _pulled(stage, app, cell, failure) for cell, failure in zip(cells, failures, strict=True)}
    _note(seen[cells[-1]], lambda: playground.assert_copied_once(*stage.failures))
    secrets = {"the secret": endpoint.secret, "a token": "eyJ"}
    _note(seen[cells[-1]], lambda: assert_nothing_secret(playground, secrets))
    return seen


def _pulled(stage: _Stage, app: App, cell: Cell, failure: Failure) -> Seen:
    """Pull a failure with a token that has to be renewed, and with the fault; then, where it has to be, without."""
    endpoint, playground = stage.endpoint, stage.playground
    before = endpoint.requests["secret"]
    # A token that is refused is renewed; otherwise the one at hand would do for an hour.
    playground.fail(failure, FaultKind.UNAUTHORIZED)
    _fail(endpoint, KINDS[cell.fault], None if cell.lasts else 1)
    (pull,) = playground.pull(app, failure)
    seen = Seen(_outcome(pull), pull.last_error or "", endpoint.requests["secret"] - before)
    endpoint.faults.clear()
    if pull.last_error:
        (again,) = playground.pull(app, failure)
        seen.wrong += [] if (again.state, again.last_error) == ("Completed", None) else [f"without: {again}"]
    return seen


def _fail(endpoint: TokenEndpoint, kind: FaultKind, times: int | None) -> None:
    endpoint.faults.add(DevCenterFault(call=DevCenterCall.SIGN_IN, kind=kind, times=times, delay=SLOW_SECONDS))


def _outcome(pull: Pull) -> Outcome:
    if pull.state == "Failed":
        return Outcome.FAILED
    return Outcome.LATER if pull.attempts else Outcome.COMPLETE


def _note(seen: Seen, check: Callable[[], None]) -> None:
    try:
        check()
    except AssertionError as error:
        seen.wrong.append(str(error))

"""Ports that are shut. Each has an app, a playground and an account to itself, since a shut port refuses everybody."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from zlib import crc32

from yarl import URL

from local.azurite.server import Azurite
from local.simulator.builder import REPORT_ACCOUNT
from local.simulator.catalogue import Failure
from local.simulator.faults import FaultKind
from local.simulator.listener import HOST
from local.simulator.thread import LoopThread, SimulatorThread
from local.simulator.token_endpoint import TokenEndpoint
from local.simulator.tokens import DEV_CENTER
from tests.support.azurite import SOURCES, StorageAccount
from tests.support.waiting import wait_until
from tests.system.answers import problem
from tests.system.app import App
from tests.system.faults.cells import Call, Cell, Fault, Outcome
from tests.system.faults.door import Door
from tests.system.faults.stage import Observed, Seen, assert_nothing_secret
from tests.system.playground import ENDED, SMALL, Playground

_REPORT = 43_000  # the first that a simulator makes
# Which calls meet a shut port first, by what is behind it.
_CALLS: Mapping[str, tuple[Call, ...]] = {
    "token": (Call.TOKEN,),
    "devcenter": (Call.REPORT_DATA, Call.CAB_BATCH),
    "report": (Call.REPORT_FILE,),
    "BlobEndpoint": (Call.COPY,),
    "TableEndpoint": (Call.ASKED, Call.LEASE),
    "QueueEndpoint": (Call.MESSAGE,),
}


@dataclass(frozen=True, slots=True)
class _Trial:
    """What a port has to itself."""

    loop: LoopThread
    door: Door
    playground: Playground
    app: App

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Refuse connections, from entering the context to leaving it."""
        self.loop.run(self.door.shut())
        try:
            yield
        finally:
            self.loop.run(self.door.open())

    def failure(self) -> Failure:
        """Return a new failure."""
        made = self.playground.simulator.builder.failure(1, SMALL)
        self.playground.simulator.publish()
        return made


def observe(azurite: Azurite, accounts: Iterator[StorageAccount], folder: Path) -> Observed:
    """Shut each port, for one refusal and for good, side by side, and return what was seen.

    Args:
        azurite: Where the accounts are.
        accounts: One for each port.
        folder: Where the logs go.
    """
    places = [(behind, next(accounts)) for behind in _CALLS]

    def tried(place: tuple[str, StorageAccount]) -> Observed:
        with _staged(azurite, place[1], folder / place[0], place[0]) as trial:
            return {
                Cell(call, Fault.REFUSED, lasts): _TRIED[call](trial, lasts)
                for call in _CALLS[place[0]]
                for lasts in (False, True)
            }

    with ThreadPoolExecutor(len(places)) as pool:
        return {cell: seen for some in pool.map(tried, places) for cell, seen in some.items()}


@contextmanager
def _staged(azurite: Azurite, account: StorageAccount, folder: Path, behind: str) -> Iterator[_Trial]:
    """Run an app with a door before one of the ports that it needs."""
    folder.mkdir()
    parts = _parts(account.connection_string)
    with ExitStack() as opened:
        loop = opened.enter_context(LoopThread())
        endpoint = loop.enter(TokenEndpoint())
        sources = {name: azurite.connection_string(name) for name in SOURCES}
        if behind == "report":
            door = loop.enter(Door(_port(parts["BlobEndpoint"])))
            sources[REPORT_ACCOUNT] = _joined(_behind(door, _parts(sources[REPORT_ACCOUNT]), "BlobEndpoint"))
        simulator = opened.enter_context(
            SimulatorThread(
                sources, lambda token: endpoint.tokens.accepts(token, DEV_CENTER), seed=crc32(behind.encode())
            )
        )
        urls = {"token": endpoint.url, "devcenter": simulator.url}
        if behind != "report":
            door = loop.enter(Door(_port(urls.get(behind) or parts[behind])))
        settings = {
            **endpoint.environment,
            "CAB_STORAGE": _joined(_behind(door, parts, behind) if behind in parts else parts),
            "DEVCENTER_TENANT_ID": endpoint.tenant_id,
            "DEVCENTER_CLIENT_ID": endpoint.client_id,
            "DEVCENTER_CLIENT_SECRET": endpoint.secret,
            "REPORT_IDS": str(_REPORT),
            **({"AZURE_AUTHORITY_HOST": f"https://localhost:{door.port}"} if behind == "token" else {}),
            **({"DEVCENTER_BASE_URL": f"http://{HOST}:{door.port}"} if behind == "devcenter" else {}),
        }
        playground = Playground(azurite, account, simulator, None, folder)
        opened.callback(playground.close)
        trial = _Trial(loop, door, playground, playground.start(settings))
        # The first call of all makes what is missing in the account.
        playground.pull(trial.app, trial.failure())
        yield trial
        assert_nothing_secret(playground, {"the secret": endpoint.secret, "the key": account.key, "a token": "eyJ"})
        assert not simulator.ledger.problems


def _pull_with_a_new_token(trial: _Trial, lasts: bool) -> Seen:
    return _pull(trial, lasts, is_token_refused=True)


def _pull(trial: _Trial, lasts: bool, *, is_token_refused: bool = False) -> Seen:
    """Pull a failure: until the first refusal is recorded, or for good."""
    playground, failure = trial.playground, trial.failure()
    if is_token_refused:
        # A token that is refused is renewed; otherwise the one at hand would do for an hour.
        playground.fail(failure, FaultKind.UNAUTHORIZED)
    with trial.shut():
        playground.ask(trial.app, failure)
        key = failure.key
        wait_until(
            lambda: playground.stored.pull(key).get("state") in ENDED if lasts else _is_put_off(trial, failure), ""
        )
        reason = str(playground.stored.pull(failure.key)["lastError"])
    if lasts:
        ended = playground.stored.pull(failure.key)["state"]
        (pull,) = playground.pull(trial.app, failure)
    else:
        (pull,) = playground.ends(trial.app, failure)
        ended = "later" if pull.attempts else "complete"
    seen = Seen({"Failed": Outcome.FAILED, "later": Outcome.LATER}.get(ended, Outcome.COMPLETE), reason)
    return _compared(trial, seen, failure)


def _is_put_off(trial: _Trial, failure: Failure) -> bool:
    row = trial.playground.stored.pull(failure.key)
    return row.get("state") == "Queued" and bool(row["lastError"])


def _check(trial: _Trial, lasts: bool) -> Seen:
    """Check a report, and check it again with an open port."""
    builder, reports = trial.playground.simulator.builder, trial.playground.simulator.world.reports
    failure = trial.failure()
    if reports:
        builder.run(reports[_REPORT], [failure])
    else:
        builder.report([failure])
    trial.playground.simulator.publish()
    with trial.shut():
        # Of several runs of the report, one that failed is told first.
        told = [trial.playground.checked(trial.app).runs[0] for _ in range(1 + lasts)][-1]
    again = trial.playground.check(trial.app)[str(_REPORT)]
    trial.playground.ends(trial.app, failure)
    seen = Seen(Outcome.TOLD if told.outcome == "failed" else Outcome.COMPLETE, told.error or "")
    seen.wrong += [] if again.outcome in {"ingested", "known"} else [f"with an open port: {again}"]
    return _compared(trial, seen, failure)


def _ask(trial: _Trial, _: bool) -> Seen:
    """Ask for a pull, and ask again with an open port."""
    failure = trial.failure()
    key = failure.key
    with trial.shut():
        answer = trial.app.post("/api/pulls", {"applicationId": key.application_id, "failureHash": key.failure_hash})
    trial.playground.pull(trial.app, failure)
    return _compared(trial, Seen(Outcome.REFUSED, problem(answer, HTTPStatus.SERVICE_UNAVAILABLE)), failure)


def _take(trial: _Trial, _: bool) -> Seen:
    """Let a message come whose pull's row cannot be written."""
    failure = trial.failure()
    message = {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}
    with trial.shut():
        trial.playground.stored.send(json.dumps(message))
        line = wait_until(lambda: _kept(trial, failure), "the message to be kept", hint=lambda: trial.app.log)
    trial.playground.pull(trial.app, failure)
    return _compared(trial, Seen(Outcome.WAITS, line), failure)


def _kept(trial: _Trial, failure: Failure) -> str:
    lines = [line for line in trial.app.log.splitlines() if failure.key.failure_hash in line]
    return next((line for line in lines if "its message is sent again" in line), "")


def _compared(trial: _Trial, seen: Seen, failure: Failure) -> Seen:
    """Note where the failure is not complete."""
    row = trial.playground.stored.pull(failure.key)
    if (row.get("state"), row.get("lastError")) != ("Completed", ""):
        seen.wrong.append(f"its row is {row}")
    try:
        trial.playground.assert_copied_once(failure, only=False)
    except AssertionError as error:
        seen.wrong.append(str(error))
    return seen


_TRIED = {
    Call.TOKEN: _pull_with_a_new_token,
    Call.CAB_BATCH: _pull,
    Call.COPY: _pull,
    Call.REPORT_DATA: _check,
    Call.REPORT_FILE: _check,
    Call.ASKED: _ask,
    Call.MESSAGE: _ask,
    Call.LEASE: _take,
}


def _parts(connection_string: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)


def _behind(door: Door, parts: Mapping[str, str], endpoint: str) -> dict[str, str]:
    return {**parts, endpoint: str(URL(parts[endpoint]).with_port(door.port))}


def _joined(parts: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _port(url: str) -> int:
    return URL(url).port or 0

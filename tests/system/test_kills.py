"""Hosts that die at any moment, again and again: the end is the same as if none had.

The moments are drawn from a seed, which is printed; `KILLS_SEED` repeats a schedule. In CI the seed is always the same:
one commit must not pass and fail by chance.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from random import Random, SystemRandom
from types import TracebackType
from typing import Any, Self

import pytest
import requests

from local.aftermath import findings
from local.azurite.server import Azurite
from local.kill_points import KillPoint
from local.simulator.catalogue import Failure
from tests.support.waiting import DEADLINE_SECONDS, wait_until
from tests.system.app import HTTP_SECONDS
from tests.system.playground import ENDED, SMALL, Playground
from tests.system.stored import POISON

# What a dead host held comes back after this. Two seconds are the least that the local host takes.
SETTINGS = {"PULL_LEASE_SECONDS": "2", "LOCAL_MESSAGE_LEASE_SECONDS": "2"}
# A message that was taken 50 times, and never done, goes to the poison queue (maxDequeueCount in host.json).
KILLS = 4
SEED = os.environ.get("KILLS_SEED") or ("4" if "CI" in os.environ else str(SystemRandom().randrange(1_000_000)))
# A moment is looked for often, since what comes after it is what matters.
_LOOK_SECONDS, _IDLE_LOOK_SECONDS = 0.002, 0.5


@pytest.mark.parametrize(("hosts", "by"), [(1, "report"), (2, "both")], ids=str)
def test_nothing_is_lost_or_done_twice_whenever_hosts_are_killed(
    playground: Playground, azurite: Azurite, hosts: int, by: str
) -> None:
    """SIGKILL at four moments of report checks and pulls, with one host and with two at once on the same storage."""
    chance = Random(f"{SEED} {hosts} {by}")  # noqa: S311 - a schedule, no secret
    failures = _world(playground, chance, reported=by != "request")
    with _Fleet(playground, hosts) as fleet, _asking(fleet, failures, by) as asked:
        for number in range(KILLS):
            point = KillPoint.drawn(chance, while_asking=number == 0)
            come = point.watch(azurite, playground.simulator.ledger, playground.storage.name)
            reached = _wait_for(come, lambda: asked() and fleet.is_idle(failures))
            print(f"KILLS_SEED={SEED}: {point}{'' if reached else ', where nothing was left to do'}")
            fleet.kill_one(chance)
        wait_until(lambda: asked() and fleet.is_idle(failures), "the end of every pull", hint=fleet.logs)
        playground.wait_for_empty_queue()
    world, made = playground.simulator.world, playground.storage_requests()
    assert findings(playground.storage.connection_string, world, made) == []
    assert playground.stored.messages(POISON) == 0


def _world(playground: Playground, chance: Random, *, reported: bool) -> list[Failure]:
    """Build some small failures and one of several pages."""
    builder = playground.simulator.builder
    failures = [builder.failure(count, SMALL) for count in (*(chance.randint(0, 6) for _ in range(32)), 150)]
    if reported:
        builder.report(failures)
    playground.simulator.publish()
    return failures


class _Fleet:
    """Some hosts at once; for each that is killed another one starts."""

    def __init__(self, playground: Playground, hosts: int) -> None:
        self.playground = playground
        self._hosts = hosts

    def __enter__(self) -> Self:
        with ThreadPoolExecutor() as starting:
            self._alive = list(starting.map(lambda _: self.playground.start(SETTINGS), range(self._hosts)))
        self.url = self._alive[-1].url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for app in self._alive:
            app.close()

    def kill_one(self, chance: Random) -> None:
        """Kill one of them, and start another, which is the one to ask from then on."""
        self._alive.pop(chance.randrange(self._hosts)).kill()
        self._alive.append(self.playground.start(SETTINGS))
        self.url = self._alive[-1].url

    def post(self, path: str, body: object = None) -> requests.Response | None:
        """Send a POST; None where its host was killed over it."""
        try:
            return requests.post(self.url + path, json=body, timeout=HTTP_SECONDS)
        except requests.RequestException:
            for app in self._alive:
                assert app.process.poll() is None, f"a host ended by itself ({app.process.returncode}):\n{app.log}"
            return None

    def told_check(self) -> dict[str, Any]:
        """Return how the check stands that was last asked for; nothing where the host was killed over the answer."""
        try:
            told: dict[str, Any] = requests.get(f"{self.url}/api/reports/check", timeout=HTTP_SECONDS).json()
        except requests.RequestException:
            return {}
        return told

    def is_idle(self, failures: Sequence[Failure]) -> bool:
        """Tell whether every pull has ended."""
        rows = self.playground.stored.rows("pulls")
        return len(rows) == len(failures) and {row["state"] for row in rows} <= ENDED

    def logs(self) -> str:
        """Return what the living have printed."""
        return "\n".join(app.log for app in self._alive)


@contextmanager
def _asking(fleet: _Fleet, failures: Sequence[Failure], by: str) -> Iterator[Callable[[], bool]]:
    """Ask as timers and people do: again, where no answer came. Yield what tells whether all was answered."""
    of_one = groupby(
        sorted((failure.key for failure in failures), key=lambda key: key.application_id),
        lambda key: key.application_id,
    )
    bodies = [{"applicationId": one, "failureHashes": [key.failure_hash for key in keys]} for one, keys in of_one]
    with ThreadPoolExecutor() as askers:
        asked = [askers.submit(_request, fleet, body) for body in bodies if by != "report"]
        asked += [askers.submit(_check, fleet)] if by != "request" else []

        def all_asked() -> bool:
            return all(each.done() for each in asked) and not any(each.result() for each in asked)

        yield all_asked


def _request(fleet: _Fleet, body: Mapping[str, object]) -> None:
    def is_answered() -> bool:
        answer = fleet.post("/api/pulls", body)
        assert answer is None or answer.status_code in {202, 503}, answer.text
        return answer is not None and answer.status_code == requests.codes.accepted

    wait_until(is_answered, "an answer to a request for pulls", hint=fleet.logs)


def _check(fleet: _Fleet) -> None:
    def is_ingested() -> bool:
        if fleet.post("/api/reports/check") is None:
            return False
        wait_until(lambda: fleet.told_check().get("endedAt"), "the end of a check", hint=fleet.logs)
        outcomes = {run["outcome"] for run in fleet.told_check().get("runs", [{"outcome": ""}])}
        if "busy" in outcomes:
            # Whoever read it was killed. In a minute its lease ends; a test need not wait for that.
            (row,) = fleet.playground.stored.rows("reports")
            fleet.playground.stored.change("reports", {**row, "leaseUntil": datetime.now(UTC)})
        return outcomes <= {"ingested", "known"}

    wait_until(is_ingested, "the end of a report check", hint=fleet.logs)


def _wait_for(come: Callable[[], bool], is_idle: Callable[[], bool]) -> bool:
    """Wait for a moment; tell whether it came, or there was nothing left to do."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        until = time.monotonic() + _IDLE_LOOK_SECONDS
        while time.monotonic() < until:
            if come():
                return True
            time.sleep(_LOOK_SECONDS)
        if is_idle():
            return False
    raise AssertionError("neither did the moment come nor did the work end")

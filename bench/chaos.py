"""Chaos: several hosts at once on the same storage, killed again and again at moments drawn from a seed."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Self

from bench.load import Load
from bench.report import Section, Table, at_most
from local.aftermath import findings
from local.azurite.access_log import StorageRequest
from local.child import HostProcess
from local.embedded import CAB_ACCOUNT, Embedded
from local.kill_points import CONTAINER, KillPoint
from local.paths import LOCAL
from local.simulator.faults import Call

HOSTS = 3
# What a dead host held comes back after this. And no timer checks: one that meets a fault ends as it should, but with a
# traceback, which would look like a finding.
_SETTINGS = {"PULL_LEASE_SECONDS": "5", "LOCAL_MESSAGE_LEASE_SECONDS": "5", "REPORT_POLL_SCHEDULE": "0 0 0 29 2 *"}
_PATIENCE_SECONDS, _LOOK_SECONDS = 4.0, 0.002
_LARGE, _REPORTED = 0.15, 0.3
# With each fifth kill another host is asked to end.
_TAKEN_AWAY = 5
_SHOWN_FINDINGS = 20


class _Fleet:
    """The hosts; for each that is killed another one starts at once, while the rest works on."""

    def __init__(self, settings: dict[str, str], logs: Path) -> None:
        self._settings, self._logs, self._started = settings, logs, 0
        self._pool = ThreadPoolExecutor(4 * HOSTS)
        self._hosts: list[Future[HostProcess]] = []
        self._ending: list[Future[None]] = []

    def __enter__(self) -> Self:
        shutil.rmtree(self._logs, ignore_errors=True)
        self._hosts += [self._start() for _ in range(HOSTS)]
        self.wait(HOSTS)
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            host.result().__exit__(None, None, None)
        self._pool.shutdown()
        for ended in self._ending:
            ended.result()

    def url(self) -> str:
        """Return where one of them answers; it may be killed at any moment."""
        return (self._serving() or self._hosts)[-1].result().url

    def wait(self, least: int) -> None:
        """Wait until so many of them serve."""
        while len(self._serving()) < least:
            wait([host for host in self._hosts if not host.done()], return_when=FIRST_COMPLETED)

    def kill(self, chance: Random) -> None:
        """Kill one of those that serve, and start another."""
        victim = chance.choice(self._serving())
        victim.result().kill()
        self._replace(victim)

    def take_away(self, chance: Random) -> None:
        """Ask one of those that serve to end, as Azure does when load falls, and start another."""
        self._replace(chance.choice(self._serving()))

    def tracebacks(self) -> list[str]:
        """Return a sentence for each host that printed a traceback."""
        logs = sorted(self._logs.glob("*.log"))
        return [f"{log.name} holds a traceback" for log in logs if "Traceback" in log.read_text(encoding="utf-8")]

    def _replace(self, host: Future[HostProcess]) -> None:
        self._hosts = [each for each in self._hosts if each is not host] + [self._start()]
        self._ending.append(self._pool.submit(host.result().__exit__, None, None, None))

    def _serving(self) -> list[Future[HostProcess]]:
        return [host for host in self._hosts if host.done()]

    def _start(self) -> Future[HostProcess]:
        self._started += 1
        host = HostProcess(self._settings, self._logs / f"host-{self._started}.log")
        return self._pool.submit(host.__enter__)


@dataclass(slots=True)
class _Outcome:
    """What a run did, and what was left.

    Args:
        moments: How often each kind of moment was drawn.
        in_vain: How often it did not come, and the kill came all the same.
        seconds: From the first start to the rest.
        figures: Names and values for the table.
        findings: What is not as it should be.
    """

    moments: Counter[str] = field(default_factory=Counter)
    in_vain: int = 0
    seconds: float = 0.0
    figures: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def run(kills: int, seed: int, facts: Sequence[str], say: Callable[[str], None]) -> Section:
    """Kill hosts, and look at what is left.

    Args:
        kills: How many.
        seed: What the moments, the load and the faults are drawn from.
        facts: Of the machine.
        say: Receives one line for some kills.
    """
    outcome, started = _Outcome(), time.monotonic()
    # Whom to kill is drawn apart: it hangs on who serves just then, and must not change what is drawn for the rest.
    chance, victims = Random(seed), Random(seed)  # noqa: S311 - a schedule, no secret
    say(f"{kills} kills of {HOSTS} hosts, seed {seed}")
    with (
        Embedded(say, recorded=True) as embedded,
        _Fleet({**embedded.settings, **_SETTINGS}, LOCAL / "bench" / "chaos") as fleet,
        Load(embedded, chance, fleet.url) as load,
    ):
        load.check()
        load.check_applications()
        for number in range(1, kills + 1):
            _go_on(load, chance)
            fleet.wait(HOSTS - 1)
            point = KillPoint.drawn(chance, while_asking=number % 4 == 0)
            come = point.watch(embedded.azurite, embedded.simulator.ledger, CAB_ACCOUNT)
            outcome.in_vain += not _wait_for(come)
            fleet.kill(victims)
            outcome.moments[point.kind] += 1
            if number % _TAKEN_AWAY == 0:
                fleet.wait(HOSTS - 1)
                fleet.take_away(victims)
            if number % 10 == 0 or number == kills:
                say(f"{number} of {kills} kills after {time.monotonic() - started:.0f} s")
        load.wait_for_rest()
        outcome.findings += fleet.tracebacks()
        outcome.seconds = time.monotonic() - started
        say("everything is at rest; comparing it with what the Dev Center served")
        made, world = embedded.azurite.requests(CAB_ACCOUNT), embedded.simulator.world
        outcome.findings += findings(embedded.settings["CAB_STORAGE"], world, made)
        outcome.figures = _figures(embedded, load, made)
    for finding in outcome.findings:
        say(f"found: {finding}")
    return _section(outcome, kills, seed, facts)


def _go_on(load: Load, chance: Random) -> None:
    """Let more failures arrive, now and then with a large one, and some faults."""
    counts = [chance.randint(0, 8) for _ in range(chance.randint(2, 8))]
    failures = load.arrive([*counts, *([chance.randint(101, 250)] if chance.random() < _LARGE else [])])
    if chance.random() < _REPORTED:
        load.report(failures)
    else:
        load.ask(failures)
    for _ in range(chance.randint(0, 2)):
        load.fault()


def _wait_for(come: Callable[[], bool]) -> bool:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not come():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _figures(embedded: Embedded, load: Load, made: Sequence[StorageRequest]) -> dict[str, str]:
    world, ledger = embedded.simulator.world, embedded.simulator.ledger
    refused = sum(
        each.method == "PUT" and each.path.startswith(f"/{CONTAINER}/") and each.status == HTTPStatus.CONFLICT
        for each in made
    )
    cabs, asked = len(world.all_cabs()), sum(not each.is_queue_message for each in made)
    return {
        "failures": f"{len(world.failures):,}",
        "cabs": f"{cabs:,}",
        "MB of cabs": f"{sum(held.length for held in world.held.values()) / 1e6:.0f}",
        "faults of the Dev Center": f"{load.faults:,}",
        "calls of the Dev Center": f"{sum(map(ledger.answers, Call)):,}",
        "storage requests, without queue messages": f"{asked:,} ({asked / cabs:.2f} a cab)",
        "copies repeated, and refused since the cab was there": f"{refused:,}",
        "requests for pulls or checks that were asked again": f"{load.asked_again:,}",
        "pulls that ended in the poison queue, and were asked for again": f"{load.brought_back:,}",
        "messages left in the poison queue": f"{load.left_in_poison():,}",
    }


def _section(outcome: _Outcome, kills: int, seed: int, facts: Sequence[str]) -> Section:
    rows = [["kills", f"{kills:,}"]]
    rows += [[f"... after: {kind}", f"{times:,}"] for kind, times in sorted(outcome.moments.items())]
    rows += [
        ["... the moment did not come", f"{outcome.in_vain:,}"],
        ["hosts taken away by SIGTERM", f"{kills // _TAKEN_AWAY:,}"],
        ["seconds", f"{outcome.seconds:,.0f}"],
    ]
    rows += [[name, value] for name, value in outcome.figures.items()]
    return Section(
        name="chaos",
        title=f"Chaos: {kills:,} kills",
        facts=list(facts),
        text=[
            f"{HOSTS} hosts at once on one storage, and one of them ends by SIGKILL after the k-th request of a kind; "
            "another one starts in its place. With each fifth kill another host is asked to end by SIGTERM. Failures "
            "and report runs keep coming, and requests to the Dev Center go wrong at a low rate, in ways that pass "
            "(429, 5xx, 408, a page of HTML, half an answer, a late one, a reset connection, an expired SAS). Whoever "
            "asked and got no answer asks again. Leases of rows and messages last 5 s.",
            "At the end every cab is compared with the Dev Center's bytes, every row with its cab, every pull with its "
            "rows, and the access log with one creation a cab; the queue must be empty, and no log may hold a "
            "traceback. A message that fifty hosts died over goes to the poison queue, and back where its pull moved.",
            f"`python3 dev.py bench --chaos {kills} --seed {seed}` repeats the schedule; the moments differ by what "
            "the machine does meanwhile.",
        ],
        tables=[
            Table("Chaos", ["", "figure"], rows, [f"Found: {each}" for each in outcome.findings[:_SHOWN_FINDINGS]])
        ],
        verdicts=[at_most(f"findings after {kills:,} kills", len(outcome.findings), 0)],
    )

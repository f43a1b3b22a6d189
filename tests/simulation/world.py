"""The world of a game: one storage account, a Dev Center, hosts of the app, and the time that passes for all."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from shared.cabs.copy import CabCopy
from shared.cabs.labels import CabLabels
from shared.catalog.news import CatalogNews
from shared.core.errors import BadInput, CabferryError
from shared.core.failure import default_window
from shared.core.settings import Settings
from shared.devcenter.client import DevCenter as DevCenterClient
from shared.devcenter.driver import CabBatch
from shared.progress.asked_pulls import AskedPulls
from shared.progress.cabs import CabRows
from shared.progress.circuit import Circuit
from shared.progress.day_bytes import DayBytes
from shared.progress.health import HealthRows
from shared.progress.messages import PullMessage, returned, unwrapped
from shared.progress.pull_leases import PullLeases
from shared.progress.pulls import PullRows
from shared.progress.requests import PullRequests
from shared.pull.keep_file import KEEP_FILE, KeepFile
from shared.pull.one_cab import copy_cab
from shared.pull.one_failure import pull_failure
from shared.pull.pool import FairPool
from shared.pull.run import PullTools
from shared.reconcile.run import raise_if_broken, reconcile
from shared.reports.check import check_reports
from shared.services import Services

from .catalog import MemoryCatalog
from .center import BASE, TOKEN, Cab, DevCenter, Form
from .container import Blob, Container, MemoryContainer, MemoryDirectCopy, md5_of
from .mishaps import Chance, HostLine
from .promise import Promise
from .queues import MemoryQueue, Queue
from .tables import MemoryTable, Table
from .tasks import Process, Tasks
from .web import MemoryApi, MemorySources

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.failure import Failure
    from shared.identity.access_tokens import AccessTokens
    from shared.storage.clients import StorageClients

    from .lines import Called
    from .queues import Message

_HOST_JSON = json.loads((Path(__file__).parents[2] / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
_MOST_TAKEN, _BATCH = int(_HOST_JSON["maxDequeueCount"]), int(_HOST_JSON["batchSize"])
_TRIED_AGAIN = timedelta(seconds=30)
# The Functions host makes a message invisible for ten minutes, and again every five while its function runs.
_INVISIBLE, _RENEWED = timedelta(minutes=10), timedelta(minutes=5)
_HELD = datetime(9000, 1, 1, tzinfo=UTC)
_ROWS = 7  # of a page of a table, so that queries have several
DAY = 86_400.0
CHECKS_EVERY, RECONCILES_EVERY = DAY / 4, DAY / 4
_STARTS_AGAIN, _AFTER_STOP = 20.0, timedelta(seconds=10)
_SPINS, _LONG = 3_000, 900.0


@dataclass(frozen=True, slots=True)
class Storm:
    """Something that happens to each call of a kind for a while."""

    kinds: frozenset[Called]
    mishap: str
    until: float
    lasts: float


@dataclass(frozen=True, slots=True)
class Expected:
    """Something that happens once, to the call that a test names.

    Args:
        kind: Of the call.
        words: What is told of it holds these.
        mishap: What happens.
    """

    kind: Called
    words: str
    mishap: str


class _Tokens:
    """Tokens that always work."""

    def shown[T](self, ask: Callable[[str], T]) -> T:
        return ask(TOKEN)


class Host(Process, Services):
    """An instance of the app: its parts, on services in memory, and what the Functions host does.

    Args:
        world: Where it lives.
        number: The how-manieth it is.
    """

    def __init__(self, world: World, number: int) -> None:
        super().__init__(f"host {number}")
        self.world, self.is_stopping = world, False
        self.running: dict[Message, tuple[Queue, datetime]] = {}
        line, settings = HostLine(world, self), world.settings

        def table(name: str) -> MemoryTable:
            return MemoryTable(world.tables[name], line, _ROWS)

        self.settings, self._storage = settings, cast("StorageClients", SimpleNamespace(table=table))
        self._source = MemorySources(world.center, line, settings.source_hosts)
        self.health, self.circuit = HealthRows(table("health")), Circuit(table("health"), "devcenter")
        tokens = cast("AccessTokens", _Tokens())
        self._devcenter = DevCenterClient(BASE, tokens, MemoryApi(world.center, line), self.circuit.guard)
        container = MemoryContainer(world.container, line)
        self._catalog, self._poison = MemoryCatalog(world.catalog, line), MemoryQueue(world.poison, line)
        self.pulls, self.asked = PullRows(table("pulls")), AskedPulls(table("pulls"))
        day = DayBytes(table("health"))
        self.pull_tools = PullTools(
            settings=settings,
            sources=partial(CabBatch, self._devcenter),
            queue=MemoryQueue(world.queue, line),
            pulls=self.pulls,
            leases=PullLeases(table("pulls"), settings.pull_lease),
            cabs=CabRows(table("cabs")),
            container=container,
            copies=CabCopy(
                container,
                MemoryDirectCopy(world.container, line),
                self._source,
                direct_bytes=world.container.copied_at_once,
                block_bytes=world.container.copied_at_once // 2,
            ),
            pool=FairPool(settings.pull_concurrency),
            catalog=CatalogNews(self._catalog, settings.retention),
            keep=KeepFile(container, day, settings.max_cabs_per_failure),
            day=day,
        )
        self.requests = PullRequests(self.pulls, self.asked, self.pull_tools.queue, self.pull_tools.pool.lane())

    def begin(self) -> None:
        """Listen to both queues."""
        self.world.tell(self.name, "starts")
        self.world.tasks.start(self, partial(self._listen, self.world.queue, self._pull))
        self.world.tasks.start(self, partial(self._listen, self.world.poison, self._abandon))

    def do(self, what: str, work: Callable[[], object]) -> None:
        """Do something as a trigger of this host would; what goes wrong is told to whoever called."""

        def attempt() -> None:
            self.world.tell(self.name, what)
            try:
                answer = work()
            except CabferryError as error:
                self.world.tell(self.name, f"{what}: {type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001 - that is the finding
                self.world.promise.break_with(f"{what} raised {type(error).__name__}: {error}", error)
            else:
                self.world.tell(self.name, f"{what}: done{f': {answer}' if answer else ''}")

        self.world.tasks.start(self, attempt)

    def _listen(self, queue: Queue, work: Callable[[Message], None]) -> None:
        tasks = self.world.tasks

        def next_one() -> float | None:
            at = queue.next_visible() if len(self.running) < _BATCH else None
            return None if at is None or at == _HELD else self.world.seconds_at(at)

        while True:
            tasks.wait(None, next_one)
            if len(self.running) < _BATCH and (message := queue.receive(_INVISIBLE)):
                self.running[message] = (queue, tasks.now())
                message.visible_at = _HELD
                tasks.start(self, partial(self._handle, queue, message, work))

    def _handle(self, queue: Queue, message: Message, work: Callable[[Message], None]) -> None:
        world = self.world
        world.tell(self.name, f"takes message {message.number} of {queue.name} for the {message.taken}. time")
        try:
            work(message)
        except Exception as error:  # noqa: BLE001 - as the Functions host
            if not isinstance(error, CabferryError):
                world.promise.break_with(f"a pull raised {type(error).__name__}: {error}", error)
            world.tell(self.name, f"fails with {type(error).__name__}: {error}")
            if message.taken >= _MOST_TAKEN and queue is world.queue:
                world.poison.send(message.text, timedelta())
                queue.delete(message)
            else:
                message.visible_at = world.tasks.now() + _TRIED_AGAIN
        else:
            if world.befalls("send", "") == "lost":
                world.tell(self.name, f"cannot delete message {message.number}: it comes again")
                message.visible_at = world.tasks.now() + _INVISIBLE
            else:
                queue.delete(message)
                world.promise.message_removed()
        self.running.pop(message, None)

    def _pull(self, message: Message) -> None:
        if self._returned(message):
            return
        self.world.pulls_run += 1
        try:
            asked = PullMessage.decode(unwrapped(message.text.encode()), message.taken)
        except BadInput:
            self.poison_messages.settle(message.text.encode())
        else:
            if asked.cab and (task := self.world.tasks.current):
                self.world.promise.alone.add(task)
            (copy_cab if asked.cab else pull_failure)(self.pull_tools, asked)

    def _abandon(self, message: Message) -> None:
        if not self._returned(message):
            self.poison_messages.settle(message.text.encode())

    def _returned(self, message: Message) -> bool:
        """Send a message again where this process ends, as `functions/kept_messages.py` does."""
        if self.is_stopping:
            text = unwrapped(returned(message.text.encode(), message.taken).encode()).decode()
            self.running[message][0].send(text, _AFTER_STOP)
        return self.is_stopping


@dataclass(slots=True)
class World:
    """All there is.

    Args:
        seed: Draws everything.
        left_out: Mishaps that do not happen.
        story: Where it is told; None where nobody listens.
    """

    seed: int
    left_out: frozenset[int] = frozenset()
    story: list[str] | None = None
    chance: Chance = field(init=False)
    tasks: Tasks = field(init=False)
    promise: Promise = field(init=False)
    center: DevCenter = field(default_factory=DevCenter)
    tables: dict[str, Table] = field(default_factory=dict)
    queue: Queue = field(default_factory=lambda: Queue("cab-pulls"))
    catalog: dict[str, bytes] = field(default_factory=dict)
    poison: Queue = field(default_factory=lambda: Queue("cab-pulls-poison"))
    container: Container = field(init=False)
    settings: Settings = field(init=False)
    hosts: list[Host] = field(default_factory=list)
    storms: list[Storm] = field(default_factory=list)
    expecting: list[Expected] = field(default_factory=list)
    pulls_run: int = 0
    _platform: Process = field(default_factory=lambda: Process("platform"))
    _numbers: int = 0

    def __post_init__(self) -> None:
        self.chance = Chance(Random(self.seed), left_out=self.left_out)  # noqa: S311 - a game
        self.tasks = Tasks(self.chance.drawn)
        self.container = Container("failure-cabs", self._read_source)
        self.settings = Settings.from_environment(_ENVIRONMENT)
        self.promise = Promise(self)
        for name in ("pulls", "cabs", "reports", "health"):
            self.tables[name] = Table(name, written=self.promise.watching(name))
        self.container.created = self.promise.blob_created

    def configure(self, form: Form | None = None, **settings: str) -> None:
        """Choose how the Dev Center answers, and the app's settings, before the first host begins."""
        self.center.form = form or self.center.form
        self.settings = Settings.from_environment({**_ENVIRONMENT, **settings})

    def begin(self, hosts: int) -> None:
        """Start hosts and timers."""
        for _ in range(hosts):
            self.start_host()
        self.tasks.start(self._platform, lambda: self._every(CHECKS_EVERY, self.check))
        self.tasks.start(self._platform, lambda: self._every(RECONCILES_EVERY, self.reconcile))
        self.tasks.start(self._platform, lambda: self._every(DAY, self._retain))

    def start_host(self) -> Host:
        """Start another instance."""
        self._numbers += 1
        host = Host(self, self._numbers)
        self.hosts.append(host)
        host.begin()
        return host

    def run(self, seconds: float) -> None:
        """Let time pass, and check the promise after every step."""
        until = self.tasks.seconds + seconds
        before, spins = self.tasks.seconds, 0
        while self.tasks.step(until):
            before, spins = (self.tasks.seconds, spins + 1) if self.tasks.seconds == before else (self.tasks.seconds, 0)
            if spins > _SPINS:
                self.promise.break_with(f"a loop of {self.tasks.last.name} spins: it waits, and no time passes")
            self.promise.check_step()
        self.promise.check_step()

    def kill(self, host: Host) -> None:
        """End an instance at once; the platform starts another."""
        self.tell(host.name, "is KILLED")
        host.is_dead = True
        self.hosts.remove(host)
        now = self.tasks.now()
        for message, (_, taken_at) in host.running.items():
            message.visible_at = taken_at + math.floor((now - taken_at) / _RENEWED) * _RENEWED + _INVISIBLE
        self.tasks.start(self._platform, self._start_again)

    def stop(self, host: Host) -> None:
        """Ask an instance to end, and end it after half a minute."""
        self.tell(host.name, "is asked to stop")
        host.is_stopping = True

        def end() -> None:
            self.tasks.sleep(30)
            if not host.is_dead:
                self.kill(host)

        self.tasks.start(self._platform, end)

    def any_host(self) -> Host | None:
        """Return an instance that is not about to end."""
        there = [host for host in self.hosts if not host.is_stopping]
        return self.chance.drawn.choice(there) if there else None

    def rule(self, text: str) -> None:
        """Put a settings file in its place, or take it away."""
        self.tell("somebody", f"keeps by: {text}" if text else "keeps everything")
        self.container.blobs.pop(KEEP_FILE, None)
        if text:
            self.container.blobs[KEEP_FILE] = Blob(text.encode(), b"", self.tasks.now(), '"0"', CabLabels({}, {}))

    def check(self) -> None:
        """Let the timer check the reports."""
        if host := self.any_host():
            host.do("checks the reports", lambda: _told(check_reports(host.report_tools)))

    def reconcile(self) -> None:
        """Let the other timer reconcile."""
        if host := self.any_host():
            host.do("reconciles", partial(self._reconcile, host))

    def ask(self, *failures: Failure) -> None:
        """Let a person ask for pulls."""
        if host := self.any_host():
            window = default_window(self.settings.cab_lookback)
            names = ", ".join(failure.failure_hash for failure in failures)
            host.do(f"POST {names}", lambda: host.requests.make(failures, window, "POST /api/pulls"))

    def ask_one(self, cab: Cab) -> None:
        """Let a person ask for one cab."""
        if host := self.any_host():
            host.do(f"POST {cab.name}", partial(host.requests.make_one, cab.failure, cab.name, "POST /api/cabs"))

    def retry(self, failure: Failure) -> None:
        """Let a person retry a pull."""
        if host := self.any_host():
            window = default_window(self.settings.cab_lookback)
            host.do(f"POST {failure.failure_hash}/retry", lambda: host.requests.retry(failure, window, "POST retry"))

    def befalls(self, kind: Called, what: str) -> str:
        """Return what happens to a call; mostly nothing."""
        now, expected = self.tasks.seconds, self._expected(kind, what)
        raging = [storm for storm in self.storms if storm.until > now]
        if storm := next((each for each in raging if kind in each.kinds), None):
            return storm.mishap
        # A message that is sent twice in a hundred for hours would be thousands in the end: what lasts comes alone.
        return expected or ("" if any(each.lasts > _LONG for each in raging) else self.chance.befalls(kind))

    def _expected(self, kind: Called, what: str) -> str:
        for each in self.expecting:
            if each.kind == kind and each.words in what:
                self.expecting.remove(each)
                return each.mishap
        return ""

    def calm_down(self) -> None:
        """Let nothing happen any more."""
        self.chance.rate = 0.0
        self.storms.clear()
        self.expecting.clear()
        for host in self.hosts:
            host.frozen_until = 0.0

    def tell(self, who: str, what: str) -> None:
        """Add to the story, where there is one."""
        if self.story is not None:
            self.story.append(f"{self.tasks.now():%a %d %H:%M:%S.%f}"[:-4] + f"  {who:8}  {what}")

    def seconds_at(self, moment: datetime) -> float:
        """Return a moment on the clock of the game."""
        return self.tasks.seconds + (moment - self.tasks.now()).total_seconds()

    def _reconcile(self, host: Host) -> None:
        began = self.tasks.now()
        raise_if_broken(reconcile(host.reconcile_tools))
        self.promise.check_reconciled(began)

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            self.tasks.sleep(seconds)
            work()

    def _start_again(self) -> None:
        self.tasks.sleep(_STARTS_AGAIN)
        self.start_host()

    def _retain(self) -> None:
        """Remove what is older than the retention, as the container's lifecycle rule does once a day."""
        for name, blob in list(self.container.blobs.items()):
            if name != KEEP_FILE and blob.created + self.settings.retention + timedelta(days=1) <= self.tasks.now():
                self.tell("storage", f"removes {name}, which is old")
                del self.container.blobs[name]

    def _read_source(self, url: str) -> tuple[int, bytes, bytes]:
        reply = self.center.fetch(url)
        return reply.status, reply.body, md5_of(reply.body)


_ENVIRONMENT = {
    "CAB_STORAGE": "UseDevelopmentStorage=true",
    "DEVCENTER_ACCESS_TOKEN": TOKEN,
    "PULL_CONCURRENCY": "4",
    "RETENTION_DAYS": "30",
}


def _told(outcomes: object) -> str:
    return ", ".join(str(getattr(each, "outcome", each)) for each in outcomes) if isinstance(outcomes, list) else ""

"""Simulate pulls on one or more instances under the limits of the services they use.

The model is the policy of shared/pull/run.py in time: lease, known cabs, pages fetched ahead, copies from one pool of
places an instance, rows and checkpoint every few seconds, read-back, end. It knows nothing of errors and retries: a
limit makes a request wait, as a client does that honours Retry-After exactly.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from bench.events import Limit, Places, Process, Simulation, Wait

_PAGE_ROWS = 100
_PAGES_COPYING = 8
_CHECKPOINT_SECONDS = 5.0
_BATCH = 8
_ROWS_A_TRANSACTION = 100


@dataclass(frozen=True, slots=True)
class Model:
    """What the world is like; times in seconds, limits a second.

    Args:
        table: A request to a table.
        copy: A copy.
        page: A page of the Dev Center.
        listing: A page of a listing of blobs.
        copies_in_flight: Places for copies in an instance.
        pages_in_flight: Pages that a pull asks for at once.
        pulls_at_once: Places for pulls in an instance.
        cpu_copy: CPU of the instance for a copy, from its page to its row.
        cpu_pull: CPU of the instance for a pull of no cabs.
        server_copy: Time of the one storage process for a copy; 0 where storage is many.
        server_table: Likewise for a request to a table that reads or writes a row.
        server_row: Likewise for each row of a transaction.
        cores: Of the one machine that instances and storage share; infinite where each has its own.
        api_limit: Pages of the whole API.
        account_limit: Requests of the storage account.
        partition_limit: Rows of one failure's partition of the cabs table.
        queue_limit: Messages of the queue.
    """

    table: float = 0.010
    copy: float = 0.041
    page: float = 0.5
    listing: float = 0.030
    copies_in_flight: int = 32
    pages_in_flight: int = 4
    pulls_at_once: int = 12
    cpu_copy: float = 0.0
    cpu_pull: float = 0.0
    server_copy: float = 0.0
    server_table: float = 0.0
    server_row: float = 0.0
    cores: float = float("inf")
    api_limit: float = float("inf")
    account_limit: float = 20_000
    partition_limit: float = 2_000
    queue_limit: float = 2_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulated run gave.

    Args:
        seconds: Until the last pull had ended.
        cabs: How many were copied.
        requests: To the storage account, without queue messages.
        pages: Of the API.
    """

    seconds: float
    cabs: int
    requests: int
    pages: int

    @property
    def rate(self) -> float:
        """Cabs a second."""
        return self.cabs / self.seconds


def simulate(model: Model, pulls: Sequence[int], instances: int = 1) -> Outcome:
    """Pull failures side by side until all are done.

    Args:
        model: What the world is like.
        pulls: The cabs of each, in the order of the queue.
        instances: How many share the queue.
    """
    world = _World(model, deque(pulls))
    running = [_Instance(Places(model.copies_in_flight), Places(1)) for _ in range(instances)]
    # Each host takes a batch of messages at once, and then up to as many more as host.json allows.
    for workers in (min(_BATCH, model.pulls_at_once), model.pulls_at_once - _BATCH):
        for instance in running:
            for _ in range(workers):
                world.simulation.start(world.worker(instance))
    seconds = world.simulation.run()
    return Outcome(seconds, sum(pulls), world.requests, world.pages)


@dataclass(slots=True)
class _Instance:
    copies: Places
    cpu: Places


class _World:
    """One run."""

    def __init__(self, model: Model, queue: deque[int]) -> None:
        self.simulation = Simulation()
        self.requests = self.pages = 0
        self._model, self._queue = model, queue
        self._server, self._cores = Places(1), Places(model.cores)
        self._api, self._account = Limit(model.api_limit), Limit(model.account_limit)
        self._messages = Limit(model.queue_limit)

    def worker(self, instance: _Instance) -> Process:
        """Take one message after the other."""
        while self._queue:
            cabs = self._queue.popleft()
            # A message is taken, and deleted when its pull has ended.
            yield self._messages.delay(self.simulation.now, 2)
            yield from self._pull(instance, cabs)

    def _pull(self, instance: _Instance, cabs: int) -> Process:
        model, partition = self._model, Limit(self._model.partition_limit)
        yield from self._busy(instance.cpu, model.cpu_pull)
        yield from self._table(1)
        yield from self._table(1)
        sizes = [min(_PAGE_ROWS, cabs - start) for start in range(0, cabs, _PAGE_ROWS)] or [0]
        arrived = [Wait() for _ in sizes]
        done = [Wait(size) for size in sizes]
        finished = [Wait() for _ in sizes]
        self.simulation.start(self._finish(sizes, done, finished, partition))
        asked = 1
        self.simulation.start(self._page(arrived[0]))
        for number, size in enumerate(sizes):
            yield arrived[number]
            while asked < min(number + 1 + model.pages_in_flight, len(sizes)):
                self.simulation.start(self._page(arrived[asked]))
                asked += 1
            for _ in range(size):
                self.simulation.start(self._copy(instance, done[number]))
            if number + 1 >= _PAGES_COPYING:
                yield finished[number + 1 - _PAGES_COPYING]
        yield finished[-1]
        yield from self._request(self._model.listing, self._model.server_table)
        # The lengths of all cabs come with the listing; their transactions run side by side.
        written = Wait(len(sizes))
        for size in sizes:
            self.simulation.start(self._lengths(size, partition, written))
        yield written
        yield from self._table(1)

    def _lengths(self, rows: int, partition: Limit, written: Wait) -> Process:
        yield from self._rows(rows, partition)
        self.simulation.happened(written)

    def _finish(
        self, sizes: Sequence[int], done: Sequence[Wait], finished: Sequence[Wait], partition: Limit
    ) -> Process:
        """Finish the pages in their order, and write down every few seconds, though never the last."""
        unwritten, due = 0, self.simulation.now + _CHECKPOINT_SECONDS
        for number, size in enumerate(sizes):
            yield done[number]
            unwritten += size
            if number + 1 < len(sizes) and self.simulation.now >= due:
                yield from self._rows(unwritten, partition)
                yield from self._table(1)
                unwritten, due = 0, self.simulation.now + _CHECKPOINT_SECONDS
            self.simulation.happened(finished[number])

    def _page(self, arrived: Wait) -> Process:
        self.pages += 1
        yield self._api.delay(self.simulation.now)
        yield self._model.page
        self.simulation.happened(arrived)

    def _copy(self, instance: _Instance, done: Wait) -> Process:
        yield instance.copies
        yield from self._busy(instance.cpu, self._model.cpu_copy)
        yield from self._request(self._model.copy, self._model.server_copy)
        self.simulation.release(instance.copies)
        self.simulation.happened(done)

    def _rows(self, rows: int, partition: Limit) -> Process:
        for start in range(0, rows, _ROWS_A_TRANSACTION):
            some = min(_ROWS_A_TRANSACTION, rows - start)
            yield partition.delay(self.simulation.now, some)
            yield from self._table(some)

    def _table(self, rows: int) -> Process:
        model = self._model
        yield from self._request(model.table, max(model.server_table, rows * model.server_row))

    def _request(self, seconds: float, server: float) -> Process:
        self.requests += 1
        yield self._account.delay(self.simulation.now)
        yield from self._busy(self._server, server)
        yield seconds

    def _busy(self, places: Places, seconds: float) -> Process:
        if seconds:
            yield places
            yield self._cores
            yield seconds
            self.simulation.release(self._cores)
            self.simulation.release(places)

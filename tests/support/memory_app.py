"""The app's parts on services in memory, with time that jumps: the test is the host, and nothing happens by itself."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from shared.core.errors import CabferryError
from shared.core.failure import Failure, Window, default_window
from shared.progress.messages import PullMessage
from shared.pull.one_cab import copy_cab
from shared.pull.one_failure import pull_failure
from shared.reconcile.run import raise_if_broken, reconcile
from shared.storage.table_writes import Write
from tests.simulation.center import Cab
from tests.simulation.tasks import in_place
from tests.simulation.world import Host, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.progress.cab_row import CabRow, CabState
    from shared.progress.health import Reconciled
    from shared.progress.pull_row import PullRow
    from shared.storage.table_rows import Row


@contextmanager
def memory_app(**settings: str) -> Iterator[MemoryApp]:
    """Give an app with the defaults, but for some settings."""
    world = World(1, story=[])
    with in_place(world.tasks, 1):
        world.configure(None, **settings)
        for table in world.tables.values():
            table.written = lambda *_: None  # what a test writes by hand may be anything
        yield MemoryApp(world)


@dataclass
class MemoryApp:
    """The parts, and what a test wants to know of them.

    Args:
        world: Its services, in which no mishap is drawn.
    """

    world: World
    host: Host = field(init=False)

    def __post_init__(self) -> None:
        self.host = Host(self.world, 1)

    def start_again(self) -> None:
        """Let the host take up settings that have changed."""
        self.host = Host(self.world, 1)

    @property
    def window(self) -> Window:
        """The days that a pull asks for when nobody says which."""
        return default_window(self.world.settings.cab_lookback)

    def do[T](self, work: Callable[[], T]) -> T:
        """Let the host do something to its end, and raise what it raises."""
        if self.world.tasks.current:
            return work()
        answers: list[T | CabferryError] = []

        def attempt() -> None:
            try:
                answers.append(work())
            except CabferryError as error:
                answers.append(error)

        self.world.tasks.start(self.host, attempt)
        while not answers:
            assert self.world.tasks.step(self.world.tasks.seconds + 3600), "it waits for what never comes"
        if isinstance(answers[0], CabferryError):
            raise answers[0]
        return answers[0]

    def serve(self, failure: Failure, count: int, age: timedelta = timedelta(days=2)) -> list[Cab]:
        """Let the Dev Center serve more cabs of a failure; return them."""
        now, before = self.world.tasks.now(), len(self.world.center.cabs)
        cabs = [
            Cab(f"cab-{number}", failure, now - age, now + timedelta(days=25), f"PK\3\4 {number}".encode())
            for number in range(before, before + count)
        ]
        for cab in cabs:
            self.world.center.arrive(cab)
        return cabs

    def reconcile(self) -> Reconciled:
        """Do what the timer does, and fail where a failure could not be looked after."""
        found = self.do(lambda: reconcile(self.host.reconcile_tools))
        raise_if_broken(found)
        return found

    def pull(self, failure: Failure) -> PullRow:
        """Do what the queue's trigger does with a message, and return the row as it then is."""
        message = PullMessage(failure, self.window, "the test")
        self.do(lambda: pull_failure(self.host.pull_tools, message))
        return self.row(failure)

    def request(self, *failures: Failure) -> None:
        """Queue pulls: rows and messages."""
        self.do(lambda: self.host.requests.make(failures, self.window, "the test"))

    def work_off(self) -> int:
        """Handle messages until the queue is empty, as hosts would; return how many there were."""
        handled, queue = 0, self.world.queue
        while at := queue.next_visible():
            self.world.tasks.seconds = max(self.world.tasks.seconds, self.world.seconds_at(at))
            message = queue.receive(timedelta(minutes=10))
            assert message is not None
            asked = PullMessage.decode(message.text.encode(), message.taken)
            self.do(partial(copy_cab if asked.cab else pull_failure, self.host.pull_tools, asked))
            queue.delete(message)
            handled += 1
        return handled

    def change(self, table: str, partition: str, key: str, **columns: object) -> None:
        """Write columns of a row, which is made where it is missing, as nobody but a test would."""
        self.world.tables[table].submit(partition, [Write(key, columns, "upsert")])  # type: ignore[arg-type]

    def change_pull(self, failure: Failure, **columns: object) -> None:
        """Change columns of a pull's row, likewise."""
        self.change("pulls", failure.application_id, failure.failure_hash, **columns)

    def change_cab(self, failure: Failure, cab: str, **columns: object) -> None:
        """Change columns of a cab's row, likewise."""
        self.change("cabs", failure.cabs_partition, cab, **columns)

    def row(self, failure: Failure) -> PullRow:
        """Return a pull's row, which must be there."""
        row = self.world.promise.pull_row(failure)
        assert row is not None, f"no row of {failure}"
        return row

    def cabs(self, failure: Failure) -> dict[str, CabRow]:
        """Return the rows of a failure's cabs."""
        return self.world.promise.cab_rows(failure)

    def states(self, failure: Failure) -> dict[str, CabState]:
        """Return the states of a failure's cabs."""
        return {cab: row.state for cab, row in self.cabs(failure).items()}

    def blobs(self, failure: Failure) -> list[str]:
        """Return the names of a failure's blobs."""
        return self.world.container.listed(failure.prefix, "")

    def kept(self) -> list[Row]:
        """Return the messages that were kept since no pull could be made of them."""
        return self.do(lambda: list(self.host.health.poison()))

    def delete_blob(self, cab: Cab) -> None:
        """Remove a cab's blob, as a person or the retention rule would."""
        del self.world.container.blobs[f"{cab.failure.prefix}{cab.name}.ext.zip"]

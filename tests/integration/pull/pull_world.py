"""A world for the mishaps of a pull: two hosts, a Dev Center, and what each failure is owed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from azure.data.tables import TableClient, UpdateMode
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from local.simulator.faults import FaultKind
from shared.core.errors import CabferryError
from shared.progress.messages import PullMessage
from shared.progress.pulls import PullState
from shared.progress.queue import PullQueue
from shared.pull.run import pull_failure
from shared.reconcile.poison import PoisonMessages
from tests.integration.app import failure_of

from .mishaps import HostDied, HostWire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.simulator.builder import CabForm
    from local.simulator.catalogue import Cab, Failure, Held
    from local.simulator.thread import SimulatorThread
    from shared.pull.run import PullTools
    from tests.integration.app import App

    from .mishaps import Mishap, Wires

# After so many dequeues the Functions host moves a message to the poison queue. It is 50 in host.json, and few here, so
# that a game comes to it.
_MOST_DEQUEUES = 5


@dataclass(eq=False)
class Watched:
    """One failure, what the Dev Center lists of it, and what was done to it.

    Args:
        failure: The failure.
        cabs: Every cab that was ever listed, by cabIdHash.
        held: What the Dev Center held of each.
        withdrawn: Those whose bytes it deleted since.
        started_at: When the present pull first ran.
        completed_at: When it was last Completed or Failed.
        owed: What was listed then: the pull may not end without a word on each.
        url_was_missing: Whether since then a page had no URLs, which a pull takes for its cabs' own failure.
        missing: Cabs whose blob somebody took away after it was copied; until a later pull has seen to it.
        missing_at_start: Those that the present pull has to see to.
        retired: Those that were older than the retention then.
        taken_away: How often each blob was taken away.
    """

    failure: Failure
    cabs: dict[str, Cab] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    owed: frozenset[str] = frozenset()
    url_was_missing: bool = False
    missing: set[str] = field(default_factory=set)
    missing_at_start: frozenset[str] = frozenset()
    retired: set[str] = field(default_factory=set)
    taken_away: dict[str, int] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """The prefix of its blobs."""
        return failure_of(self.failure).prefix

    def can_be_copied(self, cab: str) -> bool:
        """Tell whether the Dev Center gives a cab to whoever asks for it in the right way."""
        described = self.cabs[cab]
        return described.stored and described.has_url and described.downloadable and cab not in self.withdrawn


class Host:
    """A host of the app.

    Args:
        app: Its parts.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.wire = HostWire(f"/{app.storage.name}/{app.settings.container}")
        sender = QueueClient.from_connection_string(
            app.storage.connection_string,
            app.settings.queue,
            api_version="2025-05-05",
            message_encode_policy=TextBase64EncodePolicy(),
        )
        queue, services = ImpatientQueue(sender), app.services
        self.tools: PullTools = replace(services.pull_tools, queue=queue)
        self.poison = PoisonMessages(services.pulls, services.health, queue, queue)


class ImpatientQueue(PullQueue):
    """A queue in whose world time flies: no message waits for long."""

    def send(self, message: PullMessage, delay: timedelta = timedelta()) -> None:
        """Send a message that can be received at once."""
        super().send(message)


class PullWorld:
    """Hosts and a Dev Center, and what happens to them.

    Args:
        hosts: The hosts, on one storage account.
        wires: Their requests.
        simulator: The Dev Center.
    """

    def __init__(self, hosts: Sequence[Host], wires: Wires, simulator: SimulatorThread) -> None:
        self.hosts, self.simulator, self._wires = hosts, simulator, wires
        self.app = hosts[0].app
        self.watched: list[Watched] = []
        # Those whose pull has been Completed since somebody looked.
        self.completed: list[Watched] = []
        # Whether storage may hold something else since somebody looked.
        self.is_changed = False
        self.pulls = TableClient.from_connection_string(self.app.storage.connection_string, "pulls")
        self.cabs = TableClient.from_connection_string(self.app.storage.connection_string, "cabs")

    def begin(self, failures: int) -> None:
        """Forget what was, and watch new failures. The old ones stay where they are; nobody asks for them again."""
        self.simulator.faults.clear()
        self.app.queue.clear_messages()
        self.watched = [Watched(self.simulator.builder.failure()) for _ in range(failures)]
        self.completed = []

    def arrive(self, watched: Watched, count: int, form: CabForm) -> None:
        """Let cabs come to the Dev Center."""
        cabs = self.simulator.builder.cabs(watched.failure, count, form)
        self.simulator.publish()
        watched.cabs |= {cab.cab_id_hash: cab for cab in cabs}
        held = self.simulator.world.held
        watched.held |= {cab.cab_id_hash: held[cab.cab_id_hash] for cab in cabs if cab.stored}

    def withdraw(self, watched: Watched, cab: str) -> None:
        """Let Microsoft delete a cab's bytes; it stays listed."""
        self.simulator.withdraw(watched.cabs[cab])
        watched.withdrawn.add(cab)

    def is_unfinished(self, watched: Watched) -> bool:
        """Tell whether a failure's pull is still to be ended."""
        row = self.app.services.pulls.get(failure_of(watched.failure))
        return row is not None and row.state in {PullState.QUEUED, PullState.RUNNING}

    def take_away(self, watched: Watched, cab: str, *, is_old: bool) -> None:
        """Delete a cab's blob as a person would, or as the retention rule does with one that is old enough."""
        if is_old:
            retention = self.app.settings.retention
            self.cabs.update_entity(
                {
                    "PartitionKey": failure_of(watched.failure).cabs_partition,
                    "RowKey": cab,
                    "settledAt": datetime.now(UTC) - retention - timedelta(hours=1),
                },
                mode=UpdateMode.MERGE,
            )
            watched.retired.add(cab)
        self.app.delete_blob(watched.cabs[cab])
        watched.missing.add(cab)
        watched.taken_away[cab] = watched.taken_away.get(cab, 0) + 1

    def deliver(self, host: Host, mishap: Mishap | None, intruder: Host | None = None) -> str:
        """Give a host the next message, as the Functions host would.

        Args:
            host: Who gets it.
            mishap: What happens to it meanwhile.
            intruder: Who gets the same message while the host is frozen; None for nobody.

        Returns:
            What came of it, for people who read the steps.
        """
        self.is_changed = True
        message = self.app.receive()
        if message is None:
            return "no message"
        pull = PullMessage.decode(message.content.encode(), message.dequeue_count or 1)
        watched = next(each for each in self.watched if failure_of(each.failure) == pull.failure)
        listed, missing = frozenset(watched.cabs), frozenset(watched.missing)
        if (message.dequeue_count or 0) > _MOST_DEQUEUES:
            self.end_lease(watched)
            host.poison.settle(pull.encode().encode())
            self.app.queue.delete_message(message)
            return "poison"
        again = pull.unversioned()
        no_urls = any(fault.kind is FaultKind.MISSING_URL for fault in self.simulator.faults.waiting)

        def elsewhere() -> None:
            self._outlast_lease(watched)
            if intruder:
                intruder.wire.expect(None)
                error = self._wires.run(intruder.wire, lambda: pull_failure(intruder.tools, again))
                raise_unless_foreseen(error, None)

        def meanwhile() -> None:
            raise_unless_foreseen(self._wires.run(None, elsewhere), None)

        host.wire.expect(mishap, meanwhile)
        error = self._wires.run(host.wire, lambda: pull_failure(host.tools, pull))
        host.wire.expect(None)
        raise_unless_foreseen(error, mishap)
        if error:
            self.app.queue.update_message(message.id, message.pop_receipt, visibility_timeout=0)
        else:
            self.app.queue.delete_message(message)
        row = self.app.services.pulls.get(pull.failure)
        if row and row.started_at != watched.started_at:
            watched.started_at, watched.owed, watched.url_was_missing = row.started_at, listed, False
            watched.missing_at_start = missing
        watched.url_was_missing |= no_urls
        if row and row.completed_at != watched.completed_at:
            watched.completed_at = row.completed_at
            if row.state is PullState.COMPLETED:
                self.completed.append(watched)
                watched.missing -= watched.missing_at_start
        told = f"{row.state} at {row.skip} {row.last_error}" if row else "no row"
        return f"{type(error).__name__}, {told}" if error else told

    def work_off(self) -> None:
        """Let nothing happen any more, and deliver until the queue is empty."""
        self.simulator.faults.clear()
        for _ in range(100):
            if not self.app.queue.peek_messages(1):
                return
            for watched in self.watched:
                self.end_lease(watched)
            self.deliver(self.hosts[0], None)
        raise AssertionError("the queue does not become empty, though nothing is wrong any more")

    def end_lease(self, watched: Watched) -> None:
        """Let the time pass in which a dead owner's lease lasts."""
        key = failure_of(watched.failure)
        if self.app.services.pulls.get(key):
            ended = {"leaseUntil": datetime.now(UTC) - timedelta(seconds=1)}
            row = {"PartitionKey": key.application_id, "RowKey": key.failure_hash, **ended}
            self.pulls.update_entity(row, mode=UpdateMode.MERGE)

    def created(self, name: str) -> int:
        """Return how often a blob was made."""
        return sum(host.wire.created[name] for host in self.hosts)

    def _outlast_lease(self, watched: Watched) -> None:
        """Wait until a lease has truly ended: its frozen owner has a clock too."""
        key = failure_of(watched.failure)
        until = self.pulls.get_entity(key.application_id, key.failure_hash).get("leaseUntil")
        if until:
            time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 0.05)


def raise_unless_foreseen(error: BaseException | None, mishap: Mishap | None) -> None:
    """Raise what came out of the app, unless something had happened to it, and the app said so in its own words."""
    if error is None or (mishap is not None and isinstance(error, (CabferryError, HostDied))):
        return
    raise error

"""The app's parts on a storage account of a test's own, without any Functions host: the test is the host."""

import hashlib
import time
from collections.abc import Callable, Sequence
from copy import replace
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from azure.data.tables import TableClient, UpdateMode
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient, QueueMessage, TextBase64DecodePolicy

from local.azurite.access_log import StorageRequest
from local.azurite.server import Azurite
from local.simulator import catalogue
from local.simulator.builder import CabForm
from local.simulator.scenario import ReportForm
from local.simulator.thread import SimulatorThread
from shared.core.failure import Failure, Window, default_window
from shared.core.settings import Settings
from shared.failures.check import check_failures
from shared.progress.cab_row import CabRow, CabState
from shared.progress.failures import ApplicationCheck
from shared.progress.health import Reconciled
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullRow
from shared.pull.keep_file import KEEP_FILE
from shared.pull.one_cab import copy_cab
from shared.pull.one_failure import pull_failure
from shared.reconcile.run import raise_if_broken, reconcile
from shared.reports.check import check_reports
from shared.reports.outcome import RunOutcome
from shared.services import Services
from tests.support.azurite import StorageAccount

DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as the container holds it, its metadata decoded."""

    name: str
    md5: str
    length: int
    metadata: dict[str, str]
    tags: dict[str, str]


@dataclass
class App:
    """The parts, and what a test wants to know of them.

    Args:
        azurite: Where the account is.
        storage: The account.
        settings: As the environment names them.
    """

    azurite: Azurite
    storage: StorageAccount
    settings: Settings
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.services = Services(self.settings)
        self.services.create_missing()

    @cached_property
    def container(self) -> ContainerClient:
        """The container, as a team that reads it would open it."""
        return ContainerClient.from_connection_string(self.storage.connection_string, self.settings.container)

    @cached_property
    def queue(self) -> QueueClient:
        """The queue, as the Functions host would read it."""
        return self.queue_named(self.settings.queue)

    def queue_named(self, name: str) -> QueueClient:
        """Return another queue, likewise."""
        return QueueClient.from_connection_string(
            self.storage.connection_string,
            name,
            api_version="2025-05-05",
            message_decode_policy=TextBase64DecodePolicy(),
        )

    @property
    def window(self) -> Window:
        """The days that a pull asks for when nobody says which."""
        return default_window(self.settings.cab_lookback)

    def check(self) -> list[RunOutcome]:
        """Do what the timer does."""
        return check_reports(self.services.report_tools)

    def check_failures(self) -> list[ApplicationCheck]:
        """Do what the timer of the applications does."""
        return check_failures(self.services.failure_tools)

    def reconcile(self) -> Reconciled:
        """Do what the other timer does, and fail where a failure could not be looked after."""
        found = reconcile(self.services.reconcile_tools)
        raise_if_broken(found)
        return found

    def change_pull(self, failure: catalogue.Failure, **columns: object) -> None:
        """Change columns of a pull's row, as nobody but a test would."""
        self.change("pulls", failure.key.application_id, failure.key.failure_hash, **columns)

    def change_cab(self, cab: catalogue.Cab, **columns: object) -> None:
        """Change columns of a cab's row, as nobody but a test would."""
        self.change("cabs", f"{cab.failure.application_id}_{cab.failure.failure_hash}", cab.cab_id_hash, **columns)

    def change(self, table: str, partition: str, key: str, **columns: object) -> None:
        """Write columns of a row, which is made where it is missing."""
        with TableClient.from_connection_string(self.storage.connection_string, table) as client:
            client.upsert_entity({"PartitionKey": partition, "RowKey": key, **columns}, mode=UpdateMode.MERGE)

    def forget(self, table: str, partition: str, key: str) -> None:
        """Remove a row, as nobody but a test would."""
        with TableClient.from_connection_string(self.storage.connection_string, table) as client:
            client.delete_entity(partition, key)

    def pull(self, failure: catalogue.Failure, window: Window | None = None) -> PullRow:
        """Do what the queue's trigger does with a message, and return the row as it then is."""
        self.handle(PullMessage(failure_of(failure), window or self.window, "the test"))
        return self.row(failure)

    def handle(self, message: PullMessage) -> None:
        """Do what the queue's trigger does with a message."""
        (copy_cab if message.cab else pull_failure)(self.services.pull_tools, message)

    def request(self, *failures: catalogue.Failure) -> None:
        """Queue pulls, rows and messages."""
        self.services.requests.make([failure_of(failure) for failure in failures], self.window, "the test")

    def row(self, failure: catalogue.Failure) -> PullRow:
        """Return a pull's row, which must be there."""
        row = self.services.pulls.get(failure_of(failure))
        assert row is not None, f"no row of {failure.key}"
        return row

    def cabs(self, failure: catalogue.Failure) -> dict[str, CabRow]:
        """Return the rows of a failure's cabs."""
        return dict(self.services.pull_tools.cabs.of(failure_of(failure)))

    def states(self, failure: catalogue.Failure) -> dict[str, CabState]:
        """Return the states of a failure's cabs."""
        return {cab: row.state for cab, row in self.cabs(failure).items()}

    def blobs(self, failure: catalogue.Failure) -> dict[str, Blob]:
        """Return what the container holds of a failure, by cabIdHash, with the MD5 of its very bytes."""
        found = self.listed(failure)
        for cab, blob in found.items():
            content = self.container.download_blob(blob.name).readall()
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            found[cab] = replace(blob, length=len(content), md5=md5)
        return found

    def listed(self, failure: catalogue.Failure) -> dict[str, Blob]:
        """Return what the container lists of a failure, by cabIdHash."""
        prefix = failure_of(failure).prefix
        return {
            blob.name.removeprefix(prefix).split(".")[0]: Blob(
                name=blob.name,
                md5=bytes(blob.content_settings.content_md5 or b"").hex(),
                length=blob.size,
                metadata={name: unquote(value) for name, value in (blob.metadata or {}).items()},
                tags=dict(blob.tags or {}),
            )
            for blob in self.container.list_blobs(name_starts_with=prefix, include=["metadata", "tags"])
        }

    def waiting_messages(self) -> int:
        """Return how many messages the queue holds, visible or not."""
        return self.queue.get_queue_properties().approximate_message_count or 0

    def receive(self) -> QueueMessage | None:
        """Take a message that is visible now."""
        return self.queue.receive_message(visibility_timeout=60)

    def wait_for_message(self) -> QueueMessage:
        """Take the next message, as soon as it is visible."""
        end = time.monotonic() + DEADLINE_SECONDS
        while (message := self.receive()) is None:
            assert time.monotonic() < end, "no message comes"
        return message

    def work_off(self) -> int:
        """Handle messages until the queue is empty, as hosts would; return how many there were."""
        handled, end = 0, time.monotonic() + DEADLINE_SECONDS
        while self.waiting_messages():
            assert time.monotonic() < end, "the queue does not become empty"
            if message := self.receive():
                self.handle(PullMessage.decode(message.content.encode(), message.dequeue_count or 1))
                self.queue.delete_message(message)
                handled += 1
        return handled

    def requests(self) -> Sequence[StorageRequest]:
        """Return every request that the account was asked so far, but for those that come by the minute.

        These are of a host that polls the queue, and of a process that reads what is worth keeping.
        """
        polling = f"/{self.settings.queue}"
        return [
            each
            for each in self.azurite.requests(self.storage.name)
            if not (each.path.startswith(polling) and each.method in {"GET", "DELETE"})
            and not each.path.endswith(f"/{KEEP_FILE}")
        ]

    def asked(self, work: Callable[[], object]) -> Sequence[StorageRequest]:
        """Return the requests that some work costs."""
        before = len(self.requests())
        work()
        return self.requests()[before:]

    def delete_blob(self, cab: catalogue.Cab) -> None:
        """Remove a cab's blob, as a person or the retention rule would."""
        failure = Failure(cab.failure.application_id, cab.failure.failure_hash)
        (blob,) = self.container.list_blobs(name_starts_with=failure.prefix + cab.cab_id_hash)
        self.container.delete_blob(blob.name)


def failure_of(failure: catalogue.Failure) -> Failure:
    """Return a failure of the simulator as the app knows it."""
    family = "" if failure.family is catalogue.Family.DRIVER else failure.family.value
    return Failure(failure.key.application_id, failure.key.failure_hash, family)


def served(simulator: SimulatorThread, cabs: int, form: CabForm | None = None) -> catalogue.Failure:
    """Let the Dev Center serve a new failure with so many cabs, and return it."""
    failure = simulator.builder.failure(cabs, form)
    simulator.publish()
    return failure


def reported(
    simulator: SimulatorThread, cabs: int = 1, form: ReportForm | None = None, *, active: bool = True
) -> catalogue.Report:
    """Let the Dev Center serve a report of a new failure with so many cabs, and return it."""
    report = simulator.builder.report([simulator.builder.failure(cabs)], form, active=active)
    simulator.publish()
    return report

"""Put the parts together, once a process: everything that the triggers work with, made from the settings."""

from __future__ import annotations

import logging
import threading
from functools import cache, partial
from typing import TYPE_CHECKING

from azure.core.exceptions import HttpResponseError, ResourceExistsError

from shared.access_tokens import devcenter_tokens, report_storage_tokens
from shared.cab_container import CabContainer
from shared.cab_copy import CabCopy
from shared.cab_rows import CabRows
from shared.circuit import Circuit
from shared.devcenter import DevCenter
from shared.direct_copy import DirectCopy
from shared.failure_walk import FailureWalk
from shared.fair_pool import FairPool
from shared.health_rows import HealthRows
from shared.http_source import HttpSource
from shared.pull import PullTools
from shared.pull_queue import PullQueue
from shared.pull_request import PullRequests
from shared.pull_rows import PullRows
from shared.reconcile import ReconcileTools
from shared.report_check import ReportTools
from shared.report_file import ReportFiles
from shared.report_rows import ReportRows
from shared.settings import Settings
from shared.storage_clients import StorageClients
from shared.storage_errors import storage_errors
from shared.untrusted_source import UntrustedSource

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
TABLES = ("reports", "pulls", "cabs", "health")
_CREATED_BY_DEPLOYMENT = {401, 403}


class Services:
    """The parts, put together.

    Args:
        settings: Parsed and checked.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        connections = settings.pull_concurrency + 8
        self._storage = StorageClients(settings.storage, connections)
        source = UntrustedSource(connections, settings.source_hosts)
        pool = FairPool(settings.pull_concurrency)
        tokens = devcenter_tokens(settings.devcenter)
        self.circuit = Circuit(self._storage.table("health"), "devcenter")
        devcenter = DevCenter(settings.devcenter.base_url, tokens, HttpSource(connections), self.circuit.guard)
        wire = self._storage.blob_wire
        container = CabContainer(self._storage.blobs.get_container_client(settings.container), wire)
        queue = PullQueue(self._storage.queue(settings.queue))
        self.pulls = PullRows(self._storage.table("pulls"), settings.pull_lease)
        self.requests = PullRequests(self.pulls, queue, pool.lane())
        cabs = CabRows(self._storage.table("cabs"))
        self.pull_tools = PullTools(
            settings=settings,
            devcenter=devcenter,
            queue=queue,
            pulls=self.pulls,
            cabs=cabs,
            container=container,
            copies=CabCopy(container, DirectCopy(wire, settings.container), source),
            pool=pool,
        )
        self.report_tools = ReportTools(
            settings=settings,
            devcenter=devcenter,
            files=ReportFiles(source, report_storage_tokens(settings.devcenter)),
            reports=ReportRows(self._storage.table("reports")),
            requests=self.requests,
            cabs=cabs,
            executor=pool.lane(),
        )
        self.poison = PullQueue(self._storage.queue(f"{settings.queue}-poison"))
        self.health = HealthRows(self._storage.table("health"))
        self.reconcile_tools = ReconcileTools(
            settings=settings,
            walk=FailureWalk(self.pulls, cabs, container),
            pulls=self.pulls,
            cabs=cabs,
            container=container,
            queue=queue,
            requests=self.requests,
            health=self.health,
            circuit=self.circuit,
            writers=pool.lane(),
        )

    def create_missing(self) -> None:
        """Create the container, the queue and the tables where they are not there yet.

        A deployment made them, and gives the app no right to: a refusal to create is passed over, since whatever is
        truly missing is named by the first request that needs it.

        Raises:
            AgainLater: Storage does not answer.
        """
        blobs, queue = self._storage.blobs, self._storage.queue(self.settings.queue)
        creations: list[tuple[str, Callable[[], object]]] = [
            (f"container {self.settings.container}", partial(blobs.create_container, self.settings.container)),
            (f"queue {self.settings.queue}", queue.create_queue),
            *((f"table {name}", partial(self._storage.tables.create_table, name)) for name in TABLES),
        ]
        for what, create in creations:
            with storage_errors(f"creating the {what}"):
                try:
                    create()
                except ResourceExistsError:
                    continue
                except HttpResponseError as error:
                    if error.status_code not in _CREATED_BY_DEPLOYMENT:
                        raise
                    _log.info("the %s is not created by the app (%s)", what, error.status_code)


_lock = threading.Lock()


def services() -> Services:
    """Return the parts of this process, made at the first call that needs them.

    Raises:
        SettingsError: Names every setting that is missing or malformed. Nothing is remembered then.
        AgainLater: Storage does not answer.
    """
    with _lock:
        return _made()


@cache
def _made() -> Services:
    # The SDKs tell each request and its answer at INFO, and every line of the log is paid for.
    logging.getLogger("azure").setLevel(logging.WARNING)
    made = Services(Settings.from_environment())
    made.create_missing()
    return made

"""Put the parts together, once a process: everything that the triggers work with, made from the settings."""

from __future__ import annotations

import gc

# What is loaded here stays as long as the process: to look through it for garbage takes a twelfth of a start, and as
# much again with each later look at everything.
gc.disable()

import logging
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from azure.core.exceptions import HttpResponseError, ResourceExistsError

from shared.cabs.container import CabContainer
from shared.cabs.copy import CabCopy
from shared.cabs.direct_copy import DirectCopy
from shared.catalog.files import CatalogFiles
from shared.catalog.news import CatalogNews
from shared.core.settings import Settings
from shared.core.threads import OneLook
from shared.devcenter.client import DevCenter
from shared.devcenter.families import source_of
from shared.identity.credentials import devcenter_tokens, report_storage_tokens
from shared.progress import TABLES
from shared.progress.asked_pulls import AskedPulls
from shared.progress.cabs import CabRows
from shared.progress.circuit import Circuit
from shared.progress.day_bytes import DayBytes
from shared.progress.health import HealthRows
from shared.progress.pull_leases import PullLeases
from shared.progress.pulls import PullRows
from shared.progress.queue import PullQueue
from shared.progress.requests import PullRequests
from shared.pull.keep_file import KeepFile
from shared.pull.pool import FairPool
from shared.pull.run import PullTools
from shared.storage.clients import StorageClients
from shared.storage.refusals import refusal_of, storage_errors
from shared.web.http_source import HttpSource
from shared.web.untrusted_source import UntrustedSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.cabs.links import CabLinks
    from shared.failures.check import FailureTools
    from shared.progress.overview import Overview
    from shared.reconcile.poison import PoisonMessages
    from shared.reconcile.run import ReconcileTools
    from shared.reports.asked_check import AskedChecks
    from shared.reports.check import ReportTools

_log = logging.getLogger(__name__)
# Of each try to make what is missing: whoever asks first waits for it, and wants to be told soon that storage hangs.
_CREATE_SECONDS = 10
gc.freeze()
gc.enable()


class Services:
    """The parts, put together.

    Args:
        settings: Parsed and checked.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        connections = settings.pull_concurrency + 8
        self._storage = StorageClients(settings.storage, connections)
        self._source = UntrustedSource(connections, settings.source_hosts)
        tokens = devcenter_tokens(settings.devcenter)
        self.health_table = self._storage.table("health")
        self.health = HealthRows(self.health_table)
        self.circuit = Circuit(self.health_table, "devcenter")
        source, calls = HttpSource(connections), settings.calls_in_flight
        self._devcenter = DevCenter(settings.devcenter.base_url, tokens, source, self.circuit.guard, calls)
        blobs = self._storage.blob_service
        container = CabContainer(self._storage.blobs.get_container_client(settings.container), blobs)
        self._catalog = CatalogFiles(container)
        pulls = self._storage.table("pulls")
        self.pulls, self.asked = PullRows(pulls), AskedPulls(pulls)
        day = DayBytes(self.health_table)
        self.pull_tools = PullTools(
            settings=settings,
            sources=partial(source_of, self._devcenter),
            queue=PullQueue(self._storage.queue(settings.queue)),
            pulls=self.pulls,
            leases=PullLeases(pulls, settings.pull_lease),
            cabs=CabRows(self._storage.table("cabs")),
            container=container,
            copies=CabCopy(container, DirectCopy(blobs, settings.container), self._source),
            pool=FairPool(settings.pull_concurrency),
            catalog=CatalogNews(self._catalog, settings.retention),
            keep=KeepFile(container, day, settings.max_cabs_per_failure),
            day=day,
        )
        self.requests = PullRequests(self.pulls, self.asked, self.pull_tools.queue, self.pull_tools.pool.lane())
        self._poison = PullQueue(self._storage.queue(f"{settings.queue}-poison"))
        self._check_queue = self._storage.queue(f"{settings.queue}-checks")
        self.checks = PullQueue(self._check_queue)

    @cached_property
    def overview(self) -> Overview:
        """Return what knows all failures, which a worker that nobody asks does not even read."""
        from shared.progress.overview import Overview

        return Overview(self._storage.table("pulls"))

    @cached_property
    def cab_links(self) -> CabLinks | None:
        """Return what makes links to cabs; None where a key opens the storage, with which the app signs nothing."""
        from shared.cabs.links import CabLinks

        has_identity = self.settings.storage.connection_string is None
        return CabLinks(self._storage.blobs, self.settings.container) if has_identity else None

    @cached_property
    def poison_messages(self) -> PoisonMessages:
        """Return what takes care of messages that failed too often, or that no pull can be made of."""
        from shared.reconcile.poison import PoisonMessages

        return PoisonMessages(self.pulls, self.pull_tools.leases, self.health, self.pull_tools.queue, self._poison)

    @cached_property
    def report_tools(self) -> ReportTools:
        """Return what a check of the reports works with, which a worker that only pulls does not even import."""
        from shared.progress.reports import ReportRows
        from shared.reports.check import ReportTools
        from shared.reports.file import ReportFiles

        return ReportTools(
            settings=self.settings,
            devcenter=self._devcenter,
            files=ReportFiles(self._source, report_storage_tokens(self.settings.devcenter)),
            reports=ReportRows(self._storage.table("reports")),
            pulls=self.pulls,
            asked=self.asked,
            requests=self.requests,
            cabs=self.pull_tools.cabs,
            health=self.health,
            executor=self.pull_tools.pool.lane(),
            keep=self.pull_tools.keep,
        )

    @cached_property
    def failure_tools(self) -> FailureTools:
        """Return what a check of the failures of applications works with, likewise."""
        from shared.failures.check import FailureTools
        from shared.progress.failures import FailureRows

        return FailureTools(
            settings=self.settings,
            devcenter=self._devcenter,
            failures=FailureRows(self._storage.table("failures"), self.health_table),
            asked=self.asked,
            requests=self.requests,
            keep=self.pull_tools.keep,
        )

    @cached_property
    def asked_checks(self) -> AskedChecks:
        """Return the checks that somebody asks for, likewise."""
        from shared.reports.asked_check import AskedChecks

        return AskedChecks(self.health_table, self.checks)

    @cached_property
    def reconcile_tools(self) -> ReconcileTools:
        """Return what a reconcile works with, likewise."""
        from shared.reconcile.run import ReconcileTools
        from shared.reconcile.walk import FailureWalk

        return ReconcileTools(
            settings=self.settings,
            walk=FailureWalk(self.pulls, self.pull_tools.cabs, self.pull_tools.container),
            pulls=self.pulls,
            leases=self.pull_tools.leases,
            cabs=self.pull_tools.cabs,
            container=self.pull_tools.container,
            queue=self.pull_tools.queue,
            poison=self.poison_messages,
            requests=self.requests,
            health=self.health,
            circuit=self.circuit,
            writers=self.pull_tools.pool.lane(),
            catalog=self._catalog,
            keep=self.pull_tools.keep,
        )

    def create_missing(self) -> None:
        """Create the container, the queues and the tables where they are not there yet.

        A deployment made them, and gives the app no right to: a refusal to create is passed over, since whatever is
        truly missing is named by the first request that needs it.

        Raises:
            AgainLater: Storage does not answer.
        """
        blobs, queue = self._storage.blobs, self._storage.queue(self.settings.queue)
        creations: list[tuple[str, Callable[..., object]]] = [
            (f"container {self.settings.container}", partial(blobs.create_container, self.settings.container)),
            *((f"queue {each.queue_name}", each.create_queue) for each in (queue, self._check_queue)),
            *((f"table {name}", partial(self._storage.tables.create_table, name)) for name in TABLES),
        ]
        for what, create in creations:
            with storage_errors(f"creating the {what}"):
                try:
                    create(read_timeout=_CREATE_SECONDS, retry_total=1)
                except ResourceExistsError:
                    continue
                except HttpResponseError as error:
                    if not refusal_of(error).needs_person:
                        raise
                    _log.info("the %s is not created by the app (%s)", what, error.status_code)


def services() -> Services:
    """Return the parts of this process, made at the first call that needs them; who comes meanwhile waits with it.

    Raises:
        SettingsError: Names every setting that is missing or malformed. Nothing is remembered then.
        AgainLater: Storage does not answer.
    """
    return _made() if _made.cache_info().currsize else _making.start().future.result()


@cache
def _made() -> Services:
    # The SDKs tell each request and its answer at INFO, and every line of the log is paid for.
    logging.getLogger("azure").setLevel(logging.WARNING)
    made = Services(Settings.from_environment())
    made.create_missing()
    return made


_making = OneLook(_made, "services")

"""The stage of a measurement: an Azurite in memory, a Dev Center in a process of its own, and source blobs."""

import secrets
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import msgspec
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from bench.processes import Program, usage
from bench.programs.ceiling import CopyJob, copy_all
from bench.programs.devcenter import READY, STORAGE, TOKEN, CountCalls, ListCabs, ListRun, cab_name
from local.azurite.server import Azurite, account_key, azurite_command
from local.simulator.builder import CAB_ACCOUNTS, REPORT_ACCOUNT

CAB_ACCOUNT, SOURCE_ACCOUNT = "cabferry", CAB_ACCOUNTS[0]
IN_FLIGHT = 32
_SETUP_IN_FLIGHT = 16


@dataclass(frozen=True, slots=True)
class SourceSet:
    """Source blobs of one size, in a container of their own, named by `cab_name`.

    Args:
        container: The container.
        size: Bytes of each.
        names: Their names.
        url: A blob's URL with its SAS; `{name}` stands for the name.
        container_url: The container's URL with the same SAS.
    """

    container: str
    size: int
    names: tuple[str, ...]
    url: str
    container_url: str


class Stage:
    """All parts, from entering the context to leaving it.

    Args:
        recorded: Whether Azurite's requests can be counted, which slows it down.
        source_endpoint: Where the source account's blobs are, in place of this Azurite.
    """

    def __init__(self, *, recorded: bool = False, source_endpoint: str = "") -> None:
        self._recorded, self._source_endpoint = recorded, source_endpoint
        self._open = ExitStack()
        self._fresh = Counter[str]()

    def __enter__(self) -> Self:
        accounts = {name: account_key() for name in (CAB_ACCOUNT, *CAB_ACCOUNTS, REPORT_ACCOUNT)}
        token = secrets.token_urlsafe()
        with ExitStack() as opening:
            self.azurite = opening.enter_context(Azurite(azurite_command(), accounts, recorded=self._recorded))
            sources = {name: self.azurite.connection_string(name) for name in (*CAB_ACCOUNTS, REPORT_ACCOUNT)}
            if self._source_endpoint:
                key = accounts[SOURCE_ACCOUNT]
                place = f"AccountName={SOURCE_ACCOUNT};AccountKey={key};BlobEndpoint={self._source_endpoint}"
                sources[SOURCE_ACCOUNT] = place
            environment = {STORAGE: msgspec.json.encode(sources).decode(), TOKEN: token}
            self._devcenter = opening.enter_context(Program("devcenter", READY, environment))
            self._open = opening.pop_all()
        self.settings = {
            "CAB_STORAGE": self.azurite.connection_string(CAB_ACCOUNT),
            "DEVCENTER_BASE_URL": self._devcenter.url,
            TOKEN: token,
            "CAB_SOURCE_HOSTS": "127.0.0.1",
        }
        self._cabs = self._blobs(CAB_ACCOUNT)
        self._sources = self._blobs(SOURCE_ACCOUNT)
        return self

    def __exit__(self, *_: object) -> None:
        self._cabs.close()
        self._sources.close()
        self._open.close()

    def sources(self, size: int, count: int) -> SourceSet:
        """Make source blobs: one is uploaded, the others are copies of it, which cost no memory in Azurite.

        Args:
            size: Bytes of each.
            count: How many.
        """
        container = self._fresh_name("source")
        self._sources.create_container(container)
        names = tuple(cab_name(number) for number in range(count))
        client = self._sources.get_container_client(container)
        client.upload_blob(names[0], secrets.token_bytes(size), length=size)
        read = self._signed(SOURCE_ACCOUNT, container, ContainerSasPermissions(read=True, list=True))
        made = SourceSet(container, size, names, f"{client.url}/{{name}}?{read}", f"{client.url}?{read}")
        first = made.url.replace("{name}", names[0])
        copy_all(self.copy_job(made, SOURCE_ACCOUNT, container, names[1:], source=first, in_flight=_SETUP_IN_FLIGHT))
        return made

    def destination(self) -> str:
        """Make an empty container beside the cabs' own, and return its name."""
        container = self._fresh_name("copy")
        self._cabs.create_container(container)
        return container

    def destination_url(self, container: str) -> str:
        """Return a destination's URL with a SAS that may do all that a copying tool needs."""
        permissions = ContainerSasPermissions(read=True, write=True, list=True, create=True, add=True, delete=True)
        signed = self._signed(CAB_ACCOUNT, container, permissions)
        return f"{self._cabs.get_container_client(container).url}?{signed}"

    def held(self, container: str) -> int:
        """Return how many blobs a destination holds."""
        return sum(1 for _ in self._cabs.get_container_client(container).list_blob_names())

    def drop(self, container: str) -> None:
        """Remove a destination."""
        self._cabs.delete_container(container)

    def copy_job(
        self,
        sources: SourceSet,
        account: str,
        container: str,
        names: tuple[str, ...],
        *,
        source: str = "",
        in_flight: int = IN_FLIGHT,
    ) -> CopyJob:
        """Return a job of the ceiling.

        Args:
            sources: What is copied.
            account: Where to.
            container: Where to.
            names: Which of the sources.
            source: One URL that all are copied from, in place of the sources'.
            in_flight: How many copies at once.
        """
        endpoint = self._cabs.url.rstrip("/").rpartition("/")[0]
        key = self.azurite.accounts[account]
        return CopyJob(endpoint, account, key, container, source or sources.url, list(names), in_flight)

    def failure(self, sources: SourceSet, cabs: int) -> str:
        """List a new failure in the Dev Center and return its failureHash.

        Args:
            sources: What its cabs' URLs lead to.
            cabs: How many of them.
        """
        return self.failure_of(sources.container, cabs)

    def failure_of(self, container: str, cabs: int) -> str:
        """List a new failure whose cabs are in any container of the source account."""
        return self._devcenter.ask(ListCabs(SOURCE_ACCOUNT, container, cabs))

    def report(self, file: Path) -> None:
        """Let the Dev Center list a report's run, whose file this is."""
        self._devcenter.ask(ListRun(str(file)))

    def api_calls(self) -> int:
        """Return how many pages the Dev Center has served."""
        return int(self._devcenter.ask(CountCalls()))

    def azurite_cpu(self) -> float:
        """Return the CPU seconds that Azurite has used so far."""
        return usage(self.azurite.pid).cpu_seconds

    def _blobs(self, account: str) -> BlobServiceClient:
        return BlobServiceClient.from_connection_string(self.azurite.connection_string(account))

    def _signed(self, account: str, container: str, permissions: ContainerSasPermissions) -> str:
        expiry = datetime.now(UTC) + timedelta(days=1)
        key = self.azurite.accounts[account]
        return generate_container_sas(account, container, key, permission=permissions, expiry=expiry)

    def _fresh_name(self, kind: str) -> str:
        self._fresh[kind] += 1
        return f"{kind}-{self._fresh[kind]}"

"""Run Azurite as a child process, on free ports and with accounts of one's own."""

import base64
import os
import secrets
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from local.azurite.access_log import StorageRequest
from local.install import node_command
from local.simulator.certificates import Certificates

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
_SERVICES = ("Blob", "Queue", "Table")
_LISTENING = "service is successfully listening at "
_KEPT_OUTPUT = 60
_CREATION_FLAGS = 0
if sys.platform == "win32":
    _CREATION_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP


class AzuriteError(Exception):
    """Azurite did not start, or ended by itself; the text holds what it printed."""


def azurite_command(say: Callable[[str], None] = print) -> tuple[str, str]:
    """Return what starts Azurite, Node and its entry point; installs it where it is not yet (`local.install`)."""
    return node_command(Path(__file__).parent, "node_modules/azurite/dist/src/azurite.js", say)


def account_key() -> str:
    """Return a new random account key: 64 bytes in base64, as Azure's are."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


@dataclass(slots=True)
class _Watch:
    """What is counted until enough of it has come."""

    wanted: Callable[[StorageRequest], bool]
    left: int
    reached: threading.Event = field(default_factory=threading.Event)

    def see(self, request: StorageRequest) -> None:
        self.left -= self.wanted(request)
        if self.left <= 0:
            self.reached.set()


class Azurite:
    """An Azurite of one's own: listens on loopback from `start` (or entering the context) to `stop`.

    It accepts newer REST versions than it knows (the SDKs are ahead of it), sends no telemetry, and ends with this
    process, whatever ends it.
    """

    def __init__(
        self,
        command: tuple[str, str],
        accounts: Mapping[str, str],
        folder: Path | None = None,
        recorded: bool = False,
        certificates: Certificates | None = None,
    ) -> None:
        """Describe it; nothing runs yet.

        Args:
            command: What `azurite_command` returned.
            accounts: Account names and their base64 keys. It takes no other account while it runs.
            folder: Where it keeps its data; None keeps all in memory, gone when it stops.
            recorded: Whether `requests` can tell what it was asked; kept in memory, so not for long runs.
            certificates: Speaks HTTPS with them, and takes the tokens of identities: it looks at their issuer, audience
                and times, and at no signature or role. None speaks HTTP, with keys and SAS alone.
        """
        self._node, self._script = command
        self._accounts = dict(accounts)
        self._folder = folder
        self._recorded = recorded
        self._certificates = certificates
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._heard = threading.Condition()
        self._ended = False
        self._output: deque[str] = deque(maxlen=_KEPT_OUTPUT)
        self._addresses: dict[str, str] = {}
        self._requests: list[StorageRequest] = []
        self._watches: list[_Watch] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until its three services listen.

        Raises:
            AzuriteError: It ended, or did not listen within a minute; with its output.
        """
        self._process = subprocess.Popen(
            self._arguments(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | self._environment(),
            # Ctrl-C goes to the whole foreground group: Azurite must outlive those who still write to it.
            start_new_session=sys.platform != "win32",
            creationflags=_CREATION_FLAGS,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="azurite", daemon=True)
        self._reader.start()
        with self._heard:
            self._heard.wait_for(lambda: self._ended or len(self._addresses) == len(_SERVICES), START_TIMEOUT)
            listening = len(self._addresses) == len(_SERVICES)
        if not listening:
            self.stop()
            raise AzuriteError("Azurite did not start; it printed:\n" + "\n".join(self._output))

    def stop(self) -> None:
        """End it and wait until it is gone; what it keeps in a folder is saved first."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return
        if self._folder is None:
            process.kill()
        process.stdin.close()  # parent_watch.cjs ends Azurite in good order on this
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join()
        process.stdout.close()
        self._process = None

    @property
    def pid(self) -> int:
        """The process id of the running Azurite.

        Raises:
            AzuriteError: It does not run.
        """
        if self._process is None:
            raise AzuriteError("Azurite does not run")
        return self._process.pid

    @property
    def accounts(self) -> Mapping[str, str]:
        """Its account names and their keys."""
        return dict(self._accounts)

    def connection_string(self, account: str) -> str:
        """Return the connection string of one of its accounts, for all three services.

        Args:
            account: The account's name.

        Raises:
            KeyError: It has no such account.
            AzuriteError: It does not run.
        """
        endpoints = "".join(f"{service}Endpoint={uri};" for service, uri in self.uris(account).items())
        protocol, key = "https" if self._certificates else "http", self._accounts[account]
        return f"DefaultEndpointsProtocol={protocol};AccountName={account};AccountKey={key};{endpoints}"

    def uris(self, account: str) -> Mapping[str, str]:
        """Return the address of each service (Blob, Queue, Table) of one of its accounts.

        Args:
            account: The account's name.

        Raises:
            AzuriteError: It does not run.
        """
        return {service: f"{self._address(service)}/{account}" for service in _SERVICES}

    def requests(self, account: str | None = None) -> Sequence[StorageRequest]:
        """Return every request that was answered before this call, in the order of its access log.

        Args:
            account: Only this account's; None for all.

        Raises:
            AzuriteError: It was not made with `recorded`, or ended meanwhile.
        """
        if not self._recorded:
            raise AzuriteError("this Azurite does not record its requests")
        # A request's line may come after its answer; a last request to each service shows that all lines have come.
        last = {self._ask(service) for service in _SERVICES}
        with self._heard:
            self._heard.wait_for(lambda: self._ended or last <= {request.account for request in self._requests})
            if self._ended:
                raise AzuriteError("Azurite ended; it printed:\n" + "\n".join(self._output))
            self._requests = [request for request in self._requests if request.account not in last]
            return tuple(request for request in self._requests if account in {None, request.account})

    def watch(self, wanted: Callable[[StorageRequest], bool], times: int = 1) -> threading.Event:
        """Return what is set as soon as so many requests, from now on, were answered.

        Args:
            wanted: Which requests count.
            times: How many of them.

        Raises:
            AzuriteError: It was not made with `recorded`.
        """
        if not self._recorded:
            raise AzuriteError("this Azurite does not record its requests")
        watch = _Watch(wanted, times)
        with self._heard:
            self._watches.append(watch)
        return watch.reached

    def _ask(self, service: str) -> str:
        """Send a service a request of no account, and return the name by which its log line is known."""
        name = f"mark{secrets.token_hex(8)}"
        try:
            trust = ssl.create_default_context(cafile=self._certificates.authority) if self._certificates else None
            url = f"{self._address(service)}/{name}/"
            with urllib.request.urlopen(url, timeout=STOP_TIMEOUT, context=trust):  # noqa: S310 - loopback
                pass
        except urllib.error.HTTPError as refused:
            refused.close()
        return name

    def _address(self, service: str) -> str:
        try:
            return self._addresses[service]
        except KeyError:
            raise AzuriteError("Azurite does not run") from None

    def _environment(self) -> dict[str, str]:
        accounts = ";".join(f"{name}:{key}" for name, key in self._accounts.items())
        # It asks itself where it copies from one account to another.
        trust = {"NODE_EXTRA_CA_CERTS": str(self._certificates.authority)} if self._certificates else {}
        return {"AZURITE_ACCOUNTS": accounts, **trust}

    def _tls(self) -> list[str]:
        if self._certificates is None:
            return []
        return ["--oauth", "basic", "--cert", str(self._certificates.certificate), "--key", str(self._certificates.key)]

    def _arguments(self) -> list[str]:
        watch = Path(__file__).with_name("parent_watch.cjs")
        ports = (part for service in _SERVICES for part in (f"--{service.lower()}Port", "0"))
        place = ("--inMemoryPersistence",) if self._folder is None else ("--location", str(self._folder))
        return [
            self._node,
            "--require",
            str(watch),
            self._script,
            *ports,
            *place,
            *self._tls(),
            "--skipApiVersionCheck",
            "--disableTelemetry",
            *(() if self._recorded else ("--silent",)),
        ]

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Take in what Azurite prints, until it ends (in a thread of its own)."""
        for line in process.stdout or ():
            with self._heard:
                self._take(line.rstrip())
                self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    def _take(self, line: str) -> None:
        request = StorageRequest.from_line(line)
        if request is not None:
            self._requests.append(request)
            for watch in self._watches:
                watch.see(request)
            self._watches = [watch for watch in self._watches if not watch.reached.is_set()]
            return
        self._output.append(line)
        before, found, address = line.partition(_LISTENING)
        if found:
            self._addresses[before.split()[-1]] = address

"""Run Azurite as a child process, on free ports and with accounts of one's own."""

import base64
import secrets
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.azurite.access_log import StorageRequest
from local.child import STOP_SECONDS, Child, ChildError
from local.install import node_command
from local.simulator.certificates import Certificates

_SERVICES = ("Blob", "Queue", "Table")
_LISTENING = "service is successfully listening at "


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


class Azurite(Child):
    """An Azurite of one's own: listens on loopback from entering the context to leaving it, and keeps all in memory.

    It accepts newer REST versions than it knows (the SDKs are ahead of it), sends no telemetry, and ends with this
    process, whatever ends it.
    """

    def __init__(
        self,
        command: tuple[str, str],
        accounts: Mapping[str, str],
        recorded: bool = False,
        certificates: Certificates | None = None,
    ) -> None:
        """Describe it; nothing runs yet.

        Args:
            command: What `azurite_command` returned.
            accounts: Account names and their base64 keys. It takes no other account while it runs.
            recorded: Whether `requests` can tell what it was asked; kept in memory, so not for long runs.
            certificates: Speaks HTTPS with them, and takes the tokens of identities: it looks at their issuer, audience
                and times, and at no signature or role. None speaks HTTP, with keys and SAS alone.
        """
        self._accounts = dict(accounts)
        self._recorded = recorded
        self._certificates = certificates
        self._addresses: dict[str, str] = {}
        self._requests: list[StorageRequest] = []
        self._watches: list[_Watch] = []
        node, script = command
        watch = str(Path(__file__).with_name("parent_watch.cjs"))
        super().__init__("Azurite", [node, "--require", watch, script, *self._options()], self._variables())

    @property
    def serves(self) -> bool:
        """Tell whether its three services listen."""
        return len(self._addresses) == len(_SERVICES)

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
            ChildError: It does not run.
        """
        endpoints = "".join(f"{service}Endpoint={uri};" for service, uri in self.uris(account).items())
        protocol, key = "https" if self._certificates else "http", self._accounts[account]
        return f"DefaultEndpointsProtocol={protocol};AccountName={account};AccountKey={key};{endpoints}"

    def uris(self, account: str) -> Mapping[str, str]:
        """Return the address of each service (Blob, Queue, Table) of one of its accounts.

        Args:
            account: The account's name.

        Raises:
            ChildError: It does not run.
        """
        return {service: f"{self._address(service)}/{account}" for service in _SERVICES}

    def requests(self, account: str | None = None) -> Sequence[StorageRequest]:
        """Return every request that was answered before this call, in the order of its access log.

        Args:
            account: Only this account's; None for all.

        Raises:
            ChildError: It was not made with `recorded`, or ended meanwhile.
        """
        self._raise_unless_recorded()
        # A request's line may come after its answer; a last request to each service shows that all lines have come.
        last = {self._ask(service) for service in _SERVICES}
        with self._heard:
            self._heard.wait_for(lambda: self._ended or last <= {request.account for request in self._requests})
            if self._ended:
                raise ChildError(f"Azurite ended; it printed:\n{self.log_end()}")
            self._requests = [request for request in self._requests if request.account not in last]
            return tuple(request for request in self._requests if account in {None, request.account})

    def watch(self, wanted: Callable[[StorageRequest], bool], times: int = 1) -> threading.Event:
        """Return what is set as soon as so many requests, from now on, were answered.

        Args:
            wanted: Which requests count.
            times: How many of them.

        Raises:
            ChildError: It was not made with `recorded`.
        """
        self._raise_unless_recorded()
        watch = _Watch(wanted, times)
        with self._heard:
            self._watches.append(watch)
        return watch.reached

    def _raise_unless_recorded(self) -> None:
        if not self._recorded:
            raise ChildError("this Azurite does not record its requests")

    def _ask(self, service: str) -> str:
        """Send a service a request of no account, and return the name by which its log line is known."""
        name = f"mark{secrets.token_hex(8)}"
        try:
            trust = ssl.create_default_context(cafile=self._certificates.authority) if self._certificates else None
            url = f"{self._address(service)}/{name}/"
            with urllib.request.urlopen(url, timeout=STOP_SECONDS, context=trust):  # noqa: S310 - loopback
                pass
        except urllib.error.HTTPError as refused:
            refused.close()
        return name

    def _address(self, service: str) -> str:
        try:
            return self._addresses[service]
        except KeyError:
            raise ChildError("Azurite does not run") from None

    def _variables(self) -> dict[str, str]:
        accounts = ";".join(f"{name}:{key}" for name, key in self._accounts.items())
        # It asks itself where it copies from one account to another.
        trust = {"NODE_EXTRA_CA_CERTS": str(self._certificates.authority)} if self._certificates else {}
        return {"AZURITE_ACCOUNTS": accounts, **trust}

    def _options(self) -> list[str]:
        ports = (part for service in _SERVICES for part in (f"--{service.lower()}Port", "0"))
        told = () if self._recorded else ("--silent",)
        tls: tuple[str, ...] = ()
        if self._certificates:
            certificate, key = str(self._certificates.certificate), str(self._certificates.key)
            tls = ("--oauth", "basic", "--cert", certificate, "--key", key)
        return [*ports, *tls, "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", *told]

    def _end(self) -> None:
        self._process.kill()  # there is nothing to save

    def _take(self, line: str) -> None:
        request = StorageRequest.from_line(line)
        if request is not None:
            self._requests.append(request)
            for watch in self._watches:
                watch.see(request)
            self._watches = [watch for watch in self._watches if not watch.reached.is_set()]
            return
        super()._take(line)
        before, found, address = line.partition(_LISTENING)
        if found:
            self._addresses[before.split()[-1]] = address

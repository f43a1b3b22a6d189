"""What stands behind the names in a binding: `%SETTING%` and `connection`."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.queue.aio import QueueClient

from local.host.errors import BindingError

_DEFAULT_CONNECTION = "AzureWebJobsStorage"
_EXPRESSION = re.compile(r"%([^%\s]+)%")

# Any Azurite of the last two years speaks it; newer clients would ask for a version that an older one refuses.
_API_VERSION = "2025-05-05"
# The SDK's own retries take a minute. Nobody would learn in that time that the storage is down.
_CLIENT_OPTIONS: dict[str, Any] = {
    "api_version": _API_VERSION,
    "connection_timeout": 5,
    "read_timeout": 30,
    "retry_total": 3,
    "initial_backoff": 1,
    "increment_base": 2,
    "random_jitter_range": 0,
}


def resolve(text: str, environment: Mapping[str, str]) -> str:
    """Replace every `%SETTING%` in a part of a binding.

    Args:
        text: As the app wrote it.
        environment: The app settings.

    Raises:
        BindingError: A setting is missing; names it as Azure's host does.
    """

    def value(match: re.Match[str]) -> str:
        found = environment.get(match[1], "")
        if not found:
            raise BindingError(f"'{match[0]}' does not resolve to a value: the setting {match[1]} is missing")
        return found

    return _EXPRESSION.sub(value, text)


class _Transport(AioHttpTransport):  # type: ignore[misc]  # the SDK exports it untyped
    """Trusts what a file names, with one TLS context.

    The SDK's own `connection_verify` reads the file anew for each request, plain http included: tens of milliseconds,
    and 100 MB of memory in all before they are collected.
    """

    session: aiohttp.ClientSession | None

    def __init__(self, authority: str) -> None:
        super().__init__()
        self._authority = authority

    async def open(self) -> None:
        """Open the session that the base class would, on connections that trust the file."""
        if self.session is None:
            context = ssl.create_default_context(cafile=self._authority)
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context),
                trust_env=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        await super().open()


@dataclass(frozen=True, slots=True)
class QueueConnection:
    """How to reach the queues of a storage account: a connection string, or a service URI and an identity.

    Args:
        connection_string: Empty with an identity.
        service_uri: Of the queue service; empty without an identity.
        credential: The identity.
        authority: The file of the certificates that are trusted; empty for what the machine trusts.
    """

    connection_string: str
    service_uri: str
    credential: DefaultAzureCredential | ManagedIdentityCredential | None
    authority: str

    @classmethod
    def from_environment(cls, name: str, environment: Mapping[str, str]) -> Self:
        """Read a connection as Functions does.

        Args:
            name: Of the setting that holds a connection string, or the prefix of `__queueServiceUri`, `__credential`
                and `__clientId`. Empty for AzureWebJobsStorage.
            environment: The app settings.

        Raises:
            BindingError: There is no such connection; names the settings.
        """
        name = resolve(name, environment) or _DEFAULT_CONNECTION
        connection_string = environment.get(name, "")
        service_uri = environment.get(f"{name}__queueServiceUri", "")
        # As requests does it, which the app itself stands on; aiohttp would not look there.
        authority = environment.get("REQUESTS_CA_BUNDLE", "")
        if connection_string:
            return cls(connection_string, "", None, authority)
        if not service_uri:
            raise BindingError(
                f"Storage account connection string {name!r} does not exist. Make sure that it is a defined App "
                f"Setting: neither {name} nor {name}__queueServiceUri is set"
            )
        client_id = environment.get(f"{name}__clientId") or None
        trust: dict[str, Any] = {"connection_verify": authority} if authority else {}
        if environment.get(f"{name}__credential", "").lower() == "managedidentity":
            return cls("", service_uri, ManagedIdentityCredential(client_id=client_id, **trust), authority)
        return cls("", service_uri, DefaultAzureCredential(managed_identity_client_id=client_id, **trust), authority)

    def queue(self, name: str) -> QueueClient:
        """Return a client for one queue; nothing is sent yet, and texts are not encoded or decoded by it.

        Args:
            name: Of the queue.

        Raises:
            BindingError: The connection is malformed.
        """
        options = {**_CLIENT_OPTIONS, **({"transport": _Transport(self.authority)} if self.authority else {})}
        try:
            if self.connection_string:
                return QueueClient.from_connection_string(self.connection_string, name, **options)
            return QueueClient(self.service_uri, name, self.credential, **options)
        except ValueError:
            # The error's own text may quote the connection string.
            raise BindingError("The storage connection is malformed") from None

    async def close(self) -> None:
        """Let go of the identity's connections."""
        if self.credential is not None:
            await self.credential.close()

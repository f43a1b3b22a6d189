"""Clients of the cab storage, from a connection string or for an identity."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient, ExponentialRetry
from azure.storage.queue import ExponentialRetry as QueueRetry
from azure.storage.queue import QueueClient, QueueServiceClient, TextBase64EncodePolicy
from requests.adapters import HTTPAdapter

from shared.core.errors import SettingsError
from shared.identity.access_tokens import SharedCredential
from shared.identity.credentials import storage_tokens
from shared.storage.service import AccountSas, StorageService
from shared.storage.table_rows import TableRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.storage_settings import CabStorage

# Versions that Azure has served for long and Azurite knows without being told to skip its check.
_BLOB_VERSION, _TABLE_VERSION = "2025-05-05", "2019-02-02"
_CONNECT_SECONDS, _READ_SECONDS = 10, 120


class StorageClients:
    """The clients, which share a pool of connections a service.

    Args:
        where: The account, and what authorizes.
        connections: How many connections to a service are kept open.
        retries: How often the SDK's clients try again by themselves.

    Raises:
        SettingsError: The connection string is none.
    """

    def __init__(self, where: CabStorage, connections: int, retries: int = 3) -> None:
        self._where, self._connections = where, connections
        self._open = ExitStack()
        self._tokens = None if where.connection_string else storage_tokens(where)
        # The SDK's own would wait 15 seconds and more between two tries.
        backoff = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=retries)
        queue_backoff = QueueRetry(initial_backoff=1, increment_base=2, retry_total=retries)
        self.blobs = self._client(BlobServiceClient, where.blob_uri, api_version=_BLOB_VERSION, retry_policy=backoff)
        self.queues = self._client(
            QueueServiceClient, where.queue_uri, api_version=_BLOB_VERSION, retry_policy=queue_backoff
        )
        self.tables = self._client(TableServiceClient, where.table_uri, retry_total=retries)
        # What the plain requests do: blobs are copied with their tags and listed, rows are read and written.
        self.blob_service = self._service(self.blobs.url, _BLOB_VERSION, "b", "wlct")
        self._table_service = self._service(self.tables.url, _TABLE_VERSION, "t", "rdau")

    def close(self) -> None:
        """Close the connections that are kept open; a later request would open new ones."""
        self._open.close()

    def queue(self, name: str) -> QueueClient:
        """Return the client of a queue, with the encoding that host.json names."""
        client: QueueClient = self.queues.get_queue_client(name, message_encode_policy=TextBase64EncodePolicy())
        return client

    def table(self, name: str) -> TableRows:
        """Return a table."""
        return TableRows(self._table_service, name)

    def _service(self, url: str, version: str, letter: str, permissions: str) -> StorageService:
        account, key = (getattr(self.blobs.credential, name, None) for name in ("account_name", "account_key"))
        # The SAS of a connection string in the place of a key, which the blob client shows in its URL.
        sas: Callable[[], str] = partial(str, urlsplit(self.blobs.url).query)
        if account and key:
            sas = AccountSas(account, key, letter, permissions).current
        service = StorageService(url, version, self._connections, sas, self._tokens)
        self._open.callback(service.close)
        return service

    def _client(self, kind: Any, uri: str, **options: Any) -> Any:
        options |= {
            "transport": self._transport(),
            "connection_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
        }
        if self._tokens:
            return kind(uri, credential=SharedCredential(self._tokens), **options)
        try:
            return kind.from_connection_string(self._where.connection_string, **options)
        except ValueError as error:
            raise SettingsError(f"CAB_STORAGE is not a connection string: {error}") from None

    def _transport(self) -> RequestsTransport:
        # The SDK's own pool holds ten connections; with more copies in flight than that, each would connect anew.
        session = requests.Session()
        self._open.callback(session.close)
        session.mount("https://", HTTPAdapter(pool_maxsize=self._connections))
        session.mount("http://", HTTPAdapter(pool_maxsize=self._connections))
        return RequestsTransport(
            session=session, session_owner=False, connection_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS
        )

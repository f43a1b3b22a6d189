"""Put the parts together, once a process: everything that the triggers work with, made from the settings."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import requests
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient, ExponentialRetry
from azure.storage.queue import QueueServiceClient, TextBase64EncodePolicy
from requests.adapters import HTTPAdapter

from shared.access_tokens import devcenter_tokens, report_storage_tokens
from shared.cab_container import CabContainer
from shared.cab_copy import CabCopy
from shared.cab_rows import CabRows
from shared.devcenter import DevCenter
from shared.direct_copy import BearerToken, DirectCopy, SharedKey
from shared.errors import SettingsError
from shared.fair_pool import FairPool
from shared.http_source import HttpSource
from shared.pull import PullTools
from shared.pull_queue import PullQueue
from shared.pull_request import PullRequests
from shared.pull_rows import PullRows
from shared.redaction import guard_logs
from shared.report_check import ReportTools
from shared.report_file import ReportFiles
from shared.report_rows import ReportRows
from shared.settings import Settings
from shared.storage_errors import storage_errors
from shared.table_rows import TableRows

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

    from shared.direct_copy import Authorization
    from shared.settings import CabStorage

_log = logging.getLogger(__name__)
# A version of the storage API that Azure has served since 2025 and Azurite knows without being told to skip its check.
_API_VERSION = "2025-05-05"
_CONNECT_SECONDS, _READ_SECONDS = 10, 120
_CREATED_BY_DEPLOYMENT = {401, 403}


class Services:
    """The parts, put together.

    Args:
        settings: Parsed and checked.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        connections = settings.pull_concurrency + 8
        self._storage = _Storage(settings.storage, connections)
        source = HttpSource(connections)
        pool = FairPool(settings.pull_concurrency)
        tokens = devcenter_tokens(settings.devcenter)
        devcenter = DevCenter(settings.devcenter.base_url, tokens, source)
        container = CabContainer(self._storage.blobs.get_container_client(settings.container))
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
            copies=CabCopy(container, self._storage.direct_copy(settings.container), source, settings.source_hosts),
            pool=pool,
        )
        self.report_tools = ReportTools(
            settings=settings,
            devcenter=devcenter,
            files=ReportFiles(source, settings.source_hosts, report_storage_tokens(settings.devcenter)),
            reports=ReportRows(self._storage.table("reports")),
            requests=self.requests,
            cabs=cabs,
            executor=pool.lane(),
        )

    def create_missing(self) -> None:
        """Create the container, the queue and the tables where they are not there yet.

        A deployment made them, and gives the app no right to: a refusal to create is passed over, since whatever is
        truly missing is named by the first request that needs it.

        Raises:
            AgainLater: Storage does not answer.
        """
        blobs, queue = self._storage.blobs, self._storage.queue(self.settings.queue)
        for what, create in (
            (f"container {self.settings.container}", lambda: blobs.create_container(self.settings.container)),
            (f"queue {self.settings.queue}", queue.create_queue),
            *((f"table {name}", lambda name=name: self._storage.tables.create_table(name)) for name in _TABLES),
        ):
            with storage_errors(f"creating the {what}"):
                try:
                    create()
                except ResourceExistsError:
                    continue
                except HttpResponseError as error:
                    if error.status_code not in _CREATED_BY_DEPLOYMENT:
                        raise
                    _log.info("the %s is not created by the app (%s)", what, error.status_code)


_TABLES = ("reports", "pulls", "cabs")


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
    guard_logs()
    made = Services(Settings.from_environment())
    made.create_missing()
    return made


class _Storage:
    """Clients of the cab storage that share one pool of connections a service."""

    def __init__(self, where: CabStorage, connections: int) -> None:
        self._where, self._connections = where, connections
        retries = {"retry_policy": ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=3)}
        self.blobs = self._client(BlobServiceClient, where, where.blob_uri, api_version=_API_VERSION, **retries)
        self._queues = self._client(
            QueueServiceClient,
            where,
            where.queue_uri,
            api_version=_API_VERSION,
            retry_total=3,
        )
        self.tables = self._client(TableServiceClient, where, where.table_uri, retry_total=3)

    def queue(self, name: str) -> Any:
        return self._queues.get_queue_client(name, message_encode_policy=TextBase64EncodePolicy())

    def table(self, name: str) -> TableRows:
        return TableRows(self.tables.get_table_client(name))

    def direct_copy(self, container: str) -> DirectCopy:
        client = self.blobs.get_container_client(container)
        return DirectCopy(client.url, self._authorization(client), _API_VERSION, self._connections)

    def _authorization(self, client: ContainerClient) -> Authorization | None:
        if self._where.connection_string is None:
            return BearerToken(_identity(self._where))
        account, key = (getattr(client.credential, name, None) for name in ("account_name", "account_key"))
        # A connection string with a SAS in the place of a key: the SAS is in the URL.
        try:
            return SharedKey(account, base64.b64decode(key)) if account and key else None
        except binascii.Error:
            raise SettingsError("CAB_STORAGE is not a connection string: its AccountKey is not base64") from None

    def _client(self, kind: Any, where: CabStorage, uri: str, **options: Any) -> Any:
        options |= {
            "transport": self._transport(),
            "connection_timeout": _CONNECT_SECONDS,
            "read_timeout": _READ_SECONDS,
        }
        if where.connection_string:
            try:
                return kind.from_connection_string(where.connection_string, **options)
            except ValueError as error:
                raise SettingsError(f"CAB_STORAGE is not a connection string: {error}") from None
        return kind(uri, credential=_identity(where), **options)

    def _transport(self) -> RequestsTransport:
        # The SDK's own pool holds ten connections; with more copies in flight than that, each would connect anew.
        session = requests.Session()
        session.mount("https://", HTTPAdapter(pool_maxsize=self._connections))
        session.mount("http://", HTTPAdapter(pool_maxsize=self._connections))
        return RequestsTransport(
            session=session, session_owner=False, connection_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS
        )


@cache
def _identity(where: CabStorage) -> TokenCredential:
    if where.client_id:
        return ManagedIdentityCredential(client_id=where.client_id)
    return DefaultAzureCredential()

"""What a storage account holds, looked at as anyone could who has its connection string."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EntityProperty, TableServiceClient
from azure.storage.blob import BlobServiceClient, ContentSettings
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from local.azurite import access_log
from local.azurite.access_log import StorageRequest
from local.simulator.catalogue import FailureKey, Held

CONTAINER, QUEUE, POISON = "failure-cabs", "cab-pulls", "cab-pulls-poison"
CATALOG = "_catalog/"
# One that this Azurite knows; the SDK is ahead of it.
_API_VERSION = "2025-05-05"

type Entity = Mapping[str, Any]


class Stored:
    """The container, tables and queues of one account; `pull_looks` counts the requests of `pull`.

    Args:
        connection_string: Of the account.
    """

    def __init__(self, connection_string: str) -> None:
        self.pull_looks = 0
        self._connection_string = connection_string
        self._open = ExitStack()
        blobs = BlobServiceClient.from_connection_string(connection_string, api_version=_API_VERSION)
        self._blobs = self._open.enter_context(blobs).get_container_client(CONTAINER)
        self._tables = self._open.enter_context(TableServiceClient.from_connection_string(connection_string))
        self._pulls = self._open.enter_context(self._tables.get_table_client("pulls"))
        self._queues = {
            name: self._open.enter_context(
                QueueClient.from_connection_string(
                    connection_string,
                    name,
                    api_version=_API_VERSION,
                    message_encode_policy=TextBase64EncodePolicy(),
                    message_decode_policy=TextBase64DecodePolicy(),
                )
            )
            for name in (QUEUE, POISON)
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def deploy(self) -> None:
        """Make the container, the queues and the tables, as a deployment does."""
        self._blobs.create_container()
        for queue in self._queues.values():
            queue.create_queue()
        for name in ("reports", "pulls", "cabs", "failures", "health"):
            self._tables.create_table(name)

    def listed(self) -> dict[str, Held]:
        """Return the container's cabs by blob name, as it lists their lengths and MD5s."""
        return {
            str(blob.name): Held(int(blob.size), bytes(blob.content_settings.content_md5 or b"").hex())
            for blob in self._blobs.list_blobs()
            if not blob.name.startswith(CATALOG)
        }

    def downloaded(self) -> dict[str, Held]:
        """Return the container's cabs by blob name, as their bytes are."""
        held = {}
        for name in self.listed():
            data = self._blobs.download_blob(name).readall()
            held[name] = Held(len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
        return held

    def catalog(self) -> list[bytes]:
        """Return the files of the catalog."""
        names = [blob.name for blob in self._blobs.list_blobs(name_starts_with=CATALOG)]
        return [self._blobs.download_blob(name).readall() for name in names]

    def metadata(self, blob: str) -> dict[str, str]:
        """Return a blob's metadata, its names in lower case: headers have no case."""
        return {name.lower(): value for name, value in self._properties(blob).metadata.items()}

    def tags(self, blob: str) -> dict[str, str]:
        """Return a blob's index tags."""
        return dict(self._blobs.get_blob_client(blob).get_blob_tags())

    def found_by_tags(self, expression: str) -> set[str]:
        """Return the names of the blobs that a search by index tags finds."""
        return {str(blob.name) for blob in self._blobs.find_blobs_by_tags(expression)}

    def remove(self, blob: str) -> None:
        """Delete a blob, as the lifecycle rule does."""
        self._blobs.delete_blob(blob)

    def replace(self, blob: str, data: bytes, content_type: str = "", metadata: dict[str, str] | None = None) -> None:
        """Write other bytes over a blob, or put one there."""
        settings = ContentSettings(content_type=content_type or None)
        self._blobs.upload_blob(blob, data, overwrite=True, content_settings=settings, metadata=metadata)

    def rows(self, table: str) -> list[Entity]:
        """Return a table's rows; none where there is no such table."""
        try:
            return [_plain(row) for row in self._tables.get_table_client(table).list_entities()]
        except ResourceNotFoundError:
            return []

    def cab_rows(self, key: FailureKey) -> dict[str, Entity]:
        """Return the rows of a failure's cabs by cabIdHash."""
        partition = f"PartitionKey eq '{key.application_id}_{key.failure_hash}'"
        rows = self._tables.get_table_client("cabs").query_entities(partition)
        return {row["RowKey"]: _plain(row) for row in rows}

    def change(self, table: str, entity: Entity) -> None:
        """Change columns of a row."""
        self._tables.get_table_client(table).update_entity({**entity})

    def add(self, table: str, key: FailureKey, columns: Entity) -> None:
        """Add a row of a failure."""
        keys = {"PartitionKey": key.application_id, "RowKey": key.failure_hash}
        self._tables.get_table_client(table).create_entity({**columns, **keys})

    def put(self, table: str, entity: Entity) -> None:
        """Write a row, whether there is one or not."""
        self._tables.get_table_client(table).upsert_entity({**entity})

    def forget(self, table: str, entity: Entity) -> None:
        """Delete a row."""
        self._tables.get_table_client(table).delete_entity(entity["PartitionKey"], entity["RowKey"])

    def pull(self, key: FailureKey) -> Entity:
        """Return the row of a failure's pull, empty where there is none, with exactly one request."""
        self.pull_looks += 1
        try:
            return _plain(self._pulls.get_entity(key.application_id, key.failure_hash))
        except ResourceNotFoundError:
            return {}

    def send(self, text: str, queue: str = QUEUE) -> None:
        """Put a message into a queue, which is made where it is missing."""
        with suppress(ResourceExistsError):
            self._queues[queue].create_queue()
        self._queues[queue].send_message(text)

    def send_raw(self, text: str, queue: str = QUEUE) -> None:
        """Put a text into a queue as it is, without the base64."""
        with suppress(ResourceExistsError):
            self._queues[queue].create_queue()
        with QueueClient.from_connection_string(self._connection_string, queue, api_version=_API_VERSION) as raw:
            raw.send_message(text)

    def visible_messages(self) -> list[str]:
        """Return the texts of the queue's messages that nobody has taken."""
        return [str(message.content) for message in self._queues[QUEUE].peek_messages(32)]

    def messages(self, queue: str = QUEUE) -> int:
        """Return how many messages a queue holds, those that were taken or wait included."""
        try:
            return self._queues[queue].get_queue_properties().approximate_message_count or 0
        except ResourceNotFoundError:
            return 0

    def _properties(self, blob: str) -> Any:
        return self._blobs.get_blob_client(blob).get_blob_properties()


def _plain(entity: Entity) -> Entity:
    """Return a row with its 64-bit numbers, which the SDK wraps, as plain ones."""
    return {name: value.value if isinstance(value, EntityProperty) else value for name, value in entity.items()}


def creations(requests: Iterable[StorageRequest]) -> Counter[str]:
    """Return how often each blob of the container was made, by a copy, an upload or a list of blocks.

    Args:
        requests: Of the account, from Azurite's log.
    """
    return access_log.creations(requests, CONTAINER)

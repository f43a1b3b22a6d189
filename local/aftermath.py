"""What is left when everything has come to rest, beside what the simulated Dev Center served.

Every cab byte for byte, made once; every row true; every pull Completed; no message left.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import EntityProperty, TableServiceClient
from azure.storage.blob import BlobProperties, BlobServiceClient, ContainerClient
from azure.storage.queue import QueueServiceClient

from local.azurite.access_log import StorageRequest, creations
from local.kill_points import CONTAINER, QUEUE
from local.simulator.catalogue import Cab, FailureKey, Held, World

_DOWNLOADS_AT_ONCE = 8

type _Row = Mapping[str, Any]
type _Cabs = Mapping[str, tuple[Cab, Held]]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A blob.

    Args:
        held: Its bytes.
        told_md5: Its Content-MD5 in hexadecimal; empty where its source had none.
    """

    held: Held
    told_md5: str


def findings(connection: str, world: World, requests: Iterable[StorageRequest]) -> list[str]:
    """Return a sentence for everything that is not as it should be; none where all is well.

    Every failure of the world must have been asked for. Every cab of it can be had, but for those that are not
    downloadable.

    Args:
        connection: The connection string of the account that the app filled.
        world: What the Dev Center served.
        requests: What the account was asked from the start; nothing where that was not recorded.
    """
    with ExitStack() as opened:
        blobs = BlobServiceClient.from_connection_string(connection)
        tables = opened.enter_context(TableServiceClient.from_connection_string(connection))
        queues = opened.enter_context(QueueServiceClient.from_connection_string(connection))
        stored = _downloaded(opened.enter_context(blobs).get_container_client(CONTAINER))
        pulls = {FailureKey(row["PartitionKey"], row["RowKey"]): row for row in _rows(tables, "pulls")}
        cabs = {(row["PartitionKey"], row["RowKey"]): row for row in _rows(tables, "cabs")}
        left = _messages(queues, QUEUE)
    expected = _expected(world)
    made = creations(requests, CONTAINER)
    return [
        *_of_blobs(stored, expected, made),
        *_of_cab_rows(cabs, world, stored),
        *_of_pulls(pulls, world, cabs),
        *([f"the queue {QUEUE} still holds {left} messages"] if left else []),
    ]


def blob_name(cab: Cab) -> str:
    """Return where a cab must stand in the container."""
    return f"{cab.failure.application_id}/{cab.failure.failure_hash}/{cab.place.name}"


def _expected(world: World) -> _Cabs:
    return {blob_name(cab): (cab, world.held[cab.cab_id_hash]) for cab in world.all_cabs() if cab.downloadable}


def _of_blobs(stored: Mapping[str, _Stored], expected: _Cabs, made: Counter[str]) -> Iterator[str]:
    for name in expected.keys() - stored.keys():
        yield f"{name} is not in the container"
    for name, blob in stored.items():
        if name not in expected:
            yield f"{name} is in the container, and no cab"
        elif expected[name][1] != blob.held:
            yield f"{name} is {blob.held}, and should be {expected[name][1]}"
        elif blob.told_md5 not in {"", blob.held.md5}:
            yield f"{name} tells the MD5 {blob.told_md5}, and has {blob.held.md5}"
    # A copy that ended after its asker had died may be logged without a status, and is not counted.
    for name, times in made.items():
        if times > 1:
            yield f"{name} was made {times} times"


def _of_cab_rows(rows: Mapping[tuple[str, str], _Row], world: World, stored: Mapping[str, _Stored]) -> Iterator[str]:
    cabs = {(_partition(cab.failure), cab.cab_id_hash): cab for cab in world.all_cabs()}
    for key in rows.keys() - cabs.keys():
        yield f"the table has a row for {key}, and there is no such cab"
    for key, cab in cabs.items():
        name, row = blob_name(cab), rows.get(key, {})
        blob = stored.get(name)
        told = (row.get("state"), row.get("blobName"), row.get("length"), row.get("md5"))
        if not cab.downloadable and row.get("state") != "unavailable":
            yield f"the row of cab {key}, which cannot be had, says {told}"
        if blob and told != ("copied", name, blob.held.length, blob.told_md5):
            yield f"the row of cab {key} says {told}, and the container {blob}"


def _of_pulls(pulls: Mapping[FailureKey, _Row], world: World, cabs: Mapping[tuple[str, str], _Row]) -> Iterator[str]:
    rows, lengths = Counter[str](), Counter[str]()
    for (partition, _), row in cabs.items():
        rows[partition] += 1
        lengths[partition] += row.get("length", 0)
    can_be_had = Counter(_partition(cab.failure) for cab in world.all_cabs() if cab.downloadable)
    for key in pulls.keys() - world.failures.keys():
        yield f"{key} has a pull, and there is no such failure"
    for key in world.failures:
        row, partition = pulls.get(key, {}), _partition(key)
        if row.get("state") != "Completed" or row["lastError"]:
            yield f"the pull of {key} is {row.get('state')}: {row.get('lastError')}"
            continue
        # A pull that was asked for again finds held what the first one copied.
        found = (row["seen"], row["copied"] + row["alreadyHeld"], row["expired"] + row["unavailable"] + row["failed"])
        if found != (rows[partition], can_be_had[partition], rows[partition] - can_be_had[partition]):
            yield f"the pull of {key} counts {found}, and has {rows[partition]} rows"
        if not row["alreadyHeld"] and row["bytes"] != lengths[partition]:
            yield f"the pull of {key} counts {row['bytes']} bytes, its rows {lengths[partition]}"


def _partition(key: FailureKey) -> str:
    return f"{key.application_id}_{key.failure_hash}"


def _downloaded(container: ContainerClient) -> dict[str, _Stored]:
    def download(blob: BlobProperties) -> _Stored:
        data = container.download_blob(blob.name).readall()
        held = Held(len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
        return _Stored(held, bytes(blob.content_settings.content_md5 or b"").hex())

    blobs = [blob for blob in container.list_blobs() if not blob.name.startswith("_catalog/")]
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as downloads:
        return {str(blob.name): stored for blob, stored in zip(blobs, downloads.map(download, blobs), strict=True)}


def _rows(tables: TableServiceClient, name: str) -> list[_Row]:
    with tables.get_table_client(name) as table:
        return [
            {column: value.value if isinstance(value, EntityProperty) else value for column, value in row.items()}
            for row in table.list_entities()
        ]


def _messages(queues: QueueServiceClient, name: str) -> int:
    try:
        return queues.get_queue_client(name).get_queue_properties().approximate_message_count or 0
    except ResourceNotFoundError:
        return 0

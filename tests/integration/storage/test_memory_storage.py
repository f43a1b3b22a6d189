"""The container and the queue in memory, with which games are played, keep the rules of the real ones."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings

from shared.cabs.container import CabContainer
from shared.cabs.direct_copy import DirectCopy
from shared.core import clock
from shared.core.failure import Failure
from shared.core.refusals import Meaning
from shared.core.storage_settings import CabStorage
from shared.progress.messages import PullMessage
from shared.progress.queue import PullQueue
from shared.storage.clients import StorageClients
from shared.storage.refusals import RefusedError
from tests.integration.cabs.copying import CONTAINER, LABELS, NAME, SourceAccount
from tests.simulation.container import Container, MemoryContainer, MemoryDirectCopy, md5_of
from tests.simulation.lines import GoodLine
from tests.simulation.queues import MemoryQueue, Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.azurite.server import Azurite
    from tests.support.azurite import StorageAccount

CONTENT = b"PK\x03\x04 a cab"
OTHER = NAME.replace("fb57b37b", "0000")


@dataclass(frozen=True, slots=True)
class Copying:
    """A container, what copies into it, and URLs of sources."""

    container: CabContainer
    direct: DirectCopy
    url_of: Callable[[bytes], str]
    gone_url: Callable[[], str]
    ended_url: Callable[[], str]


@pytest.fixture(params=["azurite", "memory"])
def copying(request: pytest.FixtureRequest) -> Copying:
    return _in_memory() if request.param == "memory" else _on_azurite(request)


def _in_memory() -> Copying:
    sources: dict[str, bytes] = {}

    def read(url: str) -> tuple[int, bytes, bytes]:
        if url.startswith("ended"):
            return 403, b"", b""
        return (200, sources[url], md5_of(sources[url])) if url in sources else (404, b"", b"")

    def url_of(content: bytes) -> str:
        sources[f"source {len(sources)}"] = content
        return f"source {len(sources) - 1}"

    container = Container(CONTAINER, read)
    return Copying(
        MemoryContainer(container, GoodLine()),
        MemoryDirectCopy(container, GoodLine()),
        url_of,
        lambda: "gone",
        lambda: "ended",
    )


def _on_azurite(request: pytest.FixtureRequest) -> Copying:
    azurite: Azurite = request.getfixturevalue("azurite")
    storage: StorageAccount = request.getfixturevalue("storage")
    clients = StorageClients(CabStorage(storage.connection_string, "", "", "", None), 4)
    clients.blobs.create_container(CONTAINER)
    sources = SourceAccount(azurite)

    def gone() -> str:
        source = sources.put(CONTENT)
        sources.remove(source)
        return source.url

    return Copying(
        CabContainer(clients.blobs.get_container_client(CONTAINER), clients.blob_service),
        DirectCopy(clients.blob_service, CONTAINER),
        lambda content: sources.put(content).url,
        gone,
        lambda: sources.put(CONTENT, ends_in=timedelta(minutes=-1)).url,
    )


def test_a_copy_is_whole_and_listed(copying: Copying) -> None:
    copying.direct.copy(NAME, copying.url_of(CONTENT), LABELS)
    (stored,) = copying.container.stored(NAME[:20])
    assert (stored.name, stored.length) == (NAME, len(CONTENT))
    assert stored.md5 == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert abs(stored.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    properties = copying.container.blob(NAME).get_blob_properties()
    assert (properties.size, properties.metadata) == (len(CONTENT), LABELS.metadata)


def test_a_blob_is_made_once(copying: Copying) -> None:
    copying.direct.copy(NAME, copying.url_of(CONTENT), LABELS)
    with pytest.raises(RefusedError) as refused:
        copying.direct.copy(NAME, copying.url_of(b"PK\x03\x04 another"), LABELS)
    assert refused.value.refusal.meaning is Meaning.EXISTS
    with pytest.raises(ResourceExistsError):
        copying.container.blob(NAME).upload_blob(b"PK", content_settings=ContentSettings(), **_carried())
    (stored,) = copying.container.stored("")
    assert stored.length == len(CONTENT)


@pytest.mark.parametrize("which", ["gone", "ended"])
def test_a_source_that_storage_cannot_read_makes_no_blob(copying: Copying, which: str) -> None:
    url = copying.gone_url() if which == "gone" else copying.ended_url()
    with pytest.raises(RefusedError) as refused:
        copying.direct.copy(NAME, url, LABELS)
    assert refused.value.refusal.meaning is Meaning.SOURCE_UNREAD
    assert list(copying.container.stored("")) == []


def test_a_blob_is_replaced_only_as_the_version_that_was_seen(copying: Copying) -> None:
    copying.direct.copy(NAME, copying.url_of(b"<html>"), LABELS)
    seen = copying.container.blob(NAME).get_blob_properties().etag
    copying.direct.copy(NAME, copying.url_of(CONTENT), LABELS, seen)
    with pytest.raises(RefusedError) as refused:
        copying.direct.copy(NAME, copying.url_of(b"PK"), LABELS, seen)
    assert refused.value.refusal.meaning is Meaning.CHANGED
    assert copying.container.blob(NAME).get_blob_properties().size == len(CONTENT)


def test_blocks_are_kept_until_they_are_committed(copying: Copying) -> None:
    blob = copying.container.blob(NAME)
    with pytest.raises(ResourceNotFoundError):
        blob.get_block_list("uncommitted")
    blob.stage_block("AAAA", b"PK", validate_content=True)
    _, (block,) = blob.get_block_list("uncommitted")
    assert (block.id, block.size) == ("AAAA", 2)


def test_a_blob_of_blocks_appears_when_they_are_committed(copying: Copying) -> None:
    blob, blocks = copying.container.blob(NAME), [BlobBlock("00000000"), BlobBlock("00000001")]
    blob.stage_block(blocks[0].id, b"PK", validate_content=True)
    blob.stage_block_from_url(blocks[1].id, copying.url_of(CONTENT), source_offset=2, source_length=4)
    assert list(copying.container.stored("")) == []
    settings = ContentSettings(content_md5=bytearray(md5_of(b"PK" + CONTENT[2:6])))
    blob.commit_block_list(blocks, content_settings=settings, match_condition=None, **_labels())
    (stored,) = copying.container.stored("")
    assert (stored.length, stored.md5) == (6, md5_of(b"PK" + CONTENT[2:6]).hex())


def test_a_blob_that_is_not_there_is_not_found(copying: Copying) -> None:
    with pytest.raises(ResourceNotFoundError):
        copying.container.blob(NAME).get_blob_properties()


def test_blobs_are_listed_in_the_order_of_their_names(copying: Copying) -> None:
    for name in (NAME, OTHER, "1/b/c.zip", "1/a/c.zip"):
        copying.direct.copy(name, copying.url_of(CONTENT), LABELS)
    assert [each.name for each in copying.container.stored("1")] == ["1/a/c.zip", "1/b/c.zip", OTHER, NAME]
    assert [each.name for each in copying.container.stored("1/b/")] == ["1/b/c.zip"]
    assert list(copying.container.applications()) == ["1", NAME.split("/")[0]]


def _labels() -> dict[str, Any]:
    return {"metadata": LABELS.metadata, "tags": LABELS.tags}


def _carried() -> dict[str, Any]:
    return {**_labels(), "validate_content": True, "overwrite": False}


MESSAGE = PullMessage(Failure("1", "a"), None, "the test")


@pytest.fixture(params=["azurite", "memory"])
def queue(request: pytest.FixtureRequest) -> PullQueue:
    if request.param == "memory":
        return MemoryQueue(Queue("cab-pulls"), GoodLine())
    storage: StorageAccount = request.getfixturevalue("storage")
    client = StorageClients(CabStorage(storage.connection_string, "", "", "", None), 4).queue("cab-pulls")
    client.create_queue()
    return PullQueue(client)


def test_a_message_that_was_taken_is_not_taken_again_and_counts_until_it_is_removed(queue: PullQueue) -> None:
    queue.send(MESSAGE)
    (taken,) = queue.take()
    assert PullMessage.decode(_unwrapped(str(taken.content))) == MESSAGE
    assert list(queue.take()) == []
    assert queue.look().messages == 1
    queue.drop(taken)
    assert queue.look().messages == 0


def test_a_message_that_waits_cannot_be_taken_and_counts(queue: PullQueue) -> None:
    queue.send(MESSAGE, timedelta(minutes=1))
    assert list(queue.take()) == []
    seen = queue.look()
    assert (seen.messages, abs(seen.oldest - clock.now()) < timedelta(minutes=1)) == (1, True)


def _unwrapped(text: str) -> bytes:
    return text.encode() if text.startswith("{") else base64.b64decode(text)

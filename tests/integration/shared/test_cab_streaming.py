"""Where storage cannot reach a source, its bytes pass through the function: all of them, checked, in bounded memory."""

import hashlib
import logging
import tracemalloc

import pytest

from local.azurite.server import Azurite
from shared.cabs.copy import Copied
from shared.core import clock
from shared.core.errors import AgainLater, BadAnswer, BadInput, CabUnavailable, FreshUrl, OutOfTime
from tests.support.azurite import StorageAccount
from tests.support.loopback import Answer, LoopbackServer, in_turn

from .copying import LABELS, NAME, Destination, outside

MEGABYTE = 1024 * 1024
SMALL = b"PK\x03\x04" + bytes(range(256))


@pytest.fixture
def destination(storage: StorageAccount) -> Destination:
    return Destination(storage)


def large(megabytes: int) -> bytes:
    """Make bytes in which a block that is lost or moved shows."""
    return b"".join(number.to_bytes(4) * 256 for number in range(megabytes * 1024))


@pytest.mark.parametrize("told", [True, False], ids=["with MD5", "without MD5"])
@pytest.mark.parametrize("content", [b"", SMALL, large(8), large(20)], ids=["empty", "small", "a chunk", "large"])
def test_a_source_that_storage_cannot_reach_is_streamed(destination: Destination, content: bytes, told: bool) -> None:
    with LoopbackServer(in_turn(outside(content, md5=None if told else b""))) as source:
        copied = destination.copies().copy(f"{source.url}/c/b.zip?sig=x", NAME, LABELS)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert copied == Copied(len(content), md5)
    assert destination.content() == content
    assert destination.md5() == md5
    assert destination.labels() == (LABELS.metadata, LABELS.tags)


def test_a_source_that_redirects_is_streamed_from_where_it_leads(destination: Destination) -> None:
    """Storage follows no redirect; the one call of the Dev Center for a single cab is documented to answer with one."""
    with (
        LoopbackServer(in_turn(outside(SMALL))) as second,
        LoopbackServer(in_turn(Answer(status=302, headers={"Location": f"{second.url}/c/b.zip?sig=y"}))) as first,
    ):
        destination.copies().copy(f"{first.url}/c/b.zip?sig=x", NAME, LABELS)
    assert destination.content() == SMALL
    assert {each.target for each in second.seen} == {"/c/b.zip?sig=y"}


def test_a_source_is_refused_once_and_streamed_from_then_on(
    destination: Destination, azurite: Azurite, storage: StorageAccount, caplog: pytest.LogCaptureFixture
) -> None:
    """Each cab of a host that storage cannot reach would cost a refusal more."""
    copies = destination.copies()
    with LoopbackServer(in_turn(outside(SMALL))) as source, caplog.at_level(logging.INFO):
        for number in range(3):
            copies.copy(f"{source.url}/c/b.zip?sig=QZXJ", f"{NAME}{number}", LABELS)
    puts = [each.status for each in azurite.requests(storage.name) if each.path.startswith("/failure-cabs/139")]
    assert puts == [404, 201, 201, 201]
    (told,) = [record.getMessage() for record in caplog.records if record.name.startswith("shared")]
    assert "CannotVerifyCopySource" in told
    assert "streamed" in told
    assert "QZXJ" not in caplog.text


@pytest.mark.parametrize("content", [SMALL, large(9)], ids=["small", "large"])
@pytest.mark.parametrize("broken", ["MD5", "cut"])
def test_bytes_that_are_not_the_sources_are_never_a_blob(destination: Destination, content: bytes, broken: str) -> None:
    """A damaged cab that looks whole is worse than one that is missing."""
    wrong = outside(content, md5=bytes(16)) if broken == "MD5" else outside(content, sent=len(content) - 1)
    with LoopbackServer(in_turn(wrong)) as source, pytest.raises(AgainLater, match="3 times"):
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert len([each for each in source.seen if each.method == "GET"]) == 3
    assert destination.names() == []


@pytest.mark.parametrize("content", [SMALL, large(9)], ids=["small", "large"])
def test_a_connection_that_breaks_once_costs_nothing(destination: Destination, content: bytes) -> None:
    head, cut, whole = outside(content), outside(content, sent=len(content) // 2), outside(content)
    with LoopbackServer(in_turn(head, cut, whole)) as source:
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.content() == content


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(status=403), FreshUrl),
        (Answer(status=404), CabUnavailable),
        (Answer(status=500), AgainLater),
        (Answer(status=302, headers={"Location": "http://evil.example/"}), BadInput),
        (Answer(status=302), BadAnswer),
    ],
)
def test_a_refusal_of_the_source_is_sorted_by_what_helps(
    destination: Destination, answer: Answer, kind: type[Exception]
) -> None:
    with LoopbackServer(in_turn(answer)) as source, pytest.raises(kind):
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.names() == []


def test_a_packed_source_is_kept_as_it_is(destination: Destination) -> None:
    """What the source stores is the cab; a transfer that unpacks it would change its length and MD5."""
    packed = Answer(SMALL, headers={"Content-Encoding": "gzip"})
    with LoopbackServer(in_turn(packed)) as source:
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.content() == SMALL


def test_memory_stays_bounded_however_large_a_cab_is(destination: Destination) -> None:
    """A full dump has many GB, a worker has 2: a chunk of 8 MiB and its copies on the way are all that is held."""
    content = large(64)
    with LoopbackServer(in_turn(outside(content))) as source:
        copies = destination.copies()
        tracemalloc.start()
        try:
            copies.copy(f"{source.url}/c/b.zip", NAME, LABELS)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert destination.container.get_blob_client(NAME).get_blob_properties().size == len(content)
    assert peak < 36 * MEGABYTE


def test_a_streamed_cab_stops_at_its_deadline(destination: Destination) -> None:
    with (
        LoopbackServer(in_turn(outside(large(20)))) as source,
        pytest.raises(OutOfTime, match=r"\d+ of 20971520 bytes"),
    ):
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS, until=clock.monotonic())
    assert destination.names() == []

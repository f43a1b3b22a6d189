"""Where storage cannot reach a source, its bytes pass through the function: all of them, checked, in bounded memory."""

import base64
import hashlib
import tracemalloc
from copy import replace

import pytest

from local.azurite.server import Azurite
from shared.cabs.creation import Copied
from shared.core import clock
from shared.core.errors import AgainLater, BadAnswer, OutOfTime
from tests.support.azurite import StorageAccount
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn

from .copying import (
    LABELS,
    NAME,
    Destination,
    Later,
    SourceAccount,
    is_direct_copy,
    outside,
    passing_to,
    refusal,
    seen_as,
)

MEGABYTE = 1024 * 1024
SMALL = b"PK\x03\x04" + bytes(range(256))


def large(megabytes: int) -> bytes:
    """Make bytes in which a block that is lost or moved shows."""
    return b"".join(number.to_bytes(4) * 256 for number in range(megabytes * 1024))


@pytest.mark.parametrize("told", [True, False], ids=["with MD5", "without MD5"])
@pytest.mark.parametrize("content", [SMALL, large(8), large(20)], ids=["small", "a chunk", "large"])
def test_a_source_that_storage_cannot_reach_is_streamed(destination: Destination, content: bytes, told: bool) -> None:
    with LoopbackServer(in_turn(outside(content, md5=None if told else b""))) as source:
        copied = destination.copies().copy(f"{source.url}/c/b.zip?sig=x", NAME, LABELS)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert (copied.length, copied.md5) == (len(content), md5)
    assert destination.content() == content
    assert destination.md5() == md5
    # What is no archive and no dump is kept, and marked.
    is_known = content.startswith(b"PK")
    assert destination.labels() == (seen_as("zip" if is_known else "unknown"), LABELS.tags)
    assert copied.note == ("" if is_known else "its first bytes are those of no known archive or dump")


def test_a_source_that_redirects_is_streamed_from_where_it_leads(destination: Destination) -> None:
    """Storage follows no redirect; the one call of the Dev Center for a single cab is documented to answer with one."""
    with (
        LoopbackServer(in_turn(outside(SMALL))) as second,
        LoopbackServer(in_turn(Answer(status=302, headers={"Location": f"{second.url}/c/b.zip?sig=y"}))) as first,
    ):
        destination.copies().copy(f"{first.url}/c/b.zip?sig=x", NAME, LABELS)
    assert destination.content() == SMALL
    assert {each.target for each in second.seen} == {"/c/b.zip?sig=y"}


def test_a_host_is_streamed_after_several_refusals_and_asked_again_later(
    destination: Destination, azurite: Azurite, storage: StorageAccount, caplog: pytest.LogCaptureFixture
) -> None:
    """Each cab of a host that storage cannot reach would cost a refusal more."""
    copies, before = destination.copies(), len(azurite.requests(storage.name))
    with LoopbackServer(in_turn(outside(SMALL))) as source, clock.using(Later()) as later:
        for number in range(5):
            copies.copy(f"{source.url}/c/b.zip?sig=QZXJ", f"{NAME}{number}", LABELS)
        later.seconds += 900
        for number in range(5, 7):
            copies.copy(f"{source.url}/c/b.zip?sig=QZXJ", f"{NAME}{number}", LABELS)
    requests = [each for each in azurite.requests(storage.name)[before:] if each.path.startswith("/failure-cabs/139")]
    assert [each.status for each in requests] == [*[404, 201] * 3, 201, 201, 404, 201, 201]
    told = [record.getMessage() for record in caplog.records if record.name.startswith("shared")]
    assert "CannotVerifyCopySource" in told[0]
    assert [line.endswith("its cabs are streamed for now") for line in told] == [False, False, True, False]
    assert "QZXJ" not in caplog.text


def test_one_passing_refusal_is_one_cabs_own(destination: Destination, sources: SourceAccount) -> None:
    """Its whole host was streamed until the process ended."""
    left = [refusal(403, "CannotVerifyCopySource") for _ in range(2)]
    proxied = passing_to(destination.endpoint, lambda seen: left.pop() if left and is_direct_copy(seen) else None)
    with LoopbackServer(proxied) as proxy:
        copies = destination.copies(proxy.url)
        for number in range(6):
            if number == 3:  # once read, the next refusals are counted anew
                left.extend(refusal(403, "CannotVerifyCopySource") for _ in range(2))
            copies.copy(sources.put(SMALL).url, f"{NAME}{number}", LABELS)
    assert len([each for each in proxy.seen if is_direct_copy(each)]) == 6


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


SIGN_IN = b"<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (Answer(SIGN_IN, headers={"Content-Type": "text/html"}), None),
        (outside(SIGN_IN), None),
        (outside(b"\xef\xbb\xbf  " + SIGN_IN), None),
        (outside(SIGN_IN.decode().encode("utf-16")), None),
        (outside(b'<?xml version="1.0"?><Error/>'), None),
        (outside(SIGN_IN + bytes(9 * MEGABYTE)), None),
        (outside(b""), None),
        (outside(SMALL), Answer(SIGN_IN, headers={"Content-Type": "text/html"})),
        (outside(SMALL), outside(SMALL + b"!")),
        (outside(SMALL), outside(b"")),
        (outside(large(9)), outside(large(10))),
    ],
)
def test_what_a_source_answers_in_place_of_a_cab_is_not_kept(
    destination: Destination, head: Answer, body: Answer | None
) -> None:
    """200 proves nothing: a page that was kept once was the cab ever after."""

    def answer(seen: Seen) -> Answer:
        return head if seen.method == "HEAD" or body is None else body

    with LoopbackServer(answer) as source, pytest.raises(BadAnswer):
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.names() == []


@pytest.mark.parametrize(
    ("start", "form"),
    [
        (b"PK\x03\x04", "zip"),
        (b"MSCF", "cab"),
        (b"PAGEDU64", "kernel dump"),
        (b"MDMP", "minidump"),
        (b"\x1f\x8b", "unknown"),
    ],
)
def test_what_the_first_bytes_say_is_recorded(destination: Destination, start: bytes, form: str) -> None:
    with LoopbackServer(in_turn(outside(start + bytes(100)))) as source:
        copied = destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.labels()[0]["content"] == form
    assert bool(copied.note) is (form == "unknown")


class Ranged:
    """A source that gives parts, and on the way lets the time go by."""

    def __init__(self, content: bytes, later: Later, version: str = "one") -> None:
        self.content, self.later, self.version = content, later, version
        self.asked: list[int] = []

    def __call__(self, seen: Seen) -> Answer:
        """Answer with all that is left from a byte on."""
        begins = int(seen.headers.get("range", "bytes=0-")[6:-1])
        headers = {"ETag": self.version} if self.version else {}
        if seen.method == "HEAD":
            return Answer(self.content, headers=headers)
        self.asked.append(begins)
        if not begins:
            return Answer(self.content, headers=headers)
        told = f"bytes {begins}-{len(self.content) - 1}/{len(self.content)}"
        return Answer(self.content[begins:], 206, {**headers, "Content-Range": told})


class TimeOver(Later):
    """A clock whose time is over after some looks: each look at it is a piece that came."""

    looks = 0

    def monotonic(self) -> float:
        """Return the machine's seconds, and after the looks an hour more."""
        self.looks -= 1
        return super().monotonic() + (3_600 if self.looks < 0 else 0)


def run(destination: Destination, url: str, looks: int) -> Copied:
    """Copy with a deadline that comes after some pieces."""
    with clock.using(TimeOver()) as time:
        until, time.looks = clock.Clock().monotonic() + 3_600, looks
        return destination.copies().copy(url, NAME, LABELS, until)


def test_a_cab_whose_time_is_over_goes_on_at_its_last_block(destination: Destination) -> None:
    content = b"PK\x03\x04" + large(30)
    ranged = Ranged(content, Later())
    with LoopbackServer(ranged) as source:
        for runs in (1, 2):
            with pytest.raises(OutOfTime, match=f"of {len(content)} bytes"):
                run(destination, f"{source.url}/c/b.zip", 14)
            assert len(ranged.asked) >= runs
            assert destination.names() == []
        copied = destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.content() == content
    assert destination.md5() == ""
    assert (copied.length, copied.md5) == (len(content), "")
    assert copied.note == "came in several runs, so its MD5 was not checked"
    begun = [begins for begins in ranged.asked if begins]
    assert begun == sorted(set(begun)), "each run began after the last"
    assert len(begun) == 2


@pytest.mark.parametrize("change", ["version", "length", "no version"])
def test_another_version_of_a_cab_is_not_put_together_with_the_first(destination: Destination, change: str) -> None:
    first, second = (
        Ranged(large(20), Later(), "" if change == "no version" else "one"),
        Ranged(large(20)[::-1], Later(), "two"),
    )
    if change != "version":
        second.version = first.version
    if change == "length":
        second.content = second.content[:-7]
    with LoopbackServer(first) as source, pytest.raises(OutOfTime):
        run(destination, f"{source.url}/c/b.zip", 12)
    with LoopbackServer(second) as source:
        copied = destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.content() == second.content
    assert copied.md5


def test_damaged_bytes_are_not_gone_on_with(destination: Destination) -> None:
    """What was staged of them must not be completed by a run that cannot check the whole."""
    content = large(20)
    wrong = Ranged(content, Later())

    def damaged(seen: Seen) -> Answer:
        answer = wrong(seen)
        return replace(answer, headers={**answer.headers, "Content-MD5": base64.b64encode(bytes(16)).decode()})

    with LoopbackServer(damaged) as source, pytest.raises(AgainLater, match="MD5"):
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    right = Ranged(content, Later())
    with LoopbackServer(right) as source:
        copied = destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert right.asked == [0]
    assert copied.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_a_small_cab_whose_time_is_over_is_tried_again(destination: Destination) -> None:
    """Nothing of it is kept, so this counts as a try: one that is too slow for ever is given up at last."""
    with LoopbackServer(in_turn(outside(SMALL))) as source, pytest.raises(AgainLater, match="time is over") as caught:
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS, until=clock.monotonic())
    assert not isinstance(caught.value, OutOfTime)
    assert destination.names() == []


def test_a_connection_that_breaks_goes_on_with_what_came(destination: Destination) -> None:
    content = large(20)
    ranged = Ranged(content, Later())

    def breaking(seen: Seen) -> Answer:
        answer = ranged(seen)
        return replace(answer, sent=9 * MEGABYTE) if seen.method == "GET" and len(ranged.asked) == 1 else answer

    with LoopbackServer(breaking) as source:
        copied = destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert ranged.asked == [0, 8 * MEGABYTE]
    assert destination.content() == content
    assert copied.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()

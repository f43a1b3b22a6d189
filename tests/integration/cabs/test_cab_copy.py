"""A cab is copied by the cheapest way that works, appears whole or not at all, and replaces nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from shared.cabs.creation import Copied
from shared.cabs.direct_copy import DirectCopy
from shared.core import clock, stopping
from shared.core.errors import AgainLater, BadInput, CabUnavailable, FreshUrl, NeedsPerson, Never
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
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.azurite.server import Azurite
    from tests.support.azurite import StorageAccount

CAB = b"PK\x03\x04" + bytes(range(256)) * 20
OTHER = b"MSCF another cab"


def too_large(seen: Seen) -> Answer | None:
    """Refuse Copy Blob From URL as Azure does with a source of more than 256 MiB."""
    return refusal(409, "CannotVerifyCopySource") if is_direct_copy(seen) else None


def test_one_request_copies_a_cab_with_all_that_it_carries(
    destination: Destination, sources: SourceAccount, azurite: Azurite, storage: StorageAccount
) -> None:
    source = sources.put(CAB)
    copies, before = destination.copies(), len(azurite.requests(storage.name))
    assert copies.copy(source.url, NAME, LABELS).note == ""
    assert len(azurite.requests(storage.name)) == before + 1
    assert destination.content() == CAB
    assert destination.labels() == (LABELS.metadata, LABELS.tags)
    assert destination.md5() == source.md5


def test_a_name_that_needs_encoding_is_signed_as_it_is_sent(destination: Destination, sources: SourceAccount) -> None:
    name = "139/a.b_c-d~e/f g+h%ü.zip"
    destination.copies().copy(sources.put(CAB).url, name, LABELS)
    assert destination.names() == [name]


def test_a_large_cab_is_copied_in_blocks(destination: Destination, sources: SourceAccount) -> None:
    source = sources.put(CAB)
    with LoopbackServer(passing_to(destination.endpoint, too_large)) as proxy:
        copies = destination.copies(proxy.url, direct_bytes=1_000, block_bytes=1_024)
        copied = copies.copy(source.url, NAME, LABELS)
    assert copied == Copied(len(CAB), source.md5)
    assert destination.content() == CAB
    assert destination.labels() == (LABELS.metadata, LABELS.tags)
    assert destination.md5() == source.md5
    kinds = [each.query.get("comp", "") for each in proxy.seen]
    assert kinds == ["", "blocklist", *["block"] * 6, "blocklist"], "no byte passes through the function"
    assert not any(each.body for each in proxy.seen if each.query.get("comp") == "block")


def test_a_large_cab_without_a_checksum_is_copied_in_blocks_too(
    destination: Destination, sources: SourceAccount
) -> None:
    source = sources.put(CAB, told_md5=False)
    with LoopbackServer(passing_to(destination.endpoint, too_large)) as proxy:
        copied = destination.copies(proxy.url, direct_bytes=1_000, block_bytes=len(CAB)).copy(source.url, NAME, LABELS)
    assert copied.length == len(CAB)
    assert destination.content() == CAB


def test_blocks_that_storage_cannot_read_are_streamed(destination: Destination, sources: SourceAccount) -> None:
    def unreachable(seen: Seen) -> Answer | None:
        return refusal(403, "CannotVerifyCopySource") if "x-ms-copy-source" in seen.headers else None

    source = sources.put(CAB)
    with LoopbackServer(passing_to(destination.endpoint, unreachable)) as proxy:
        copied = destination.copies(proxy.url, direct_bytes=1_000).copy(source.url, NAME, LABELS)
    assert copied == Copied(len(CAB), source.md5)
    assert destination.content() == CAB


@pytest.mark.parametrize("way", ["directly", "in blocks", "streamed"])
def test_a_cab_that_is_there_is_found_and_not_written_again(
    destination: Destination, sources: SourceAccount, way: str
) -> None:
    """A retry after a lost answer finds what the first try made."""
    source, again = sources.put(CAB), sources.put(CAB)
    with (
        LoopbackServer(in_turn(outside(CAB))) as streamed,
        LoopbackServer(passing_to(destination.endpoint, too_large if way == "in blocks" else lambda _: None)) as proxy,
    ):
        copies = destination.copies(proxy.url, direct_bytes=1_000 if way == "in blocks" else 10**9)
        copies.copy(source.url, NAME, LABELS)
        found = copies.copy(f"{streamed.url}/c/b.zip" if way == "streamed" else again.url, NAME, LABELS)
    assert found.length == len(CAB)
    assert found.since, "the retention rule counts from when it was made"
    assert abs(datetime.now(UTC) - found.since) < timedelta(minutes=1)
    assert destination.content() == CAB


def test_a_cab_that_is_there_is_found_though_its_source_is_gone(
    destination: Destination, sources: SourceAccount
) -> None:
    source = sources.put(CAB)
    destination.put(CAB)
    with LoopbackServer(
        passing_to(
            destination.endpoint, lambda seen: refusal(409, "BlobAlreadyExists") if is_direct_copy(seen) else None
        )
    ) as proxy:
        sources.remove(source)
        assert destination.copies(proxy.url).copy(source.url, NAME, LABELS).length == len(CAB)


@pytest.mark.parametrize("is_ours", [True, False])
def test_another_blob_of_the_name_is_told_and_stays(
    destination: Destination, sources: SourceAccount, is_ours: bool
) -> None:
    destination.put(OTHER, is_ours=is_ours)
    with pytest.raises(Never, match=f"{len(OTHER)} bytes, its source has {len(CAB)}"):
        destination.copies().copy(sources.put(CAB).url, NAME, LABELS)
    assert destination.content() == OTHER


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize("told_md5", [True, False])
def test_a_blob_of_the_same_length_is_not_taken_for_the_cab(
    destination: Destination, is_ours: bool, told_md5: bool
) -> None:
    """Other bytes are told by their MD5; where a side has none, only what the app itself has labelled is the cab."""
    destination.put(CAB[::-1], is_ours=is_ours)
    why = "has another MD5" if told_md5 else "does not say that it is this cab"
    with LoopbackServer(in_turn(outside(CAB, md5=None if told_md5 else b""))) as source:
        if is_ours and not told_md5:
            assert destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS).length == len(CAB)
        else:
            with pytest.raises(Never, match=why):
                destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.content() == CAB[::-1]


def test_the_same_bytes_of_somebody_else_are_the_cab(destination: Destination, sources: SourceAccount) -> None:
    destination.put(CAB, is_ours=False)
    assert destination.copies().copy(sources.put(CAB).url, NAME, LABELS).length == len(CAB)


@pytest.mark.parametrize(
    ("content", "content_type"), [(b"", ""), (b"<html>Sign in</html>", "text/html; charset=utf-8")]
)
def test_a_blob_that_the_app_made_of_a_page_is_replaced(
    destination: Destination, sources: SourceAccount, content: bytes, content_type: str
) -> None:
    """Storage copies whatever a source answers 200 with: the cab must not be taken for held ever after."""
    destination.put(content, content_type=content_type)
    destination.copies().copy(sources.put(CAB).url, NAME, LABELS)
    assert destination.content() == CAB


def test_a_page_is_not_replaced_by_another_nor_is_what_is_not_ours(
    destination: Destination, sources: SourceAccount
) -> None:
    destination.put(b"<html>", content_type="text/html")
    page = Answer(b"<html>Sign in</html>", headers={"Content-Type": "text/html"})
    with LoopbackServer(in_turn(page)) as source, pytest.raises(AgainLater, match="page of HTML"):
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)
    assert destination.content() == b"<html>"
    destination.put(b"<p>", f"{NAME}2", content_type="text/html", is_ours=False)
    with pytest.raises(Never, match="3 bytes"):
        destination.copies().copy(sources.put(CAB).url, f"{NAME}2", LABELS)


def test_a_sas_that_has_ended_costs_no_request(
    destination: Destination, sources: SourceAccount, azurite: Azurite
) -> None:
    source, copies = sources.put(CAB, ends_in=timedelta(seconds=-5)), destination.copies()
    before = len(azurite.requests())
    with clock.using(clock.Clock()):
        clock.compare(formatdate(usegmt=True))
        with pytest.raises(FreshUrl, match="expired"):
            copies.copy(source.url, NAME, LABELS)
    assert len(azurite.requests()) == before


class Ahead(clock.Clock):
    """The clock of a machine on which it is a month later."""

    def now(self) -> datetime:
        """Return the time in a month."""
        return super().now() + timedelta(days=31)


@pytest.mark.parametrize("is_told", [True, False], ids=["the Dev Center told the time", "nobody did"])
def test_a_sas_does_not_end_by_a_clock_that_is_wrong(
    destination: Destination, sources: SourceAccount, is_told: bool
) -> None:
    """On a machine whose clock is ahead, every cab would be given up."""
    with clock.using(Ahead()):
        if is_told:
            clock.compare(formatdate(usegmt=True))
        destination.copies().copy(sources.put(CAB).url, NAME, LABELS)
    assert destination.content() == CAB


def test_a_sas_that_begins_in_some_seconds_is_waited_for(
    destination: Destination, sources: SourceAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def no_wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(stopping, "wait", no_wait)
    source = sources.put(CAB, begins_in=timedelta(seconds=20))
    with pytest.raises(FreshUrl):  # since nobody waited
        destination.copies().copy(source.url, NAME, LABELS)
    assert 18 < waits[0] <= 20
    for begins_in, until in ((timedelta(minutes=5), None), (timedelta(seconds=20), clock.monotonic() + 5)):
        source = sources.put(CAB, begins_in=begins_in)
        with pytest.raises(AgainLater, match="is good from") as caught:
            destination.copies().copy(source.url, NAME, LABELS, until)
        assert caught.value.wait is not None
        assert timedelta() < begins_in - caught.value.wait < timedelta(seconds=2)
    assert len(waits) == 1
    source = sources.put(CAB, begins_in=timedelta(seconds=-20))
    destination.copies().copy(source.url, NAME, LABELS)
    assert len(waits) == 1


def test_a_url_with_a_raw_space_is_copied(destination: Destination, sources: SourceAccount) -> None:
    source = sources.put(CAB, name="a cab \u00e9.ext.zip")
    raw = source.url.replace("%20", " ").replace("%C3%A9", "\u00e9")
    assert raw != source.url
    destination.copies().copy(raw, NAME, LABELS)
    assert destination.content() == CAB


@pytest.mark.parametrize(
    "odd",
    [
        Answer(status=302, headers={"Location": "http://["}),
        Answer(status=503, headers={"Retry-After": "Sat, 21 Nov 99999999999 12:00:30 GMT"}),
        Answer(headers={"Content-Length": "9" * 5_000}),
        Answer(headers={"Content-MD5": "\xff"}),
    ],
)
def test_an_odd_header_is_one_cabs_own_trouble(destination: Destination, odd: Answer) -> None:
    """An error of Python's own ended the pull, and 700 good cabs beside it were never copied."""
    with LoopbackServer(in_turn(odd)) as source, pytest.raises(AgainLater):
        destination.copies().copy(f"{source.url}/c/b.zip", NAME, LABELS)


def test_what_nobody_foresaw_is_one_cabs_own_failure(
    destination: Destination, sources: SourceAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such thing as https://a.b/c?sig=QZXJ")

    monkeypatch.setattr(DirectCopy, "copy", broken)
    with pytest.raises(Never, match="nobody foresaw: ValueError") as caught:
        destination.copies().copy(sources.put(CAB).url, NAME, LABELS)
    assert "QZXJ" not in str(caught.value)


def test_a_sas_that_the_source_refuses_asks_for_a_fresh_url(destination: Destination, sources: SourceAccount) -> None:
    url = sources.put(CAB).url
    refused = url[: url.index("sig=") + 4] + "AAAA" + url[url.index("sig=") + 8 :]
    with pytest.raises(FreshUrl, match="403"):
        destination.copies().copy(refused, NAME, LABELS)


def test_a_source_that_is_gone_is_unavailable(destination: Destination, sources: SourceAccount) -> None:
    source = sources.put(CAB)
    sources.remove(source)
    with pytest.raises(CabUnavailable, match="404"):
        destination.copies().copy(source.url, NAME, LABELS)
    assert destination.names() == []


@pytest.mark.parametrize("url", ["https://evil.com/b.zip?sig=x", "http://10.0.0.1/b.zip", "b.zip"])
def test_a_source_elsewhere_is_refused(destination: Destination, url: str) -> None:
    with pytest.raises(BadInput, match=r"CAB_SOURCE_HOSTS|byte for byte|https"):
        destination.copies().copy(url, NAME, LABELS)


def refuses_tags(seen: Seen) -> Answer | None:
    """Refuse as Azure does an identity that may write blobs, but no tags."""
    return refusal(403, "AuthorizationPermissionMismatch") if "x-ms-tags" in seen.headers else None


def knows_no_tags(seen: Seen) -> Answer | None:
    """Refuse as Azure does where an account of this kind has no index tags."""
    return refusal(409, "BlobTagsNotSupportedForAccountType") if "x-ms-tags" in seen.headers else None


def tagged(seen: list[Seen]) -> int:
    return len([each for each in seen if "x-ms-tags" in each.headers])


@pytest.mark.parametrize(("refuses", "refused"), [(refuses_tags, 3), (knows_no_tags, 1)])
def test_a_cab_is_copied_where_its_tags_are_refused(
    destination: Destination, sources: SourceAccount, refuses: Callable[[Seen], Answer | None], refused: int
) -> None:
    """An account without tags tells so once a process; a role may be given at any time, and is asked for again."""
    with LoopbackServer(passing_to(destination.endpoint, refuses)) as proxy, clock.using(Later()) as later:
        copies = destination.copies(proxy.url)
        notes = [copies.copy(sources.put(CAB).url, f"{NAME}{number}", LABELS).note for number in range(5)]
        assert tagged(proxy.seen) == refused
        later.seconds += 900
        notes.append(copies.copy(sources.put(CAB).url, f"{NAME}5", LABELS).note)
    assert all("index tags refused" in note for note in notes)
    assert destination.labels(f"{NAME}4") == (LABELS.metadata, {})
    assert tagged(proxy.seen) == (refused if refuses is knows_no_tags else refused + 1)


def test_tags_that_were_refused_once_are_written_again(destination: Destination, sources: SourceAccount) -> None:
    """A role that takes a minute to be known cost the tags of every later cab."""
    left = [refusal(403, "AuthorizationPermissionMismatch")]
    refuse = lambda seen: left.pop() if left and "x-ms-tags" in seen.headers else None  # noqa: E731
    with LoopbackServer(passing_to(destination.endpoint, refuse)) as proxy:
        copies = destination.copies(proxy.url)
        assert copies.copy(sources.put(CAB).url, NAME, LABELS).note
        assert not copies.copy(sources.put(CAB).url, f"{NAME}2", LABELS).note
    assert destination.labels(f"{NAME}2") == (LABELS.metadata, LABELS.tags)


def test_a_cab_that_is_there_is_found_where_tags_are_refused(destination: Destination, sources: SourceAccount) -> None:
    """An identity is checked before the blob is: a failure whose rows were lost would fail for ever."""
    destination.put(CAB)
    with LoopbackServer(passing_to(destination.endpoint, refuses_tags)) as proxy:
        found = destination.copies(proxy.url).copy(sources.put(CAB).url, NAME, LABELS)
    assert found.length == len(CAB)


def test_a_container_that_refuses_the_app_needs_a_person(destination: Destination, sources: SourceAccount) -> None:
    def refuses(seen: Seen) -> Answer | None:
        return refusal(403, "AuthorizationPermissionMismatch") if seen.method == "PUT" else None

    with LoopbackServer(passing_to(destination.endpoint, refuses)) as proxy, pytest.raises(NeedsPerson, match="role"):
        destination.copies(proxy.url).copy(sources.put(CAB).url, NAME, LABELS)


def test_a_container_that_is_not_there_needs_a_person(destination: Destination, sources: SourceAccount) -> None:
    destination.container.delete_container()
    with pytest.raises(NeedsPerson, match="ContainerNotFound"):
        destination.copies().copy(sources.put(CAB).url, NAME, LABELS)

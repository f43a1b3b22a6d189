"""A cab is copied by the cheapest way that works, appears whole or not at all, and replaces nothing."""

from datetime import timedelta

import pytest

from local.azurite.server import Azurite
from shared.cabs.copy import CabCopy, Copied
from shared.core.errors import BadInput, CabUnavailable, FreshUrl, NeedsPerson, Never
from tests.support.azurite import StorageAccount
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn

from .copying import LABELS, NAME, Destination, SourceAccount, is_direct_copy, outside, passing_to, refusal

CAB = b"PK\x03\x04" + bytes(range(256)) * 20
OTHER = b"MSCF another cab"


@pytest.fixture
def destination(storage: StorageAccount) -> Destination:
    return Destination(storage)


@pytest.fixture
def sources(azurite: Azurite) -> SourceAccount:
    return SourceAccount(azurite)


def too_large(seen: Seen) -> Answer | None:
    """Refuse Copy Blob From URL as Azure does with a source of more than 256 MiB."""
    return refusal(409, "CannotVerifyCopySource") if is_direct_copy(seen) else None


def test_one_request_copies_a_cab_with_all_that_it_carries(
    destination: Destination, sources: SourceAccount, azurite: Azurite, storage: StorageAccount
) -> None:
    source = sources.put(CAB)
    copies, before = destination.copies(), len(azurite.requests(storage.name))
    assert copies.copy(source.url, NAME, LABELS).tags_refused == ""
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
    assert kinds == ["", *["block"] * 6, "blocklist"], "no byte passes through the function"
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
    source, again = sources.put(CAB), sources.put(CAB[::-1])
    with (
        LoopbackServer(in_turn(outside(CAB[::-1]))) as streamed,
        LoopbackServer(passing_to(destination.endpoint, too_large if way == "in blocks" else lambda _: None)) as proxy,
    ):
        copies = destination.copies(proxy.url, direct_bytes=1_000 if way == "in blocks" else 10**9)
        copies.copy(source.url, NAME, LABELS)
        found = copies.copy(f"{streamed.url}/c/b.zip" if way == "streamed" else again.url, NAME, LABELS)
    assert found.length == len(CAB)
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


def test_another_blob_of_the_name_is_told_and_stays(destination: Destination, sources: SourceAccount) -> None:
    destination.put(OTHER)
    with pytest.raises(Never, match=f"{len(OTHER)} bytes, its source has {len(CAB)}"):
        destination.copies().copy(sources.put(CAB).url, NAME, LABELS)
    assert destination.content() == OTHER


def test_a_sas_that_has_ended_costs_no_request(
    destination: Destination, sources: SourceAccount, azurite: Azurite
) -> None:
    source, copies = sources.put(CAB, ends_in=timedelta(seconds=-5)), destination.copies()
    before = len(azurite.requests())
    with pytest.raises(FreshUrl, match="expired"):
        copies.copy(source.url, NAME, LABELS)
    assert len(azurite.requests()) == before


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


def tagged(seen: list[Seen]) -> int:
    return len([each for each in seen if "x-ms-tags" in each.headers])


def test_a_cab_is_copied_where_its_tags_are_refused(destination: Destination, sources: SourceAccount) -> None:
    with LoopbackServer(passing_to(destination.endpoint, refuses_tags)) as proxy:
        copies = destination.copies(proxy.url)
        first = copies.copy(sources.put(CAB).url, NAME, LABELS)
        second = copies.copy(sources.put(OTHER).url, f"{NAME}2", LABELS)
    assert "AuthorizationPermissionMismatch" in first.tags_refused
    assert "AuthorizationPermissionMismatch" in second.tags_refused
    assert destination.labels() == (LABELS.metadata, {})
    assert destination.content(f"{NAME}2") == OTHER
    assert tagged(proxy.seen) == 1, "one refusal tells enough"


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


def test_a_storage_that_is_busy_for_a_moment_is_asked_again(destination: Destination, sources: SourceAccount) -> None:
    busy = [Answer(status=503, headers={"x-ms-error-code": "ServerBusy", "Retry-After": "0"})]
    with LoopbackServer(passing_to(destination.endpoint, lambda _: busy.pop() if busy else None)) as proxy:
        copies: CabCopy = destination.copies(proxy.url)
        copies.copy(sources.put(CAB).url, NAME, LABELS)
    assert destination.content() == CAB

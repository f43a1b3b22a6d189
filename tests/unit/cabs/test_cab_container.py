"""What is told of a cab goes into headers and must come out again; what the container holds is read in flat memory."""

import tracemalloc
from typing import NoReturn
from urllib.parse import unquote

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import example, given
from hypothesis import strategies as st

from shared.cabs.container import CabContainer, StoredCab
from shared.cabs.labels import labels
from shared.core import redaction
from shared.core.errors import BadAnswer
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.devcenter.pages import BatchCab
from shared.storage.service import StorageService
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn

FAILURE = Failure("13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed")
CAB = "fb57b37b-d364-4caf-995b-d99ae651ee18"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.text(
    st.sampled_from("a é\U0001f600%\r\n\t\0:;,="), max_size=900
)
FACTS = st.builds(CabFacts, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
CABS = st.builds(BatchCab, st.just(CAB), st.none(), TEXTS, TEXTS, TEXTS, st.just(True))


def test_the_documented_names_are_those_that_are_written() -> None:
    cab = BatchCab(CAB, "https://x/y?sig=z", "29989690_139_115", "2017-04-07 13:53:43", "2017-05-07 13:53:43", True)
    facts = CabFacts("AV_contoso!Read", "contoso.sys", "7.6.1637.7", "10.0.26100.2314", "Arm64", "kernel")
    told = labels(FAILURE, cab, facts, "a.blob.core.windows.net/k/b.ext.zip")
    assert told.metadata == {
        "applicationId": FAILURE.application_id,
        "failureHash": FAILURE.failure_hash,
        "cabIdHash": CAB,
        "submissionId": "29989690_139_115",
        "cabdate": "2017-04-07 13:53:43",
        "cabexpires": "2017-05-07 13:53:43",
        "source": "a.blob.core.windows.net/k/b.ext.zip",
        "failurename": "AV_contoso!Read",
        "drivername": "contoso.sys",
        "driverversion": "7.6.1637.7",
        "osversion": "10.0.26100.2314",
        "architecture": "Arm64",
        "cabtype": "kernel",
    }
    assert told.tags == {
        "applicationId": FAILURE.application_id,
        "failureHash": FAILURE.failure_hash,
        "date": "2017-04-07 13:53:43",
        "driverVersion": "7.6.1637.7",
    }


def test_what_is_not_known_is_left_out() -> None:
    """An empty header is one that storage may drop, and its signature then fails."""
    told = labels(FAILURE, BatchCab(CAB, None, "", " ", "", True), CabFacts(), "a/b")
    assert told.metadata.keys() == {"applicationId", "failureHash", "cabIdHash", "source"}
    assert told.tags.keys() == {"applicationId", "failureHash"}


@given(cab=CABS, facts=FACTS)
@example(cab=BatchCab(CAB, None, "", "", "", True), facts=CabFacts("a" * 511 + " cut after the space"))
def test_every_value_fits_a_header(cab: BatchCab, facts: CabFacts) -> None:
    metadata = labels(FAILURE, cab, facts, "a/b").metadata
    for value in metadata.values():
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip(), "HTTP drops it, and the signature of the request is then wrong"
        assert value
    assert sum(len(name) + len(value) for name, value in metadata.items()) <= 8 * 1024


@given(facts=FACTS)
def test_a_value_is_percent_decoded_to_read_it(facts: CabFacts) -> None:
    """A driver's name may be in any script."""
    metadata = labels(FAILURE, BatchCab(CAB, None, "", "", "", True), facts, "a/b").metadata
    for name, text in (("failurename", facts.failure_name), ("drivername", facts.driver_name)):
        decoded = unquote(metadata.get(name, ""), errors="ignore")
        assert decoded == text.strip() or (len(metadata[name]) > 500 and text.strip().startswith(decoded))


@given(cab=CABS, facts=FACTS)
def test_every_tag_is_one_that_storage_takes(cab: BatchCab, facts: CabFacts) -> None:
    """One bad tag refuses the whole copy: https://learn.microsoft.com/rest/api/storageservices/set-blob-tags."""
    tags = labels(FAILURE, cab, facts, "a/b").tags
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 +-./:=_")
    assert len(tags) <= 10
    for name, value in tags.items():
        assert 1 <= len(name) <= 128
        assert len(value) <= 256
        assert set(name + value) <= allowed


def test_the_labels_of_most_cabs_pass_without_a_search_through_all_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    """That search is felt: it takes as long as all else that is done for a cab before it is copied."""

    def searched(_text: str) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(redaction, "copies", searched)
    cab = BatchCab(CAB, None, "2017-05-07 13:53:43", "29989690_139_1152921504626153337", "2017-04-07 13:53:43", True)
    facts = CabFacts("0x9F_3_contoso!unknown_function", "contoso.sys", "7.6.1637.7", "10.0.26100", "x64", "Kernel")
    host = "uswewatcab09.blob.core.windows.net"
    assert len(labels(FAILURE, cab, facts, f"{host}/kernelcabs20170407/fb57/{CAB}.ext.zip").metadata) == 13


def test_a_source_without_its_query_is_all_that_is_told_of_it() -> None:
    told = labels(FAILURE, BatchCab(CAB, "https://x/y?sig=QZXJ", "", "", "", True), CabFacts(), "x/y")
    assert "QZXJ" not in repr(told)


def container(server: LoopbackServer) -> CabContainer:
    url = f"{server.url}/account"
    return CabContainer(ContainerClient(url, "cabs"), StorageService(url, "2025-05-05", 1))


def listing(names: list[str], marker: str) -> bytes:
    """Return a page with as many properties of a blob as the service tells."""
    others = "".join(f"<Property-{number}>some value of the service</Property-{number}>" for number in range(20))
    blobs = "".join(
        f"<Blob><Name>{name}</Name><Properties><Content-Length>7</Content-Length>{others}</Properties></Blob>"
        for name in names
    )
    text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    return text.encode()


def test_a_long_listing_is_read_in_flat_memory() -> None:
    """As a tree, a page of 5.6 MB took 48 MB here."""
    names = [f"a/b/{number}" for number in range(10_000)]
    pages = {"": listing(names[:5_000], "next"), "next": listing(names[5_000:], "")}

    def answer(seen: Seen) -> Answer:
        return Answer(pages[seen.query.get("marker", "")])

    with LoopbackServer(answer) as server:
        holds = container(server)
        tracemalloc.start()
        try:
            found = [cab.name for cab in holds.stored("a/b/") if cab.length == 7]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert found == names
    # libcurl hands a page on in pieces, which are put together.
    assert peak < 3.5 * len(pages[""])


def test_a_listing_is_followed_wherever_its_marker_stands() -> None:
    """A page that was taken for the last one would make every cab behind it seem to be missing."""
    blobs = b"<Blobs><Blob><Name>a</Name></Blob></Blobs>"
    before = b"<EnumerationResults><NextMarker>next</NextMarker>%s</EnumerationResults>" % blobs
    pages = {"": before, "next": listing(["b"], "")}
    with LoopbackServer(lambda seen: Answer(pages[seen.query.get("marker", "")])) as server:
        assert [cab.name for cab in container(server).stored("")] == ["a", "b"]


def test_what_a_blob_says_of_itself_is_listed_and_no_metadata_is_taken_for_more() -> None:
    """Whoever may write a blob may name its metadata as he likes."""
    name = f"{FAILURE.prefix}{CAB}.ext.zip"
    metadata = {
        "applicationId": FAILURE.application_id,
        "failureHash": FAILURE.failure_hash,
        "CABIDHASH": CAB,
        "Name": "another",
        "NextMarker": "again",
        "Blob": "x",
        "Properties": "x",
    }
    told = "".join(f"<{key}>{value}</{key}>" for key, value in metadata.items())
    properties = (
        "<Content-Length>x</Content-Length><Content-MD5>no MD5</Content-MD5><Creation-Time>soon</Creation-Time>"
    )
    page = (
        f"<EnumerationResults><Blobs><Blob><Name>{name}</Name><Properties>{properties}"
        f"<Content-Type>text/html; charset=utf-8</Content-Type></Properties><Metadata>{told}</Metadata></Blob></Blobs>"
        "<NextMarker /></EnumerationResults>"
    )
    with LoopbackServer(in_turn(Answer(page.encode()))) as server:
        (cab,) = container(server).stored("")
    assert (cab.name, cab.cab_id_hash, cab.length, cab.md5) == (name, CAB, 0, "")
    assert cab.created_at.year == 1601
    assert cab.why_no_cab == "is empty"
    assert server.seen[0].query["include"] == "metadata"


@pytest.mark.parametrize(
    ("length", "content_type", "why"),
    [
        (7, "", ""),
        (7, "application/octet-stream", ""),
        (7, "application/x-zip-compressed", ""),
        (0, "", "is empty"),
        (7, "text/html", "is a page of HTML or XML"),
        (7, " Text/HTML;charset=x", "is a page of HTML or XML"),
        (7, "application/xhtml+xml", "is a page of HTML or XML"),
        (7, "text/htmlike", ""),
    ],
)
def test_what_can_be_no_cab_is_told(length: int, content_type: str, why: str) -> None:
    assert StoredCab("a", length, "", "", "", content_type).why_no_cab == why


@pytest.mark.parametrize("page", [b"", b"<EnumerationResults><Blobs>", b"<Error><Code>x</Code></Error>", b"[]"])
def test_what_is_no_listing_is_not_taken_for_an_empty_one(page: bytes) -> None:
    with LoopbackServer(in_turn(Answer(page))) as server, pytest.raises(BadAnswer, match="no listing"):
        list(container(server).stored("a/"))

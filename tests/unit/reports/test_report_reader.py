"""A report comes in a shape that nobody documented: whichever it is, every failure and cab in it must be found."""

import codecs
import gzip
import io
from collections.abc import Callable

import pytest

from shared.core.errors import BadInput
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.reports.reader import read_report

from .report_files import APPLICATION, CAB, FACTS, FAILURE, HASH, IHV_DRIVER, ROW, TOLD, read, text

EXPECTED = {FAILURE: {CAB: FACTS}}


@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tab", "comma"])
@pytest.mark.parametrize("quote_all", [False, True], ids=["unquoted", "quoted"])
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
    ],
    ids=["utf-8", "utf-8 marked", "utf-16-le marked", "utf-16-be marked", "utf-16-le", "utf-16-be"],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_shape_is_read(
    delimiter: str, quote_all: bool, mark: bytes, encoding: str, packed: Callable[[bytes], bytes]
) -> None:
    """What a file is stands in its first bytes; its name says nothing."""
    written = text(delimiter=delimiter, quote_all=quote_all)
    assert read(packed(mark + written.encode(encoding))).cabs == EXPECTED


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.swapcase, lambda name: f"  {name} "])
def test_headers_are_read_in_any_spelling(spelled: Callable[[str], str]) -> None:
    header, rows = text(delimiter=",").split("\r\n", 1)
    assert read(f"{spelled(header)}\r\n{rows}".encode()).cabs == EXPECTED
    spaced = ",".join(spelled(column) for column in IHV_DRIVER)
    assert read(f"{spaced}\r\n{rows}".encode()).cabs == EXPECTED


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(end: str) -> None:
    written = text([ROW, {**ROW, "CabIdHash": "b2"}]).replace("\r\n", end)
    assert read(written.encode()).cabs == {FAILURE: {CAB: FACTS, "b2": FACTS}}
    assert read(written.removesuffix(end).encode()).cabs == {FAILURE: {CAB: FACTS, "b2": FACTS}}


def test_the_order_of_columns_and_columns_of_ones_own_do_not_matter() -> None:
    columns = ("Note", *reversed(IHV_DRIVER), "Übersicht")
    assert read(text([{**ROW, "Übersicht": "ä,ö", "Note": "1"}], columns, ",").encode()).cabs == EXPECTED


def test_a_template_may_project_no_more_than_the_pair() -> None:
    reading = read(text(columns=("FailureHash", "ApplicationId")).encode())
    assert reading.cabs == {FAILURE: {}}
    assert reading.unreadable == 0


def test_facts_that_a_template_leaves_out_are_empty() -> None:
    columns = ("ApplicationId", "FailureHash", "CabIdHash", "DriverVersion")
    assert read(text(columns=columns).encode()).cabs == {FAILURE: {CAB: CabFacts(driver_version="7.6.1637.7")}}


def test_rows_without_a_cab_still_name_their_failure() -> None:
    reading = read(text([{**ROW, "CabIdHash": ""}, {**ROW, "CabIdHash": "  "}]).encode())
    assert reading.cabs == {FAILURE: {}}
    assert reading.unreadable == 0, "a row without a cab is how most rows are"


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "({})", "\ufeff{}\u200b"])
@pytest.mark.parametrize("spelled", [str.upper, str.lower, lambda text: text.replace("-", "")])
def test_a_guid_in_any_spelling_is_one_failure_and_one_cab(form: str, spelled: Callable[[str], str]) -> None:
    other = {**ROW, "CabIdHash": form.format(spelled(CAB)), "FailureHash": form.format(spelled(HASH))}
    for rows in ([other], [ROW, other], [other, ROW], [{**ROW, "CabIdHash": ""}, other]):
        reading = read(text(rows).encode())
        assert (reading.cabs, reading.unreadable) == (EXPECTED, 0)


def test_spaces_around_a_value_are_not_part_of_it() -> None:
    padded = {**ROW, **{name: f" {value} " for name, value in {**TOLD, "ApplicationId": APPLICATION}.items()}}
    assert read(text([{**padded, "CabIdHash": f" {CAB}", "FailureHash": f"{HASH} "}]).encode()).cabs == EXPECTED


def test_a_failure_comes_once_however_often_it_occurs() -> None:
    reading = read(text([ROW] * 50 + [{**ROW, "CabIdHash": "c0ffee-2"}] * 50).encode())
    assert reading.cabs == {FAILURE: {CAB: FACTS, "c0ffee-2": FACTS}}
    assert reading.parts == 1


@pytest.mark.parametrize(
    ("counts", "hits"), [(("3", "4"), 7), (("", "x"), 2), (("-5", "1" * 40), 2), (("3.0", "+2"), 2), ((None, None), 2)]
)
def test_a_failure_happened_as_often_as_its_rows_count(counts: tuple[str | None, ...], hits: int) -> None:
    """A row that does not count, or of a template that does not ask for it, is one."""
    columns = [each for each in IHV_DRIVER if each != "EventCount"]
    columns += [] if None in counts else ["EventCount"]
    rows = [{**ROW, "EventCount": count or "", "CabIdHash": CAB} for count in counts]
    (part,) = read_report(io.BytesIO(text(rows, tuple(columns)).encode()), "a report")
    assert part.hits == {FAILURE: hits}


def test_the_same_hash_in_two_applications_is_two_failures() -> None:
    reading = read(text([ROW, {**ROW, "ApplicationId": "2", "CabIdHash": ""}]).encode())
    assert reading.cabs == {FAILURE: {CAB: FACTS}, Failure("2", HASH): {}}


def test_failures_come_again_in_later_parts_without_loss() -> None:
    """A part is one buffer; a report of any length must not end in one."""
    rows = [{**ROW, "FailureHash": f"f{number % 7}", "CabIdHash": f"c{number}"} for number in range(100)]
    reading = read(text(rows).encode(), buffered=10)
    assert reading.parts > 5
    assert {failure.failure_hash for failure in reading.cabs} == {f"f{number}" for number in range(7)}
    assert {cab for cabs in reading.cabs.values() for cab in cabs} == {f"c{number}" for number in range(100)}


@pytest.mark.parametrize("content", [text([]).encode(), gzip.compress(text([]).encode()), text([]).rstrip().encode()])
def test_a_report_without_rows_names_nothing(content: bytes) -> None:
    assert read(content).cabs == {}


def test_one_bad_row_costs_no_other() -> None:
    rows = [
        {**ROW, "ApplicationId": ""},
        {**ROW, "FailureHash": "../../x"},
        {**ROW, "CabIdHash": "a/b"},
        {**ROW, "CabIdHash": "b2", "FailureName": "\udcff"},
        ROW,
    ]
    reading = read(text(rows).encode("utf-8", "surrogateescape") + b"short\trow\r\n\r\n")
    assert reading.cabs[FAILURE].keys() == {CAB, "b2"}
    assert reading.unreadable == 4
    assert "applicationId" in reading.why or "fields" in reading.why


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        ([name for name in IHV_DRIVER if name not in {"ApplicationId", "SubmissionId"}], ["ApplicationId"]),
        ([name for name in IHV_DRIVER if name != "FailureHash"], ["FailureHash"]),
        (["OSVersion", "Market"], ["ApplicationId", "FailureHash"]),
    ],
)
def test_a_missing_column_is_told_with_those_that_are_there(columns: list[str], missing: list[str]) -> None:
    """Who made the template has to see what it lacks."""
    with pytest.raises(BadInput) as refused:
        read(text(columns=columns).encode())
    told = str(refused.value)
    assert "report 43000" in told
    for column in missing:
        assert f"no column {column}" in told or f"no {column}" in told
    assert ", ".join(columns) in told


@pytest.mark.parametrize(
    "content",
    [
        b"",
        gzip.compress(b""),
        b"\xef\xbb\xbf",
        b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>",
        b'<?xml version="1.0"?><Error><Code>BlobNotFound</Code></Error>',
        b"PK\x03\x04" + bytes(range(256)),
    ],
    ids=["empty", "empty gzip", "only a mark", "HTML", "XML", "ZIP"],
)
def test_what_is_no_report_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput, match="report 43000"):
        read(content)


@pytest.mark.parametrize("left", [1, 5, 12, -9, -1])
def test_a_gzip_that_ends_early_is_refused(left: int) -> None:
    """Half a report must not count as ingested."""
    rows = [{**ROW, "CabIdHash": f"c{number}"} for number in range(500)]
    with pytest.raises(BadInput):
        read(gzip.compress(text(rows).encode())[:left])


def test_a_gzip_with_a_wrong_checksum_is_refused() -> None:
    content = bytearray(gzip.compress(text().encode()))
    content[-6] ^= 1
    with pytest.raises(BadInput):
        read(bytes(content))


def test_a_gzip_of_several_members_is_read_to_its_end() -> None:
    header, row = text().split("\r\n", 1)
    assert read(gzip.compress(f"{header}\r\n".encode()) + gzip.compress(row.encode())).cabs == EXPECTED


def test_a_device_is_named_nowhere() -> None:
    """DeviceId and HardwareId identify a person's device, and must not even reach the tables."""
    reading = read(text([ROW, {**ROW, "CabIdHash": "a/b"}, {**ROW, "ApplicationId": ""}]).encode())
    assert "DEV1CE" not in repr(reading)
    assert "HARDWARE" not in repr(reading)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_device_is_named_nowhere_though_a_row_lost_fields(lost: int) -> None:
    """A row whose fields have moved puts a device where a cab's id is expected."""
    header, row = text(delimiter=",").rstrip().split("\r\n")
    before, after = row.split(HASH)
    moved = f"{before}{HASH}{after.replace(',' * (lost + 1), ',', 1)}"
    reading = read(f"{header}\r\n{row}\r\n{moved}\r\n".encode())
    assert reading.unreadable == 1
    assert "DEV1CE" not in repr(reading)
    assert "HARDWARE" not in repr(reading)


@pytest.mark.parametrize("quote_all", [False, True], ids=["unquoted", "quoted"])
def test_a_device_is_named_nowhere_though_there_is_no_header(quote_all: bool) -> None:
    """The first row then stands where an error quotes the columns."""
    content = text([ROW, ROW], quote_all=quote_all).partition("\r\n")[2]
    with pytest.raises(BadInput, match="no column ApplicationId") as refused:
        read(content.encode())
    assert "DEV1CE" not in str(refused.value)
    assert "HARDWARE" not in str(refused.value)


def test_a_page_in_place_of_a_report_is_told() -> None:
    with pytest.raises(BadInput, match="a page came in its place, its first line markup of 63 bytes"):
        read(b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>")


def test_what_a_report_tells_of_a_cab_holds_no_signature() -> None:
    """It goes into tables, metadata and tags."""
    reading = read(text([{**ROW, "FailureName": "AV_contoso https://a/b?sv=1&sig=QZXJ"}]).encode())
    assert reading.cabs[FAILURE][CAB].failure_name == "AV_contoso https://a/b?[redacted]"

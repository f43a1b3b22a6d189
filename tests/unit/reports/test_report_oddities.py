"""A file may be odder than any writer means it to be: no row may take others with it, and no moved row be believed."""

import gzip
import io
import tracemalloc
import uuid
from collections.abc import Iterator

import pytest

from shared.core.errors import BadInput
from shared.core.failure import Failure
from shared.reports.reader import read_report

from .report_files import APPLICATION, CAB, FACTS, FAILURE, HASH, ROW, Reading, read, text

HEADER = ("ApplicationId", "FailureName", "FailureHash", "CabIdHash", "DeviceId", "Note")
DEVICE = "{1fd83f6d-0000-1111-2222-ef08b65ccbed}"


def guid(number: int) -> str:
    """Return a GUID that tests can name."""
    return str(uuid.UUID(int=number + (0xF << 124)))


def lines(rows: list[list[str]], delimiter: str, end: str = "\r\n") -> bytes:
    """Write rows as they are, without any quoting of our own."""
    return "".join(delimiter.join(row) + end for row in [list(HEADER), *rows]).encode()


def row_of(number: int, name: str = "AV_contoso", cab: str | None = None) -> list[str]:
    """Return the row of a failure and a cab of its own."""
    return [APPLICATION, name, guid(number), cab or guid(number + 1_000_000), DEVICE, "1"]


def failures_of(reading: Reading) -> set[str]:
    """Return the hashes of the failures that were found."""
    return {failure.failure_hash for failure in reading.cabs}


ALL = {guid(number) for number in range(100)}


@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tab", "comma"])
@pytest.mark.parametrize(
    "names",
    [
        {30: '"opens', 70: '"opens'},
        {30: '"opens', 70: 'closes"'},
        {30: '"opens'},
        {99: '"opens'},
        {0: '"opens', 99: 'closes"'},
        {30: '15.6" screen', 70: '"quoted" here'},
        {30: 'in "the middle"', 31: '"', 32: '""', 33: '"""', 34: '"a""b"', 35: '"a"b'},
        dict.fromkeys(range(0, 100, 2), '"opens'),
    ],
)
def test_a_stray_quote_swallows_no_row(names: dict[int, str], delimiter: str) -> None:
    """A parser that believed it would take all rows to the next quote for one field, and call that success."""
    content = lines([row_of(number, names.get(number, "AV")) for number in range(100)], delimiter)
    reading = read(content)
    assert failures_of(reading) == ALL
    assert reading.unreadable == 0
    assert sum(len(cabs) for cabs in reading.cabs.values()) == 100


@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tab", "comma"])
@pytest.mark.parametrize("place", [1, 5], ids=["within", "in the last column"])
def test_a_stray_quote_in_a_row_that_is_no_row_either_costs_that_row_alone(delimiter: str, place: int) -> None:
    rows = [row_of(number) for number in range(100)]
    for number in (30, 70):
        rows[number][place] = '"opens'
        rows[number].insert(place, "moved")
    reading = read(lines(rows, delimiter))
    assert failures_of(reading) == ALL - {guid(30), guid(70)}
    assert reading.unreadable == 2


@pytest.mark.parametrize("delimiter", ["\t", ","], ids=["tab", "comma"])
@pytest.mark.parametrize("place", [1, 5], ids=["within", "in the last column"])
def test_a_field_that_is_quoted_may_span_lines(delimiter: str, place: int) -> None:
    rows = [row_of(number) for number in range(10)]
    rows[3][place] = f'"a name{delimiter}of\r\nthree ""lines""\r\n{delimiter} and more"'
    reading = read(lines(rows, delimiter))
    assert (len(reading.cabs), reading.unreadable) == (10, 0)
    if place == 1:
        (facts,) = reading.cabs[Failure(APPLICATION, guid(3))].values()
        assert facts.failure_name.split() == f'a name{delimiter}of three "lines" {delimiter} and more'.split()


@pytest.mark.parametrize(
    "mark", ["\ufeff", "\u200b", "\u200e", "\u2060", "\xad", "\xa0", "\0", "\x01", "\x7f", "\x85", " "]
)
@pytest.mark.parametrize("place", range(4))
def test_what_nobody_sees_is_no_part_of_a_field(mark: str, place: int) -> None:
    rows = [row_of(number) for number in range(4)]
    for number, row in enumerate(rows):
        row[place] = [mark + row[place], row[place] + mark, mark * 2 + row[place] + mark, row[place]][number]
    reading = read(lines(rows, "\t"))
    assert failures_of(reading) == {guid(number) for number in range(4)}
    assert {cab for cabs in reading.cabs.values() for cab in cabs} == {guid(number + 1_000_000) for number in range(4)}
    assert {facts.failure_name for cabs in reading.cabs.values() for facts in cabs.values()} == {"AV_contoso"}
    assert reading.unreadable == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_mark_before_the_first_row_or_in_an_id_costs_nothing(encoding: str) -> None:
    header, row = text([ROW]).split("\r\n", 1)
    middle = row.replace(HASH, f"{HASH[:9]}\u200b{HASH[9:]}")
    assert read(f"\ufeff{header}\r\n\ufeff{middle}".encode(encoding)).cabs == {FAILURE: {CAB: FACTS}}


@pytest.mark.parametrize("end", ["\r\n", ""], ids=["ended", "without a line end"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["unmarked", "marked"])
@pytest.mark.parametrize("between", [b"", b"\0" * 512, b"\r\n"], ids=["nothing", "zeros", "a line end"])
def test_members_that_are_whole_files_are_read_as_files(end: str, mark: bytes, between: bytes) -> None:
    first = text([ROW]).removesuffix("\r\n") + end
    second = text([{**ROW, "CabIdHash": guid(2)}])
    reading = read(gzip.compress(mark + first.encode()) + between + gzip.compress(mark + second.encode()))
    assert (reading.cabs, reading.unreadable) == ({FAILURE: {CAB: FACTS, guid(2): FACTS}}, 0)


def test_a_second_header_may_have_an_order_of_its_own() -> None:
    """Files that were put together may come of templates that differ."""
    first, second = lines([row_of(1)], "\t"), text([ROW], ["CabIdHash", "FailureHash", "ApplicationId"])
    reading = read(first + second.upper().encode())
    assert reading.cabs.keys() == {Failure(APPLICATION, guid(1)), FAILURE}
    assert reading.cabs[FAILURE].keys() == {CAB}
    assert reading.unreadable == 0


@pytest.mark.parametrize("behind", [b"\r\n", b"\0" * 1_000, b"\x1f", b"--boundary--\r\n", b" \n" * 70_000])
def test_bytes_behind_the_end_of_a_gzip_are_noted(behind: bytes) -> None:
    reading = read(gzip.compress(text().encode()) + behind)
    assert reading.cabs == {FAILURE: {CAB: FACTS}}
    assert f"{len(behind)} bytes behind" in reading.note


def test_so_much_behind_the_end_of_a_gzip_that_it_may_be_rows_is_refused() -> None:
    with pytest.raises(BadInput, match="behind its gzip"):
        read(gzip.compress(text().encode()) + b"rows" * 100_000)


@pytest.mark.parametrize(
    "nothing", ["", "NULL", "null", "N/A", "(null)", "none", "-", "00000000-0000-0000-0000-000000000000"]
)
def test_a_placeholder_is_no_id(nothing: str) -> None:
    rows = [row_of(number) for number in range(5)]
    rows[1][2], rows[2][0], rows[3][3] = nothing, nothing, nothing
    reading = read(lines(rows, "\t"))
    assert failures_of(reading) == {guid(0), guid(3), guid(4)}
    assert reading.cabs[Failure(APPLICATION, guid(3))] == {}
    assert reading.unreadable == 2, "without a cab is how most rows are, without a failure is not"


@pytest.mark.parametrize("count", [1, 10])
def test_rows_without_ids_are_told_and_fail_no_report(count: int) -> None:
    reading = read(lines([["NULL", "", "", "", "", ""]] * count, "\t"))
    assert (reading.cabs, reading.unreadable) == ({}, count)


@pytest.mark.parametrize("last", ["", "1"])
def test_a_row_that_a_comma_has_moved_is_not_believed(last: str) -> None:
    """One field too many, the last of which is empty, looks like a row that only ends in a delimiter."""
    rows = [row_of(number) for number in range(5)]
    rows[2] = [APPLICATION, "AV_std", " map", guid(2), guid(3), DEVICE, last]
    reading = read(lines(rows, ","))
    assert failures_of(reading) == {guid(number) for number in (0, 1, 3, 4)}
    assert {cab for cabs in reading.cabs.values() for cab in cabs} == {guid(n + 1_000_000) for n in (0, 1, 3, 4)}
    assert reading.unreadable == 1
    assert "7 fields, the header 6" in reading.why


@pytest.mark.parametrize("piece", ["int", "map", "x", "DESKTOP-PC7", "CONTOSO_7.sys", "1.2.3.4"])
def test_a_row_that_a_comma_has_moved_and_that_lost_its_end_is_not_believed(piece: str) -> None:
    rows = [row_of(number) for number in range(5)]
    rows[0] = [APPLICATION, "AV_std", piece, guid(0), guid(1), DEVICE]
    reading = read(lines(rows, ","))
    assert failures_of(reading) == {guid(number) for number in range(1, 5)}
    assert reading.unreadable == 1


@pytest.mark.parametrize("place", [0, 2, 3])
@pytest.mark.parametrize("spelled", ["012345-5dbc9-b12f-c124-9d9810f05d8b", "12345", "1FD83F6D96EC2C47"])
def test_what_the_dev_center_has_in_the_place_of_a_guid_or_a_number_is_an_id(place: int, spelled: str) -> None:
    """The first is in a sample of its documentation, among GUIDs."""
    rows = [row_of(number) for number in range(3)]
    rows[1][place] = spelled
    reading = read(lines(rows, "\t"))
    assert reading.unreadable == 0
    assert len(reading.cabs) == 3
    assert spelled in repr(reading.cabs)


@pytest.mark.parametrize("text", ["kernel", "DESKTOP-PC7"])
def test_a_text_is_no_id_where_others_are_guids(text: str) -> None:
    rows = [row_of(number) for number in range(3)]
    rows[1][3] = text
    reading = read(lines(rows, "\t"))
    assert reading.cabs[Failure(APPLICATION, guid(1))] == {}
    assert reading.unreadable == 1


@pytest.mark.parametrize("ends_in_delimiter", [False, True])
@pytest.mark.parametrize("row_ends_in_delimiter", [False, True])
def test_only_a_header_that_ends_in_a_delimiter_lets_rows_do_so(
    ends_in_delimiter: bool, row_ends_in_delimiter: bool
) -> None:
    header = "ApplicationId,FailureHash,CabIdHash" + "," * ends_in_delimiter
    content = f"{header}\n" + f"{APPLICATION},{HASH},{CAB}{',' * row_ends_in_delimiter}\n" * 3
    if row_ends_in_delimiter and not ends_in_delimiter:
        with pytest.raises(BadInput, match="mostly unreadable: 3 of 3"):
            read(content.encode())
    else:
        assert read(content.encode()).cabs.keys() == {FAILURE}


def test_a_report_that_is_mostly_unreadable_gives_what_it_has_and_fails() -> None:
    rows = [row_of(number) if number < 40 else ["moved", *row_of(number)] for number in range(100)]
    parts = read_report(io.BytesIO(lines(rows, "\t")), "report 43000")
    assert len(next(parts).cabs) == 40
    with pytest.raises(BadInput, match="report 43000 is mostly unreadable: 60 of 100 rows"):
        list(parts)


@pytest.mark.parametrize(
    ("row", "why"),
    [(b"no row", "100001 of 100001"), (b"ApplicationId\tFailureHash", "headers")],
    ids=["rows", "headers"],
)
def test_a_file_that_would_only_go_on_like_this_is_given_up(row: bytes, why: str) -> None:
    """A megabyte of gzip can hold a gigabyte of lines, and other reports wait behind this one."""
    stream = io.BytesIO(b"ApplicationId\tFailureHash\n" + (row + b"\n") * 300_000)
    with pytest.raises(BadInput, match=why):
        list(read_report(stream, "report 43000"))
    assert stream.tell() < len(stream.getvalue())


@pytest.mark.parametrize("cut", [1, 2, 30, 100])
def test_a_text_that_is_cut_within_a_row_fails(cut: int) -> None:
    """In the last field it may be cut as well, which nobody can see where the length was told."""
    content = lines([row_of(number) for number in range(20)], "\t")[:-cut]
    with pytest.raises(BadInput, match="is cut"):
        read(content, is_length_told=False)
    if cut > 3:
        with pytest.raises(BadInput, match="is cut"):
            read(content)
    else:
        assert len(read(content).cabs) == 20


def test_a_text_of_unknown_length_that_ends_with_a_row_is_read_with_a_note() -> None:
    reading = read(text().encode(), is_length_told=False)
    assert reading.cabs == {FAILURE: {CAB: FACTS}}
    assert "no length" in reading.note
    assert not read(gzip.compress(text().encode()), is_length_told=False).note, "a gzip tells its end itself"


def test_blank_lines_before_the_header_and_among_the_rows_are_nothing() -> None:
    reading = read(text().replace("\r\n", "\r\n\r\n").encode())
    assert (reading.cabs, reading.unreadable) == ({FAILURE: {CAB: FACTS}}, 0)
    assert read(b"\r\n \r\n" + text().encode()).cabs == {FAILURE: {CAB: FACTS}}


class Slowly(io.BytesIO):
    """A file that gives one byte at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1, size or 0))


@pytest.mark.parametrize("packed", [True, False])
def test_where_a_stream_is_cut_into_pieces_does_not_matter(packed: bool) -> None:
    content = text([ROW, {**ROW, "CabIdHash": guid(2)}], quote_all=True).encode("utf-16")
    if packed:
        content = gzip.compress(content[:301]) + gzip.compress(content[301:]) + b"\0\0"
    (part, *_) = read_report(Slowly(content), "report 43000")
    assert part.cabs == {FAILURE: {CAB: FACTS, guid(2): FACTS}}


def wide_rows(field: bytes) -> Iterator[bytes]:
    """Yield rows of good ids, each with much in one field, or around an id."""
    yield b"ApplicationId\tFailureHash\tCabIdHash\tFailureName\n"
    for number in range(60):
        yield b"%s\t%s\t%s\t%s\n" % (
            *(APPLICATION.encode(), guid(number).encode()),
            *(field.replace(b"#", b"cab-%d" % number), (b"n%d" % number) * 30_000),
        )


@pytest.mark.parametrize("field", [b"#", b" " * 200_000 + b"#"], ids=["a long name", "a long id"])
def test_what_is_remembered_of_long_fields_is_bounded(field: bytes) -> None:
    """Blanks pack well: a megabyte of gzip could hold a gigabyte of ids."""
    content = gzip.compress(b"".join(wide_rows(field)))
    tracemalloc.start()
    try:
        assert sum(len(part.cabs) for part in read_report(io.BytesIO(content), "x")) == 60
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024 * 1024, peak

"""However a template, an encoding or a quote moves things about: a report is read the same, or refused, and bounded."""

import gzip
import io
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.core.failure import Failure
from shared.reports.reader import read_report

from .report_files import APPLICATION, IHV_DRIVER, ROW, read, text

MEGABYTE = 1024 * 1024
HEADER = b"ApplicationId\tFailureHash\tCabIdHash\n"
GOOD_ROW = f"{APPLICATION}\tfailure-1\tcab-1\n".encode()
LONG_ROW = f"{APPLICATION}\tfailure\tcab{'\tx' * 500}\n".encode()
IDS = st.text(st.sampled_from("0123456789abcdef-"), min_size=1, max_size=12).map(lambda text: f"h{text}h")
TOLD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
ROWS = st.lists(
    st.builds(
        lambda failure, cab, name, device: {
            **ROW,
            "FailureHash": failure,
            "CabIdHash": cab,
            "FailureName": name,
            "DeviceType": device,
        },
        IDS,
        IDS,
        TOLD,
        TOLD | st.sampled_from(['a "quoted", one', "one\nmore line", "tab\there"]),
    ),
    max_size=6,
)


@given(
    rows=ROWS,
    columns=st.permutations(IHV_DRIVER),
    delimiter=st.sampled_from("\t,"),
    quote_all=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    packed=st.booleans(),
    spelled=st.sampled_from([str, str.lower, str.upper]),
)
def test_a_report_is_read_the_same_in_whatever_shape_it_comes(
    rows: list[dict[str, str]],
    columns: list[str],
    delimiter: str,
    quote_all: bool,
    encoding: str,
    packed: bool,
    spelled: type[str],
) -> None:
    header, newline, rest = text(rows, columns, delimiter, quote_all).partition("\n")
    content = (spelled(header) + newline + rest).encode(encoding)
    reading = read(gzip.compress(content, mtime=0) if packed else content, buffered=2)
    named = {(Failure(APPLICATION, row["FailureHash"]), row["CabIdHash"]) for row in rows}
    assert {(failure, cab) for failure, cabs in reading.cabs.items() for cab in cabs} == named
    assert reading.unreadable == 0


def bomb(megabytes: int, filler: bytes) -> bytes:
    """Return a small gzip file of that many megabytes."""
    packer = zlib.compressobj(9, wbits=31)
    packed = [packer.compress(HEADER)]
    block = filler * (MEGABYTE // len(filler))
    packed += [packer.compress(block) for _ in range(megabytes)]
    return b"".join([*packed, packer.flush()])


@pytest.mark.parametrize(
    ("filler", "megabytes", "is_refused"),
    [
        (b"\0", 32, True),
        (b"x", 32, True),
        (b'"x,\n",', 1, True),
        (b" " * 1_023 + b"\n", 16, False),
        (LONG_ROW, 4, True),
        (GOOD_ROW, 4, False),
        (HEADER, 1, True),
    ],
    ids=["zeros", "one field", "open quotes", "blank lines", "a wide row", "one row again and again", "headers"],
)
def test_a_gzip_bomb_fills_no_memory(filler: bytes, megabytes: int, is_refused: bool) -> None:
    """A worker shares its memory with every pull."""
    packed = bomb(megabytes, filler)
    assert len(packed) < MEGABYTE
    tracemalloc.start()
    try:
        if is_refused:
            with pytest.raises(BadInput):
                list(read_report(io.BytesIO(packed), "x"))
        else:
            assert sum(len(part.cabs) for part in read_report(io.BytesIO(packed), "x")) <= 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * MEGABYTE, peak


@given(st.lists(st.sampled_from(["ApplicationId", "FailureHash", "CabIdHash", "", "?", "x" * 50]), max_size=6))
def test_a_header_without_what_is_needed_is_refused_by_name(header: list[str]) -> None:
    content = "\t".join(header) + "\n" + "\t".join("v" for _ in header) + "\n"
    missing = {"ApplicationId", "FailureHash"} - set(header)
    if not missing:
        read(content.encode())
        return
    with pytest.raises(BadInput) as refused:
        read(content.encode())
    assert all(name in str(refused.value) for name in missing)

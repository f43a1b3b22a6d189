"""A report may have any length and be anything: reading it must cost flat memory, and never more than an error."""

import gzip
import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.reports.reader import read_report

from .report_files import APPLICATION, CAB, FAILURE, ROW, read, text

MEGABYTE = 1024 * 1024
ROWS = 60_000


class Generated(io.BytesIO):
    """A file that exists only as it is read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks, self._waiting = chunks, b""
        self.total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if not self._waiting:
            self._waiting = next(self._chunks, b"")
        chunk, self._waiting = self._waiting[:size], self._waiting[size:]
        self.total += len(chunk)
        return chunk


def long_report() -> Iterator[bytes]:
    """Many failures of many cabs, each row a new one: the worst for who keeps what it saw."""
    yield b"ApplicationId\tFailureHash\tCabIdHash\tFailureName\tSymbol\n"
    for start in range(0, ROWS, 1_000):
        yield b"".join(
            b"%s\tfailure-%012d\tcab-%032d\tAV_contoso!ReadQueue\t%s\n"
            % (APPLICATION.encode(), number // 3, number, b"x" * 1_000)
            for number in range(start, start + 1_000)
        )


@pytest.mark.timeout(60)
def test_memory_stays_flat_however_long_a_report_is() -> None:
    """A worker has 2 GB for everything; a buffer of 10,000 failures and cabs takes some 10 MB of it."""
    file = Generated(long_report())
    cabs = 0
    tracemalloc.start()
    try:
        for part in read_report(file, "x"):
            cabs += sum(len(told) for told in part.cabs.values())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cabs == ROWS
    assert file.total > 50 * MEGABYTE
    assert peak < 12 * MEGABYTE, peak


@pytest.mark.parametrize("before", [b"", b"ApplicationId,FailureHash\n"], ids=["header", "row"])
@pytest.mark.parametrize("filler", [b"x", b"x,", b'"x'], ids=["a field", "fields", "an open quote"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(before: bytes, filler: bytes) -> None:
    """A megabyte of gzip can hold a gigabyte of one line."""

    def content() -> Iterator[bytes]:
        yield before
        for _ in range(32):
            yield filler * (MEGABYTE // 2 // len(filler))

    tracemalloc.start()
    try:
        with pytest.raises(BadInput):
            list(read_report(Generated(content()), "x"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * MEGABYTE


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
def test_a_field_has_a_megabyte_at_most(size: int) -> None:
    content = text([{**ROW, "FailureName": "x" * size}]).encode()
    if size > 1 << 20:
        with pytest.raises(BadInput):
            read(content)
    else:
        assert len(read(content).cabs) == 1


def test_what_a_row_tells_fits_a_column_of_a_table() -> None:
    """Table Storage takes 64 KiB of UTF-16 a column; a longer one costs the other 99 cabs of the transaction too."""
    reading = read(text([{**ROW, "FailureName": "x" * 100_000}]).encode())
    assert 1 <= len(reading.cabs[FAILURE][CAB].failure_name) <= 32 * 1024


@given(
    start=st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"a\0"]),
    header=st.sampled_from([b"", b"ApplicationId,FailureHash,CabIdHash\n", b"FailureHash\tApplicationId\r\n"]),
    rest=st.binary(max_size=200)
    | st.text(st.sampled_from('a1-.,\t"\n\r\0/ \udc80'), max_size=60).map(
        lambda rows: rows.encode("utf-8", "surrogateescape")
    ),
)
def test_any_bytes_give_failures_or_a_refusal(start: bytes, header: bytes, rest: bytes) -> None:
    try:
        reading = read(start + header + rest, buffered=3)
    except BadInput:
        return
    for failure, cabs in reading.cabs.items():
        assert failure.application_id
        assert all(cabs)


PACKED = gzip.compress(text([{**ROW, "CabIdHash": f"c{number}"} for number in range(20)]).encode())


@given(place=st.integers(0, len(PACKED) - 1), byte=st.integers(0, 255), cut=st.integers(0, len(PACKED)))
def test_a_damaged_gzip_is_read_whole_or_refused(place: int, byte: int, cut: int) -> None:
    content = bytearray(PACKED)
    content[place] = byte
    for damaged in (bytes(content), PACKED[:cut]):
        try:
            reading = read(damaged)
        except BadInput:
            continue
        assert sum(len(cabs) for cabs in reading.cabs.values()) == 20

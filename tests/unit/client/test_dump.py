"""What `show` reads out of a dump: a wrong offset would send an engineer after another bug."""

import struct
from collections.abc import Iterator
from itertools import batched

import pytest
from cabferry.dump import facts_of

from tests.support.dumps import UPTIME, kernel_dump, process_dump


def chunks(data: bytes) -> Iterator[bytes]:
    return (bytes(each) for each in batched(data, 4096, strict=False))


def test_a_kernel_dump_tells_its_bug_check() -> None:
    facts = facts_of(chunks(kernel_dump()))
    assert facts is not None
    assert facts.told() == {
        "kind": "minidump of the kernel",
        "architecture": "x64",
        "bugCheck": "0x9F",
        "bugCheckName": "DRIVER_POWER_STATE_FAILURE",
        "parameters": ("0x0000000000000003", "0xffffe00012345678", "0x0000000000000000", "0xffffe0000000cafe"),
        "osBuild": "26100",
        "at": "2026-11-20T10:30:00Z",
        "uptime": UPTIME,
        "processors": 16,
    }


@pytest.mark.parametrize("streams_at", [32, 300_000])
def test_a_minidump_tells_its_exception_wherever_its_streams_stand(streams_at: int) -> None:
    facts = facts_of(chunks(process_dump(streams_at)))
    assert facts is not None
    assert (facts.bug_check, facts.parameters, facts.os_build) == ("0xC0000005", ("0x00007ff600001234",), "10.0.26100")
    assert (facts.at, facts.uptime, facts.processors, facts.architecture) == ("2026-11-20T10:30:00Z", 60, 8, "x64")


def test_a_32_bit_kernel_dump_tells_its_bug_check() -> None:
    data = bytearray(b"PAGE" * 1024)
    data[:8] = b"PAGEDUMP"
    struct.pack_into("<I", data, 12, 19045)
    struct.pack_into("<III4I", data, 32, 0x14C, 2, 0xD1, 1, 2, 3, 4)
    facts = facts_of(chunks(bytes(data)))
    assert facts is not None
    assert (facts.bug_check, facts.bug_check_name, facts.architecture) == (
        "0xD1",
        "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
        "x86",
    )
    assert (facts.at, facts.uptime, facts.parameters[3]) == (None, None, "0x00000004")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        kernel_dump()[:3000],
        b"MDMP" + b"\xff" * 60,
        b"MDMP" + b"\0" * 5,
        struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 0xFFFFFFFF, 0xFFFFFFF0, 0, 0xFFFFFFFF, 0),
    ],
)
def test_what_is_no_whole_header_is_no_error(data: bytes) -> None:
    facts = facts_of(chunks(data))
    assert facts is None or facts.bug_check is None

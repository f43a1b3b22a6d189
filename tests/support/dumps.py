"""Dumps with a header of one's own, as Windows writes them; their offsets are told by client/cabferry/dump.py."""

import struct
from datetime import UTC, datetime

AT = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
UPTIME = 93_784


def kernel_dump(size: int = 16_384) -> bytes:
    """Return a kernel dump of 64 bits: DRIVER_POWER_STATE_FAILURE on build 26100 with 16 processors."""
    data = bytearray(b"PAGE" * 2048)
    data[:8] = b"PAGEDU64"
    struct.pack_into("<II", data, 8, 15, 26100)
    struct.pack_into("<III", data, 48, 0x8664, 16, 0x9F)
    struct.pack_into("<4Q", data, 64, 3, 0xFFFFE000_12345678, 0, 0xFFFFE000_0000CAFE)
    struct.pack_into("<I", data, 3992, 4)
    ticks = int((AT - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000
    struct.pack_into("<Q", data, 4008, ticks)
    struct.pack_into("<Q", data, 4144, UPTIME * 10_000_000)
    return bytes(data).ljust(size, b"\xa5")


def process_dump(streams_at: int = 32) -> bytes:
    """Return a minidump of a process: an access violation on 10.0.26100 with 8 processors."""
    written = int(AT.timestamp())
    system = struct.pack("<HHHBBIII", 9, 6, 0, 8, 1, 10, 0, 26100).ljust(56, b"\0")
    exception = struct.pack("<IIIIQQ", 1, 0, 0xC0000005, 0, 0, 0x7FF6_0000_1234).ljust(168, b"\0")
    misc = struct.pack("<IIIIII", 24, 3, 4711, written - 60, 0, 0)
    at = streams_at + 36
    directory, streams = b"", b""
    for kind, stream in ((7, system), (6, exception), (15, misc)):
        directory += struct.pack("<III", kind, len(stream), at + len(streams))
        streams += stream
    header = struct.pack("<4sIIIIIQ", b"MDMP", 0xA793, 3, streams_at, 0, written, 0)
    return header.ljust(streams_at, b"\0") + directory + streams

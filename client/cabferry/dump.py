"""What the header of a dump tells: kernel dumps of 64 and 32 bits, and minidumps of a process.

Sources of the offsets: of kernel dumps `_DUMP_HEADER64` and `_DUMP_HEADER` of volatility3
(framework/symbols/windows/crash64.json, crash.json), which agree with `HEADER64` of 0vercl0k/kdmp-parser
(src/lib/kdmp-parser-structs.h); of minidumps MINIDUMP_HEADER, MINIDUMP_DIRECTORY, MINIDUMP_SYSTEM_INFO,
MINIDUMP_EXCEPTION_STREAM and MINIDUMP_MISC_INFO of https://learn.microsoft.com/windows/win32/api/minidumpapiset.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURES = (b"PAGEDU64", b"PAGEDUMP", b"MDMP")
# How much of a dump is read: a kernel dump's header has 8 KiB; a minidump's streams stand anywhere, mostly near
# its start.
_FIRST = 64 * 1024
_MOST = 1 << 20
# https://learn.microsoft.com/windows/win32/debug/pe-format#machine-types
_MACHINES = {0x14C: "x86", 0x8664: "x64", 0xAA64: "ARM64", 0x1C4: "ARM"}
# PROCESSOR_ARCHITECTURE_* of MINIDUMP_SYSTEM_INFO.
_PROCESSORS = {0: "x86", 5: "ARM", 9: "x64", 12: "ARM64"}
# DumpType as kdmp-parser's DumpType_t names it.
_KINDS = {1: "full", 2: "kernel", 4: "minidump of the kernel", 5: "full, by bitmap", 6: "kernel, by bitmap"}
_KINDS |= {7: "automatic", 8: "kernel", 9: "kernel and user memory", 10: "complete"}
_FILETIME_BEGAN = datetime(1601, 1, 1, tzinfo=UTC)
_NOT_WRITTEN = (int.from_bytes(b"PAGEPAGE", "little"), int.from_bytes(b"PAGE", "little"))
_EXCEPTION, _SYSTEM, _MISC = 6, 7, 15
_MOST_STREAMS = 256
_HAS_PROCESS_TIMES = 2
# Those that drivers cause most, of
# https://learn.microsoft.com/windows-hardware/drivers/debugger/bug-check-code-reference2.
_BUG_CHECKS = {
    0x0A: "IRQL_NOT_LESS_OR_EQUAL",
    0x19: "BAD_POOL_HEADER",
    0x1A: "MEMORY_MANAGEMENT",
    0x1E: "KMODE_EXCEPTION_NOT_HANDLED",
    0x3B: "SYSTEM_SERVICE_EXCEPTION",
    0x50: "PAGE_FAULT_IN_NONPAGED_AREA",
    0x7E: "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
    0x7F: "UNEXPECTED_KERNEL_MODE_TRAP",
    0x9F: "DRIVER_POWER_STATE_FAILURE",
    0xA0: "INTERNAL_POWER_ERROR",
    0xC2: "BAD_POOL_CALLER",
    0xC4: "DRIVER_VERIFIER_DETECTED_VIOLATION",
    0xC5: "DRIVER_CORRUPTED_EXPOOL",
    0xCE: "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
    0xD1: "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
    0xE6: "DRIVER_VERIFIER_DMA_VIOLATION",
    0xFC: "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
    0x10D: "WDF_VIOLATION",
    0x116: "VIDEO_TDR_FAILURE",
    0x119: "VIDEO_SCHEDULER_INTERNAL_ERROR",
    0x133: "DPC_WATCHDOG_VIOLATION",
    0x139: "KERNEL_SECURITY_CHECK_FAILURE",
    0x13A: "KERNEL_MODE_HEAP_CORRUPTION",
    0x144: "BUGCODE_USB3_DRIVER",
    0x15E: "BUGCODE_NDIS_DRIVER_LIVE_DUMP",
}


@dataclass(frozen=True, slots=True)
class DumpFacts:
    """What a dump tells of itself; None where it does not.

    Args:
        kind: Such as "full" or "minidump of a process".
        architecture: Such as x64.
        bug_check: The bug check's code; of a process the exception's.
        bug_check_name: Its name, where it is a frequent one.
        parameters: The bug check's four, of a process the exception's address.
        os_build: Such as 26100, or 10.0.26100.
        at: When it was written.
        uptime: How long the system, of a process the process, had run; seconds.
        processors: How many there were.
    """

    kind: str
    architecture: str | None = None
    bug_check: str | None = None
    bug_check_name: str | None = None
    parameters: tuple[str, ...] = ()
    os_build: str | None = None
    at: str | None = None
    uptime: int | None = None
    processors: int | None = None

    def told(self) -> dict[str, Any]:
        """Return it as JSON tells it."""
        names = {"bug_check": "bugCheck", "bug_check_name": "bugCheckName", "os_build": "osBuild"}
        return {names.get(name, name): value for name, value in asdict(self).items()}


def facts_of(chunks: Iterator[bytes]) -> DumpFacts | None:
    """Return what a dump tells; None where it is none, or too short to tell.

    Args:
        chunks: Its bytes from its start; only as many are taken as are needed.
    """
    data = next(chunks, b"")
    if not data.startswith(SIGNATURES):
        return None
    data = _more(data, chunks, _FIRST)
    try:
        if data.startswith(b"PAGEDU64"):
            return _kernel(data, _OFFSETS_64, "<4Q", 16)
        if data.startswith(b"PAGEDUMP"):
            return _kernel(data, _OFFSETS_32, "<4I", 8)
        return _process(data, chunks)
    except (struct.error, OverflowError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class _Offsets:
    machine: int
    processors: int
    bug_check: int
    parameters: int
    kind: int
    time: int
    uptime: int


_OFFSETS_64 = _Offsets(machine=48, processors=52, bug_check=56, parameters=64, kind=3992, time=4008, uptime=4144)
_OFFSETS_32 = _Offsets(machine=32, processors=36, bug_check=40, parameters=44, kind=3976, time=4032, uptime=4024)
_BUILD = 12


def _kernel(data: bytes, offsets: _Offsets, parameters: str, digits: int) -> DumpFacts:
    kind, code = _number(data, offsets.kind), _number(data, offsets.bug_check)
    uptime = _ticks(data, offsets.uptime)
    machine = _number(data, offsets.machine)
    return DumpFacts(
        kind=_KINDS.get(kind, f"type {kind:#x}"),
        architecture=_MACHINES.get(machine, f"machine {machine:#x}"),
        bug_check=f"0x{code:X}",
        bug_check_name=_BUG_CHECKS.get(code),
        parameters=tuple(f"0x{each:0{digits}x}" for each in struct.unpack_from(parameters, data, offsets.parameters)),
        os_build=str(_number(data, _BUILD)),
        at=_moment(_ticks(data, offsets.time)),
        uptime=None if uptime is None else uptime // 10_000_000,
        processors=_number(data, offsets.processors),
    )


def _process(data: bytes, chunks: Iterator[bytes]) -> DumpFacts:
    count, directory, _, written = struct.unpack_from("<4I", data, 8)
    data = _more(data, chunks, directory + 12 * min(count, _MOST_STREAMS))
    streams = {}
    for number in range(min(count, _MOST_STREAMS)):
        if directory + 12 * (number + 1) > len(data):
            break
        kind, size, at = struct.unpack_from("<3I", data, directory + 12 * number)
        if kind in {_EXCEPTION, _SYSTEM, _MISC}:
            streams[kind] = (at, size)
    data = _more(data, chunks, max((at + size for at, size in streams.values()), default=0))
    here = {kind: data[at : at + size] for kind, (at, size) in streams.items() if at + size <= len(data)}
    system, exception, misc = here.get(_SYSTEM), here.get(_EXCEPTION), here.get(_MISC)
    architecture = build = processors = code = uptime = None
    address: tuple[str, ...] = ()
    if system:
        processor, processors = struct.unpack_from("<H4xB", system)
        architecture = _PROCESSORS.get(processor, f"processor {processor}")
        build = "{}.{}.{}".format(*struct.unpack_from("<3I", system, 8))
    if exception:
        # ThreadId, an alignment, then MINIDUMP_EXCEPTION: code, flags, record, address.
        number, place = struct.unpack_from("<8xI12xQ", exception)
        code, address = f"0x{number:08X}", (f"0x{place:016x}",)
    if misc:
        flags, began = struct.unpack_from("<4xI4xI", misc)
        uptime = written - began if flags & _HAS_PROCESS_TIMES and 0 < began <= written else None
    return DumpFacts(
        kind="minidump of a process",
        architecture=architecture,
        bug_check=code,
        parameters=address,
        os_build=build,
        at=f"{datetime.fromtimestamp(written, UTC):%Y-%m-%dT%H:%M:%SZ}" if written else None,
        uptime=uptime,
        processors=processors,
    )


def _more(data: bytes, chunks: Iterator[bytes], wanted: int) -> bytes:
    while len(data) < min(wanted, _MOST) and (chunk := next(chunks, b"")):
        data += chunk
    return data


def _number(data: bytes, offset: int) -> int:
    found: int = struct.unpack_from("<I", data, offset)[0]
    return found


def _ticks(data: bytes, offset: int) -> int | None:
    """Return a count of 100 ns; None where Windows left its filling, which reads PAGEPAGE."""
    found: int = struct.unpack_from("<Q", data, offset)[0]
    return None if found in {0, *_NOT_WRITTEN} else found


def _moment(ticks: int | None) -> str | None:
    if ticks is None:
        return None
    return f"{_FILETIME_BEGAN + timedelta(microseconds=ticks // 10):%Y-%m-%dT%H:%M:%SZ}"

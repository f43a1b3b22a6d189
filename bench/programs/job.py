"""What every program shares: its job comes in, its result goes out, and what it used in between is measured."""

import sys
import time
from collections.abc import Callable

import msgspec

from bench.processes import reset_peak, usage


class Measured(msgspec.Struct, frozen=True):
    """What a stretch of work took.

    Args:
        seconds: Wall time.
        cpu_seconds: User and system time of the process.
        idle_rss: Resident memory before it, bytes.
        peak_rss: The most during it, bytes.
    """

    seconds: float
    cpu_seconds: float
    idle_rss: float
    peak_rss: float


def read_job[T](kind: type[T]) -> T:
    """Return the job that stands in the standard input.

    Args:
        kind: Its type.
    """
    return msgspec.json.decode(sys.stdin.buffer.read(), type=kind)


def measured(work: Callable[[], object]) -> Measured:
    """Do the work and return what it took.

    Args:
        work: Everything that counts, and nothing else.
    """
    reset_peak()
    idle, cpu, started = usage(), time.process_time(), time.perf_counter()
    work()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return Measured(seconds, cpu_seconds, idle.rss, usage().peak_rss)


def tell(result: msgspec.Struct) -> None:
    """Print the result."""
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")

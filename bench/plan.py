"""How much is measured: everything, or a quick look."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

_KIB, _MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run measures.

    Args:
        rounds: How often each contender runs.
        repeats: How often the ceiling and Cabferry run in a round, where the other contenders run once.
        throughput: Cabs by size in bytes, for the contenders.
        growth_cabs: Cabs of one failure, as the work grows.
        growth_sizes: Bytes of a cab for these.
        failures: Pairs of failures and cabs of each.
        counted_cabs: Cabs of the failure whose requests are counted.
        held_cabs: Cabs of the failure that is pulled again.
        report_rows: Rows of the long report.
        stream_bytes: Bytes of the cab that is streamed.
        listed_failures: Failures, each of 30 cabs, that lists tell of.
        start_ups: How often a start is timed.
        say: Receives one line a measurement.
    """

    rounds: int
    repeats: int
    throughput: Mapping[int, int]
    growth_cabs: tuple[int, ...]
    growth_sizes: tuple[int, ...]
    failures: tuple[tuple[int, int], ...]
    counted_cabs: int
    held_cabs: int
    report_rows: int
    stream_bytes: int
    listed_failures: int
    start_ups: int
    say: Callable[[str], None]


def full(say: Callable[[str], None]) -> Plan:
    """Return the plan behind the published results."""
    return Plan(
        rounds=3,
        repeats=3,
        throughput={64 * _KIB: 1_000, _MIB: 1_000, 64 * _MIB: 20},
        growth_cabs=(100, 1_000, 10_000),
        growth_sizes=(64 * _KIB, _MIB),
        failures=((200, 1), (100, 10), (3, 1_000)),
        counted_cabs=1_000,
        held_cabs=10_000,
        report_rows=1_000_000,
        stream_bytes=1024 * _MIB,
        listed_failures=10_000,
        start_ups=11,
        say=say,
    )


def quick(say: Callable[[str], None]) -> Plan:
    """Return a plan of a few minutes, to see that everything works; its figures are noise."""
    return Plan(
        rounds=1,
        repeats=1,
        throughput={64 * _KIB: 200, _MIB: 100},
        growth_cabs=(10, 100, 300),
        growth_sizes=(64 * _KIB,),
        failures=((20, 1), (10, 10)),
        counted_cabs=200,
        held_cabs=300,
        report_rows=50_000,
        stream_bytes=320 * _MIB,
        listed_failures=500,
        start_ups=3,
        say=say,
    )


def named(size: int) -> str:
    """Return a size in bytes as people say it."""
    return f"{size // _MIB} MiB" if size >= _MIB else f"{size // _KIB} KiB"

"""What a copy costs the client, by the way in which its one request is sent."""

from collections.abc import Sequence
from statistics import median

from bench.plan import Plan
from bench.processes import run_program
from bench.programs.job import Measured
from bench.programs.ways import WAYS, WayJob
from bench.report import CAVEAT, Section, Table, spread
from bench.stage import CAB_ACCOUNT, Stage

_SIZE = 65_536
_CHOSEN = "libcurl, threads"


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure every way, in turn.

    Args:
        plan: Cabs and rounds.
        facts: Of the machine.
    """
    taken: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for number in range(plan.rounds):
        with Stage() as stage:
            sources = stage.sources(_SIZE, plan.counted_cabs)
            for way, results in taken.items():
                container = stage.destination()
                job = stage.copy_job(sources, CAB_ACCOUNT, container, sources.names)
                results.append(run_program("ways", WayJob(way, job), Measured))
                stage.drop(container)
                plan.say(f"round {number + 1}: {way} {results[-1].cpu_seconds / plan.counted_cabs * 1e3:.2f} ms")
    rows = [
        [
            way,
            spread([each.cpu_seconds / plan.counted_cabs * 1e3 for each in results], ".2f"),
            f"{_times(results, taken[_CHOSEN]):.2f}",
            spread([plan.counted_cabs / each.seconds for each in results]),
        ]
        for way, results in taken.items()
    ]
    columns = ["", "client CPU, ms a copy", f"times that of {_CHOSEN}", "copies/s"]
    return Section(
        name="ways",
        title="Ways to send a copy",
        facts=list(facts),
        text=[
            f"{plan.counted_cabs:,} bare copies of 64 KiB with 32 in flight, each way in a process of its own, in "
            "turn. The SDK signs and sends by itself, the others send the same signed request. Only the client's own "
            "CPU is compared: the copies a second are those of one Azurite."
        ],
        tables=[Table("One request a copy", columns, rows, [CAVEAT])],
    )


def _times(results: Sequence[Measured], chosen: Sequence[Measured]) -> float:
    pairs = zip(results, chosen, strict=True)
    return median(one.cpu_seconds / other.cpu_seconds for one, other in pairs)

"""What a cab costs as the work grows: more cabs of one failure, and more failures."""

from collections.abc import Sequence
from statistics import median

from bench import contenders
from bench.cabferry import CabferryHost, Pulled
from bench.contenders import Sample
from bench.plan import Plan, named
from bench.plots import Plot, Series
from bench.report import CAVEAT, Section, Table, Verdict, at_most, spread
from bench.stage import Stage

type _Point = tuple[int, int, list[Sample], list[Pulled]]


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure growth.

    Args:
        plan: Cabs, failures and rounds.
        facts: Of the machine.
    """
    points: list[_Point] = [(size, cabs, [], []) for size in plan.growth_sizes for cabs in plan.growth_cabs]
    spread_out: dict[tuple[int, int], list[Pulled]] = {shape: [] for shape in plan.failures}
    for number in range(plan.rounds):
        for size in plan.growth_sizes:
            with Stage() as stage, CabferryHost(stage.settings) as host:
                sources = stage.sources(size, max(plan.growth_cabs))
                host.pull([stage.failure(sources, 1)], copied=1)
                for its_size, cabs, bare, pulled in points:
                    if its_size == size:
                        bare.append(contenders.ceiling(stage).copy(sources, cabs))
                        pulled.append(host.pull([stage.failure(sources, cabs)], copied=cabs))
                        plan.say(f"{named(size)}, round {number + 1}: {cabs:,} cabs in {pulled[-1].seconds:.2f} s")
                if size == plan.growth_sizes[0]:
                    for (failures, cabs), results in spread_out.items():
                        hashes = [stage.failure(sources, cabs) for _ in range(failures)]
                        results.append(host.pull(hashes, copied=failures * cabs))
                        plan.say(f"round {number + 1}: {failures} failures of {cabs:,} in {results[-1].seconds:.2f} s")
    return Section(
        name="growth",
        title="What a cab costs as the work grows",
        facts=list(facts),
        text=[
            "One failure of more and more cabs, then more failures of fewer cabs, each pulled through the host. The "
            "time is the row's startedAt to completedAt (with several failures, from the first to the last). Memory is "
            "the host's peak above what it held before the pull, once a pull of one cab had loaded everything."
        ],
        tables=[_one_failure(points), _many_failures(spread_out)],
        plots=[_plot(points)],
        verdicts=_verdicts(points),
    )


def _one_failure(points: Sequence[_Point]) -> Table:
    rows = [
        [
            f"{cabs:,} cabs of {named(size)}",
            spread([each.seconds / cabs * 1e3 for each in pulled], ".2f"),
            spread([each.seconds / cabs * 1e3 for each in bare], ".2f"),
            spread([cabs / each.seconds for each in pulled]),
            spread([each.cpu_seconds / cabs * 1e3 for each in pulled], ".2f"),
            spread([(each.peak_rss - each.idle_rss) / 1e6 for each in pulled]),
            spread([each.wall_seconds for each in pulled], ".2f"),
        ]
        for size, cabs, bare, pulled in points
    ]
    columns = [
        "one failure",
        "ms a cab",
        "ceiling, ms a cab",
        "cabs/s",
        "CPU, ms a cab",
        "memory, MB",
        "POST to end, s",
    ]
    return Table("More cabs of one failure", columns, rows, [CAVEAT])


def _many_failures(spread_out: dict[tuple[int, int], list[Pulled]]) -> Table:
    rows = [
        [
            f"{failures} x {cabs:,}",
            spread([failures * cabs / each.seconds for each in results]),
            spread([each.seconds / failures * 1e3 for each in results]),
            spread([each.cpu_seconds / failures * 1e3 for each in results]),
            spread([median(time.run_seconds for time in each.times) * 1e3 for each in results]),
            spread([(each.peak_rss - each.idle_rss) / 1e6 for each in results]),
        ]
        for (failures, cabs), results in spread_out.items()
    ]
    columns = ["failures x cabs", "cabs/s", "ms a failure", "CPU, ms a failure", "median pull, ms", "memory, MB"]
    return Table("More failures, asked for at once", columns, rows, [CAVEAT])


def _plot(points: Sequence[_Point]) -> Plot:
    sizes = sorted({size for size, *_ in points})
    series = [
        Series(
            f"pull, {named(size)}", [(cabs, _ms_a_cab(pulled, cabs)) for its, cabs, _, pulled in points if its == size]
        )
        for size in sizes
    ]
    series += [
        Series(
            f"ceiling, {named(size)}",
            [
                (cabs, median(each.seconds for each in bare) / cabs * 1e3)
                for its, cabs, bare, _ in points
                if its == size
            ],
        )
        for size in sizes
    ]
    note = "One failure of 100 to 10,000 cabs. Azurite moves no bytes: the client's cost, not Azure's copy speed"
    return Plot("cost", "Milliseconds a cab as the work grows", "lines", series, note)


def _ms_a_cab(pulled: Sequence[Pulled], cabs: int) -> float:
    return median(each.seconds for each in pulled) / cabs * 1e3


def _verdicts(points: Sequence[_Point]) -> list[Verdict]:
    verdicts = []
    for size in sorted({size for size, *_ in points}):
        mine = [(cabs, pulled) for its, cabs, _, pulled in points if its == size]
        (least, few), (most, many) = min(mine), max(mine)
        pairs = zip(many, few, strict=True)
        growth = [(large.seconds / most) / (small.seconds / least) for large, small in pairs]
        verdicts.append(at_most(f"time a cab at {most:,} / at {least:,}, {named(size)}", median(growth), 1.15))
        memory = median((each.peak_rss - each.idle_rss) / 1e6 for each in many)
        verdicts.append(at_most(f"memory above an idle worker, {most:,} cabs of {named(size)}", memory, 60, " MB"))
    return verdicts

"""Waiting, pipelining and fairness on the shaped service, against a lower bound that is computed."""

import random
from collections.abc import Sequence
from statistics import median

from msgspec.structs import replace

from bench.cabferry import CabferryHost, Pulled
from bench.plan import Plan
from bench.processes import run_program
from bench.programs.devcenter import APPLICATION
from bench.programs.job import Measured
from bench.programs.pull import PullJob
from bench.report import Section, Table, Verdict, at_most, spread
from bench.shaped.delays import Shape
from bench.shaped.server import cab_ids, failure_hash
from bench.shaped_stage import ShapedStage, lower_bound
from bench.stage import IN_FLIGHT

_SIZE = 65_536
_PULLS_AT_ONCE = 50
_ALONE = 10
_PAGES_IN_FLIGHT = (1, 4)
# The app's setting; where it has none, both rows measure the same.
_PAGES_SETTING = "PULL_PAGES_IN_FLIGHT"


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure on the shaped service.

    Args:
        plan: Cabs and rounds.
        facts: Of the machine.
    """
    shape = Shape()
    one, one_verdicts = _one_pull(plan, shape)
    many, many_verdicts = _many_pulls(plan, shape)
    return Section(
        name="shaped",
        title="Waiting and fairness on a shaped service",
        facts=list(facts),
        text=[
            f"Stand-ins answer in what Azure might need: a table request {shape.table_ms:g} ms, a copy "
            f"{shape.copy_ms:g} ms and its bytes at {shape.copy_mb_s:g} MB/s, a listing {shape.list_ms:g} ms, an API "
            f"page {shape.page_ms:g} ms; each {shape.spread:.0%} up or down, and {shape.slow_share:.0%} of them "
            f"{shape.slow_times:g} times as long, by a seed that is another one in each round. These numbers are "
            "assumptions, not measurements of Azure. A report has listed the cabs of the one pull before, as in the "
            "flow of the app. The bound is computed from what the answers really took to be made "
            "(`bench/shaped_stage.py` has the formula).",
        ],
        tables=[one, many],
        verdicts=one_verdicts + many_verdicts,
    )


def _one_pull(plan: Plan, shape: Shape) -> tuple[Table, list[Verdict]]:
    walls: dict[int, list[tuple[float, float]]] = {pages: [] for pages in _PAGES_IN_FLIGHT}
    most: dict[int, dict[str, int]] = {}
    for number in range(plan.rounds):
        with ShapedStage(replace(shape, seed=number), _SIZE) as stage:
            for pages in _PAGES_IN_FLIGHT:
                settings = {**stage.settings, _PAGES_SETTING: str(pages), "PULL_CONCURRENCY": str(IN_FLIGHT)}
                failure = failure_hash(plan.shaped_cabs)
                job = PullJob(
                    [(APPLICATION, failure)],
                    listed=cab_ids(failure),
                    warm_up=(APPLICATION, failure_hash(1)),
                    ask_between=stage.delays_url,
                )
                used = run_program("pull", job, Measured, settings)
                given = stage.given()
                bound = lower_bound(given, IN_FLIGHT, pages)
                walls[pages].append((used.seconds, bound))
                most[pages] = given.most_at_once
                plan.say(f"shaped, round {number + 1}, {pages} pages: {used.seconds:.2f} s, bound {bound:.2f} s")
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for pages, measured in walls.items():
        ratios = [wall / bound for wall, bound in measured]
        at_once = most[pages]
        rows.append(
            [
                f"{plan.shaped_cabs:,} cabs, {pages} pages in flight",
                spread([wall for wall, _ in measured], ".2f"),
                spread([bound for _, bound in measured], ".2f"),
                spread(ratios, ".2f"),
                f"{at_once.get('copy', 0)} / {at_once.get('page', 0)}",
            ]
        )
        what = f"shaped service, {plan.shaped_cabs:,} cabs, {pages} pages in flight: wall / lower bound"
        verdicts.append(at_most(what, median(ratios), 1.15, "x"))
    columns = ["one pull", "wall, s", "lower bound, s", "wall / bound", "copies / pages seen at once"]
    return Table(f"One pull, {IN_FLIGHT} copies in flight, in process", columns, rows), verdicts


def _many_pulls(plan: Plan, shape: Shape) -> tuple[Table, list[Verdict]]:
    alone: list[float] = []
    asked_alone: list[float] = []
    together: list[Pulled] = []
    for number in range(plan.rounds):
        with ShapedStage(replace(shape, seed=number), _SIZE) as stage, CabferryHost(stage.settings) as host:
            host.pull([failure_hash(1)], copied=1)
            for _ in range(_ALONE):
                times = host.pull([failure_hash(1)], copied=1).times[0]
                alone.append(times.run_seconds)
                asked_alone.append(times.asked_seconds)
            sizes = heavy_tail(_PULLS_AT_ONCE, plan.shaped_cabs // 2, seed=number)
            together.append(host.pull([failure_hash(cabs) for cabs in sizes], copied=sum(sizes)))
            plan.say(
                f"shaped, round {number + 1}: {sum(sizes)} cabs of {len(sizes)} pulls in {together[-1].seconds:.2f} s"
            )
    small = [[time for time in pulled.times if time.cabs == 1] for pulled in together]
    ran = [median(time.run_seconds for time in times) for times in small]
    asked = [median(time.asked_seconds for time in times) for times in small]
    rows = [
        [
            "from start to end",
            spread(alone, ".2f"),
            spread(ran, ".2f"),
            spread([each / median(alone) for each in ran], ".2f"),
        ],
        [
            "from the request to the end",
            spread(asked_alone, ".2f"),
            spread(asked, ".2f"),
            spread([each / median(asked_alone) for each in asked], ".2f"),
        ],
    ]
    rates = spread([pulled.cabs / pulled.seconds for pulled in together])
    title = (
        f"{_PULLS_AT_ONCE} pulls at once through the host, of 1 to {plan.shaped_cabs // 2:,} cabs: the pulls of 1 cab"
    )
    notes = [
        f"All of them together copied {rates} cabs/s. From the request on, a pull also waits for one of the 12 places "
        "that host.json gives pulls in a worker."
    ]
    what = f"shaped service, {_PULLS_AT_ONCE} pulls at once: median 1-cab pull / alone, "
    return Table(title, ["", "alone, s", "among the others, s", "ratio"], rows, notes), [
        at_most(f"{what}start to end", median(ran) / median(alone), 3, "x"),
        at_most(f"{what}request to end", median(asked) / median(asked_alone), 3, "x"),
    ]


def heavy_tail(pulls: int, most: int, seed: int) -> list[int]:
    """Return the cabs of each of many pulls: most have one or few, one has the most.

    Args:
        pulls: How many pulls.
        most: The cabs of the largest.
        seed: The same seed gives the same numbers.
    """
    pick = random.Random(seed)  # noqa: S311 - made-up data
    sizes = [min(most, int(pick.paretovariate(0.7))) for _ in range(pulls - 1)] + [most]
    pick.shuffle(sizes)
    return sizes

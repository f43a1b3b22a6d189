"""Throughput: all contenders on the same Azurite and the same blobs, in interleaved rounds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from statistics import median

from bench import contenders
from bench.cabferry import CabferryHost
from bench.contenders import MIB, Sample
from bench.peers import HOW_TO_INSTALL
from bench.plan import Plan, named
from bench.plots import Plot, Series
from bench.report import CAVEAT, Section, Table, Verdict, at_least, at_most, spread
from bench.stage import Stage

_KIB64 = 65_536
# Its clock moves in steps of two seconds, so it is given so many cabs at least, which makes these small.
_AZCOPY_LEAST = {_KIB64: 4_000, MIB: 2_000}

_ORDER = ("ceiling", "Cabferry", "Cabferry without host", "AzCopy", "rclone", "plain script")


@dataclass(slots=True)
class _OfOneSize:
    """The samples of one size, by contender and round, and the contenders that are missing."""

    samples: dict[str, list[list[Sample]]] = field(default_factory=lambda: defaultdict(list))
    how: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure throughput.

    Args:
        plan: Sizes, cabs and rounds.
        facts: Of the machine.
    """
    sizes = {size: _measured(plan, size, cabs) for size, cabs in plan.throughput.items()}
    return Section(
        name="throughput",
        title="Throughput beside the peers",
        facts=list(facts),
        text=[
            "Every contender copies the same source blobs from one account of an Azurite into another. A round runs "
            f"the others once and the ceiling and Cabferry {plan.repeats} times in turn, each round begins with "
            "another one, and each size has an Azurite of its own for every round. CPU is the client's own process "
            "(for AzCopy and rclone from start to end, for the others during the copying); memory is what came on top "
            "of the idle process (for AzCopy and rclone all of it).",
            _contenders(list(sizes.values())),
        ],
        tables=[_table(f"Cabs of {named(size)}", one) for size, one in sizes.items()],
        plots=[_plot(sizes)],
        verdicts=[verdict for size, one in sizes.items() for verdict in _verdicts(size, one)],
    )


def _contenders(measured: Sequence[_OfOneSize]) -> str:
    """Return how each contender copies, and which are missing."""
    how = [f"- {name}: {text}" for name, text in measured[0].how.items()]
    missing = {name: why for one in measured for name, why in one.missing.items()}
    gaps = [f"- {name}: **missing here**: {why}. {HOW_TO_INSTALL}." for name, why in missing.items()]
    return "\n".join([*how, *gaps])


def _measured(plan: Plan, size: int, cabs: int) -> _OfOneSize:
    result = _OfOneSize()
    for number in range(plan.rounds):
        with Stage() as stage, CabferryHost(stage.settings) as host:
            of_azcopy = max(cabs, _AZCOPY_LEAST.get(size, 0))
            sources, many = stage.sources(size, cabs), stage.sources(size, of_azcopy)
            host.pull([stage.failure(sources, 1)], copied=1)
            quick = (
                contenders.ceiling(stage),
                contenders.cabferry(stage, host),
                contenders.cabferry_alone(stage),
            )
            others = (contenders.plain_script(stage), contenders.rclone(stage))
            runs = [(each, partial(each.copy, sources, cabs)) for each in (*others, *quick * plan.repeats)]
            azcopy = contenders.azcopy(stage)
            runs.append((azcopy, partial(azcopy.copy, many, of_azcopy)))
            first = number % len(runs)
            taken: dict[str, list[Sample]] = defaultdict(list)
            for contender, measure in runs[first:] + runs[:first]:
                if contender.missing:
                    result.missing[contender.name] = contender.missing
                    continue
                sample = measure()
                result.how[contender.name] = contender.how
                taken[contender.name].append(sample)
                plan.say(f"{named(size)}, round {number + 1}: {contender.name} {sample.rate:.0f} cabs/s")
            for name, samples in taken.items():
                result.samples[name].append(samples)
    return result


def ratios(samples: Mapping[str, Sequence[Sequence[Sample]]], one: str, other: str) -> list[float]:
    """Return how many times as fast one contender was as another: pair by pair, or by the medians of a round.

    Args:
        samples: By contender, and in each the samples of every round.
        one: The one.
        other: The other. Where it ran as often as the one, runs beside each other are compared.
    """
    found: list[float] = []
    for mine, theirs in zip(samples.get(one, ()), samples.get(other, ()), strict=False):
        if len(mine) == len(theirs):
            found += [one_run.rate / other_run.rate for one_run, other_run in zip(mine, theirs, strict=True)]
        else:
            found.append(median(each.rate for each in mine) / median(each.rate for each in theirs))
    return found


def _flat(samples: Sequence[Sequence[Sample]]) -> list[Sample]:
    return list(chain.from_iterable(samples))


def _table(title: str, one: _OfOneSize) -> Table:
    rows = []
    for name in (name for name in _ORDER if name in one.samples):
        samples = _flat(one.samples[name])
        rows.append(
            [
                name,
                f"{samples[0].cabs:,}",
                spread([each.rate for each in samples]),
                spread([each.megabytes for each in samples]),
                spread(ratios(one.samples, "Cabferry", name), ".2f"),
                spread([each.cpu_ms for each in samples], ".2f"),
                spread([each.memory / 1e6 for each in samples]),
                spread([each.server_ms for each in samples], ".2f"),
            ]
        )
    rows += [[name, "missing", "", "", "", "", "", ""] for name in one.missing]
    columns = ["", "cabs", "cabs/s", "MB/s", "Cabferry is .. times as fast", "client CPU, ms a cab", "memory, MB"]
    columns.append("Azurite's CPU, ms a cab")
    return Table(title, columns, rows, [CAVEAT, *_reachable(one.samples)])


def _reachable(samples: Mapping[str, Sequence[Sequence[Sample]]]) -> list[str]:
    """Return what bounds a pull beside the ceiling: both wait for the same Azurite, and a pull asks more of it."""
    bare, pull = (_flat(samples.get(name, ())) for name in ("ceiling", "Cabferry without host"))
    if not bare or not pull:
        return []
    busy = median(each.server_seconds / each.seconds for each in bare)
    share = median(one.server_ms / other.server_ms for one, other in zip(bare, pull, strict=True))
    return [
        f"While the ceiling runs, Azurite uses {busy:.2f} of a core, and serves one request after the other. A pull "
        "asks more of it a cab (labels, rows, the listing): a client that made a pull's requests and took no time "
        f"itself would reach {share:.2f} of the ceiling."
    ]


def _plot(sizes: Mapping[int, _OfOneSize]) -> Plot:
    series = [
        Series(
            named(size),
            [(name, median(each.rate for each in _flat(one.samples[name]))) for name in _ORDER if name in one.samples],
        )
        for size, one in sizes.items()
    ]
    note = "Azurite's server-side copy moves no bytes: this is the client's cost, not Azure's copy speed"
    return Plot("throughput", "Cabs a second, by size of the cab", "bars", series, note)


def _verdicts(size: int, one: _OfOneSize) -> list[Verdict]:
    targets: dict[str, dict[int, float]] = {
        "ceiling": {_KIB64: 0.9, MIB: 0.9},
        "AzCopy": {_KIB64: 3, MIB: 8},
        "rclone": {_KIB64: 1.7, MIB: 8},
        "plain script": {MIB: 5},
    }
    verdicts = []
    for name, target in targets.items():
        values = ratios(one.samples, "Cabferry", name)
        if size in target and values:
            verdicts.append(at_least(f"whole pull / {name}, {named(size)}", median(values), target[size]))
    if size == _KIB64:
        cpu = median([each.cpu_ms for each in _flat(one.samples["Cabferry"])])
        verdicts.append(at_most("client CPU a cab, whole pull under the host, 64 KiB", cpu, 0.8, " ms"))
        cpu = median([each.cpu_ms for each in _flat(one.samples["Cabferry without host"])])
        verdicts.append(at_most("client CPU a cab, whole pull in process, 64 KiB", cpu, 0.8, " ms"))
    return verdicts

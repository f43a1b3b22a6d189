"""Streaming: one large cab from a source that storage cannot reach, beside a bare streaming copy."""

from collections.abc import Sequence
from statistics import median

from bench.cabferry import CabferryHost, Pulled
from bench.plan import Plan, named
from bench.processes import Program, run_program
from bench.programs.bare_stream import StreamJob
from bench.programs.big_source import READY
from bench.programs.devcenter import cab_name
from bench.programs.job import Measured
from bench.report import Section, Table, at_least, at_most, spread
from bench.stage import SOURCE_ACCOUNT, Stage


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure streaming.

    Args:
        plan: Bytes and rounds.
        facts: Of the machine.
    """
    size = plan.stream_bytes
    bare: list[Measured] = []
    pulled: list[Pulled] = []
    with Program("big_source", READY) as source:
        endpoint = f"{source.url}/{SOURCE_ACCOUNT}"
        for number in range(plan.rounds):
            with Stage(source_endpoint=endpoint) as stage, CabferryHost(stage.settings) as host:
                host.pull([stage.failure_of("b65536", 1)], copied=1)
                pulled.append(host.pull([stage.failure_of(f"b{size}", 1)], copied=1))
                url = f"{endpoint}/b{size}/{cab_name(0)}"
                job = StreamJob(url, stage.settings["CAB_STORAGE"], stage.destination(), "streamed")
                bare.append(run_program("bare_stream", job, Measured))
                plan.say(f"streaming, round {number + 1}: {pulled[-1].seconds:.1f} s, bare {bare[-1].seconds:.1f} s")
    memory = [(each.peak_rss - each.idle_rss) / 1e6 for each in pulled]
    ratios = [theirs.seconds / mine.seconds for mine, theirs in zip(pulled, bare, strict=True)]
    rows = [
        [
            "Cabferry's whole pull",
            spread([size / each.seconds / 1e6 for each in pulled]),
            spread([each.cpu_seconds for each in pulled], ".1f"),
            spread(memory),
        ],
        [
            "bare streaming copy",
            spread([size / each.seconds / 1e6 for each in bare]),
            spread([each.cpu_seconds for each in bare], ".1f"),
            spread([(each.peak_rss - each.idle_rss) / 1e6 for each in bare]),
        ],
    ]
    return Section(
        name="streaming",
        title=f"Streaming a cab of {named(size)}",
        facts=list(facts),
        text=[
            "The source is a server that Azurite cannot copy from, so the bytes pass through the process. The bare "
            "copy reads 8 MiB, writes it as a block and so on, without any check; Cabferry checks length and MD5 of "
            "source and blocks, and its time holds the refused server-side copy and the tables too."
        ],
        tables=[Table("One cab", ["", "MB/s", "CPU, s", "memory above idle, MB"], rows)],
        verdicts=[
            at_most(f"streaming {named(size)}, memory above an idle worker", median(memory), 40, " MB"),
            at_least(f"streaming {named(size)}, whole pull / bare streaming copy", median(ratios), 0.8),
        ],
    )

"""Long reports: how fast and in how much memory a million rows are read, beside pandas and polars."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench.long_report import LongReport, long_report
from bench.peers import BENCH, HOW_TO_INSTALL, readers_python
from bench.plan import Plan
from bench.processes import BenchError
from bench.report import Section, Table, at_least, at_most, spread
from local.paths import ROOT

_PROGRAM = Path(__file__).parents[1] / "programs" / "read_report.py"


class _Read(msgspec.Struct, frozen=True):
    seconds: float
    cpu_seconds: float
    memory: int
    failures: int
    cabs: int
    version: str


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure the readers.

    Args:
        plan: Rows and rounds.
        facts: Of the machine.
    """
    plan.say(f"making a report of {plan.report_rows:,} rows, where it is not there yet")
    report = long_report(BENCH / "reports", plan.report_rows)
    peers = readers_python()
    readers = {"cabferry": Path(sys.executable), **({"pandas": peers, "polars": peers} if peers else {})}
    reads: dict[str, list[_Read]] = {name: [] for name in readers}
    for number in range(plan.rounds):
        for name, python in readers.items():
            reads[name].append(_read(python, name, report))
            plan.say(f"round {number + 1}: {name} {plan.report_rows / reads[name][-1].seconds:,.0f} rows/s")
    told = {(each.failures, each.cabs) for results in reads.values() for each in results}
    if len(told) != 1:
        raise BenchError(f"the readers disagree on failures and cabs: {sorted(told)}")
    failures, cabs = told.pop()
    mine = reads["cabferry"]
    per_core = median(report.rows / each.cpu_seconds for each in mine)
    memory = median(each.memory for each in mine) / 1e6
    return Section(
        name="reports",
        title="Long reports",
        facts=list(facts),
        text=[
            f"A gzip file of {report.path.stat().st_size / 1e6:.0f} MB with {report.rows:,} rows and 30 columns, "
            f"{failures:,} failures and {cabs:,} cabs. Each reader finds the distinct failures and cabs, in a fresh "
            "process. `shared.reports.reader` streams and hands on what it found part by part; pandas and polars are "
            "asked for the three columns that tell, and hold these whole. Cabferry's memory is that of a pass that "
            "keeps nothing, as the app does."
        ],
        tables=[_table(report, reads)],
        verdicts=[
            at_least("report reader, rows a second of CPU", per_core, 300_000, ""),
            at_most("report reader, memory above idle", memory, 30, " MB"),
        ],
    )


def _table(report: LongReport, reads: dict[str, list[_Read]]) -> Table:
    rows = [
        [
            f"{name.replace('cabferry', 'Cabferry')} {results[0].version}".strip(),
            spread([report.rows / each.seconds for each in results], ",.0f"),
            spread([report.rows / each.cpu_seconds for each in results], ",.0f"),
            spread([each.memory / 1e6 for each in results]),
        ]
        for name, results in reads.items()
    ]
    missing = [f"{name} is missing here. {HOW_TO_INSTALL}." for name in ("pandas", "polars") if name not in reads]
    columns = ["", "rows/s", "rows/s of CPU", "memory above idle, MB"]
    return Table(f"{report.rows:,} rows", columns, rows, missing)


def _read(python: Path, name: str, report: LongReport) -> _Read:
    done = subprocess.run(
        # The directory of the program would be the first on its path, and hold modules named like others.
        [str(python), "-P", str(_PROGRAM), name, str(report.path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{name} failed: {done.stderr.decode('utf-8', 'replace')[-1000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=_Read)

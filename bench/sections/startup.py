"""Start-up: what it takes to import and index the app, beside the bare imports of its SDKs."""

import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from bench.plan import Plan
from bench.processes import BenchError
from bench.report import Section, Table, at_most, spread
from local.paths import ROOT

_SDKS = (
    "import azure.functions, azure.identity, azure.storage.blob, azure.storage.queue, azure.data.tables, requests, "
    "msgspec, pycurl"
)
_INDEX = "import function_app; function_app.app.get_functions()"
_PULL = f"{_INDEX}; import shared.services, shared.pull.one_failure, shared.progress.messages"
_STARTS = {
    "Python alone": "pass",
    "import azure.functions, which indexing needs": "import azure.functions",
    "import and index the app": _INDEX,
    "import the SDKs that a pull needs": _SDKS,
    "import and index the app, and import all that its first pull does": _PULL,
}


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure start-up.

    Args:
        plan: How many times.
        facts: Of the machine.
    """
    seconds: dict[str, list[float]] = {name: [] for name in _STARTS}
    for _ in range(plan.start_ups):
        for name, code in _STARTS.items():
            seconds[name].append(_started(code))
    python, bare, index, sdks, pull = seconds.values()
    plan.say(f"index {median(index):.3f} s, first pull {median(pull):.3f} s, its SDKs {median(sdks):.3f} s")
    rows = [[name, spread([value * 1e3 for value in values])] for name, values in seconds.items()]
    net = [(mine - none) / (theirs - none) for mine, theirs, none in zip(pull, sdks, python, strict=True)]
    net_sdks = [(mine - none) / (theirs - none) for mine, theirs, none in zip(index, sdks, python, strict=True)]
    net_index = [(mine - none) / (theirs - none) for mine, theirs, none in zip(index, bare, python, strict=True)]
    return Section(
        name="startup",
        title="Start-up",
        facts=list(facts),
        text=[
            "Each start is a fresh process, with bytecode that is already compiled; starts are interleaved. Ratios are "
            "of what comes on top of Python's own start."
        ],
        tables=[Table("Start-up", ["", "ms"], rows)],
        verdicts=[
            at_most("import and index / import of the SDKs that a pull needs", median(net_sdks), 1.2),
            at_most("the same with all that the first pull imports / its SDKs", median(net), 1.2),
            at_most("import and index / import azure.functions", median(net_index), 1.2),
        ],
    )


def _started(code: str) -> float:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"a start failed: {done.stderr.decode('utf-8', 'replace')[-500:]}")
    return time.perf_counter() - started

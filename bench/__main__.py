"""`python -m bench`: measure, and write the results."""

import argparse
import signal
import sys
import traceback
from pathlib import Path
from random import SystemRandom

from bench import chaos, games, soak
from bench.facts import facts
from bench.peers import BENCH, install_peers
from bench.plan import full, quick
from bench.processes import BenchError
from bench.report import RELIABILITY, Section, draw, save, saved, write_results
from bench.sections import (
    growth,
    ingestion,
    lists,
    reports,
    requests_made,
    startup,
    streaming,
    throughput,
    ways,
)
from local.child import ChildError
from local.paths import ROOT

RECORD = "record"
SECTIONS = {
    "throughput": throughput.run,
    "ways": ways.run,
    "growth": growth.run,
    "requests": requests_made.run,
    "streaming": streaming.run,
    "reports": reports.run,
    "ingestion": ingestion.run,
    "lists": lists.run,
    "startup": startup.run,
}


def main() -> int:
    """Run the sections that are asked for; return the exit code."""
    options = _arguments()
    # Hosts and servers are stopped on the way out, which a plain SIGTERM would not take.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.install_peers:
            install_peers()
            return 0
        if any(each is not None for each in (options.chaos, options.soak, options.games)):
            return _endure(options)
        return _measure(options)
    except (BenchError, ChildError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _measure(options: argparse.Namespace) -> int:
    plan = (quick if options.quick else full)(_say)
    # A quick look must not take the place of published figures.
    results = BENCH / "quick" if options.quick else ROOT / "bench"
    failed = []
    for name in options.only or SECTIONS:
        _say(f"section {name}")
        try:
            _keep(SECTIONS[name](plan, facts()), results)
        except Exception as error:  # noqa: BLE001 - told below; hours of other sections must not be lost with it
            failed.append(f"{name}: {type(error).__name__}: {error}")
            traceback.print_exc()
        write_results(saved(tuple(SECTIONS), results / RECORD), results)
    _say(f"results: {_shown(results / 'results.md')}")
    for line in failed:
        print(f"bench: failed: {line}", file=sys.stderr)
    return 1 if failed else 0


def _endure(options: argparse.Namespace) -> int:
    seed = SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    asked = {chaos.run: options.chaos, soak.run: options.soak, games.run: options.games}
    run, much = next((run, much) for run, much in asked.items() if much is not None)
    section: Section = run(much, seed, facts(), _say)
    results = ROOT / "bench"
    _keep(section, results)
    write_results(saved(("games", "chaos", "soak"), results / RECORD), results, RELIABILITY)
    _say(f"results: {_shown(results / RELIABILITY.file)}")
    return 0 if all(verdict.met for verdict in section.verdicts) else 1


def _keep(section: Section, results: Path) -> None:
    save(section, results / RECORD)
    draw(section, results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description="Measure Cabferry beside its peers.")
    parser.add_argument("--quick", action="store_true", help="a few minutes, to see that all works; figures are noise")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(SECTIONS), metavar="SECTION", help=f"only these: {', '.join(SECTIONS)}"
    )
    endure = parser.add_mutually_exclusive_group()
    endure.add_argument("--chaos", type=int, metavar="KILLS", help="kill hosts so often, and look at what is left")
    endure.add_argument("--soak", type=float, metavar="MINUTES", help="load one host so long, and look what it holds")
    endure.add_argument("--games", type=int, metavar="GAMES", help="play games in memory, each from a seed of its own")
    parser.add_argument("--seed", type=int, help="what these three draw from; printed where it is not given")
    parser.add_argument("--install-peers", action="store_true", help="install AzCopy, pandas and polars, and end")
    return parser.parse_args()


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT)


def _say(text: str) -> None:
    print(f"bench: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

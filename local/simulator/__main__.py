"""Run the simulator by itself: `python -m local.simulator --port 5000 --scenario file.json`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from local.simulator.scenario import Scenario
from local.simulator.server import Simulator

STORAGE = "SIMULATOR_STORAGE"
TOKEN = "DEVCENTER_ACCESS_TOKEN"  # noqa: S105 (the name of a variable)


def main() -> int:
    """Read the arguments and run until Ctrl-C or SIGTERM."""
    options = _arguments()
    token = os.environ.get(TOKEN)
    storage = options.storage or os.environ.get(STORAGE)
    if not token or not storage:
        return _fail(f"set {TOKEN}, and {STORAGE} (or --storage), first; --help says more")
    try:
        connections = msgspec.json.decode(storage, type=dict[str, str])
        scenario = msgspec.json.decode(options.scenario.read_bytes(), type=Scenario) if options.scenario else Scenario()
    except (OSError, msgspec.DecodeError) as error:
        return _fail(str(error))
    try:
        asyncio.run(_run(connections, token, scenario, options.port))
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(storage: Mapping[str, str], token: str, scenario: Scenario, port: int) -> None:
    stopped = asyncio.Event()
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    simulator = Simulator(storage, token, seed=scenario.world.seed, port=port)
    simulator.center.play(scenario)
    async with simulator:
        print(f"Dev Center simulator: {simulator.url} (what it served: {simulator.url}/simulator)", flush=True)
        await stopped.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where to listen; 0 takes a free port (default)")
    parser.add_argument("--scenario", type=Path, help="a JSON file, as local/simulator/scenario.py describes it")
    parser.add_argument(
        "--storage",
        help=f"JSON: connection strings of the source accounts by name (default: what {STORAGE} holds). "
        f"The token that the API's calls need is what {TOKEN} holds.",
    )
    return parser.parse_args()


def _fail(reason: str) -> int:
    print(f"simulator: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

"""Play games: `python -m tests.simulation 4711` tells one, `python -m tests.simulation --games 100000` plays many."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .game import play, shortest


def main() -> int:
    """Play what the arguments say; 1 where the promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, default=1, help="the game to tell, or the first of many")
    parser.add_argument("--games", type=int, default=0, help="play so many, and tell only what is found")
    parser.add_argument("--processes", type=int, default=1, help="in so many processes")
    parser.add_argument("--whole", action="store_true", help="tell a broken game as it was, with all its mishaps")
    asked = parser.parse_args()
    if not asked.games:
        played = play(asked.seed, told=True)
        if played.broken and not asked.whole:
            played = shortest(played)
        print("\n".join(played.story))
        print(f"\nseed {asked.seed}: {played.broken or 'the promise holds'}")
        return 1 if played.broken else 0
    return many(asked.seed, asked.games, asked.processes)


def many(first: int, games: int, processes: int) -> int:
    """Play many games and print what was found."""
    began, pulls, mishaps, broken = time.monotonic(), 0, 0, 0
    with ProcessPoolExecutor(processes) as crew:
        for played in crew.map(play, range(first, first + games), chunksize=20):
            pulls, mishaps = pulls + played.pulls, mishaps + len(played.mishaps)
            if played.broken:
                broken += 1
                print(f"seed {played.seed}: {str(played.broken).splitlines()[0]}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{games} games from seed {first} on, {pulls} pulls, {mishaps} mishaps, {broken} broken promises; "
        f"{pulls / minutes:,.0f} pulls a minute"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

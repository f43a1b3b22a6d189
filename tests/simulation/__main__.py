"""Play games: `python -m tests.simulation 4711` tells one, `python -m tests.simulation --games 100000` plays many."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

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
    tally = many(asked.seed, asked.games, asked.processes)
    print(f"from seed {asked.seed} on: {tally}")
    return 1 if tally.broken else 0


@dataclass
class Tally:
    """What came of many games.

    Args:
        games: How many were played.
        pulls: How many messages of pulls were handled in them.
        mishaps: How many there were.
        broken: One line for each game that broke the promise.
        minutes: How long it took.
    """

    games: int = 0
    pulls: int = 0
    mishaps: int = 0
    broken: list[str] = field(default_factory=list)
    minutes: float = 0.0

    def __str__(self) -> str:
        found = f"{self.games} games, {self.pulls} pulls, {self.mishaps} mishaps, {len(self.broken)} broken promises"
        return f"{found}; {self.pulls / self.minutes:,.0f} pulls a minute"


def many(first: int, games: int, processes: int) -> Tally:
    """Play many games, each of a seed of its own; tell each finding as it comes."""
    began, tally = time.monotonic(), Tally()
    with ProcessPoolExecutor(processes, initializer=gc.freeze) as crew:
        for played in crew.map(play, range(first, first + games), chunksize=20):
            tally.games += 1
            tally.pulls += played.pulls
            tally.mishaps += len(played.mishaps)
            if played.broken:
                tally.broken.append(f"seed {played.seed}: {str(played.broken).splitlines()[0]}")
                print(tally.broken[-1], flush=True)
    tally.minutes = (time.monotonic() - began) / 60
    return tally


if __name__ == "__main__":
    sys.exit(main())

"""Games: the app's own code against services in memory, with mishaps drawn from seeds (`tests/simulation`)."""

import os
from collections.abc import Callable, Sequence

from bench.report import Section, Table, at_most
from tests.simulation.__main__ import Tally, many

_SHOWN_FINDINGS = 20


def run(games: int, seed: int, facts: Sequence[str], say: Callable[[str], None]) -> Section:
    """Play games.

    Args:
        games: How many.
        seed: Of the first; each has the next.
        facts: Of the machine.
        say: Takes progress lines.
    """
    say(f"plays {games:,} games from seed {seed} on")
    return section(many(seed, games, os.process_cpu_count() or 1), seed, facts)


def section(tally: Tally, seed: int, facts: Sequence[str]) -> Section:
    """Return what games found."""
    rows = [
        ["games", f"{tally.games:,}"],
        ["pulls", f"{tally.pulls:,}"],
        ["mishaps", f"{tally.mishaps:,}"],
        ["pulls a minute", f"{tally.pulls / tally.minutes:,.0f}"],
    ]
    return Section(
        name="games",
        title=f"Games: {tally.games:,} seeds",
        facts=list(facts),
        text=[
            "Pulls, report checks and reconciles run in one thread, on a clock that jumps, against tables, container, "
            "queues and a Dev Center in memory. A seed draws what happens: cabs that come, expire and go, kills before "
            "or after any call, hosts that stand still or must end, refusals, throttles, lost answers, once or "
            "for hours. After every step each cab that was ever served must be copied once, or recorded with why.",
            f"`python3 dev.py bench --games {tally.games} --seed {seed}` plays the same games.",
        ],
        tables=[Table("Games", ["", "figure"], rows, [f"Found: {each}" for each in tally.broken[:_SHOWN_FINDINGS]])],
        verdicts=[at_most(f"findings in {tally.games:,} games", len(tally.broken), 0)],
    )

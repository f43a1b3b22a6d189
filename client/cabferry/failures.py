"""`cabferry failures`: which failures there are, and what is held of them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from .catalog import read_catalog
from .choice import Filters, short_hashes
from .container import open_container
from .moments import moment_text, now
from .output import answer_json, answer_table, say, until
from .problems import Exit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from .catalog import Cab

_WEEK = 7 * 86_400 * 1_000_000
_VERSIONS_SHOWN = 3
_HEADINGS = ("hash", "failure", "driver", "versions", "cabs", "new 7d", "held", "gone in")
_NUMBERS = ("cabs", "new 7d", "held", "gone in")


def run(arguments: argparse.Namespace) -> Exit:
    """Print the failures that fit, newest first."""
    cabs = read_catalog(open_container(arguments.container), arguments.parallel)
    found = summaries(cabs, Filters.of(arguments), now())
    if arguments.json:
        answer_json(found)
    elif found:
        answer_table(_HEADINGS, [_row(each) for each in found], _NUMBERS, "versions")
    if not found:
        say("no cab fits; without options all failures are listed")
    return Exit.DONE if found else Exit.NOTHING_FOUND


def summaries(cabs: Sequence[Cab], filters: Filters, at: int) -> list[dict[str, Any]]:
    """Return what is told of each failure, that with the newest crash first.

    Args:
        cabs: All of the catalog: what is short among all stays short where fewer are shown.
        filters: Which cabs count.
        at: The time now, in the catalog's form.
    """
    short = short_hashes({cab.failureHash for cab in cabs})
    groups: dict[tuple[str, str], list[Cab]] = defaultdict(list)
    for cab in cabs:
        if filters.take(cab):
            groups[cab.failure].append(cab)
    found = [_summary(group, short[group[0].failureHash], at) for group in groups.values()]
    return sorted(found, key=lambda each: each["lastSeen"] or "", reverse=True)


def by_version(version: str) -> list[tuple[int, str]]:
    """Return what sorts versions by their numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"[.\-]", version)]


def _summary(cabs: list[Cab], short: str, at: int) -> dict[str, Any]:
    held = [cab for cab in cabs if cab.is_held]
    leaves = [cab.retiresAt for cab in held if cab.retiresAt is not None]
    return {
        "hash": short,
        "failureName": _told(cab.failureName for cab in cabs),
        "driverName": _told(cab.driverName for cab in cabs),
        "versions": sorted({cab.driverVersion for cab in cabs if cab.driverVersion}, key=by_version, reverse=True),
        "cabs": len(cabs),
        "newIn7Days": sum((cab.copiedAt or cab.date or 0) >= at - _WEEK for cab in cabs),
        "held": len(held),
        "bytes": sum(cab.length or 0 for cab in held),
        "nextGoneAt": moment_text(min(leaves, default=None)),
        "nextGoneIn": until(min(leaves, default=None)),
        "lastSeen": moment_text(max((cab.date for cab in cabs if cab.date is not None), default=None)),
        "family": cabs[0].family,
        "applicationId": cabs[0].applicationId,
        "failureHash": cabs[0].failureHash,
    }


def _told(names: Iterable[str]) -> str:
    return next((name for name in names if name), "")


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    versions = ", ".join(told["versions"][:_VERSIONS_SHOWN])
    more = len(told["versions"]) - _VERSIONS_SHOWN
    return (
        told["hash"],
        told["failureName"] or "(not named yet)",
        told["driverName"],
        f"{versions} +{more}" if more > 0 else versions,
        str(told["cabs"]),
        str(told["newIn7Days"]),
        str(told["held"]),
        told["nextGoneIn"],
    )

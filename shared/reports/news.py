"""Which failures of a report need a pull, and which first: functions without I/O.

A failure is left out where no pull could bring a cab that the report lists: all of them were copied, or are gone. What
a report cannot tell must not be lost for that: cabs that are younger than it, and crashes whose row names no cab yet.
So a failure of which it lists no cab at all is always pulled, and any other once a week: cabs live for thirty days.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.redaction import excerpt
from shared.progress.cabs import CabState
from shared.progress.pull_row import PullState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.progress.cabs import CabRow
    from shared.reports.named import ListedCabs, Named

_LOOKED_AT = timedelta(days=7)
_WAITS = {PullState.QUEUED.value, PullState.RUNNING.value}
# What sorts behind every time: cabs of which nobody knows when they expire, and failures without a cab to save.
_UNKNOWN, _NOTHING = "~1", "~2"


def due(named: Named, listed: ListedCabs, known: Mapping[str, CabRow], asks: str) -> str | None:
    """Return what a failure is sorted by, when it is to be pulled; None where no pull is needed.

    Args:
        named: The failure.
        listed: Its cabs, as the report lists them.
        known: The rows that these had before.
        asks: What the pulls of this very run are asked for by. Its pull may have a row and no message, where a check
            died in between.
    """
    left = [cab for cab in listed.facts if _could_be_had(known.get(cab), listed.expires.get(cab))]
    is_new = len(listed.facts) > len(known)
    is_named = any(
        row.state is CabState.COPIED and row.facts.completed(listed.facts[cab]) != row.facts
        for cab, row in known.items()
    )
    if named.pull in _WAITS:
        # Whoever asked for it sends its message, and it takes whatever has a row by then; the reconcile sees to both.
        is_needed = is_new or is_named or named.asked_by == excerpt(asks)
    elif named.pull == PullState.COMPLETED:
        was_looked_at = named.pulled_at is not None and clock.now() - named.pulled_at < _LOOKED_AT
        is_needed = is_new or bool(left) or is_named or not listed.facts or not was_looked_at
    else:
        is_needed = True
    return _first(left, listed, known) if is_needed else None


def _could_be_had(row: CabRow | None, expires: datetime | None) -> bool:
    """Tell whether a pull could bring a cab; one that was called expired is tried again where it expires later."""
    if row is None or row.state is not CabState.EXPIRED:
        return row is None or row.state in {CabState.LISTED, CabState.FAILED}
    return expires is not None and expires > clock.true_now()


def _first(left: list[str], listed: ListedCabs, known: Mapping[str, CabRow]) -> str:
    """Return when the first of these cabs expires that has not expired yet."""
    now = clock.true_now()
    limits = [listed.expires.get(cab) or (known[cab].expires if cab in known else None) for cab in left]
    if ahead := [limit for limit in limits if limit and limit > now]:
        return min(ahead).isoformat()
    return _UNKNOWN if None in limits else _NOTHING

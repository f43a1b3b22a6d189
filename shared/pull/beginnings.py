"""How a run of a pull begins, and whether it does: functions without I/O."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from shared.devcenter.cursor import BatchCursor
from shared.progress.cab_row import CabState
from shared.pull.endings import GivenUp, has_moved_on
from shared.pull.state import Checkpoint, Naming, Pull

if TYPE_CHECKING:
    from shared.progress.pull_row import PullRow
    from shared.pull.keeping import Keeping
    from shared.pull.ledger import CabLedger


def begun(row: PullRow, ledger: CabLedger, keeping: Keeping, page_rows: int, now: float) -> Pull:
    """Return what a run knows as it begins: where there is a limit, all that the batch names is read first."""
    choice = Naming({}) if keeping.may_limit else None
    cursor = BatchCursor(page_rows) if choice else BatchCursor(page_rows, row.skip, row.total)
    return Pull(
        row=row,
        ledger=ledger,
        keeping=keeping,
        choice=choice,
        cursor=cursor,
        safe=Checkpoint.of(row),
        reached=Checkpoint.of(row),
        total=row.total,
        written_at=now,
        coming=cursor.first(),
    )


def asks_ahead(pull: Pull) -> bool:
    """Tell whether the first page is asked for while the rows are read: it is known that one is needed, and which."""
    return not (pull.row.skip or pull.keeping.rules.bytes_a_day or pull.keeping.skips_whole or _may_give_up(pull))


def looks_back_first(pull: Pull, *, calls_for_urls: bool) -> bool:
    """Tell whether the container is read back before anything is copied.

    A host that died may have copied what no row tells of: then its tries moved on, and a URL that costs a call is not
    asked for once more. One that waited for the next day may wait for many, and the blob for no rule of retention.
    """
    return _may_give_up(pull) or (calls_for_urls and pull.row.stalled > 0) or pull.row.day_bytes > 0


def begins(pull: Pull) -> bool:
    """Tell whether anything may be kept of the failure; where a rule skips it as a whole, its rows say so.

    Raises:
        GivenUp: Hosts died over it too often, without a new cab in between.
    """
    row = pull.row
    if _may_give_up(pull) and not has_moved_on(pull):
        told = f"the last: {row.last_error}" if row.last_error else "each time its host ended in the middle of it"
        raise GivenUp(f"given up after {row.stalled} tries in a row without a new cab; {told}")
    if pull.keeping.skips_whole:
        pull.ledger.skip(pull.keeping)
        return False
    return True


def apply_rules(pull: Pull) -> bool:
    """Let the rows say what the rules skip by now, where no limit asks for all that the batch names first.

    Returns:
        Whether the batch is to be read from its beginning, though an earlier run has read some of it: there are cabs
        which that run left out, and which no rule skips any more.
    """
    if pull.choice:
        return False
    left_out = [cab for cab, row in pull.ledger.cabs.items() if row.state is CabState.SKIPPED]
    pull.ledger.skip(pull.keeping)
    if not (pull.row.skip and any(pull.ledger.cabs[cab].state is CabState.LISTED for cab in left_out)):
        return False
    pull.row = replace(pull.row, skip=0, total=0, without_cab=0)
    pull.safe, pull.total = Checkpoint(), 0
    pull.read_anew()
    return True


def _may_give_up(pull: Pull) -> bool:
    return pull.row.stalled >= pull.most_tries

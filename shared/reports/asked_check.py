"""A check of the reports that somebody asked for: it runs from a queue, and its row in the table `health` tells of it.

A check reads whole reports and may take longer than the 230 seconds after which Azure cuts a call, so the call that
asks for one only sends a message: https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger
"""

from __future__ import annotations

import logging
from copy import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from shared.core import clock
from shared.core.errors import BadInput, CabferryError, unforeseen
from shared.core.json_text import JsonError, decoded
from shared.core.schedule import next_after, next_try
from shared.core.values import Immutable
from shared.progress.messages import unwrapped
from shared.reports.check import check_reports, with_next_check
from shared.reports.outcome import RunOutcome
from shared.storage.table_writes import NO_MOMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.progress.queue import PullQueue
    from shared.reports.check import ReportTools
    from shared.reports.outcome import CheckState
    from shared.storage.table_rows import TableRows
    from shared.storage.table_writes import Columns

_log = logging.getLogger(__name__)
_CHECK, _LATEST, _CALLBACK = "check", "latest", "callback"
# Whoever asks while a check waits gets that one; a message that has not come after so long is a lost one.
_WAITS = timedelta(minutes=10)
# The payload of a callback is not documented, nor how often one comes.
_PAUSE = timedelta(minutes=1)
_TICK = timedelta(microseconds=1)
# A text column holds 32 Ki characters.
_COLUMN_BYTES, _TEXT_CHARACTERS, _ERROR_CHARACTERS = 30_000, 2_000, 1_000


class AskedCheck(Immutable, frozen=True):
    """The check that was last asked for.

    Args:
        state: Where it stands.
        asked_at: When it was asked for.
        ended_at: When it ended; None until then.
        error: Why the Dev Center could not be asked for all reports; empty where it could.
        next_try_at: When a check that waits is tried again; None where none does.
        outcomes: What was done with each run, those that failed first.
        left_out: How many outcomes there was no room for.
    """

    state: CheckState
    asked_at: datetime
    ended_at: datetime | None = None
    error: str = ""
    next_try_at: datetime | None = None
    outcomes: tuple[RunOutcome, ...] = ()
    left_out: int = 0


class AskedChecks:
    """Ask for checks, run them, and tell of the last.

    Args:
        table: The table `health`.
        queue: Carries what is asked for to the function that does it.
    """

    def __init__(self, table: TableRows, queue: PullQueue) -> None:
        self._table, self._queue = table, queue

    def ask(self) -> None:
        """Send the message that makes a check happen, unless one waits already.

        Raises:
            CabferryError: Sorted by what helps. Whoever asks again gets a check.
        """
        last, now = self.last(), clock.now()
        if last and last.state == "Queued" and now - (last.next_try_at or last.asked_at) < _WAITS:
            return
        # Instances have clocks of their own, and the later of two must not seem done by the earlier.
        at = max(now, last.asked_at + _TICK) if last else now
        # In this order: a host that dies in between leaves a check that nobody waits for, and no wait for none.
        self._queue.send_text(at.isoformat(), timedelta())
        self._move_on("askedAt", at)

    def call_back(self) -> None:
        """Let the reports be checked, as the Dev Center says: at once, and once a minute at most, whoever is called.

        Whoever calls within the minute after a check gets one at its end, and all further calls that one.

        Raises:
            CabferryError: Sorted by what helps.
        """
        now = clock.now()
        row = self._table.get(_CHECK, _CALLBACK)
        before = row.moment("dueAt") if row else None
        if before and before > now:
            return
        due = max(now, before + _PAUSE) if before else now
        columns: Columns = {"dueAt": due}
        if self._table.merge(row, columns) if row else self._table.insert(_CHECK, _CALLBACK, columns):
            self._queue.send_text(due.isoformat(), due - now)

    def run(self, tools: ReportTools, message: bytes) -> None:
        """Make the check that a message asks for, and record what it did, or send it back with the wait it was told.

        Args:
            tools: What a check works with.
            message: When it was asked for, as it stands in the queue.

        Raises:
            CabferryError: It could not be recorded, or sent back. The host tries again.
        """
        asked_at = _moment_in(message) or clock.now()
        self._move_on("startedFor", asked_at, {"nextTryAt": NO_MOMENT})
        due = next_after(tools.settings.report_schedule, asked_at)
        try:
            outcomes = check_reports(tools, lambda error: next_try(error, due) is None)
        except CabferryError as error:
            _log.warning("the check that was asked for: %s", error)
            if (again_at := next_try(error, due)) is None:
                self._end(asked_at, (), with_next_check(error, tools.settings))
            else:
                self._send_back(asked_at, again_at, str(error))
        except Exception as error:  # noqa: BLE001 - it is logged whole, and told; the timer checks again
            _log.exception("the check that was asked for failed in a way that nobody foresaw")
            self._end(asked_at, (), unforeseen(error))
        else:
            self._end(asked_at, outcomes, "")

    def last(self) -> AskedCheck | None:
        """Return the check that was last asked for; None before the first: one request."""
        row = self._table.get(_CHECK, _LATEST)
        asked_at = row.moment("askedAt") if row else None
        if row is None or asked_at is None:
            return None
        if (row.moment("endedFor") or clock.FIRST_MOMENT) >= asked_at:
            error = row.text("error")
            outcomes = _read(row.text("outcomes"))
            state: CheckState = "Failed" if error else "Completed"
            return AskedCheck(state, asked_at, row.moment("endedAt"), error, None, outcomes, row.number("leftOut"))
        if (row.moment("startedFor") or clock.FIRST_MOMENT) < asked_at:
            return AskedCheck("Queued", asked_at)
        if again_at := row.set_moment("nextTryAt"):
            return AskedCheck("Queued", asked_at, error=row.text("error"), next_try_at=again_at)
        return AskedCheck("Running", asked_at)

    def _send_back(self, asked_at: datetime, again_at: datetime, error: str) -> None:
        # In this order: a host that dies in between leaves a check that seems to run, and one that comes.
        self._queue.send_text(asked_at.isoformat(), again_at - clock.now())
        self._move_on("startedFor", asked_at, {"nextTryAt": again_at, "error": error[:_TEXT_CHARACTERS]})

    def _end(self, asked_at: datetime, outcomes: Sequence[RunOutcome], error: str) -> None:
        kept, left_out = _fitting(outcomes)
        told: Columns = {"outcomes": kept, "leftOut": left_out, "error": error[:_TEXT_CHARACTERS]}
        self._move_on("endedFor", asked_at, {"endedAt": clock.now(), **told})

    def _move_on(self, column: str, at: datetime, others: Columns = MappingProxyType({})) -> None:
        """Write a moment, and what belongs to it, unless a later one stands there.

        Messages come twice, late and side by side: the end of an old check must not hide that of a new one.
        """
        columns = {column: at, **others}
        while True:
            row = self._table.get(_CHECK, _LATEST)
            if row is None:
                is_written = self._table.insert(_CHECK, _LATEST, columns)
            elif (row.moment(column) or clock.FIRST_MOMENT) > at:
                return
            else:
                is_written = self._table.merge(row, columns)
            if is_written:
                return


def _moment_in(message: bytes) -> datetime | None:
    try:
        return clock.moment_of(unwrapped(message).decode("utf-8", "replace"))
    except BadInput:
        return None  # Somebody sent it by hand, and wants a check as well.


def _fitting(outcomes: Sequence[RunOutcome]) -> tuple[str, int]:
    """Return as many outcomes as a column holds, those first that failed, and how many are left out."""
    kept, size = list[bytes](), 0
    for outcome in sorted(outcomes, key=lambda each: each.outcome != "failed"):
        kept.append(msgspec.json.encode(replace(outcome, error=outcome.error[:_ERROR_CHARACTERS])))
        size += len(kept[-1]) + 1
        if size > _COLUMN_BYTES:
            kept.pop()
            break
    return f"[{','.join(each.decode() for each in kept)}]", len(outcomes) - len(kept)


def _read(text: str) -> tuple[RunOutcome, ...]:
    try:
        return tuple(RunOutcome(**each) for each in decoded(text.encode(), list[dict[str, Any]]))
    except (JsonError, TypeError):
        return ()  # as another version of the app wrote it

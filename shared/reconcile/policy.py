"""What the reconcile decides at each failure, from top to bottom: functions that ask nobody but the clock.

1. What is being pulled right now is left alone.
2. Rows and blobs are compared. Where they do not agree, the container is read back under the lease of the failure's
   pull: a blob without a row gets one, a row whose blob is gone becomes `retired` after RETENTION_DAYS, and `listed`
   before (`CabLedger.read_back`).
3. The rows of cabs say what the rules of the settings file say by now (shared/pull/keeping.py): one that they skip is
   not missing, and one that they no longer skip is pulled.
4. What was lost is recorded: a cab that Microsoft has deleted since, and that no pull has met or could copy.
5. A message is sent for a pull that waits or died, or was asked for again while it ran, and has none. A queue cannot be
   searched, so the rule errs on the side of one too many: a second message copies nothing twice, a missing one loses
   cabs. One for a pull that waits for the next day, where more bytes a day are allowed by now.
6. A pull is asked for again where cabs could still be had and nobody copied them, for the days that they lie in; where
   it failed for a reason that can pass; and where its row is gone and the rows of its cabs are not. What failed of a
   person's pull is asked for again for that person, whom no rule leaves out.
7. Rows that nobody needs any more are removed.

`shared/reconcile/run.py` makes it happen.
"""

from __future__ import annotations

from copy import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.askers import RECONCILE, by_person, is_person
from shared.core.facts import NO_FACTS
from shared.core.failure import Window, default_window
from shared.core.keep import Subject
from shared.core.values import Immutable
from shared.progress.cab_row import CabRow, CabState, cab_of
from shared.progress.pull_row import ErrorKind, PullRow, PullState
from shared.progress.tally import REPORTS_LOOK_BACK, TRIED_AGAIN, could_be_had, deadline
from shared.pull.keeping import Keeping, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.core.failure import Failure
    from shared.core.keep import Rules
    from shared.core.settings import Settings
    from shared.progress.outages import Known
    from shared.progress.queue import QueueSeen
    from shared.reconcile.walk import FailureSeen
    from shared.storage.table_rows import Row

# A message that was taken comes back after ten minutes where its host died, so an hour without any is a lost one.
_QUIET = timedelta(hours=1)
# How often cabs that a pull met and could not copy are tried again.
_DAILY = timedelta(days=1)
# Longer than every retention that the API has shown, so that no cab is copied again which was here once.
_ROWS_LIVE = timedelta(days=90)
_UNFINISHED = {PullState.QUEUED, PullState.RUNNING}
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Surroundings(Immutable, frozen=True):
    """What a run knows beside the failures.

    Args:
        settings: How long cabs are looked for.
        rules: What is kept.
        queue: How the queue of pulls stood when the run began.
        circuit: What failed at the Dev Center then.
    """

    settings: Settings
    rules: Rules
    queue: QueueSeen
    circuit: Known


class SendMessage(Immutable, frozen=True):
    """Send a message for a pull that has lost its own.

    Args:
        window: The days that it asks for; None where a message that never ran named none.
        requested_by: For whom.
        state: Where the pull stands.
    """

    window: Window | None
    requested_by: str
    state: PullState


class GoOn(Immutable, frozen=True):
    """Let a pull that waits for the next day go on now; the message that it waits with finds it done by then."""


class AskAgain(Immutable, frozen=True):
    """Ask for a pull again.

    Args:
        window: The days to ask for.
        requested_by: For whom.
        queued_at: When it was first asked for; None for now.
        why: What the log says.
    """

    window: Window
    requested_by: str
    queued_at: datetime | None
    why: str


class TidyUp(Immutable, frozen=True):
    """Remove rows that nobody needs, and keep the numbers of the others true."""


type Step = SendMessage | GoOn | AskAgain | TidyUp


def is_unfinished(row: Row | None) -> bool:
    """Tell whether a pull is still to run: it reads the container back itself."""
    return row is not None and row.text("state") in _UNFINISHED


def keeping_of(
    failure: Failure, pull: PullRow | None, cabs: Mapping[str, CabRow], surroundings: Surroundings
) -> Keeping:
    """Return what is kept of a failure; what failed is asked for again for whoever asked for it."""
    subject = subject_of(pull) if pull else Subject(failure.application_id)
    told = next((row.facts for row in cabs.values() if row.facts.failure_name), NO_FACTS)
    subject = replace(subject, name=subject.name or told.failure_name, driver=subject.driver or told.driver_name)
    whom = _for_whom(pull, cabs, surroundings.settings)
    return Keeping.of(surroundings.rules, subject, surroundings.settings, for_whom=whom)


def _for_whom(pull: PullRow | None, cabs: Mapping[str, CabRow], settings: Settings) -> str:
    """Return for whom a failure is kept: a person's pull that has ended is still theirs while cabs that failed are."""
    if pull is None or pull.state in {*_UNFINISHED, PullState.FAILED}:
        return pull.requested_by if pull else RECONCILE
    since, until = pull.started_at, pull.completed_at
    if not (by_person(pull.requested_by) and since and until):
        return RECONCILE
    left = (row.settled_at for row, _ in could_be_had(cabs.values(), {CabState.FAILED}, settings))
    return pull.requested_by if any(at and since <= at <= until for at in left) else RECONCILE


def lost(seen: Iterable[Row], cabs: Mapping[str, CabRow], settings: Settings) -> list[tuple[Row, CabRow]]:
    """Return the rows of cabs that are gone for a day, each with what it is to say.

    Args:
        seen: The rows as they came past.
        cabs: What they say by now.
        settings: How long cabs are looked for.
    """
    rows = ((each, cabs[cab_of(each)]) for each in seen)
    return [(each, _as_lost(row, settings)) for each, row in rows if _is_gone(row, settings)]


def _is_gone(row: CabRow, settings: Settings) -> bool:
    # What a pull has met says why it is not there. Before its expiry, the next pull may have it yet; and what Microsoft
    # did not let go could be had by nobody, and is not lost.
    if row.state is CabState.LISTED:
        return _has_expired(deadline(row, settings), _DAILY)
    return row.state in TRIED_AGAIN and not row.was_never_let_go and _has_expired(row.expires, _DAILY)


def _as_lost(row: CabRow, settings: Settings) -> CabRow:
    """Return the row of a cab that is gone; one of unknown expiry is still copied by a pull that meets it."""
    if row.expires is None or not _has_expired(row.expires):
        why = f"a report listed it, and no batch has named it by {deadline(row, settings):%Y-%m-%d}"
        return row.became(CabState.UNAVAILABLE, why)
    why = f"it expired at {row.expires:%Y-%m-%d %H:%M:%S} UTC and was not copied before"
    told = f"; the last try: {row.error}" if row.error else ""
    return replace(row.became(CabState.EXPIRED, f"{why}{told}"), settled_at=clock.now())


def next_step(
    pull: PullRow | None, cabs: Mapping[str, CabRow], keeping: Keeping, surroundings: Surroundings
) -> Step | None:
    """Return what is to be done about a failure that nobody works on; None where its message comes by itself.

    Args:
        pull: Its pull; None where it has no row.
        cabs: The rows of its cabs.
        keeping: What is kept of it.
        surroundings: What the run knows beside it.
    """
    if pull and (pull.state in _UNFINISHED or pull.asked_again):
        if _may_go_on(pull, surroundings.rules):
            return GoOn()
        if not _has_no_message(pull, surroundings.queue):
            return None
        if pull.state in _UNFINISHED:
            return SendMessage(pull.window, pull.requested_by, pull.state)
        return SendMessage(*next(iter(pull.asked_again.items())), pull.state)
    wanted = [row for row, _ in could_be_had(cabs.values(), TRIED_AGAIN, surroundings.settings)]
    if not _should_be_pulled(pull, wanted, cabs, keeping, surroundings):
        return TidyUp()
    failed = pull if pull and pull.state is PullState.FAILED else None
    why = f"it failed: {failed.last_error}" if failed else f"{len(wanted)} cabs are not in the container"
    # A pull that fails again is brought back for as long as it was first asked for, not for ever.
    since = failed.queued_at if failed else None
    whom = _for_whom(pull, cabs, surroundings.settings)
    asks = whom if is_person(whom) else RECONCILE
    asked_days = failed.window if failed and asks != RECONCILE else None
    return AskAgain(asked_days or _window(pull, wanted, surroundings.settings), asks, since, why)


def _may_go_on(pull: PullRow, rules: Rules) -> bool:
    """Tell whether a pull waits for the next day, and the settings file allows more bytes a day by now."""
    limit, due = rules.bytes_a_day, pull.next_try_at
    is_allowed = pull.day_bytes > 0 and not rules.problem and (not limit or limit > pull.day_bytes)
    return is_allowed and pull.state is PullState.QUEUED and due is not None and not _has_passed(due - _QUIET)


def _has_no_message(pull: PullRow, queue: QueueSeen) -> bool:
    """Tell whether a pull that nobody holds must have lost its message.

    An empty queue holds none for whatever was written before. Else the row has waited for an hour longer than it was
    asked to, and longer than the first messages that anyone could take: its own would have been taken by now.
    """
    written = pull.updated_at or _LONG_AGO
    if not queue.messages:
        return written < queue.at
    return max(written, pull.next_try_at or _LONG_AGO) + _QUIET < queue.oldest


def _should_be_pulled(
    pull: PullRow | None,
    wanted: list[CabRow],
    cabs: Mapping[str, CabRow],
    keeping: Keeping,
    surroundings: Surroundings,
) -> bool:
    """Tell whether a failure whose pull has ended, or that has none, should be pulled now."""
    if pull is None:
        # A pull that copied a cab wrote down its dates. Its row is gone, and nobody knows how far it had come.
        return bool(wanted) or any(row.is_held and (row.date or row.expires) for row in cabs.values())
    settings = surroundings.settings
    if pull.state is PullState.FAILED and pull.last_error_kind is not ErrorKind.NEVER:
        is_young = not _has_passed(pull.queued_at, settings.retention)
        return not surroundings.circuit.is_open(pull.failure.application_id) and (is_young or bool(wanted))
    ended = pull.completed_at or pull.updated_at or _LONG_AGO
    if pull.skipped_by and not keeping.skips_whole:
        return True
    listed_since = any(row.state is CabState.LISTED and (row.settled_at or ended) > ended for row in wanted)
    is_narrow = pull.window is None or _window(pull, wanted, settings).start < pull.window.start
    return listed_since or (bool(wanted) and (is_narrow or _has_passed(ended, _DAILY)))


def _window(pull: PullRow | None, wanted: Iterable[CabRow], settings: Settings) -> Window:
    """Return the days that cover what is wanted, as far back as a batch is known to reach.

    A report's row tells no date that is kept. Where a pull has ended since a cab was listed and has not met it, the
    cab is older than that pull's days.
    """
    window = default_window(settings.cab_lookback)
    farthest = default_window(REPORTS_LOOK_BACK).start
    ended = (pull.completed_at if pull else None) or _LONG_AGO
    dates = [
        row.date.date() if row.date else farthest
        for row in wanted
        if row.date or (row.state is CabState.LISTED and row.settled_at and row.settled_at <= ended)
    ]
    return replace(window, start=min([window.start, *(max(date, farthest) for date in dates)]))


def old_cabs(failure: Failure, seen: FailureSeen, settings: Settings) -> list[Row]:
    """Return the rows of cabs that Microsoft has deleted, that nobody needs any more, and of which no blob stands."""
    standing = {blob.name.removeprefix(failure.prefix).split(".", 1)[0] for blob in seen.blobs}
    return [each for each in seen.cabs if each.key not in standing and _is_over(CabRow.of(each), settings)]


def _is_over(row: CabRow, settings: Settings) -> bool:
    return row.state is not CabState.COPIED and _has_expired(deadline(row, settings)) and is_old(row.settled_at)


def is_old(moment: datetime | None) -> bool:
    """Tell whether a row that was last written then is older than every retention."""
    return _has_passed(moment, _ROWS_LIVE)


def _has_passed(moment: datetime | None, since: timedelta = timedelta()) -> bool:
    # Not added to the moment: a cab that never expires does so at the last there is.
    return moment is not None and moment <= clock.now() - since


def _has_expired(moment: datetime | None, since: timedelta = timedelta()) -> bool:
    """Tell whether a time of the Dev Center has passed: a clock of ours that is known to be wrong loses no cab."""
    return moment is not None and moment <= clock.true_now() - since

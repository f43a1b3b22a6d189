"""One cab that somebody asked for by itself: by the call for one cab, whatever a pull of its failure does meanwhile.

It holds no lease: a blob is created only where there is none, so that a pull which copies the same cab at the same time
finds it there. What becomes of it stands in its row, unless a pull told it there meanwhile. Where a later try may help,
the message is sent again.
"""

from __future__ import annotations

import logging
from copy import replace
from typing import TYPE_CHECKING

from shared.cabs.identity import blob_name, still_in_the_way
from shared.cabs.labels import labels
from shared.core import clock, stopping, telemetry
from shared.core.backoff import growing_wait
from shared.core.clock import spelled
from shared.core.errors import (
    AgainLater,
    AgainNow,
    CabferryError,
    CabUnavailable,
    CircuitOpen,
    FreshUrl,
    OutOfTime,
)
from shared.core.failure import default_window
from shared.devcenter.pages import BatchCab
from shared.progress.cab_row import CabRow, CabState
from shared.progress.tally import CabTally
from shared.storage.lease import held_for
from shared.web.source_hosts import checked_source

if TYPE_CHECKING:
    from datetime import timedelta

    from shared.cabs.creation import Copied
    from shared.core.facts import CabFacts
    from shared.core.failure import Failure
    from shared.devcenter.families import CabSource
    from shared.progress.messages import PullMessage
    from shared.pull.run import PullTools

_log = logging.getLogger(__name__)
_TRIES = 5


def copied(
    tools: PullTools, source: CabSource, failure: Failure, cab: BatchCab, facts: CabFacts, until: float | None
) -> tuple[str, Copied]:
    """Copy a cab from where its source says that it is; return the blob's name, and what is in it.

    Args:
        tools: What to work with.
        source: Where the failure's cabs come from.
        failure: Whose cab.
        cab: Which.
        facts: What is known of it.
        until: When to stop, by `clock.monotonic()`; None for never.

    Raises:
        CabferryError: As `CabCopy.copy`, and what the source says.
    """
    url = source.url(cab)
    parts = checked_source(url, tools.settings.source_hosts, f"the cabUrl of cab {cab.cab_id_hash}")
    name = blob_name(failure, cab.cab_id_hash, parts.path)
    return name, tools.copies.copy(url, name, labels(failure, cab, facts, f"{parts.netloc}{parts.path}"), until)


def copy_cab(tools: PullTools, message: PullMessage) -> None:
    """Copy the one cab that a message names, and record what became of it.

    Args:
        tools: What to work with.
        message: Whose cab, and which.

    Raises:
        CabferryError: That could not be recorded. The host tries the message again.
    """
    failure = tools.pulls.as_stored(message.failure)
    pull = tools.pulls.row(failure)
    known = pull.text("family") if pull else ""
    family = failure.family or known or tools.settings.family_of(failure.application_id)
    failure = replace(failure, family=family)
    name, row = f"cab {message.cab} of {failure}", tools.cabs.one(failure, message.cab) or CabRow(CabState.LISTED)
    if row.is_held:
        _log.info("%s is held already", name)
        return
    try:
        told = {**failure.ids, "pull": message.pull_id}
        with stopping.at_work(), tools.catalog.pulling(), telemetry.span("cab", told, message.traceparent):
            _copy(tools, message, failure, row)
        _log.info("%s was copied by itself (pull %s)", name, message.pull_id)
    except OutOfTime as error:
        _log.info("%s: %s; it goes on in another message", name, error)
        tools.queue.send(message)
    except CabferryError as error:
        again = _again(tools, message, error)
        _log.warning("%s was not copied: %s%s", name, error, "; it is tried again" if again else "")
        try:
            _record_missed(tools, failure, message.cab, row, error)
        except CabferryError as trouble:
            if again is None:
                raise
            # The next message goes on. Did this one fail as well, it would come back, and each try make one more.
            _log.warning("%s: its row does not say so: %s", name, trouble)
        if again:
            tools.queue.send(*again)


def _copy(tools: PullTools, message: PullMessage, failure: Failure, row: CabRow) -> None:
    cab = BatchCab(message.cab, None, "", spelled(row.date), spelled(row.expires), downloadable=True)
    until = clock.monotonic() + tools.settings.pull_time_budget.total_seconds()
    # The call for one cab names no days.
    source = tools.sources(failure, default_window(tools.settings.cab_lookback))
    name, made = copied(tools, source, failure, cab, row.facts, until)
    stored = next((blob for blob in tools.container.stored(name) if blob.name == name), None)
    length, md5 = (stored.length, stored.md5) if stored else (made.length, made.md5)
    # The lifecycle rule counts from when a blob that was found was made.
    at = made.since or clock.now()
    row = replace(row, state=CabState.COPIED, blob_name=name, length=length, md5=md5, settled_at=at, error=made.note)
    if not tools.cabs.settle(failure, message.cab, row):
        # A pull has told it since the row was read, and has counted its own.
        raise AgainLater(f"the row of cab {message.cab} of {failure} was changed meanwhile")
    tools.catalog.tell(failure, [(message.cab, row)], message.requested_by)
    pull = tools.pulls.row(failure)
    # A pull that runs counts for itself; cabs that one request does not bring are counted by the reconcile.
    if pull and not held_for(pull) and (rows := tools.cabs.of_few(failure)) is not None:
        tools.pulls.note(pull, CabTally.taken(rows.values(), tools.settings).columns())


def _again(tools: PullTools, message: PullMessage, error: CabferryError) -> tuple[PullMessage, timedelta] | None:
    """Return the next message and its delay where a later try may help; None where none does."""
    if not isinstance(error, AgainLater | AgainNow | FreshUrl):
        return None
    tries = message.tries + (not isinstance(error, CircuitOpen))
    if tries >= tools.settings.pull_max_attempts:
        return None
    asked = error.wait if isinstance(error, AgainLater) else None
    return replace(message, tries=tries), asked or growing_wait(max(1, tries))


def _record_missed(tools: PullTools, failure: Failure, cab: str, before: CabRow, error: CabferryError) -> None:
    is_gone = isinstance(error, CabUnavailable)
    for _ in range(_TRIES):
        row = tools.cabs.one(failure, cab) or CabRow(CabState.LISTED)
        if row.settled_at != before.settled_at or row.state in {CabState.EXPIRED, CabState.UNAVAILABLE}:
            return  # A pull, or another message, has brought it meanwhile, or knows better why it cannot be had.
        has_expired = is_gone and row.expires is not None and row.expires <= clock.true_now()
        state = CabState.EXPIRED if has_expired else CabState.UNAVAILABLE if is_gone else CabState.FAILED
        told = still_in_the_way(row.error, str(error))
        if tools.cabs.settle(failure, cab, replace(row, state=state, error=told, settled_at=clock.now())):
            return
    raise AgainLater(f"the row of cab {cab} of {failure} kept changing")

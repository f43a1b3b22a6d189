"""One failure that a message names: take the lease on its pull, and let a run be made of it.

Where another owner works, the message is sent again for later, unless that owner makes the very pull that the message
asks for: a message may come twice.
"""

from __future__ import annotations

import logging
from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import stopping, telemetry
from shared.core.backoff import growing_wait, spread
from shared.core.errors import AgainLater, CabferryError, LeaseLost
from shared.core.failure import default_window
from shared.pull.run import Run
from shared.storage.lease import HeldElsewhere

if TYPE_CHECKING:
    from shared.progress.messages import PullMessage
    from shared.progress.pulls import PullRows
    from shared.pull.run import PullTools

_log = logging.getLogger(__name__)
# A message that finds another owner looks again after this, or when that owner's lease can have ended, if it is sooner.
_LOOK_AGAIN = timedelta(seconds=15)
# Without the table no try can be counted; this grows to about two minutes and stays there.
_TRIES_WITHOUT_TABLE = 4


def pull_failure(tools: PullTools, message: PullMessage) -> None:
    """Pull one failure as far as it goes now, and record how that ended.

    Returns whenever the row or a new message holds what happens next; the queue message is then done.

    Args:
        tools: What to work with.
        message: Whose cabs, and of which days.

    Raises:
        Exception: Something that nobody foresaw, or storage that cannot even record an ending. The host tries the
            message again and at last moves it to the poison queue, where `abandon_pull` finds it.
    """
    window = message.window or default_window(tools.settings.cab_lookback)
    failure = message.failure
    family = failure.family or tools.settings.family_of(failure.application_id)
    message = replace(message, failure=replace(failure, family=family))
    rules = tools.keep.current()
    try:
        message = _as_stored(tools.pulls, message)
        lease = tools.leases.take(message, window, reads=rules.ask_names)
    except CabferryError as error:
        # Nothing can be recorded without the table, so the message itself must live on, and spend no dequeue. The row
        # may say Running by now, where only the answer was lost.
        _log.error("%s: %s; its message is sent again", message.failure, error)
        asked = error.wait if isinstance(error, AgainLater) and error.wait else growing_wait(1)
        tools.queue.send(message.unversioned(), max(spread(asked), growing_wait(_TRIES_WITHOUT_TABLE)))
        return
    if lease is None:
        _log.info("%s is pulled, or was, by a message that came sooner than this one", message.failure)
        return
    if isinstance(lease, HeldElsewhere):
        _log.info("%s is being pulled by another owner; pull %s waits", message.failure, message.pull_id)
        tools.queue.send(message, min(lease.remaining, _LOOK_AGAIN))
        return
    try:
        named = {**message.failure.ids, "pull": message.pull_id}
        with stopping.at_work(), tools.catalog.pulling(), lease, telemetry.span("pull", named, message.traceparent):
            Run(tools, lease, rules, message.traceparent).make()
    except LeaseLost as lost:
        _log.warning("%s: %s; it is that owner's pull now", message.failure, lost)


def _as_stored(pulls: PullRows, message: PullMessage) -> PullMessage:
    """Return a message with its failure as it is stored; one that the app made for a row of its own names it so."""
    if message.row_version and message.failure.is_normal:
        return message
    stored = pulls.as_stored(message.failure)
    # What it says of a row's version is of that row alone.
    return message if stored == message.failure else replace(message.unversioned(), failure=stored)

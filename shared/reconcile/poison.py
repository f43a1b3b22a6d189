"""What becomes of a message that failed too often: its pull is Failed and says why, or the message itself is kept."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.errors import BadInput
from shared.core.redaction import excerpt
from shared.progress.messages import PullMessage, failure_named_in
from shared.progress.pulls import PullState
from shared.storage.lease import HeldElsewhere

if TYPE_CHECKING:
    from shared.progress.health import HealthRows
    from shared.progress.pulls import PullRows
    from shared.progress.queue import PullQueue

_log = logging.getLogger(__name__)
_MARGIN = timedelta(seconds=1)


def abandon(pulls: PullRows, health: HealthRows, queue: PullQueue, body: bytes) -> None:
    """Record why a message of the poison queue was given up, so that it can be brought back.

    Args:
        pulls: Where the pull of a message that names a failure becomes Failed; the reconcile brings it back.
        health: Where a message is kept whose reason no row of a pull can tell.
        queue: The poison queue. A pull whose last host died holds its lease for a while, and nobody can tell it from
            one that runs: its message comes back when that lease is over, as a new one, since no host takes it again.
        body: The message, after base64.

    Raises:
        CabferryError: It could not be recorded. The host tries again.
    """
    text = body.decode("utf-8", "replace")
    reason = _why_no_pull(body) or f"its message failed too often: {excerpt(text)}"
    named = failure_named_in(body)
    if named is not None:
        failure = pulls.as_stored(named)
        ended = pulls.fail(failure, reason)
        if isinstance(ended, HeldElsewhere):
            queue.send_text(text, ended.remaining + _MARGIN)
            _log.warning("%s: its message failed too often; its pull is held, and looked at again after that", failure)
            return
        if ended is PullState.FAILED:
            _log.error("%s: its message failed too often; its row tells why", failure)
            return
    # It names no failure, or one whose row tells of another pull, which has completed.
    health.keep_poison(text, reason)
    _log.error("a message of the poison queue is kept in the table health: %s", reason)


def _why_no_pull(body: bytes) -> str:
    try:
        PullMessage.decode(body)
    except BadInput as error:
        return f"its message failed too often: {error}"
    return ""

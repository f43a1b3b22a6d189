"""What becomes of a message of the poison queue, or of one that no pull can be made of.

The host moves a message there after maxDequeueCount deliveries (host.json), which is a last net: hosts that died, or
could do nothing at all, fill it. So a pull that moved on, or that nobody ever began, goes back to the queue, and only
one that was tried and did not move is Failed.
"""

from __future__ import annotations

import logging
from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.errors import BadInput
from shared.core.events import MESSAGE_KEPT
from shared.core.redaction import excerpt
from shared.progress.messages import PullMessage, failure_named_in, unwrapped
from shared.progress.pull_row import PullRow, PullState
from shared.storage.lease import HeldElsewhere, held_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.failure import Failure
    from shared.progress.health import HealthRows
    from shared.progress.pull_leases import PullLeases
    from shared.progress.pulls import PullRows
    from shared.progress.queue import PullQueue
    from shared.storage.table_rows import Row

_log = logging.getLogger(__name__)
_MARGIN = timedelta(seconds=1)
# What ends every host that touches it must not end them one after the other without a pause.
_PAUSE = timedelta(seconds=30)


class PoisonMessages:
    """Take care of these messages.

    Args:
        pulls: Knows how far the pull of a message has come.
        leases: Makes it Failed; the reconcile brings it back.
        health: Where a message is kept whose reason no row of a pull can tell.
        queue: The queue of pulls.
        poison: The poison queue. A pull whose last host died holds its lease for a while, and nobody can tell it from
            one that runs: its message comes back when that lease is over, as a new one, since no host takes it again.
    """

    def __init__(
        self, pulls: PullRows, leases: PullLeases, health: HealthRows, queue: PullQueue, poison: PullQueue
    ) -> None:
        self._pulls, self._leases, self._health, self._queue, self._poison = pulls, leases, health, queue, poison

    def settle(self, raw: bytes) -> None:
        """Send a message back to the queue, or record why it was given up; it can be removed then.

        Args:
            raw: The text as it stands in the queue.

        Raises:
            CabferryError: Neither could be done. The message must stay.
        """
        body = raw
        try:
            body = unwrapped(raw)
            message = PullMessage.decode(body).unversioned()
        except BadInput as error:
            named = failure_named_in(body)
            self._give_up(body, self._pulls.as_stored(named) if named else None, str(error))
            return
        if message.cab:
            self._keep(body, f"cab {message.cab} of {message.failure} could not be copied by itself: ask for it again")
            return
        message = replace(message, failure=self._pulls.as_stored(message.failure))
        row = self._pulls.row(message.failure)
        try:
            pull = PullRow.of(row) if row else None
        except ValueError as error:
            self._keep(body, f"the row of the pull of {message.failure} cannot be read: {excerpt(str(error))}")
            return
        if pull and pull.state is PullState.FAILED and pull.window == message.window:
            _log.error("%s: its message failed too often; its row tells why", message.failure)
        elif self._should_be_tried(row, pull):
            self._queue.send(message, _PAUSE)
            if row and pull:
                # After the message: a pull must not be taken for one that stood still because that could not be sent.
                self._pulls.note(row, {"seenWhenPoisoned": pull.counts.seen})
            _log.warning("%s: its message failed too often, but its pull did not; it goes on", message.failure)
        else:
            self._give_up(body, message.failure, f"its message failed too often: {excerpt(_text(body))}")

    def settle_all(self) -> Iterator[Exception]:
        """Take care of each message that stands in the poison queue and that no host has; yield what went wrong.

        Raises:
            CabferryError: The queue cannot be read.
        """
        for message in self._poison.take():
            try:
                self.settle(str(message.content).encode())
                self._poison.drop(message)
            except Exception as error:  # noqa: BLE001 - one that cannot be taken care of comes back, and stops no other
                _log.exception("a message of the poison queue could not be taken care of")
                yield error

    def _should_be_tried(self, row: Row | None, pull: PullRow | None) -> bool:
        """Tell whether a message was not to blame: its pull has moved since the last time, or was never begun."""
        if row is None or pull is None or pull.state in {PullState.COMPLETED, PullState.FAILED}:
            return True
        if held_for(row):
            return False
        is_untouched = pull.state is PullState.QUEUED and pull.started_at is None and not pull.last_error
        return is_untouched or pull.counts.seen > pull.seen_when_poisoned

    def _give_up(self, body: bytes, failure: Failure | None, reason: str) -> None:
        """Set the pull to Failed; keep a message that names no failure, or one whose row tells of another pull."""
        if failure is not None:
            ended = self._leases.fail(failure, reason)
            if isinstance(ended, HeldElsewhere):
                self._poison.send_text(_text(body), ended.remaining + _MARGIN)
                _log.warning("%s: a message of it failed; its pull is held, and looked at again after that", failure)
                return
            if ended is PullState.FAILED:
                return
        self._keep(body, reason)

    def _keep(self, body: bytes, reason: str) -> None:
        self._health.keep_poison(_text(body), reason)
        MESSAGE_KEPT.tell(reason=reason)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")

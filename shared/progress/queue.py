"""The queue of pulls: send a message, now or after a delay, and look at how many there are."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from shared.core import clock
from shared.core.values import Immutable
from shared.progress.messages import PullMessage
from shared.storage.refusals import storage_errors

_LONGEST_DELAY = timedelta(days=6)
# The most that can be looked at without taking it.
_PEEKED = 32
# A message that was taken comes back after this, as one that a host has taken.
_TAKEN = timedelta(minutes=10)


class QueueSeen(Immutable, frozen=True):
    """The queue as it was at one moment.

    Args:
        at: When it was looked at.
        messages: At least as many as there were, those that were taken or wait included. 0 is exact:
            https://learn.microsoft.com/rest/api/storageservices/get-queue-metadata
        oldest: When the oldest of the first messages that anyone could take was sent; `at` where there was none.
    """

    at: datetime
    messages: int
    oldest: datetime


class PullQueue:
    """Send pulls. The Functions host receives them: the trigger of `pull_failure`.

    Args:
        client: The queue, with the base64 encoding that host.json names.
    """

    def __init__(self, client: QueueClient) -> None:
        self._client = client

    def send(self, message: PullMessage, delay: timedelta = timedelta()) -> None:
        """Send a message that never expires.

        Args:
            message: The pull.
            delay: How long it stays invisible. An output binding cannot delay, so this is the SDK's client.
        """
        self.send_text(message.encode(), delay)

    def send_text(self, text: str, delay: timedelta) -> None:
        """Send what may be no pull message, in the same way."""
        seconds = math.ceil(min(delay, _LONGEST_DELAY).total_seconds())
        with storage_errors(f"the queue {self._client.queue_name}"):
            self._client.send_message(text, visibility_timeout=seconds or None, time_to_live=-1)

    def take(self) -> Iterator[QueueMessage]:
        """Take each message that anyone could take now, its text as it stands in the queue; none where no queue is."""
        with storage_errors(f"the queue {self._client.queue_name}"):
            try:
                yield from self._client.receive_messages(visibility_timeout=round(_TAKEN.total_seconds()))
            except ResourceNotFoundError:
                return

    def drop(self, message: QueueMessage) -> None:
        """Remove a message that `take` returned."""
        with storage_errors(f"the queue {self._client.queue_name}"):
            self._client.delete_message(message)

    def look(self) -> QueueSeen:
        """Return how the queue stands: two requests."""
        now = clock.now()
        with storage_errors(f"the queue {self._client.queue_name}"):
            messages = self._client.get_queue_properties().approximate_message_count or 0
            sent = [each.inserted_on for each in self._client.peek_messages(_PEEKED) if each.inserted_on]
        return QueueSeen(now, messages, min([now, *sent]))

"""The queue of pulls: send a message, now or after a delay."""

from datetime import timedelta

from azure.storage.queue import QueueClient

from shared.pull_message import PullMessage
from shared.storage_errors import storage_errors

_LONGEST_DELAY = timedelta(days=6)


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

        Raises:
            CabferryError: Sorted by what helps.
        """
        seconds = round(min(delay, _LONGEST_DELAY).total_seconds())
        with storage_errors(f"the queue {self._client.queue_name}"):
            self._client.send_message(message.encode(), visibility_timeout=seconds or None, time_to_live=-1)

"""One message taken from a queue: its lease, its pop receipt, and the ways it leaves."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from math import ceil

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

_logger = logging.getLogger(__name__)

# Once a renewal has failed, the rest of the lease is used for this many more tries.
_LATE_RENEWALS = 4


class LeasedMessage:
    """A message that is invisible to others for as long as this host holds it.

    Args:
        queue: Where it was taken from.
        message: As taken.
        lease: How long it stays invisible without a renewal.
    """

    def __init__(self, queue: QueueClient, message: QueueMessage, lease: timedelta) -> None:
        self._queue = queue
        self._lease = lease
        self.message = message
        self._receipt = message.pop_receipt

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"message {self.message.id} of queue {self._queue.queue_name!r}"

    @asynccontextmanager
    async def renewed(self) -> AsyncGenerator[None]:
        """Renew the lease at half of it for as long as the block runs."""
        done = asyncio.Event()
        renewal = asyncio.create_task(self._renew_until(done))
        try:
            yield
        finally:
            # Not cancelled: a renewal that is under way may have changed the pop receipt already.
            done.set()
            await renewal

    async def delete(self) -> None:
        """Remove the message from the queue, unless someone else has taken it over."""
        try:
            await self._queue.delete_message(self.message.id, self._receipt)
        except HttpResponseError as error:
            if not _is_lost(error):
                raise
            _logger.warning("Unable to delete %s: it was taken over or removed by someone else", self.name)

    async def release(self, delay: timedelta) -> None:
        """Give the message back.

        Args:
            delay: How long it stays invisible.
        """
        try:
            await self._update(delay, retry_total=3)
        except HttpResponseError as error:
            if not _is_lost(error):
                raise
            _logger.warning("Unable to release %s: it was taken over or removed by someone else", self.name)

    async def move_to(self, poison: QueueClient) -> None:
        """Copy the text as it is to another queue, which is made where it does not exist, and delete the message.

        Args:
            poison: The other queue.
        """
        try:
            await poison.send_message(self.message.content)
        except ResourceNotFoundError:
            try:
                await poison.create_queue()
            except ResourceExistsError:
                _logger.debug("Queue %r was created by someone else at the same time", poison.queue_name)
            await poison.send_message(self.message.content)
        await self.delete()

    async def _renew_until(self, done: asyncio.Event) -> None:
        wait = self._lease / 2
        while not await _is_set_within(done, wait):
            try:
                await self._update(self._lease, retry_total=0)
                wait = self._lease / 2
            except AzureError as error:
                if isinstance(error, HttpResponseError) and _is_lost(error):
                    _logger.warning(
                        "The lease of %s is lost: it was taken over or removed by someone else. Its function goes on, "
                        "and so may another one with the same message",
                        self.name,
                    )
                    return
                _logger.warning("The lease of %s could not be renewed: %s", self.name, type(error).__name__)
                wait = self._lease / 2 / _LATE_RENEWALS

    async def _update(self, visibility: timedelta, *, retry_total: int) -> None:
        # By id and receipt, not by the message, whose text would be sent along.
        updated = await self._queue.update_message(
            self.message.id,
            self._receipt,
            visibility_timeout=ceil(visibility.total_seconds()),
            retry_total=retry_total,
        )
        self._receipt = updated.pop_receipt


def _is_lost(error: HttpResponseError) -> bool:
    """Tell whether the service says that the message is no longer ours (or no longer there)."""
    return isinstance(error, ResourceNotFoundError) or getattr(error, "error_code", None) == "PopReceiptMismatch"


async def _is_set_within(event: asyncio.Event, wait: timedelta) -> bool:
    try:
        async with asyncio.timeout(wait.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False

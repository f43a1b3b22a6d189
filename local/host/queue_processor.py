"""What happens to one message: the function runs on it, and it leaves its queue in the way that the outcome asks for.

The order is that of Azure's queue processor: deleted after success; back after visibilityTimeout on failure; to
`<queue>-poison` at maxDequeueCount, or at once where its text is not base64. What is not UTF-8 fails as a function
does. A poison queue has none of its own.
"""

import asyncio
import logging
from base64 import b64decode
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.host.functions import Function
from local.host.host_json import QueuesOptions
from local.host.invocations import Invocations
from local.host.leases import LeasedMessage
from local.host.worker import Datum


class QueueProcessor:
    """Deals with the messages of one queue for one function.

    Args:
        function: Runs once for every message.
        poison: Where messages go that cannot be processed; None for the messages of a poison queue itself.
        options: host.json's `extensions.queues`.
        invocations: Runs the function.
    """

    def __init__(
        self, function: Function, poison: QueueClient | None, options: QueuesOptions, invocations: Invocations
    ) -> None:
        self._function = function
        self._poison = poison
        self._options = options
        self._invocations = invocations
        self._logger = logging.getLogger(f"Host.Queues.{function.name}")

    async def process(self, leased: LeasedMessage) -> None:
        """See one message through.

        Args:
            leased: As taken from the queue.
        """
        if _dequeued(leased) > self._options.max_dequeue_count:
            await self._reject(leased, f"it was taken more than {self._options.max_dequeue_count} times")
            return
        try:
            body = self._decode(leased.message.content)
        except ValueError:
            await self._reject(leased, "its text cannot be decoded; see messageEncoding in host.json")
            return
        try:
            is_done = await self._run(leased, body)
        except asyncio.CancelledError:
            self._logger.warning("The host stops before its function has ended: %s is given back", leased.name)
            await self.give_back(leased)
            raise
        if is_done:
            await self._settle(leased, leased.delete())
        elif _dequeued(leased) >= self._options.max_dequeue_count:
            await self._reject(leased, f"it has reached MaxDequeueCount of {self._options.max_dequeue_count}")
        elif self._poison is not None:
            await self._settle(leased, leased.release(self._options.visibility_timeout))

    async def give_back(self, leased: LeasedMessage) -> None:
        """Make a message visible at once, as if it had not been taken.

        Args:
            leased: As taken from the queue.
        """
        await self._settle(leased, leased.release(timedelta(0)))

    async def _reject(self, leased: LeasedMessage, reason: str) -> None:
        if self._poison is None:
            # As in Azure: with nowhere to go, staying invisible is what prevents a fast endless loop.
            self._logger.warning("%s stays invisible until its lease ends: %s", leased.name, reason)
            return
        self._logger.warning("Moving %s to queue %r: %s", leased.name, self._poison.queue_name, reason)
        await self._settle(leased, leased.move_to(self._poison))

    async def _settle(self, leased: LeasedMessage, leaving: Coroutine[None, None, None]) -> None:
        try:
            await leaving
        except AzureError as error:
            self._logger.error("%s comes back when its lease ends: %s", leased.name, first_line(error))  # noqa: TRY400 - a connection's traceback tells nothing

    async def _run(self, leased: LeasedMessage, body: bytes) -> bool:
        """Run the function, and tell whether it succeeded; bytes that are no UTF-8 fail before, as in Azure."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            self._logger.error(  # noqa: TRY400 - the text says all
                "Executed 'Functions.%s' (Failed): Exception while binding parameter %r of %s: it is not UTF-8",
                self._function.name,
                self._function.trigger.name,
                leased.name,
            )
            return False
        async with leased.renewed():
            result = await self._invocations.run(
                self._function, "New queue message detected.", Datum(text, "string"), trigger_metadata(leased.message)
            )
        return result.succeeded

    def _decode(self, text: str) -> bytes:
        return text.encode() if self._options.message_encoding == "none" else b64decode(text, validate=True)


def trigger_metadata(message: QueueMessage) -> Mapping[str, Datum]:
    """Return what azure.functions makes a QueueMessage of, beside the body.

    Args:
        message: As taken from the queue, or made up.
    """
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    return {
        "Id": Datum(message.id, "string"),
        "DequeueCount": Datum(message.dequeue_count, "int"),
        "PopReceipt": Datum(message.pop_receipt, "string"),
        **{name: Datum(time.isoformat(), "string") for name, time in times.items() if isinstance(time, datetime)},
    }


def first_line(error: AzureError) -> str:
    """Return an Azure error without its lines of headers and request ids.

    Args:
        error: From the SDK.
    """
    return f"{type(error).__name__}: {error.message}".splitlines()[0]


def _dequeued(leased: LeasedMessage) -> int:
    return leased.message.dequeue_count or 0

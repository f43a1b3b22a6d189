"""The queue trigger's polling: batches, the threshold for the next one, and the back-off when there is nothing.

As Azure's listener: up to batchSize messages at once, the next batch when no more than newBatchThreshold are running.
"""

import asyncio
import logging
from datetime import timedelta
from math import ceil

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.host.backoff import PollingBackoff
from local.host.connections import QueueConnection
from local.host.functions import Function
from local.host.host_json import QueuesOptions
from local.host.invocations import Invocations
from local.host.leases import LeasedMessage
from local.host.queue_processor import QueueProcessor, first_line

_POISON_SUFFIX = "-poison"
_LONGEST_QUEUE_NAME = 63


class QueueListener:
    """Listens to one queue for one function.

    Args:
        function: Runs once for every message.
        connection: Where the queue is.
        queue: Its name, resolved.
        options: host.json's `extensions.queues`.
        lease: How long a taken message stays invisible without a renewal.
        invocations: Runs the function.

    Raises:
        BindingError: The connection is malformed.
    """

    def __init__(
        self,
        function: Function,
        connection: QueueConnection,
        queue: str,
        options: QueuesOptions,
        *,
        lease: timedelta,
        invocations: Invocations,
    ) -> None:
        self._connection = connection
        self._queue = connection.queue(queue)
        self._poison = _poison_queue(connection, queue)
        self._processor = QueueProcessor(function, self._poison, options, invocations)
        self._options = options
        self._lease = lease
        self._invocations = invocations
        self._processing: set[asyncio.Task[None]] = set()
        self._reachable = True
        self._logger = logging.getLogger(f"Host.Queues.{function.name}")

    async def listen(self) -> None:
        """Take messages until the host stops."""
        backoff = PollingBackoff(self._options.max_polling_interval)
        stopping = asyncio.create_task(self._invocations.stopping.wait())
        while not stopping.done():
            messages = await self._take()
            if self._invocations.stopping.is_set():
                await asyncio.gather(*map(self._processor.give_back, messages))
            elif messages:
                backoff.reset()
                self._start(messages)
                await self._fall_to_threshold(stopping)
            else:
                await asyncio.wait({stopping}, timeout=backoff.next_wait().total_seconds())

    async def close(self) -> None:
        """Let go of the connections; no message may be in work any more."""
        await self._queue.close()
        if self._poison is not None:
            await self._poison.close()
        await self._connection.close()

    async def _take(self) -> list[LeasedMessage]:
        try:
            messages = await self._receive()
        except AzureError as error:
            if self._reachable:
                self._logger.error(  # noqa: TRY400 - a connection's traceback tells nothing
                    "Queue %r does not answer, trying on: %s", self._queue.queue_name, first_line(error)
                )
            self._reachable = False
            return []
        if not self._reachable:
            self._logger.info("Queue %r answers again", self._queue.queue_name)
        self._reachable = True
        return [LeasedMessage(self._queue, message, self._lease) for message in messages]

    async def _receive(self) -> list[QueueMessage]:
        # One page is one request. No retries: the next look comes soon enough, and a person hears of a failure at once.
        pages = self._queue.receive_messages(
            messages_per_page=self._options.batch_size,
            visibility_timeout=ceil(self._lease.total_seconds()),
            retry_total=0,
        ).by_page()
        try:
            page = await anext(pages, None)
        except ResourceNotFoundError:
            # Azure's host does not ask for the queue to exist either.
            return []
        return [] if page is None else [message async for message in page]

    def _start(self, messages: list[LeasedMessage]) -> None:
        for message in messages:
            task = self._invocations.spawn(self._processor.process(message))
            self._processing.add(task)
            task.add_done_callback(self._processing.discard)

    async def _fall_to_threshold(self, stopping: asyncio.Task[bool]) -> None:
        while len(self._processing) > self._options.threshold and not stopping.done():
            await asyncio.wait({*self._processing, stopping}, return_when=asyncio.FIRST_COMPLETED)


def _poison_queue(connection: QueueConnection, queue: str) -> QueueClient | None:
    name = queue + _POISON_SUFFIX
    if queue.endswith(_POISON_SUFFIX) or len(name) > _LONGEST_QUEUE_NAME:
        return None
    return connection.queue(name)

"""Keep a message that nothing can be done with now: a bad setting, a storage that does not answer, a process that ends.

It is sent again with a delay, and the delivery counts as done. A message that raises instead would be in the poison
queue after maxDequeueCount deliveries, and the whole queue with it. What is mended goes on within minutes.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from shared.core import clock, stopping
from shared.core.backoff import spread
from shared.core.events import WORK_STOPPED

if TYPE_CHECKING:
    import azure.functions as func

    from shared.core.storage_settings import CabStorage
    from shared.services import Services
    from shared.storage.clients import StorageClients

_log = logging.getLogger(__name__)
# Another process takes the message up; this one ends within half a minute.
_AFTER_STOP = timedelta(seconds=10)
# The longer nothing works, the longer messages wait, so that a long queue costs little: each is sent anew each time.
_FIRST_DELAY, _LAST_DELAY = timedelta(minutes=1), timedelta(minutes=4)
# Messages that come within this after a refusal are kept without another try: what does not answer may take a minute.
_REFUSED_SECONDS = 15.0
_TOLD_SECONDS = 60.0


class _Refusal:
    """Why the parts cannot be made, as far as this process knows."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.error: Exception | None = None
        self.since = self.at = 0.0
        self.told_at: float | None = None


_refusal = _Refusal()


def parts_or_keep(message: func.QueueMessage, suffix: str = "") -> Services | None:
    """Return the parts of this process; None where the message was sent again, since nothing can be done now.

    Args:
        message: As the host delivered it.
        suffix: What the name of its queue has beyond CAB_QUEUE.

    Raises:
        Exception: The message could not even be sent again. The host delivers it again.
    """
    if stopping.is_stopping():
        with stopping.at_work():
            _send_again(message, suffix, _AFTER_STOP)
        _log.info("the process ends; a message was returned for another one")
        return None
    try:
        return _parts()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no fault of the message, and is told
        keep(message, suffix, error)
        return None


def keep(message: func.QueueMessage, suffix: str, why: Exception) -> None:
    """Send a message again for later, and tell why: once a minute.

    Args:
        message: As the host delivered it.
        suffix: What the name of its queue has beyond CAB_QUEUE.
        why: What kept it from being done.

    Raises:
        Exception: It could not be sent. The host delivers it again.
    """
    now = clock.monotonic()
    with _refusal.lock:
        is_told = _refusal.told_at is not None and now < _refusal.told_at + _TOLD_SECONDS
        _refusal.told_at = _refusal.told_at if is_told else now
        lasts = timedelta(seconds=now - _refusal.since) if _refusal.error else timedelta()
    if not is_told:
        WORK_STOPPED.tell(reason=f"messages are kept, and none is worked on: {type(why).__name__}: {why}")
    _send_again(message, suffix, spread(min(max(lasts, _FIRST_DELAY), _LAST_DELAY)))


def _parts() -> Services:
    with _refusal.lock:
        now = clock.monotonic()
        if _refusal.error and now < _refusal.at + _REFUSED_SECONDS:
            raise _refusal.error.with_traceback(None)
        try:
            from shared.services import services

            parts = services()
        except Exception as error:
            _refusal.since = _refusal.since if _refusal.error else now
            _refusal.error, _refusal.at = error, clock.monotonic()
            raise
        _refusal.error = None
        return parts


def _send_again(message: func.QueueMessage, suffix: str, delay: timedelta) -> None:
    from shared.core.storage_settings import queue_place
    from shared.progress.messages import returned

    place = queue_place()
    queue = _clients(place.storage).queues.get_queue_client(place.queue + suffix)
    text = returned(message.get_body(), message.dequeue_count or 1)
    queue.send_message(text, visibility_timeout=round(delay.total_seconds()), time_to_live=-1)


@cache
def _clients(storage: CabStorage) -> StorageClients:
    from shared.storage.clients import StorageClients

    return StorageClients(storage, connections=8, retries=1)

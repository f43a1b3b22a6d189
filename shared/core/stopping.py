"""Know that this process was asked to end, so that pulls hand on what is left instead of being cut off.

Azure takes instances away as load falls, and a container is asked by SIGTERM first. A pull that hears of it stops to
take work, writes its checkpoint and sends a message for the rest, as when its time budget is used.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.core.threads import thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Copies and pages on their way end by themselves within their time-outs; what is killed before is taken up by another
# instance, at the price of a lease.
_GRACE_SECONDS = 25.0
_stopping = threading.Event()
_at_work = 0
_idle = threading.Condition()


def is_stopping() -> bool:
    """Tell whether the process was asked to end."""
    return _stopping.is_set()


def wait(seconds: float) -> bool:
    """Wait, unless the process is asked to end meanwhile; tell whether it was."""
    return _stopping.wait(seconds)


def listen() -> None:
    """Listen for the signals that ask a process to end, from the main thread; each goes on to who listened before."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and getattr(signal.getsignal(number), "__module__", "") != __name__:
            signal.signal(number, _Handler(signal.getsignal(number)))


@contextmanager
def at_work() -> Iterator[None]:
    """Let the process live on for some seconds while this lasts, where the signal would end it at once."""
    global _at_work  # noqa: PLW0603 - one number for the process, as its signals are
    with _idle:
        _at_work += 1
    try:
        yield
    finally:
        with _idle:
            _at_work -= 1
            _idle.notify_all()


class _Handler:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        _stopping.set()
        if callable(self._before):
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            thread(partial(_end_when_idle, number), "stopping").start()


def _end_when_idle(number: int) -> None:
    with _idle:
        _idle.wait_for(lambda: not _at_work, _GRACE_SECONDS)
    os._exit(128 + number)

"""Every thread of the app starts here, so that what it logs is known as a line of the invocation that it works for.

The worker tells the platform with each line which invocation it belongs to, and the platform drops a line of none.
Azure's runtime keeps the id in a context variable (`azure_functions_runtime.invocation_id_cv`), which a new thread does
not inherit.

Use `Pool` in place of `ThreadPoolExecutor`, `thread` in place of `threading.Thread`, and `carrying` around a call that
goes to threads of another kind; `tests/unit/test_layout.py` finds what does not.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from shared.core import clock

if TYPE_CHECKING:
    from collections.abc import Callable


def carrying[**P, T](call: Callable[P, T]) -> Callable[P, T]:
    """Return a call that runs, once and in whatever thread, in the context of whoever asks for it here."""
    return partial(copy_context().run, call)


class Pool(ThreadPoolExecutor):
    """Threads that run each call in the context of whoever submits it."""

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in one of the threads; as every executor."""
        return super().submit(carrying(fn), *args, **kwargs)


class Look[T](NamedTuple):
    """A look that is under way, and when it began by the monotonic clock."""

    future: Future[T]
    began: float

    def result(self, seconds: float) -> T:
        """Return what it finds within some seconds of its beginning: who joins one that hangs waits no longer.

        Raises:
            TimeoutError: It is not over by then.
        """
        return self.future.result(max(0.0, self.began + seconds - clock.monotonic()))


class OneLook[T]:
    """Look at something in one thread, once for all who ask meanwhile: a look that hangs takes up no other.

    Args:
        look: What is looked at.
        name: What the log says of the thread.
    """

    def __init__(self, look: Callable[[], T], name: str) -> None:
        self._look, self._pool, self._lock = look, Pool(1, thread_name_prefix=name), threading.Lock()
        self._under_way: Look[T] | None = None

    def start(self) -> Look[T]:
        """Return the look that is under way, or one that begins now."""
        with self._lock:
            if self._under_way is None or self._under_way.future.done():
                self._under_way = Look(self._pool.submit(self._look), clock.monotonic())
            return self._under_way


def thread(call: Callable[[], object], name: str, *, daemon: bool = False) -> threading.Thread:
    """Return a thread, not yet started, that runs a call in the context of whoever asks for it here.

    Args:
        call: What it runs.
        name: What the log says where it ends by an error.
        daemon: Whether the process may end while it runs.
    """
    return threading.Thread(target=carrying(call), name=name, daemon=daemon)

"""Threads that are shared fairly: one limit for the whole process, and a turn for each user of them.

With a plain pool, a pull of one cab would wait behind every queued copy of a pull of thousands. What the threads of a
pull have to tell, they post to its inbox.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from shared.core.threads import Pool, carrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.pull.state import Event


class FairPool:
    """A number of threads.

    Args:
        threads: How many calls run at once, whoever makes them.
    """

    def __init__(self, threads: int) -> None:
        self._threads = Pool(threads, thread_name_prefix="copy")
        self._most, self._working = threads, 0
        self._lock = threading.Lock()
        self._turns: deque[deque[Callable[[], None]]] = deque()

    def lane(self) -> Executor:
        """Return an executor of one user; users with waiting calls take turns, a call each."""
        return _Lane(self)

    def enqueue(self, lane: deque[Callable[[], None]], call: Callable[[], None]) -> None:
        """Let a call wait in a lane for its turn."""
        with self._lock:
            if not lane:
                self._turns.append(lane)
            lane.append(call)
            if self._working == self._most:
                return
            self._working += 1
        self._threads.submit(self._work)

    def _work(self) -> None:
        """Make calls until none waits: a thread that has ended one takes the next without being woken for it."""
        while call := self._next():
            call()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if not self._turns:
                self._working -= 1
                return None
            lane = self._turns.popleft()
            call = lane.popleft()
            if lane:
                self._turns.append(lane)
            return call


class _Lane(Executor):
    def __init__(self, pool: FairPool) -> None:
        self._pool = pool
        self._waiting: deque[Callable[[], None]] = deque()

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._pool.enqueue(self._waiting, partial(_run, future, partial(carrying(fn), *args, **kwargs)))
        return future


class Inbox:
    """Events from any thread, for one who waits for them."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()

    def post(self, event: Event) -> None:
        """Put an event in."""
        self._events.put(event)

    def get(self, seconds: float | None) -> Event | None:
        """Wait for the next event, and return it; None where none came.

        Args:
            seconds: For how long at most; None for ever.
        """
        try:
            return self._events.get(timeout=seconds)
        except Empty:
            return None


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
        future.set_exception(error)

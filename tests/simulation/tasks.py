"""Threads that take turns: all run in one real thread, a seed draws whose turn it is, and time is a number.

The app is written with threads. In a game each of them is a greenlet, which goes on until it calls out or waits; then
the next one is drawn. When all of them wait, the clock jumps to the first that waits for a time. `in_place` puts these
threads, locks, queues and pools in the place of Python's in every module of the app, so that the very code of
production plays. A process that is killed never comes back from where it was: whatever it calls while its `finally`
blocks unwind is refused.
"""

from __future__ import annotations

import contextlib
import math
import queue
import random
import secrets
import sys
import threading
import time
import uuid
from collections import deque
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from shared.core import clock, stopping, threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEGINNING = datetime(2026, 11, 2, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone; nothing that it still does reaches the world."""


@dataclass(eq=False)
class Process:
    """What tasks belong to.

    Args:
        name: For the story.
        is_dead: Whether it was killed.
        frozen_until: None of its tasks runs before this time.
    """

    name: str
    is_dead: bool = False
    frozen_until: float = 0.0


@dataclass(eq=False, slots=True)
class Task:
    """A thread of a game, and what it waits for."""

    process: Process
    green: greenlet
    is_ready: Callable[[], bool] | None = None
    at: Callable[[], float | None] | float | None = None

    def due(self, now: float) -> float | None:
        """Return when it can go on as things stand; None where only another task can bring that about."""
        if self.is_ready is not None and self.is_ready():
            return max(now, self.process.frozen_until)
        at = self.at() if callable(self.at) else self.at
        return None if at is None else max(now, at, self.process.frozen_until)


class Tasks(clock.Clock):
    """All tasks of a game, and its clock.

    Args:
        chance: Draws whose turn it is.
    """

    def __init__(self, chance: random.Random) -> None:
        self.seconds = 0.0
        self._told = self.seconds, BEGINNING
        self._chance, self._tasks = chance, list[Task]()
        self.last = Process("nobody")
        self._hub, self._running = getcurrent(), dict[greenlet, Task]()

    def now(self) -> datetime:
        """Return the present of the game."""
        if self._told[0] != self.seconds:
            self._told = self.seconds, BEGINNING + timedelta(seconds=self.seconds)
        return self._told[1]

    def monotonic(self) -> float:
        """Return the seconds since the game began."""
        return self.seconds

    @property
    def current(self) -> Task | None:
        """The task that runs now; None between two."""
        return self._running.get(getcurrent())

    def start(self, process: Process, work: Callable[[], object]) -> None:
        """Let a task begin at its turn."""

        def run() -> None:
            with contextlib.suppress(Killed):
                work()

        green = greenlet(run, self._hub)
        task = Task(process, green, is_ready=_always)
        self._running[green] = task
        self._tasks.append(task)

    def wait(self, is_ready: Callable[[], bool] | None, at: Callable[[], float | None] | float | None = None) -> bool:
        """Let others run until something is so, or a time has come; return whether it is so."""
        task = self.current
        if task is None:
            if is_ready is not None and is_ready():
                return True
            message = "outside of a task nothing can be waited for"
            raise RuntimeError(message)
        self.raise_if_dead()
        task.is_ready, task.at = is_ready, at
        self._hub.switch()
        self.raise_if_dead()
        return is_ready is not None and is_ready()

    def sleep(self, seconds: float) -> None:
        """Let others run for a while."""
        self.wait(None, self.seconds + max(0.0, seconds))

    def raise_if_dead(self) -> None:
        """Raise Killed in a task whose process is gone."""
        task = self.current
        if task and task.process.is_dead:
            raise Killed

    def step(self, until: float) -> bool:
        """Let one task run to where it waits, or the clock go on to the next; return False when `until` has come."""
        first, turns = math.inf, list[Task]()
        for task in self._tasks:
            if task.process.is_dead:
                self._bury()
                return True
            at = task.due(self.seconds)
            if at is None or at > first:
                continue
            if at < first:
                first, turns = at, []
            turns.append(task)
        self.seconds = min(first, until)
        if first > until:
            return False
        self._go_on(turns[0] if len(turns) == 1 else self._chance.choice(turns))
        return True

    def end(self) -> None:
        """Kill what is left."""
        for task in self._tasks:
            task.process.is_dead = True
        self._bury()

    def _go_on(self, task: Task) -> None:
        self.last = task.process
        task.is_ready = task.at = None
        try:
            task.green.switch()
        finally:
            self._forget_ended(task)

    def _bury(self) -> None:
        for task in [each for each in self._tasks if each.process.is_dead]:
            while not task.green.dead:
                with contextlib.suppress(Killed):  # of one that never began
                    task.green.throw(Killed)
            self._forget_ended(task)

    def _forget_ended(self, task: Task) -> None:
        if task.green.dead and task.green in self._running:
            del self._running[task.green]
            self._tasks.remove(task)


@contextlib.contextmanager
def in_place(tasks: Tasks, seed: int) -> Iterator[None]:
    """Put the tasks and their clock in the place of Python's threads in every module of the app.

    Args:
        tasks: The threads.
        seed: Draws what the app draws.
    """
    global _tasks  # noqa: PLW0603 - the app asks for threads as it does of the process
    drawn = random.Random(seed)  # noqa: S311 - a game
    drawing: dict[object, object] = {
        random: drawn,
        uuid: SimpleNamespace(uuid4=lambda: uuid.UUID(int=drawn.getrandbits(128), version=4)),
        secrets: SimpleNamespace(token_hex=lambda size=32: drawn.randbytes(size).hex()),
    }
    instead: dict[int, object] = {id(real): ours for real, ours in [*_INSTEAD, *drawing.items()]}
    replaced: list[tuple[dict[str, object], str, object]] = []
    before, _tasks = _tasks, tasks
    for name, module in list(sys.modules.items()):
        if name.startswith("shared.") and name != clock.__name__:
            for variable, value in list(vars(module).items()):
                if id(value) in instead:
                    replaced.append((vars(module), variable, value))
                    vars(module)[variable] = instead[id(value)]
    try:
        with clock.using(tasks):
            yield
    finally:
        tasks.end()
        _tasks = before
        for variables, variable, value in replaced:
            variables[variable] = value


_tasks: Tasks | None = None


def _now() -> Tasks:
    assert _tasks is not None, "no game is played"
    return _tasks


def _always() -> bool:
    return True


def _process() -> Process:
    task = _now().current
    assert task is not None
    return task.process


def _end(timeout: float | None) -> float | None:
    return None if timeout is None else _now().seconds + max(0.0, timeout)


class _Lock:
    def __init__(self) -> None:
        self._is_held = False

    def acquire(self, blocking: bool = True) -> bool:
        if self._is_held and not (blocking and _now().wait(lambda: not self._is_held)):
            return False
        self._is_held = True
        return True

    def release(self) -> None:
        self._is_held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Event:
    def __init__(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def wait(self, timeout: float | None = None) -> bool:
        return self._is_set or _now().wait(self.is_set, _end(timeout))


class _Semaphore:
    def __init__(self, value: int = 1) -> None:
        self._left = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not self._left and not (blocking and _now().wait(lambda: self._left > 0, _end(timeout))):
            return False
        self._left -= 1
        return True

    def release(self) -> None:
        self._left += 1

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Thread:
    def __init__(self, *, target: Callable[[], object], name: str, daemon: bool) -> None:
        self._target, self._is_over = target, False

    def start(self) -> None:
        _now().start(_process(), self._run)

    def join(self, timeout: float | None = None) -> None:
        if not self._is_over:
            _now().wait(lambda: self._is_over, _end(timeout))

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._is_over = True


class _Future[T](Future[T]):
    def result(self, timeout: float | None = None) -> T:
        if not self.done():
            _now().wait(self.done, _end(timeout))
        return super().result(0)


class _Pool(Executor):
    def __init__(self, max_workers: int, thread_name_prefix: str = "") -> None:
        self._most, self._working = max_workers, 0
        self._waiting: deque[tuple[_Future[Any], Callable[[], Any]]] = deque()

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: _Future[T] = _Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        if self._working < self._most:
            self._working += 1
            _now().start(_process(), self._work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            for future, _ in self._waiting:
                future.cancel()
        if wait and self._working:
            _now().wait(lambda: not self._working)

    def _work(self) -> None:
        try:
            while self._waiting:
                future, call = self._waiting.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(call())
                except Exception as error:  # noqa: BLE001 - whoever waits for the future gets it
                    future.set_exception(error)
        finally:
            self._working -= 1


class _Queue[T]:
    def __init__(self) -> None:
        self._held: deque[T] = deque()

    def put(self, item: T) -> None:
        self._held.append(item)

    def get(self, timeout: float | None = None) -> T:
        if not self._held and not _now().wait(lambda: bool(self._held), _end(timeout)):
            raise queue.Empty
        return self._held.popleft()


# What the app uses of these, and no more: whatever else it asks for, an AttributeError names.
_INSTEAD: list[tuple[object, object]] = [
    (
        threading,
        SimpleNamespace(Lock=_Lock, Event=_Event, BoundedSemaphore=_Semaphore, Thread=_Thread),
    ),
    (threading.Lock, _Lock),
    (time, SimpleNamespace(monotonic=lambda: _now().monotonic())),
    (queue.SimpleQueue, _Queue),
    (threads.Pool, _Pool),
    (stopping.wait, lambda seconds: _now().sleep(seconds)),
    (stopping.is_stopping, lambda: getattr(_process(), "is_stopping", False)),
    (Future, _Future),
]

"""A small simulation of events: processes that wait, resources with places, and limits of so many a second."""

import heapq
import itertools
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field

type Process = Generator["float | Places | Wait"]


@dataclass(slots=True)
class Places:
    """A resource that so many can hold at once, first come, first served: yielding it waits for a place."""

    free: float
    waiting: deque[Process] = field(default_factory=deque)


@dataclass(slots=True)
class Wait:
    """Something that happens once, or so many times: yielding it waits until `left` has come down to 0."""

    left: int = 1
    waiting: list[Process] = field(default_factory=list)


@dataclass(slots=True)
class Limit:
    """A limit of so many a second, with no burst: who comes too early waits for its turn."""

    per_second: float
    next_free: float = 0.0

    def delay(self, now: float, amount: float = 1) -> float:
        """Take an amount of it, and return how long to wait before it may be used."""
        start = max(now, self.next_free)
        self.next_free = start + amount / self.per_second
        return start - now


class Simulation:
    """Runs processes: generators that yield seconds to wait, places to take, or things to wait for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Process]] = []
        self._numbers = itertools.count()

    def start(self, process: Process, after: float = 0.0) -> None:
        """Let a process begin."""
        heapq.heappush(self._events, (self.now + after, next(self._numbers), process))

    def release(self, places: Places) -> None:
        """Give a place back; the next who waits gets it."""
        if places.waiting:
            self.start(places.waiting.popleft())
        else:
            places.free += 1

    def happened(self, wait: Wait) -> None:
        """Count down; at 0 all who wait go on."""
        wait.left -= 1
        if wait.left <= 0:
            for process in wait.waiting:
                self.start(process)
            wait.waiting.clear()

    def run(self) -> float:
        """Run until nothing is left to do, and return the time."""
        while self._events:
            self.now, _, process = heapq.heappop(self._events)
            self._step(process)
        return self.now

    def _step(self, process: Process) -> None:
        while True:
            wanted = next(process, None)
            match wanted:
                case None:
                    return
                case Places() as places if places.free:
                    places.free -= 1
                case Places() as places:
                    places.waiting.append(process)
                    return
                case Wait() as wait if wait.left <= 0:
                    pass
                case Wait() as wait:
                    wait.waiting.append(process)
                    return
                case seconds:
                    self.start(process, seconds)
                    return

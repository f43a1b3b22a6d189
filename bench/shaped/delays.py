"""How long each answer takes: seeded, with a spread and a few slow ones, and remembered."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec


class Shape(msgspec.Struct, frozen=True):
    """What answers take.

    Args:
        table_ms: A request to a table.
        copy_ms: A copy, before its bytes.
        copy_mb_s: How many MB of a copy a second, beside others.
        page_ms: A page of the Dev Center.
        list_ms: A page of a listing of blobs.
        spread: How far a delay lies around these, 0.25 for a quarter up or down, evenly.
        slow_share: The share of answers that take `slow_times` as long.
        slow_times: How much longer these take.
        seed: The same seed and order of requests give the same delays.
    """

    table_ms: float = 10
    copy_ms: float = 40
    copy_mb_s: float = 100
    page_ms: float = 500
    list_ms: float = 30
    spread: float = 0.25
    slow_share: float = 0.01
    slow_times: float = 5
    seed: int = 1


class Given(msgspec.Struct, frozen=True):
    """The delays that were given since the last look, in seconds, and how many answers waited at once.

    Args:
        delays: By kind (table, copy, page, list), in the order of the requests: what each answer really took to be
            made, from its request on.
        most_at_once: By kind.
    """

    delays: dict[str, list[float]]
    most_at_once: dict[str, int]


class Delays:
    """Waits before each answer.

    Args:
        shape: How long.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._base = {
            "table": shape.table_ms / 1e3,
            "copy": shape.copy_ms / 1e3,
            "page": shape.page_ms / 1e3,
            "list": shape.list_ms / 1e3,
        }
        # Each kind draws from a series of its own: the number of requests of one does not change another's delays.
        self._draw = {kind: random.Random(f"{shape.seed} {kind}") for kind in self._base}  # noqa: S311 - no secret
        self._given: dict[str, list[float]] = defaultdict(list)
        self._waiting, self._most = Counter[str](), Counter[str]()

    def next(self, kind: str, size: int = 0) -> float:
        """Return the next delay of a kind, in seconds.

        Args:
            kind: table, copy, page or list.
            size: Bytes of a copy.
        """
        draw, shape = self._draw[kind], self._shape
        factor = draw.uniform(1 - shape.spread, 1 + shape.spread)
        factor *= shape.slow_times if draw.random() < shape.slow_share else 1
        return self._base[kind] * factor + size / (shape.copy_mb_s * 1e6)

    @asynccontextmanager
    async def taking(self, kind: str, size: int = 0) -> AsyncIterator[None]:
        """Make an answer, and take as long as one of its kind does; what it costs to make it is a part of that.

        Args:
            kind: table, copy, page or list.
            size: Bytes of a copy.
        """
        began, delay, given = time.perf_counter(), self.next(kind, size), self._given[kind]
        place = len(given)
        given.append(delay)
        self._waiting[kind] += 1
        self._most[kind] = max(self._most[kind], self._waiting[kind])
        try:
            yield
            await asyncio.sleep(began + delay - time.perf_counter())
        finally:
            self._waiting[kind] -= 1
            given[place] = time.perf_counter() - began

    def taken(self) -> Given:
        """Return what was given since the last call, and forget it."""
        given = Given({kind: list(delays) for kind, delays in self._given.items()}, dict(self._most))
        self._given.clear()
        self._most.clear()
        return given

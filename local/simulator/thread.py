"""Run the simulator from code that is not asynchronous: an event loop in a thread."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Self

from local.simulator.api import Accepts
from local.simulator.scenario import BatchForm
from local.simulator.server import Simulator


class LoopThread:
    """An event loop that runs in a thread of its own, from entering the context to leaving it."""

    def __init__(self) -> None:
        self._open = AsyncExitStack()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run(self._open.aclose())
            self.run(self._loop.shutdown_asyncgens())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run[T](self, work: Coroutine[object, object, T]) -> T:
        """Run a coroutine in the loop, and wait for what it returns or raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def enter[T](self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter an asynchronous context, which is left when this one is."""
        return self.run(self._open.enter_async_context(context))


class SimulatorThread(LoopThread):
    """A simulator with the calls of one that is not asynchronous."""

    def __init__(
        self,
        storage: Mapping[str, str],
        access_token: str | Accepts,
        storage_token: str | Accepts | None = None,
        seed: int = 1,
        authority: Path | None = None,
    ) -> None:
        """Describe it as `Simulator` does; it listens from entering the context to leaving it."""
        super().__init__()
        self._simulator = Simulator(storage, access_token, storage_token, seed, authority)
        self.center = self._simulator.center
        # What nearly every test asks for.
        self.world, self.builder = self.center.world, self.center.builder
        self.faults, self.ledger = self.center.faults, self.center.ledger

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.enter(self._simulator)
        except BaseException:
            super().__exit__()
            raise
        return self

    @property
    def url(self) -> str:
        """Where it answers: the value for DEVCENTER_BASE_URL."""
        return self._simulator.url

    @property
    def form(self) -> BatchForm:
        """How cab batches look."""
        return self.center.form

    @form.setter
    def form(self, form: BatchForm) -> None:
        self.center.form = form

    def publish(self) -> None:
        """Put what was built into storage, and list it."""
        self.run(self.center.publish())

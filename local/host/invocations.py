"""Running functions: one log line when each starts and ends, the time limit, and what is still running at a stop."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta

from local.host.functions import Function
from local.host.worker import Datum, Worker, WorkerResult

# For what cancelled work still does, such as giving back its message to a storage that may not answer.
_GIVE_BACK_SECONDS = 5.0


class Invocations:
    """Everything that runs or is about to.

    Work is whatever must not be cut off lightly: an invocation together with what its trigger does before and after it.
    """

    def __init__(self, worker: Worker, timeout: timedelta | None, on_failure: Callable[[str], None]) -> None:
        """Share one worker among all triggers.

        Args:
            worker: Runs the functions.
            timeout: host.json's functionTimeout; None for no limit.
            on_failure: Told why the host cannot go on, when a function overruns or the host itself has an error.
        """
        self._worker = worker
        self._timeout = timeout
        self._on_failure = on_failure
        self._work: set[asyncio.Task[None]] = set()
        self._overrun = False
        self.stopping = asyncio.Event()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start work that a stop waits for.

        Args:
            work: Is cancelled when the grace period of a stop is over.
        """
        task = self.supervise(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    def supervise(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start something whose error the host does not survive, and that a stop does not wait for.

        Args:
            coroutine: Handles what can go wrong; anything else is an error of the host.
        """
        task = asyncio.create_task(coroutine)
        task.add_done_callback(self._report)
        return task

    async def run(self, function: Function, reason: str, value: Datum, metadata: Mapping[str, Datum]) -> WorkerResult:
        """Invoke a function and tell of it as Azure's host does.

        Args:
            function: Which.
            reason: Why, for the log; must hold no secret.
            value: The trigger's value.
            metadata: The trigger's metadata.
        """
        logger = logging.getLogger(f"Function.{function.name}")
        invocation_id = str(uuid.uuid4())
        logger.info("Executing 'Functions.%s' (Reason='%s', Id=%s)", function.name, reason, invocation_id)
        started = time.monotonic()
        outcome = "Cancelled"
        result = WorkerResult(succeeded=False, value=None, trace="")
        try:
            async with asyncio.timeout(self._timeout.total_seconds() if self._timeout else None):
                result = await self._worker.invoke(function, invocation_id, value, metadata)
            outcome = "Succeeded" if result.succeeded else "Failed"
        except TimeoutError:
            outcome = "Timed out"
            self._overrun = True
            self._on_failure(
                f"Timeout value of {self._timeout} exceeded by function 'Functions.{function.name}' "
                f"(Id: '{invocation_id}')"
            )
        finally:
            logger.log(
                logging.INFO if result.succeeded else logging.ERROR,
                "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)",
                function.name,
                outcome,
                invocation_id,
                (time.monotonic() - started) * 1000,
            )
            # A record is a line, whatever a trace quotes.
            for line in result.trace.splitlines():
                logger.error("%s", line)
        return result

    async def drain(self, grace: timedelta) -> bool:
        """Wait for all work, then cancel what is left of it.

        Args:
            grace: How long to wait.

        Returns:
            Whether every function ended by itself. Where one did not, its thread may still run.
        """
        end = time.monotonic() + grace.total_seconds()
        # In rounds: a request whose body was still coming in when the stop began adds work of its own.
        while self._work and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._work, timeout=left)
        unfinished = set(self._work)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=_GIVE_BACK_SECONDS)
        return not unfinished and not self._overrun

    def _report(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logging.getLogger(__name__).error("The host itself failed", exc_info=error)
            self._on_failure(f"The host itself failed: {type(error).__name__}")

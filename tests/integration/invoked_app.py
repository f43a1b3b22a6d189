"""Run functions of the app under Azure's worker runtime, and tell which invocation each thread's lines belong to.

    python -m tests.integration.invoked_app {message of the queue}

The runtime keeps its state in globals, so this is a process of its own. Azure's worker gives each line of the log the
invocation that it finds here in the runtime, in the context of who logs or in its thread, and the platform drops a line
that has none.
"""

import asyncio
import json
import logging
import sys
import threading
from pathlib import Path
from types import FrameType

import azure_functions_runtime as runtime
from azure_functions_runtime.bindings.context import _invocation_id_local as of_this_thread

from local.host.timer_listener import timer_value
from local.host.worker import Datum, Worker

WORK = str(Path.cwd() / "shared") + "/"


class Invocations(logging.Handler):
    """Note for each thread that logs which invocation the worker would find."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen = set[tuple[str, str | None]]()

    def emit(self, record: logging.LogRecord) -> None:
        """Note it as the line is made, in the thread that makes it."""
        known = runtime.invocation_id_cv.get() or getattr(of_this_thread, "invocation_id", None)
        self.seen.add((record.threadName or "", known))


def line_of_each_thread(frame: FrameType, event: str, _: object) -> None:
    """Log a line wherever a thread is in the work: most of what it does goes well, and says nothing."""
    if event == "return" and frame.f_code.co_filename.startswith(WORK):
        sys.setprofile(None)
        logging.getLogger("tests").debug("%s", frame.f_code.co_qualname)
        sys.setprofile(line_of_each_thread)


async def told(message: str) -> list[tuple[str, str | None]]:
    """Return the threads that logged anything while functions ran, each with the invocation of its lines."""
    worker = Worker(Path.cwd())
    functions = {function.name: function for function in await worker.index()}
    invocations = Invocations()
    logging.basicConfig(level=logging.DEBUG, handlers=[invocations])
    threading.setprofile(line_of_each_thread)
    for name, value in (("pull_failure", Datum(message, "string")), ("reconcile", timer_value())):
        result = await worker.invoke(functions[name], f"of {name}", value, {"DequeueCount": Datum(1, "int")})
        assert result.succeeded, result.trace
    return sorted(invocations.seen, key=str)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(told(sys.argv[1]))) + "\n")

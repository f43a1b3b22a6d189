"""Run a host until a signal comes or it cannot go on."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType

from local.host.errors import StartError
from local.host.host import Host
from local.host.log import set_up_logging

_logger = logging.getLogger("Host")
# In Azure the worker would be restarted at once; this is for the message of the function that overran to be released.
_GRACE_AFTER_FAILURE = timedelta(seconds=1)


def run_host(app: Path, port: int, log_level: str, started: Callable[[str], None] = lambda _: None) -> int:
    """Run an app under the process environment.

    Args:
        app: The directory with function_app.py and host.json.
        port: On 127.0.0.1; 0 takes a free one.
        log_level: A name of the logging module's levels.
        started: Receives the host's address as soon as it serves.

    Returns:
        The exit code. Where a function's thread never ends, the process ends here with it.
    """
    set_up_logging(log_level)
    try:
        code, ended = asyncio.run(_run(app, port, started))
    except StartError as error:
        print(f"The host cannot start: {error}", file=sys.stderr)
        return 1
    if not ended:
        # Python would wait for the worker's threads at its exit, and theirs is a function that may never end.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


async def _run(app: Path, port: int, started: Callable[[str], None]) -> tuple[int, bool]:
    """Return the exit code and whether every function ended."""
    stop = _stop_on_signals()
    host = Host(app, port, os.environ)
    try:
        started(await host.start())
    except StartError:
        await host.stop(timedelta(0))
        raise
    failure = asyncio.create_task(host.wait_failed())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({failure, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if failure.done():
        _logger.critical("%s. The host exits", failure.result())
        return 1, await host.stop(_GRACE_AFTER_FAILURE)
    _logger.info("Host is stopping; running functions may end first. A second signal ends it at once")
    ended = await host.stop()
    _logger.info("Host stopped")
    return 0, ended


def _stop_on_signals() -> asyncio.Event:
    """Return an event that the first signal sets; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    signals = 0

    # Not loop.add_signal_handler, which Windows has not.
    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(128 + number)
        loop.call_soon_threadsafe(stop.set)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handle)
    return stop

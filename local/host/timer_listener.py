"""The timer trigger: runs a function whenever its NCRONTAB schedule is due, one run at a time."""

import asyncio
from datetime import UTC, datetime

import msgspec

from local.host.functions import Function
from local.host.invocations import Invocations
from local.host.ncrontab import Schedule
from local.host.worker import Datum

# The event loop's clock may stand still while a laptop sleeps, so the wall clock is looked at now and then.
_LONGEST_SLEEP_SECONDS = 30.0


class TimerListener:
    """Runs one function by the clock.

    Args:
        function: Runs when the schedule is due.
        schedule: Its times, in UTC.
        run_on_startup: Whether it also runs when the host starts.
        invocations: Runs the function.
    """

    def __init__(
        self, function: Function, schedule: Schedule, *, run_on_startup: bool, invocations: Invocations
    ) -> None:
        self._function = function
        self._schedule = schedule
        self._run_on_startup = run_on_startup
        self._invocations = invocations

    async def listen(self) -> None:
        """Run the function at its times until the host stops."""
        if self._run_on_startup:
            await self._fire("Timer fired at startup.")
        due = self._schedule.next_after(datetime.now(UTC))
        while await self._reached(due):
            await self._fire("Timer fired.")
            # A clock that was set back must not make the same time due twice.
            due = self._schedule.next_after(max(due, datetime.now(UTC)))

    async def close(self) -> None:
        """Do nothing: a timer holds no connection."""

    async def _reached(self, due: datetime) -> bool:
        """Sleep until a time; false when the host stops before."""
        stopping = self._invocations.stopping
        while not stopping.is_set():
            left = (due - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return True
            try:
                async with asyncio.timeout(min(left, _LONGEST_SLEEP_SECONDS)):
                    await stopping.wait()
            except TimeoutError:
                continue
        return False

    async def _fire(self, reason: str) -> None:
        await asyncio.wait({self._invocations.spawn(self._run(reason))})

    async def _run(self, reason: str) -> None:
        await self._invocations.run(self._function, reason, timer_value(), {})


def timer_value() -> Datum:
    """Return what azure.functions makes a TimerRequest of; there is no status where nothing monitors the schedule."""
    info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
    return Datum(msgspec.json.encode(info).decode(), "json")

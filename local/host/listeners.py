"""From a function's trigger, as the app wrote it, to the listener that serves it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from local.host.connections import QueueConnection, resolve
from local.host.functions import Function, QueueTrigger, TimerTrigger
from local.host.host_json import HostJson
from local.host.invocations import Invocations
from local.host.ncrontab import Schedule
from local.host.options import HostOptions
from local.host.queue_listener import QueueListener
from local.host.timer_listener import TimerListener


class Listener(Protocol):
    """Waits for a trigger and runs its function."""

    async def listen(self) -> None:
        """Listen until the host stops."""

    async def close(self) -> None:
        """Let go of connections; called once `listen` has ended."""


@dataclass(frozen=True, slots=True)
class ListenerFactory:
    """Makes listeners.

    Args:
        environment: The app settings.
        host_json: The app's.
        options: The host's.
        invocations: Runs the functions.
    """

    environment: Mapping[str, str]
    host_json: HostJson
    options: HostOptions
    invocations: Invocations

    def make(self, function: Function, trigger: QueueTrigger | TimerTrigger) -> Listener:
        """Resolve a trigger's settings and make its listener.

        Args:
            function: Runs when the trigger says so.
            trigger: The function's.

        Raises:
            BindingError: A setting is missing, or something in the trigger is not what it should be.
        """
        if isinstance(trigger, TimerTrigger):
            return TimerListener(
                function,
                Schedule.parse(resolve(trigger.schedule, self.environment)),
                run_on_startup=trigger.run_on_startup,
                invocations=self.invocations,
            )
        return QueueListener(
            function,
            QueueConnection.from_environment(trigger.connection, self.environment),
            resolve(trigger.queue_name, self.environment),
            self.host_json.extensions.queues,
            lease=self.options.message_lease,
            invocations=self.invocations,
        )

"""The embedded default: an Azurite and a simulated Dev Center, and the settings that point the app at them."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Self

from local.azurite.server import Azurite, account_key, azurite_command
from local.simulator.builder import CAB_ACCOUNTS, REPORT_ACCOUNT
from local.simulator.catalogue import Family
from local.simulator.thread import SimulatorThread

CAB_ACCOUNT = "cabferry"


class Embedded:
    """An Azurite and, where it is wanted, a Dev Center, from entering the context to leaving it.

    Args:
        say: Receives one line a step.
        with_devcenter: Whether to simulate a Dev Center; not where the environment names a real one.
        recorded: Whether Azurite's requests can be counted.
    """

    def __init__(self, say: Callable[[str], None], *, with_devcenter: bool = True, recorded: bool = False) -> None:
        self._say, self._with_devcenter, self._recorded = say, with_devcenter, recorded
        self._open = ExitStack()
        self.settings: Mapping[str, str] = {}

    def __enter__(self) -> Self:
        command = azurite_command(self._say)
        with ExitStack() as opening:
            accounts = {name: account_key() for name in (CAB_ACCOUNT, *CAB_ACCOUNTS, REPORT_ACCOUNT)}
            self._say("starting Azurite")
            self.azurite = opening.enter_context(Azurite(command, accounts, recorded=self._recorded))
            settings = {"CAB_STORAGE": self.azurite.connection_string(CAB_ACCOUNT)}
            if self._with_devcenter:
                self._say("starting the Dev Center simulator, and filling it")
                settings |= self._simulate(opening)
            self.settings = settings
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _simulate(self, opening: ExitStack) -> dict[str, str]:
        token = secrets.token_urlsafe()
        sources = {name: self.azurite.connection_string(name) for name in (*CAB_ACCOUNTS, REPORT_ACCOUNT)}
        self.simulator = opening.enter_context(SimulatorThread(sources, token))
        self.simulator.builder.playground()
        self.simulator.publish()
        named = {family: ",".join(self.simulator.world.applications(family)) for family in Family}
        return {
            "DESKTOP_APPLICATION_IDS": named[Family.DESKTOP],
            "STORE_APPLICATION_IDS": named[Family.APP],
            "DEVCENTER_BASE_URL": self.simulator.url,
            "DEVCENTER_ACCESS_TOKEN": token,
            "CAB_SOURCE_HOSTS": "127.0.0.1",
        }

"""What the app runs on here: what the environment or local.settings.json names, else the embedded default."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from local.paths import ROOT

_SETTINGS_FILE = ROOT / "local.settings.json"
# A pull holds a thread of the worker while it runs, and host.json allows twelve; HTTP needs some beside them. The
# deployment sets the same.
_THREADS = {"PYTHON_THREADPOOL_THREAD_COUNT": "16"}


class SettingsFileError(Exception):
    """local.settings.json is not what it should be."""


class _SettingsFile(msgspec.Struct):
    """The form that Azure Functions Core Tools give it; other keys are theirs."""

    values: dict[str, str] = msgspec.field(name="Values", default_factory=dict)


@contextmanager
def surroundings(say: Callable[[str], None], folder: Callable[[], Path]) -> Iterator[str]:
    """Complete this process's environment with app settings; what is embedded runs until the context is left.

    Yields the address of the simulated Dev Center's page; empty where none was started.

    Args:
        say: Receives one line a step.
        folder: Returns what receives the connection string of an embedded Azurite; asked only where one starts.

    Raises:
        SettingsFileError: local.settings.json is not what it should be.
        InstallError: Azurite could not be installed.
        ChildError: It did not start.
    """
    # The environment wins, as with Core Tools.
    for name, value in {**_THREADS, **_settings_of(_SETTINGS_FILE)}.items():
        os.environ.setdefault(name, value)
    if any(name == "CAB_STORAGE" or name.startswith("CAB_STORAGE__") for name in os.environ):
        yield ""
        return
    # Azurite and the simulator are half of a start, and most starts name their storage.
    from local.embedded import Embedded

    with_devcenter = not any(name.startswith("DEVCENTER_") for name in os.environ)
    with Embedded(say, with_devcenter=with_devcenter) as embedded:
        os.environ.update(embedded.settings)
        # A key does not belong into a terminal's history, though this one opens nothing but this Azurite.
        connection = folder() / "connection-string.txt"
        connection.parent.mkdir(parents=True, exist_ok=True)
        connection.write_text(embedded.settings["CAB_STORAGE"], encoding="utf-8")
        say(f"CAB_STORAGE is not set: cabs go into an Azurite in memory, gone when this ends; {connection} opens it")
        if with_devcenter:
            say("no DEVCENTER_* is set: a simulated one answers")
        yield f"{embedded.simulator.url}/simulator" if with_devcenter else ""


def _settings_of(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=_SettingsFile).values
    except msgspec.DecodeError as error:
        raise SettingsFileError(f"{file.name} is not what it should be: {error}") from None

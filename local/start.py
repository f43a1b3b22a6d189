"""`python3 dev.py start`: the app until Ctrl-C, on what is named, else on the embedded default."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec

from local.azurite.install import InstallError
from local.azurite.server import AzuriteError
from local.embedded import Embedded
from local.host.run import run_host
from local.paths import LOCAL, ROOT

_CONNECTION = LOCAL / "connection-string.txt"
_SETTINGS_FILE = ROOT / "local.settings.json"
# A pull holds a thread of the worker while it runs, and host.json allows twelve; HTTP needs some beside them. The
# deployment sets the same.
_THREADS = {"PYTHON_THREADPOOL_THREAD_COUNT": "16"}


class SettingsFileError(Exception):
    """local.settings.json is not what it should be."""


class _SettingsFile(msgspec.Struct):
    """The form that Azure Functions Core Tools give it; other keys are theirs."""

    values: dict[str, str] = msgspec.field(name="Values", default_factory=dict)


def start_app(port: int, log_level: str) -> int:
    """Run the app.

    Args:
        port: On 127.0.0.1; 0 takes a free one.
        log_level: A name of the logging module's levels.

    Returns:
        The exit code.
    """
    try:
        # The environment wins, as with Core Tools.
        for name, value in {**_THREADS, **_settings_of(_SETTINGS_FILE)}.items():
            os.environ.setdefault(name, value)
        with ExitStack() as opened:
            if not any(name == "CAB_STORAGE" or name.startswith("CAB_STORAGE__") for name in os.environ):
                with_devcenter = not any(name.startswith("DEVCENTER_") for name in os.environ)
                embedded = opened.enter_context(Embedded(_say, with_devcenter=with_devcenter))
                os.environ.update(embedded.settings)
                _tell(embedded, with_devcenter=with_devcenter)
            return run_host(ROOT, port, log_level)
    except (SettingsFileError, InstallError, AzuriteError) as error:
        print(f"start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _tell(embedded: Embedded, *, with_devcenter: bool) -> None:
    # A key does not belong into a terminal's history, though this one opens nothing but this Azurite.
    _CONNECTION.write_text(embedded.settings["CAB_STORAGE"], encoding="utf-8")
    _say(f"CAB_STORAGE is not set: the cabs go into an Azurite in memory, gone when this ends; {_CONNECTION} opens it")
    if with_devcenter:
        _say(f"no DEVCENTER_* is set: a simulated one answers; {embedded.simulator.url}/simulator shows what it served")
        _say("POST /api/reports/check starts the pulls, GET /api/pulls shows them")


def _settings_of(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=_SettingsFile).values
    except msgspec.DecodeError as error:
        raise SettingsFileError(f"{file.name} is not what it should be: {error}") from None


def _say(text: str) -> None:
    print(f"start: {text}", flush=True)

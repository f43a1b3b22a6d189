"""`python3 dev.py preflight`: ask the app what of all that it needs answers, and print what to do about the rest.

With an address it asks the app there; without one that which `python3 dev.py start` runs. Where none runs it asks the
app of this folder, under a host of its own that listens to no queue and no timer: a preflight must not begin to work.
"""

import sys

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.child import ChildError, HostProcess
from local.commands.app_calls import AppCallError, AppCalls
from local.commands.running import running_app
from local.commands.surroundings import SettingsFileError, surroundings
from local.install import InstallError
from local.paths import LOCAL

_KEY = "CABFERRY_FUNCTION_KEY"
# Apart from what an app that runs has there.
_FOLDER = LOCAL / "preflight"
_NARROWEST = 100


class _Check(msgspec.Struct, rename="camel"):
    name: str
    ok: bool
    answered: str
    milliseconds: int
    what_to_do: str | None


class _Preflight(msgspec.Struct):
    ready: bool
    checks: list[_Check]


def preflight(url: str | None) -> int:
    """Ask, and print a table.

    Args:
        url: Of an app; None asks the one that runs here, else the app of this folder.

    Returns:
        The exit code: 0 when the app is ready, 1 when it is not or did not answer.
    """
    try:
        found = _asked(url) if url else _of_this_folder()
    except (AppCallError, ChildError, InstallError, SettingsFileError) as error:
        print(f"preflight: {error}", file=sys.stderr)
        return 1
    _show(found)
    failed = sum(not check.ok for check in found.checks)
    _say("ready" if found.ready else f"not ready: {failed} of {len(found.checks)} checks failed")
    return 0 if found.ready else 1


def _of_this_folder() -> _Preflight:
    if url := running_app():
        _say(f"asking the app that runs at {url}")
        return _asked(url)
    log = _FOLDER / "host.log"
    with surroundings(_say, lambda: _FOLDER), HostProcess({"LOCAL_HTTP_ONLY": "1"}, log) as host:
        _say(f"the app runs at {host.url}; its log is {log}")
        return _asked(host.url)


def _asked(url: str) -> _Preflight:
    with AppCalls(url, _KEY, _say) as app:
        return app.told(app.call("POST", "preflight"), _Preflight)


def _show(found: _Preflight) -> None:
    """Print one row a check, and below it what to do; what was answered is text, and no markup."""
    console = Console(highlight=False)
    console.width = max(console.width, _NARROWEST)
    table = Table("", "check", "ms", "answered", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for check in found.checks:
        sign = Text("ok", "green") if check.ok else Text("FAILED", "bold red")
        table.add_row(sign, Text(check.name), str(check.milliseconds), Text(check.answered))
        if check.what_to_do:
            table.add_row("", "", "", Text(f"-> {check.what_to_do}", "bold"))
    console.print(table)


def _say(text: str) -> None:
    print(f"preflight: {text}", flush=True)

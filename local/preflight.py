"""`python3 dev.py preflight`: ask the app what of all that it needs answers, and print what to do about the rest.

With an address it asks the app there; without one that which `python3 dev.py start` runs. Where none runs it asks the
app of this folder, under a host of its own that listens to no queue and no timer: a preflight must not begin to work.
"""

import os
import sys

import msgspec
import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.azurite.server import AzuriteError
from local.host_process import HostError, HostProcess
from local.install import InstallError
from local.paths import LOCAL
from local.running import running_app
from local.surroundings import SettingsFileError, surroundings

_KEY = "CABFERRY_FUNCTION_KEY"
# Apart from what an app that runs has there.
_FOLDER = LOCAL / "preflight"
# A check takes up to 15 seconds; a deployed app may have to start first.
_SECONDS = 90.0
_SHOWN = 300
_NARROWEST = 100


class PreflightError(Exception):
    """The app did not answer with a preflight; the text says what it did, and what to do."""


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
        found = _of_running(url) if url else _of_this_folder()
    except (PreflightError, HostError, AzuriteError, InstallError, SettingsFileError) as error:
        print(f"preflight: {error}", file=sys.stderr)
        return 1
    _show(found)
    failed = sum(not check.ok for check in found.checks)
    _say("ready" if found.ready else f"not ready: {failed} of {len(found.checks)} checks failed")
    return 0 if found.ready else 1


def _of_this_folder() -> _Preflight:
    if url := running_app():
        _say(f"asking the app that runs at {url}")
        return _of_running(url)
    log = _FOLDER / "host.log"
    with surroundings(_say, lambda: _FOLDER), HostProcess({"LOCAL_HTTP_ONLY": "1"}, log) as host:
        _say(f"the app runs at {host.url}; its log is {log}")
        return _asked(host.url, {})


def _of_running(url: str) -> _Preflight:
    key = os.environ.get(_KEY, "")
    return _asked(url, {"x-functions-key": key} if key else {})


def _asked(url: str, headers: dict[str, str]) -> _Preflight:
    try:
        # Not to another host: the key is for this one.
        answer = requests.post(f"{url}/api/preflight", headers=headers, timeout=_SECONDS, allow_redirects=False)
    except (requests.RequestException, ValueError) as error:
        raise PreflightError(f"{url} does not answer ({type(error).__name__}): check the address") from None
    if answer.status_code == requests.codes.unauthorized:
        raise PreflightError(f"{url} wants a function key: set {_KEY} to it (docs/deploy.md says where it is)")
    if answer.status_code == requests.codes.not_found:
        raise PreflightError(f"{url} has no preflight: is that the app, and is it deployed?")
    if answer.status_code != requests.codes.ok:
        raise PreflightError(f"{url} answered {answer.status_code}: {' '.join(answer.text.split())[:_SHOWN]}")
    try:
        return msgspec.json.decode(answer.content, type=_Preflight)
    except msgspec.DecodeError as error:
        raise PreflightError(f"{url} answered something else than a preflight: {error}") from None


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

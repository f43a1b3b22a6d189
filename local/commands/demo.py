"""The demo: a whole Cabferry on this machine, from a report to the last byte of every cab.

It speaks to the app as anyone would, over HTTP, and looks into storage as anyone could.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from local.aftermath import findings
from local.azurite.access_log import StorageRequest
from local.child import ChildError, HostProcess
from local.embedded import CAB_ACCOUNT, Embedded
from local.install import InstallError
from local.kill_points import CONTAINER
from local.paths import LOCAL
from local.simulator.catalogue import Family

_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 300.0
_HTTP_SECONDS = 120.0
_LOG = LOCAL / "demo" / "host.log"
_ENDED = {"Completed", "Failed"}


class DemoError(Exception):
    """The demo did not end as it should; the text says how."""


def demo() -> int:
    """Run the demo.

    Returns:
        The exit code: 0 when every cab is in the container, byte for byte.
    """
    started = time.monotonic()
    try:
        with Embedded(_say, recorded=True) as embedded:
            world = embedded.simulator.world
            sizes = [world.held[cab.cab_id_hash].length for cab in world.all_cabs() if cab.downloadable]
            known = sum(len(world.applications(family)) for family in (Family.DESKTOP, Family.APP))
            with HostProcess(embedded.settings, _LOG) as host:
                _say(f"the app runs at {host.url}; its log is {_LOG}")
                before = len(embedded.azurite.requests(CAB_ACCOUNT))
                rows = _pull_everything(host, len(sizes), known)
            asked = embedded.azurite.requests(CAB_ACCOUNT)
            made = sum(not each.is_queue_message for each in asked[before:])
            _say("the app has ended; comparing every cab and row with the Dev Center's")
            _compare(embedded, asked)
            _say(f"{len(sizes)} cabs, {sum(sizes) / 1e6:.1f} MB, are in the container {CONTAINER}, byte for byte")
            for family in Family:
                _say(_told_of(family.value, rows))
            _say(f"{made / len(sizes):.2f} storage requests a cab; {time.monotonic() - started:.1f} s in all")
            _say("the container was in memory; `python3 dev.py start` runs the same and stays")
    except (DemoError, ChildError, InstallError, requests.RequestException) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    return 0


def _compare(embedded: Embedded, asked: Sequence[StorageRequest]) -> None:
    if wrong := findings(embedded.settings["CAB_STORAGE"], embedded.simulator.world, asked):
        raise DemoError(f"{len(wrong)} things are not as they should be; the first: {wrong[0]}")


def _told_of(family: str, rows: list[Any]) -> str:
    mine = [row for row in rows if row["family"] == family]
    copied, unavailable = (sum(row["cabs"][name] for row in mine) for name in ("copied", "unavailable"))
    without = sum(row["withoutCab"] for row in mine)
    more = f", {unavailable} that may not be downloaded, {without} crashes without a cab" if family != "driver" else ""
    return f"{family}: {len(mine)} failures, {copied} cabs{more}"


def _pull_everything(host: HostProcess, cabs: int, known: int) -> list[Any]:
    """Check the reports and the applications, follow the pulls to their ends, and return them."""
    with _Bars() as progress:
        reports, checked = progress.add("reports"), progress.add("apps")
        runs = _checked(host)
        reports(len(runs), len(runs))
        applications = _looked_for(host, known)
        checked(len(applications), len(applications))
        failures = sum(run["failures"] for run in runs) + sum(each["queued"] for each in applications)
        pulls, copies = progress.add("failures"), progress.add("cabs")
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            rows = _pulls(host)
            ended = [row for row in rows if row["state"] in _ENDED]
            pulls(len(ended), failures)
            copies(sum(row["cabs"]["copied"] for row in rows), cabs)
            if len(ended) >= failures:
                break
            if host.has_ended or time.monotonic() > end:
                raise DemoError(f"{len(ended)} of {failures} pulls ended; the app's log ends with:\n{host.log_end()}")
            time.sleep(_LOOK_SECONDS)
    if failed := [row for row in rows if row["state"] == "Failed" or row["cabs"]["failed"]]:
        raise DemoError(f"{len(failed)} pulls failed; the first: {failed[0]['lastError']}")
    return rows


def _checked(host: HostProcess) -> list[Any]:
    """Let the reports be checked, and return what was done with each run."""
    check = _followed(host, "reports", lambda told: bool(told["endedAt"]))
    if check["error"]:
        raise DemoError(f"the check of the reports failed: {check['error']}")
    runs: list[Any] = check["runs"]
    return runs


def _looked_for(host: HostProcess, known: int) -> list[Any]:
    """Let the failures of the desktop and Store applications be looked for, and return how that went."""
    check = _followed(host, "failures", lambda told: len(told["applications"]) == known)
    applications: list[Any] = check["applications"]
    if failed := [each for each in applications if each["error"]]:
        raise DemoError(f"the check of application {failed[0]['applicationId']} failed: {failed[0]['error']}")
    return applications


def _followed(host: HostProcess, what: str, is_over: Callable[[Any], bool]) -> Any:
    """Ask for a check, and return what it tells in the end."""
    answer = requests.post(f"{host.url}/api/{what}/check", timeout=_HTTP_SECONDS)
    if not answer.ok:
        raise DemoError(f"the check of the {what} answered {answer.status_code}: {answer.text}")
    end = time.monotonic() + _PATIENCE_SECONDS
    while not is_over(told := requests.get(f"{host.url}{answer.headers['Location']}", timeout=_HTTP_SECONDS).json()):
        if host.has_ended or time.monotonic() > end:
            raise DemoError(f"the check of the {what} did not end; the app's log ends with:\n{host.log_end()}")
        time.sleep(_LOOK_SECONDS)
    return told


def _pulls(host: HostProcess) -> list[Any]:
    rows: list[Any] = []
    continuation: str | None = ""
    while continuation is not None:
        query = {"limit": "1000", **({"continuation": continuation} if continuation else {})}
        page = requests.get(f"{host.url}/api/pulls", params=query, timeout=_HTTP_SECONDS).json()
        rows += page["pulls"]
        continuation = page["continuation"]
    return rows


class _Bars:
    """Progress bars in a terminal; elsewhere a plain line whenever a number has changed."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._bars = Progress(
            TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), console=self._console
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def add(self, name: str) -> Callable[[int, int], None]:
        """Add a bar; return what moves it to a number of a total."""
        bar, last = self._bars.add_task(name, total=None), (-1, -1)

        def move(done: int, total: int) -> None:
            nonlocal last
            if (done, total) != last and not self._console.is_terminal:
                _say(f"{name}: {done} of {total}")
            last = (done, total)
            self._bars.update(bar, completed=done, total=total)

        return move


def _say(text: str) -> None:
    print(f"demo: {text}", flush=True)

"""`python3 dev.py report`: make, watch, pause and resume the reports that name the failures of drivers.

It speaks to the app over HTTP, and the app to the Dev Center: nobody opens Partner Center for it.
"""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.app_calls import AppCallError, AppCalls

_CALLBACK = "CABFERRY_CALLBACK_URL"
_NARROWEST = 100


def report(options: argparse.Namespace) -> int:
    """Do what is wished for, and print what came of it.

    Args:
        options: As the command line has them (local/__main__.py).

    Returns:
        The exit code: 0 when it came about and, for `status`, nothing is wrong.
    """
    try:
        with AppCalls(options.url, options.key_from_environment, _say) as app:
            return _WISHES[options.wish](app, options)
    except AppCallError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1


def _templates(app: AppCalls, _: argparse.Namespace) -> int:
    told = app.told(app.call("GET", "reports/templates"), dict[str, Any])
    rows = [
        (
            each["templateId"],
            each["view"],
            each["reportPeriod"],
            len(each["columns"]),
            ", ".join(each["missingColumns"]),
        )
        for each in told["templates"]
    ]
    _show(("template", "view", "period", "columns", "lacks"), rows, told["odd"])
    return 0


def _schedules(app: AppCalls, _: argparse.Namespace) -> int:
    told = app.told(app.call("GET", "reports/schedules"), dict[str, Any])
    columns = ("reportId", "state", "templateId", "recurrenceInterval", "runsLeft", "nextRunAt", "lastRunAt")
    heads = ("report", "state", "template", "every, h", "runs left", "next run", "last run")
    _show(heads, [[each[name] for name in columns] for each in told["schedules"]], told["odd"])
    return 0


def _create(app: AppCalls, options: argparse.Namespace) -> int:
    wished = {
        "recurrenceInterval": options.every,
        "recurrence": options.runs,
        "startTime": options.start,
        "templateId": options.template,
        "callbackUrl": os.environ.get(_CALLBACK) or None,
    }
    body = {name: value for name, value in wished.items() if value is not None}
    made = app.told(app.call("POST", "reports/schedules", body=body), dict[str, Any])
    _say(f"report {made['reportId']} is scheduled, of template {made['templateId']}")
    return 0


def _set(app: AppCalls, options: argparse.Namespace) -> int:
    path = f"reports/schedules/{quote(options.report, safe='')}/{options.wish}"
    told = app.told(app.call("POST", path), dict[str, Any])
    _say(f"report {told['reportId']} is {'active' if told['isActive'] else 'paused'}")
    return 0


def _status(app: AppCalls, _: argparse.Namespace) -> int:
    runs = app.told(app.call("GET", "reports", {"limit": "1000"}), dict[str, Any])["runs"]
    problems = app.told(app.call("GET", "health"), dict[str, Any])["problems"]
    columns = ("reportId", "reportDatetime", "status", "failures", "cabs", "ingestedAt", "error")
    heads = ("report", "made", "status", "failures", "cabs", "read", "could not be read")
    _show(heads, [[each[name] for name in columns] for each in runs], problems)
    return 1 if problems else 0


_WISHES: dict[str, Callable[[AppCalls, argparse.Namespace], int]] = {
    "templates": _templates,
    "schedules": _schedules,
    "create": _create,
    "pause": _set,
    "resume": _set,
    "status": _status,
}


def _show(heads: tuple[str, ...], rows: list[Any], problems: list[str]) -> None:
    """Print a table, and what is wrong; what was answered is text, and no markup."""
    console = Console(highlight=False)
    console.width = max(console.width, _NARROWEST)
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text("-" if value in (None, "") else str(value)) for value in row))
    console.print(table if rows else "none")
    for each in problems:
        console.print(Text(f"! {each}", "bold"))


def _say(text: str) -> None:
    print(f"report: {text}", flush=True)

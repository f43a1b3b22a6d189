"""`cabferry report`: what Microsoft reports of drivers, and when; nobody opens Partner Center for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .api import Api
from .output import answer, answer_json, answer_table
from .problems import Exit, ProblemError

if TYPE_CHECKING:
    import argparse

# What the Dev Center calls holds a key, which belongs into no command line.
CALLBACK = "CABFERRY_CALLBACK_URL"
_SCHEDULE = ("reportId", "state", "templateId", "recurrenceInterval", "runsLeft", "nextRunAt", "lastRunAt")
_TEMPLATE = ("templateId", "view", "reportPeriod", "missingColumns")


def run(arguments: argparse.Namespace) -> Exit:
    """Do what is wished for, and print what came of it."""
    api = Api(arguments.url)
    if arguments.wish in {"schedules", "templates"}:
        _list(api, arguments.wish, as_json=arguments.json)
        return Exit.DONE
    if arguments.wish == "create":
        wished = {
            "recurrenceInterval": arguments.every,
            "recurrence": arguments.runs,
            "templateId": arguments.template,
            "callbackUrl": os.environ.get(CALLBACK) or None,
        }
        made = api.post("reports/schedules", {name: each for name, each in wished.items() if each is not None})
        text = f"report {made['reportId']} is scheduled, of template {made['templateId']}"
    else:
        if not arguments.report:
            raise ProblemError(Exit.WRONG_USE, f"name the report: cabferry report {arguments.wish} REPORT-ID")
        made = api.post(f"reports/schedules/{quote(arguments.report, safe='')}/{arguments.wish}", {})
        text = f"report {made['reportId']} is {'active' if made['isActive'] else 'paused'}"
    if arguments.json:
        answer_json(made)
    else:
        answer(text)
    return Exit.DONE


def _list(api: Api, wish: str, *, as_json: bool) -> None:
    told = api.get(f"reports/{wish}")
    if as_json:
        answer_json(told)
        return
    columns = _SCHEDULE if wish == "schedules" else _TEMPLATE
    answer_table(columns, [[_shown(each[name]) for name in columns] for each in told[wish]], (), columns[-1])
    for each in told["odd"]:
        answer(f"! {each}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(value)
    return "-" if value in (None, "") else str(value)

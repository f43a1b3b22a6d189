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
# What each wish takes beside what all do.
_TAKES = {"create": {"every", "runs", "start", "template"}, "pause": {"report"}, "resume": {"report"}}
_COLUMNS = {
    "schedules": ("reportId", "state", "templateId", "recurrenceInterval", "runsLeft", "nextRunAt", "lastRunAt"),
    "templates": ("templateId", "view", "reportPeriod", "columns", "missingColumns"),
    "runs": ("reportId", "reportDatetime", "status", "failures", "cabs", "ingestedAt", "error"),
}


def run(arguments: argparse.Namespace) -> Exit:
    """Do what is wished for, and print what came of it; for `status`, the exit code tells whether all is well."""
    _refuse_unused(arguments)
    api = Api(arguments.url)
    if arguments.wish in {"schedules", "templates"}:
        told = api.get(f"reports/{arguments.wish}")
        _list(told, arguments.wish, told["odd"], as_json=arguments.json)
        return Exit.DONE
    if arguments.wish == "status":
        told = {"runs": api.get("reports", limit=1_000)["runs"], "problems": api.get("health")["problems"]}
        _list(told, "runs", told["problems"], as_json=arguments.json)
        return Exit.NOT_WELL if told["problems"] else Exit.DONE
    if arguments.wish == "create":
        wished = {
            "recurrenceInterval": arguments.every,
            "recurrence": arguments.runs,
            "startTime": arguments.start,
            "templateId": arguments.template,
            "callbackUrl": os.environ.get(CALLBACK) or None,
        }
        made = api.post("reports/schedules", {name: each for name, each in wished.items() if each is not None})
        text = f"report {made['reportId']} is scheduled, of template {made['templateId']}"
    else:
        if not arguments.report:
            raise ProblemError(Exit.WRONG_USE, f"name the report: report {arguments.wish} REPORT-ID")
        made = api.post(f"reports/schedules/{quote(arguments.report, safe='')}/{arguments.wish}", {})
        text = f"report {made['reportId']} is {'active' if made['isActive'] else 'paused'}"
    if arguments.json:
        answer_json(made)
    else:
        answer(text)
    return Exit.DONE


def _refuse_unused(arguments: argparse.Namespace) -> None:
    """Refuse what the wish does not take: whoever names it expects that it does something."""
    known = set().union(*_TAKES.values())
    if unused := sorted(each for each in known - _TAKES.get(arguments.wish, set()) if getattr(arguments, each)):
        named = " or ".join("REPORT-ID" if each == "report" else f"--{each}" for each in unused)
        raise ProblemError(Exit.WRONG_USE, f"report {arguments.wish} takes no {named}")


def _list(told: dict[str, Any], kind: str, problems: list[str], *, as_json: bool) -> None:
    """Print what was told as JSON, or its rows and what is wrong for people."""
    if as_json:
        answer_json(told)
        return
    columns = _COLUMNS[kind]
    if rows := [[_shown(name, each[name]) for name in columns] for each in told[kind]]:
        answer_table(columns, rows, (), columns[-1])
    else:
        answer("none")
    for each in problems:
        answer(f"! {each}")


def _shown(column: str, value: Any) -> str:
    if isinstance(value, list):
        value = len(value) if column == "columns" else ", ".join(value)
    return "-" if value in (None, "") else str(value)

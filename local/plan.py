"""`python3 dev.py plan`: what the next run would take, under the rules that hold or under a file of yours."""

import os
import sys
from pathlib import Path

import msgspec
import requests

from local.running import running_app

_SECONDS = 90.0
_SHOWN = 2_000


class PlanError(Exception):
    """There is no plan; the text says why, and what to do."""


class _Rule(msgspec.Struct, rename="camel"):
    reason: str
    failures: int
    cabs: int


class _Cost(msgspec.Struct, rename="camel"):
    dev_center_calls: int
    storage_requests: int
    queue_requests: int
    gigabyte_months: float


class _Plan(msgspec.Struct, rename="camel"):
    next_run_at: str | None
    rules: int
    problem: str | None
    failures: int
    cabs: int
    bytes: int
    bytes_a_day: int | None
    days: int
    skipped_by: list[_Rule]
    expiring_soon: int
    expiring_before: int
    too_late: int
    cost: _Cost
    unknown: list[str]


class _Problem(msgspec.Struct):
    detail: str


def plan(url: str | None, key_variable: str, rules: Path | None) -> int:
    """Ask an app for a plan, and print it.

    Args:
        url: Of the app; None asks the one that runs here.
        key_variable: The environment variable that holds its function key; a command line is for everybody to see.
        rules: A settings file that is not uploaded yet; None plans with the one that holds.

    Returns:
        The exit code: 0 where there is a plan, and nothing is wrong with the rules.
    """
    try:
        told = _asked(url or _of_running(), key_variable, rules)
    except PlanError as error:
        print(f"plan: {error}", file=sys.stderr)
        return 1
    for line in _lines(told):
        print(line)
    return 1 if told.problem else 0


def _lines(told: _Plan) -> list[str]:
    cost = told.cost
    lines = [
        f"next run:  {told.next_run_at or 'none is scheduled'}; {told.rules} rules hold",
        f"would take {told.failures:,} failures, {told.cabs:,} cabs, some {told.bytes / 1e9:,.2f} GB",
        f"it costs   {cost.dev_center_calls:,} calls of the Dev Center, {cost.storage_requests:,} requests of storage "
        f"and {cost.queue_requests:,} of its queue, {cost.gigabyte_months:,.2f} GB-months",
        f"expiring   {told.expiring_soon:,} missing cabs within 48 hours; cabs of {told.expiring_before:,} failures "
        "before the next run",
        *(f"skips      {each.cabs:,} cabs of {each.failures:,} failures: {each.reason}" for each in told.skipped_by),
    ]
    if told.bytes_a_day:
        late = f"; cabs of {told.too_late:,} failures would expire before their day" if told.too_late else ""
        lines.append(f"takes      {told.days:,} days at {told.bytes_a_day / 1e9:,.2f} GB a day{late}")
    lines += [f"WRONG      {told.problem}"] if told.problem else []
    return [*lines, *(f"not in it: {each}" for each in told.unknown)]


def _of_running() -> str:
    url = running_app()
    if not url:
        raise PlanError("no app runs here: `python3 dev.py start` starts one, and --url names another")
    return url


def _asked(url: str, key_variable: str, rules: Path | None) -> _Plan:
    headers = {"x-functions-key": key} if (key := os.environ.get(key_variable, "")) else {}
    try:
        body = {"keep": rules.read_text(encoding="utf-8-sig")} if rules else None
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{rules} cannot be read: {error}") from None
    try:
        # Not to another host: the key is for this one.
        answer = requests.request(
            "POST" if body else "GET",
            f"{url}/api/plan",
            json=body,
            headers=headers,
            timeout=_SECONDS,
            allow_redirects=False,
        )
    except (requests.RequestException, ValueError) as error:
        raise PlanError(f"{url} does not answer ({type(error).__name__}): is the app running there?") from None
    if answer.status_code == requests.codes.unauthorized:
        raise PlanError(f"{url} wants a function key: set {key_variable} to it (docs/deploy.md says where it is)")
    try:
        if answer.status_code != requests.codes.ok:
            raise PlanError(msgspec.json.decode(answer.content, type=_Problem).detail)
        return msgspec.json.decode(answer.content, type=_Plan)
    except msgspec.DecodeError:
        shown = " ".join(answer.text.split())[:_SHOWN]
        raise PlanError(f"{url} answered {answer.status_code}, which is no plan: {shown}") from None

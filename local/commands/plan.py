"""`python3 dev.py plan`: what the next run would take, under the rules that hold or under a file of yours."""

import sys
from pathlib import Path

import msgspec

from local.commands.app_calls import AppCallError, AppCalls


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
        with AppCalls(url, key_variable, _say) as app:
            told = _asked(app, rules)
    except AppCallError as error:
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


def _asked(app: AppCalls, rules: Path | None) -> _Plan:
    if rules is None:
        return app.told(app.call("GET", "plan"), _Plan)
    try:
        body = {"keep": rules.read_text(encoding="utf-8-sig")}
    except (OSError, UnicodeDecodeError) as error:
        raise AppCallError(f"{rules} cannot be read: {error}") from None
    return app.told(app.call("POST", "plan", body=body), _Plan)


def _say(text: str) -> None:
    print(f"plan: {text}", flush=True)

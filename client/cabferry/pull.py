"""`cabferry pull`: ask the app for a failure's cabs now, and wait for them where that is wished."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .api import Api
from .catalog import read_catalog
from .choice import chosen
from .container import open_container
from .output import answer_json, say, size
from .problems import Exit, ProblemError

if TYPE_CHECKING:
    import argparse

_ENDED = {"Completed", "Failed"}


def run(arguments: argparse.Namespace) -> Exit:
    """Ask for the pulls, and wait until each has ended."""
    api = Api(arguments.url)
    asked = [failure for wanted in arguments.wanted for failure in _failures(arguments, wanted)]
    accepted = []
    for application, failure in dict.fromkeys(asked):
        accepted += api.post("pulls", {"applicationId": application, "failureHash": failure})["pulls"]
    if not arguments.wait:
        if arguments.json:
            answer_json(accepted)
        else:
            say(f"{len(accepted)} pulls are queued")
        return Exit.DONE
    ended = _ended(api, [_path(each) for each in accepted], time.monotonic() + arguments.timeout)
    if arguments.json:
        answer_json(ended)
    if any(each["state"] not in _ENDED for each in ended):
        say("the time is up; the pulls go on without this command")
    if not all(each["state"] == "Completed" for each in ended):
        return Exit.NOT_WELL
    # Microsoft names no cab of any of them, and none came before.
    is_nothing = not any(each["cabs"]["seen"] or (each.get("held") or {}).get("cabs") for each in ended)
    return Exit.NOTHING_FOUND if is_nothing else Exit.DONE


def _failures(arguments: argparse.Namespace, wanted: str) -> list[tuple[str, str]]:
    """Return the applicationId and failureHash of what is asked for; what has an --application needs no catalog."""
    if arguments.application:
        return [(arguments.application, wanted)]
    cabs = read_catalog(open_container(arguments.container), arguments.parallel)
    try:
        return list(dict.fromkeys(cab.failure for cab in chosen(cabs, wanted)))
    except ProblemError as problem:
        text = f"{problem}; a failure that is in no catalog yet is asked for by --application ID and its whole hash"
        raise ProblemError(problem.exit_code, text) from None


def _path(accepted: dict[str, Any]) -> str:
    return f"pulls/{quote(accepted['applicationId'], safe='')}/{quote(accepted['failureHash'], safe='')}"


def _ended(api: Api, paths: list[str], until: float) -> list[dict[str, Any]]:
    """Ask how the pulls stand until all have ended or the time is up; return the last answer of each."""
    last: dict[str, dict[str, Any]] = {}
    while True:
        for path in paths:
            if last.get(path, {}).get("state") in _ENDED:
                continue
            try:
                found = api.get(path)
            except ProblemError as problem:
                if problem.exit_code != Exit.UNREACHABLE or time.monotonic() >= until:
                    raise
                say(f"{problem}; asking again")  # it may be starting anew
                continue
            if _line(found) != _line(last.get(path, {})):
                say(_line(found))
            last[path] = found
        has_all = last.keys() == {*paths}
        if has_all and (all(each["state"] in _ENDED for each in last.values()) or time.monotonic() >= until):
            return list(last.values())
        time.sleep(min(2.0, max(0.0, until - time.monotonic())))


def _line(pull: dict[str, Any]) -> str:
    if not pull:
        return ""
    cabs, total, rate = pull["cabs"], pull.get("total"), pull.get("rate")
    of = f" of {total}" if total else ""
    text = f"{pull.get('failureName') or pull['failureHash']}: {pull['state']}, {cabs['seen']}{of} cabs seen, "
    text += f"{cabs['copied']} copied"
    # Storage tells the length of what it copies by itself at the pull's end.
    text += f" ({size(pull['bytes'])})" if pull["bytes"] else ""
    text += f", {cabs['alreadyHeld']} held before"
    lost = cabs["expired"] + cabs["unavailable"] + cabs["failed"]
    text += f", {lost} not to be had" if lost else ""
    text += f", {size(rate)}/s" if rate and pull["state"] == "Running" else ""
    error = pull["lastError"] if pull["state"] != "Completed" else None
    return "; ".join(each for each in (text, error, pull.get("note")) if each)

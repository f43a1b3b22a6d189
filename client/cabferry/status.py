"""`cabferry status`: how the app stands, in some lines; the strip of its dashboard as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .api import Api
from .output import answer, answer_json, size
from .problems import Exit

if TYPE_CHECKING:
    import argparse


def run(arguments: argparse.Namespace) -> Exit:
    """Print how the app stands; the exit code tells whether all is well."""
    summary = Api(arguments.url).get("summary")
    if arguments.json:
        answer_json(summary)
    else:
        for line in lines(summary):
            answer(line)
    return Exit.DONE if summary["state"] == "ok" else Exit.NOT_WELL


def lines(summary: dict[str, Any]) -> list[str]:
    """Return what `GET /api/summary` tells, for people; what the app does not know is a question mark."""
    cabs, pulls, checks = summary["cabs"], summary["pulls"], summary["checks"]
    found = [f"{summary['state'].upper()}  at {summary['at']}", *(f"  ! {each}" for each in summary["problems"])]
    oldest = summary.get("oldestQueuedAt")
    found += [
        "pulls     "
        + ", ".join(f"{name} {_known(pulls.get(name))}" for name in ("Queued", "Running", "Failed"))
        + (f", oldest queued at {oldest}" if oldest else ""),
        f"cabs      {_known(cabs['copiedToday'])} copied today, {_known(cabs['held'])} held"
        + ("" if cabs["bytes"] is None else f" ({size(cabs['bytes'])})"),
        f"at risk   {_known(cabs['missing'])} missing, {_known(cabs['expiringSoon'])} expire within 48 h",
    ]
    for name in ("reports", "failures"):
        found.append(f"{name:<10}{_check(checks[name])}")
    found.append(f"reconcile {_check(summary['reconcile'])}")
    circuit = summary["circuit"]
    if circuit["state"] != "closed":
        found.append(
            f"circuit   {circuit['state']}: {circuit['reason'] or '?'}; asks again at {circuit['asksAgainAt'] or '?'}"
        )
    if summary["poison"]:
        found.append(f"poison    {summary['poison']} messages")
    found += [f"  ? {each}" for each in summary.get("unknown") or ()]
    return found


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def _check(check: dict[str, Any]) -> str:
    text = f"last {check['lastAt'] or 'never'}, next {check['nextAt'] or '?'}"
    return f"{text}; {check['error']}" if check.get("error") else text

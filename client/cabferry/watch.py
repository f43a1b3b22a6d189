"""`cabferry watch`: tell of new cabs as they come, until Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from .api import Api
from .choice import bare, matches
from .output import answer, answer_json, say, size
from .problems import Exit, ProblemError

if TYPE_CHECKING:
    import argparse

_PAGE = 1000


def run(arguments: argparse.Namespace) -> NoReturn:
    """Ask at each interval which failures have more cabs than before; a line each."""
    api = Api(arguments.url)
    known = _failures(api)
    say(f"watching {len(known)} failures; Ctrl-C ends it")
    while True:
        time.sleep(arguments.every)
        try:
            now = _failures(api)
        except ProblemError as problem:
            if problem.exit_code != Exit.UNREACHABLE:
                raise
            say(f"{problem}; asking again")  # it may be starting anew
            continue
        for key, failure in sorted(now.items(), key=lambda each: each[1].get("updatedAt") or ""):
            more = _held(failure) - _held(known.get(key))
            if more > 0 and _fits(arguments, failure):
                _tell(arguments, failure, more)
        known = now


def _failures(api: Api) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every failure: an old one may have new cabs as well. A page that is as it was costs next to nothing."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    continuation = None
    while True:
        page = api.get("failures", limit=_PAGE, continuation=continuation)
        found |= {(each["applicationId"], each["failureHash"]): each for each in page["failures"]}
        continuation = page.get("continuation")
        if not continuation:
            return found


def _fits(arguments: argparse.Namespace, failure: dict[str, Any]) -> bool:
    versions = failure.get("versions") or [""]
    return matches(arguments.driver or "", failure.get("driverName") or "") and any(
        matches(arguments.version or "", version) for version in versions
    )


def _held(failure: dict[str, Any] | None) -> int:
    # Null until the app has counted them.
    return (failure["cabs"]["held"] or 0) if failure else 0


def _tell(arguments: argparse.Namespace, failure: dict[str, Any], more: int) -> None:
    if arguments.json:
        answer_json({**failure, "newCabs": more}, indent=None)
        return
    hash_ = failure["failureHash"]
    told = (
        failure.get("updatedAt") or "",
        f"+{more}",
        failure.get("failureName") or hash_,
        failure.get("driverName") or "",
        f"(held {_held(failure)}, {size(failure.get('bytes') or 0)})",
        f"cabferry get {bare(hash_)[:12]} --newest {more}",
    )
    answer("  ".join(told))

"""`python3 dev.py redrive`: send every Failed pull of an app back to its queue.

It speaks to the app over HTTP, as anyone would who has its function key.
"""

import sys
from collections.abc import Iterator

import msgspec
import requests

from local.commands.app_calls import AppCallError, AppCalls, detail_of

_PAGE = 1_000


class _Pull(msgspec.Struct, rename="camel"):
    application_id: str
    failure_hash: str
    last_error: str | None

    def __str__(self) -> str:
        return f"{self.application_id}/{self.failure_hash}"


class _Page(msgspec.Struct):
    pulls: list[_Pull]
    continuation: str | None


def redrive(url: str | None, key_variable: str, *, dry_run: bool) -> int:
    """Ask for each Failed pull again, and print one line each.

    Args:
        url: Of the app; None asks the one that runs here.
        key_variable: The environment variable that holds its function key; a command line is for everybody to see.
        dry_run: Whether to tell only what would be done.

    Returns:
        The exit code: 0 when no pull is left that failed and was not accepted.
    """
    try:
        with AppCalls(url, key_variable, _say) as app:
            return _redrive(app, dry_run=dry_run)
    except AppCallError as error:
        print(f"redrive: {error}", file=sys.stderr)
        return 1


def _redrive(app: AppCalls, *, dry_run: bool) -> int:
    accepted = refused = found = 0
    for pull in _failed(app):
        found += 1
        if dry_run:
            _say(f"{pull}: would be asked for again; it failed: {pull.last_error or 'no reason is known'}")
            continue
        answer = app.call("POST", f"pulls/{pull}/retry")
        if answer.status_code == requests.codes.accepted:
            accepted += 1
            _say(f"{pull}: back in the queue")
        elif answer.status_code == requests.codes.conflict:
            _say(f"{pull}: {detail_of(answer)}")
        else:
            refused += 1
            _say(f"{pull}: not accepted ({answer.status_code}): {detail_of(answer)}")
    if not found:
        _say("no pull is Failed: there is nothing to do")
    elif not dry_run:
        _say(f"{accepted} pulls are back in the queue, {refused} are not")
    return 1 if refused else 0


def _failed(app: AppCalls) -> Iterator[_Pull]:
    """Yield the Failed pulls, page by page; one that is sent back meanwhile moves none of the others."""
    continuation: str | None = ""
    while continuation is not None:
        query = {"state": "Failed", "limit": str(_PAGE), **({"continuation": continuation} if continuation else {})}
        page = app.told(app.call("GET", "pulls", query), _Page)
        yield from page.pulls
        continuation = page.continuation


def _say(text: str) -> None:
    print(f"redrive: {text}", flush=True)

"""`python3 dev.py redrive`: send every Failed pull of an app back to its queue.

It speaks to the app over HTTP, as anyone would who has its function key.
"""

import os
import sys
from collections.abc import Iterator

import msgspec
import requests

from local.running import running_app

_SECONDS = 90.0
_PAGE = 1_000
_SHOWN = 300


class RedriveError(Exception):
    """The app did not tell its Failed pulls; the text says what it did, and what to do."""


class _Pull(msgspec.Struct, rename="camel"):
    application_id: str
    failure_hash: str
    last_error: str | None

    def __str__(self) -> str:
        return f"{self.application_id}/{self.failure_hash}"


class _Page(msgspec.Struct):
    pulls: list[_Pull]
    continuation: str | None


class _Problem(msgspec.Struct):
    detail: str


def redrive(url: str | None, key_variable: str, *, dry_run: bool) -> int:
    """Ask for each Failed pull again, and print one line each.

    Args:
        url: Of the app; None asks the one that runs here.
        key_variable: The environment variable that holds its function key; a command line is for everybody to see.
        dry_run: Whether to tell only what would be done.

    Returns:
        The exit code: 0 when no pull is left that failed and was not accepted.
    """
    with requests.Session() as session:
        if key := os.environ.get(key_variable, ""):
            session.headers["x-functions-key"] = key
        try:
            return _redrive(session, url or _of_running(), key_variable, dry_run=dry_run)
        except RedriveError as error:
            print(f"redrive: {error}", file=sys.stderr)
            return 1


def _of_running() -> str:
    url = running_app()
    if not url:
        raise RedriveError("no app runs here: `python3 dev.py start` starts one, and --url names another")
    _say(f"asking the app that runs at {url}")
    return url


def _redrive(session: requests.Session, url: str, key_variable: str, *, dry_run: bool) -> int:
    accepted = refused = found = 0
    for pull in _failed(session, url, key_variable):
        found += 1
        if dry_run:
            _say(f"{pull}: would be asked for again; it failed: {pull.last_error or 'no reason is known'}")
            continue
        # Not to another host: the key is for this one.
        answer = _sent(session, "POST", f"{url}/api/pulls/{pull}/retry", {})
        if answer.status_code == requests.codes.accepted:
            accepted += 1
            _say(f"{pull}: back in the queue")
        elif answer.status_code == requests.codes.conflict:
            _say(f"{pull}: {_told(answer)}")
        else:
            refused += 1
            _say(f"{pull}: not accepted ({answer.status_code}): {_told(answer)}")
    if not found:
        _say("no pull is Failed: there is nothing to do")
    elif not dry_run:
        _say(f"{accepted} pulls are back in the queue, {refused} are not")
    return 1 if refused else 0


def _failed(session: requests.Session, url: str, key_variable: str) -> Iterator[_Pull]:
    """Yield the Failed pulls, page by page; one that is sent back meanwhile moves none of the others."""
    continuation: str | None = ""
    while continuation is not None:
        query = {"state": "Failed", "limit": str(_PAGE), **({"continuation": continuation} if continuation else {})}
        answer = _sent(session, "GET", f"{url}/api/pulls", query)
        if answer.status_code == requests.codes.unauthorized:
            raise RedriveError(
                f"{url} wants a function key: set {key_variable} to it (docs/deploy.md says where it is)"
            )
        if answer.status_code != requests.codes.ok:
            raise RedriveError(f"{url} answered {answer.status_code}: {_told(answer)}")
        try:
            page = msgspec.json.decode(answer.content, type=_Page)
        except msgspec.DecodeError as error:
            raise RedriveError(f"{url} answered something else than its pulls: {error}") from None
        yield from page.pulls
        continuation = page.continuation


def _sent(session: requests.Session, method: str, url: str, query: dict[str, str]) -> requests.Response:
    try:
        return session.request(method, url, params=query, timeout=_SECONDS, allow_redirects=False)
    except (requests.RequestException, ValueError) as error:
        raise RedriveError(f"{url} does not answer ({type(error).__name__}): is the app running there?") from None


def _told(answer: requests.Response) -> str:
    """Return what a problem says, or the start of whatever else was answered."""
    try:
        return msgspec.json.decode(answer.content, type=_Problem).detail
    except msgspec.DecodeError:
        return " ".join(answer.text.split())[:_SHOWN]


def _say(text: str) -> None:
    print(f"redrive: {text}", flush=True)

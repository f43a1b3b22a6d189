"""Call an app over HTTP, as anyone would who has its function key: the one that runs here, or one that is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

import msgspec
import requests

from local.commands.running import running_app

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# A preflight takes up to 20 seconds, and a deployed app may have to start first.
_SECONDS = 90.0
_SHOWN = 300


class AppCallError(Exception):
    """The app did not do what was asked; the text says what it answered, and what to do."""


class _Problem(msgspec.Struct):
    detail: str


class AppCalls:
    """Calls of one app.

    Args:
        url: Of the app; None asks the one that runs here.
        key_variable: The environment variable that holds its function key; a command line is for everybody to see.
        say: Tells a person something.

    Raises:
        AppCallError: No app is named, and none runs here.
    """

    def __init__(self, url: str | None, key_variable: str, say: Callable[[str], None]) -> None:
        if not url:
            url = running_app()
            if not url:
                raise AppCallError("no app runs here: `python3 dev.py start` starts one, and --url names another")
            say(f"asking the app that runs at {url}")
        self._url, self._key_variable, self._session = url, key_variable, requests.Session()
        if key := os.environ.get(key_variable, ""):
            self._session.headers["x-functions-key"] = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None
    ) -> requests.Response:
        """Make a call, and return its answer, whatever its status.

        Args:
            method: GET or POST.
            path: Below `/api/`.
            query: Its parameters.
            body: What is sent as JSON; None for nothing.

        Raises:
            AppCallError: The app does not answer, or wants another key.
        """
        try:
            # Not to another host: the key is for this one.
            answer = self._session.request(
                method, f"{self._url}/api/{path}", params=query, json=body, timeout=_SECONDS, allow_redirects=False
            )
        except (requests.RequestException, ValueError) as error:
            raise AppCallError(
                f"{self._url} does not answer ({type(error).__name__}): is the app running there?"
            ) from None
        if answer.status_code == requests.codes.unauthorized:
            raise AppCallError(
                f"{self._url} wants a function key: set {self._key_variable} to it (docs/deploy.md says where it is)"
            )
        return answer

    def told[T](self, answer: requests.Response, wanted: type[T]) -> T:
        """Return what an answer tells.

        Args:
            answer: Of `call`.
            wanted: What it must be.

        Raises:
            AppCallError: It is a problem, or something else.
        """
        if answer.status_code == requests.codes.not_found:
            raise AppCallError(f"{self._url} does not know this call (404): is that the app, and is it deployed?")
        if not answer.ok:
            raise AppCallError(f"{self._url} answered {answer.status_code}: {detail_of(answer)}")
        try:
            return msgspec.json.decode(answer.content, type=wanted)
        except msgspec.DecodeError as error:
            raise AppCallError(f"{self._url} answered something else than was asked for: {error}") from None


def detail_of(answer: requests.Response) -> str:
    """Return what a problem says, or the start of whatever else was answered."""
    try:
        return msgspec.json.decode(answer.content, type=_Problem).detail
    except msgspec.DecodeError:
        return " ".join(answer.text.split())[:_SHOWN]

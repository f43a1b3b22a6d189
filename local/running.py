"""The apps that run here, from this folder: each writes down where it serves, for other commands to find it."""

import os

import requests

from local.paths import LOCAL

FOLDER = LOCAL / "running"
_SECONDS = 10.0


def note(url: str) -> None:
    """Write down that this process serves an app at an address."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / str(os.getpid())).write_text(url, encoding="utf-8")


def forget() -> None:
    """Remove what this process wrote down."""
    (FOLDER / str(os.getpid())).unlink(missing_ok=True)


def running_app() -> str:
    """Return the address of the app that was started last, of those that still answer; empty where none does."""
    files = FOLDER.iterdir() if FOLDER.exists() else ()
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        url = file.read_text(encoding="utf-8")
        try:
            requests.head(url, timeout=_SECONDS)
        except requests.ConnectionError:
            file.unlink(missing_ok=True)  # It was killed, and left its address behind.
        else:
            return url
    return ""

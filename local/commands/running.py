"""The apps that run here, from this folder: each writes down where it serves, for other commands to find it."""

import os
from contextlib import suppress

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
    found = []
    for file in FOLDER.glob("*"):
        with suppress(FileNotFoundError):  # It has ended since.
            found.append((file.stat().st_mtime, file.read_text(encoding="utf-8"), file))
    for _, url, file in sorted(found, reverse=True):
        try:
            requests.head(url, timeout=_SECONDS)
        except requests.ConnectionError:
            file.unlink(missing_ok=True)  # It was killed, and left its address behind.
        except requests.RequestException:
            continue  # It is too busy, or just writes its address down.
        else:
            return url
    return ""

"""A host under test: started as its own process, watched through its log, its HTTP and its app's events."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError

_ROOT = Path(__file__).parents[3]
_DEADLINE_SECONDS = 20.0


def wait_until[T](condition: Callable[[], T], what: str, seconds: float = _DEADLINE_SECONDS) -> T:
    """Return the first truthy value of a condition; fail when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Message
    body: bytes


@dataclass
class RunningHost:
    """One `python -m local.host`."""

    app: Path
    settings: Mapping[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._log = self.app / "host.log"
        command = [sys.executable, "-m", "local.host", "--app", str(self.app), "--port", "0"]
        # A console's Ctrl-Break reaches a process group, so that the host is one of its own on Windows.
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NEW_PROCESS_GROUP
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                creationflags=flags,
                cwd=_ROOT,
                env={**os.environ, **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """All that the host and its app have logged."""
        return self._log.read_text(encoding="utf-8")

    @property
    def events(self) -> list[str]:
        """What the sample app's functions have noted."""
        path = Path(self.settings["EVENTS"])
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def url(self) -> str:
        """Where the host answers, once it does."""
        marker = "Host started on "

        def started() -> str:
            assert self.process.poll() is None, self.log
            return next((line.split(marker)[1] for line in self.log.splitlines() if marker in line), "")

        return wait_until(started, "the host's start")

    def wait_for(self, event: str) -> None:
        """Wait until a function has noted an event."""
        wait_until(lambda: event in self.events, f"event {event!r}, log:\n{self._log}")

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request and take whatever answer comes."""
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_DEADLINE_SECONDS) as response:
                return Answer(response.status, response.headers, response.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def interrupt(self) -> None:
        """Send the signal that asks a process to end."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.terminate()

    def stop(self) -> int:
        """Ask the host to end, and return its exit code."""
        self.interrupt()
        return self.process.wait(_DEADLINE_SECONDS)

    def kill(self) -> None:
        """End the host as a power cut would."""
        self.process.kill()
        self.process.wait(_DEADLINE_SECONDS)

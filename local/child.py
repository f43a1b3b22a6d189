"""Run a program as a child: start it, wait until it serves, hear what it prints, stop it."""

import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from local.paths import ROOT

START_SECONDS, STOP_SECONDS = 60.0, 30.0
_KEPT_LINES = 60
_STOP_SIGNAL, _OWN_GROUP = signal.SIGTERM, 0
if sys.platform == "win32":
    _STOP_SIGNAL, _OWN_GROUP = signal.CTRL_BREAK_EVENT, subprocess.CREATE_NEW_PROCESS_GROUP


class ChildError(Exception):
    """A child did not start, or ended by itself; the text holds the end of what it printed."""


class Child(ABC):
    """A program that serves from entering the context to leaving it; a thread takes in what it prints.

    Args:
        name: What messages call it.
        command: The program and its arguments.
        environment: Beside this process's own.
        log: Receives everything that it prints; None for nothing.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        self._name, self._command, self._environment = name, command, environment
        self._log = log or Path(os.devnull)
        self._heard = threading.Condition()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._ended = False

    def __enter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C reaches whole groups: a child ends when it is told to, and after those who still need it.
            start_new_session=sys.platform != "win32",
            creationflags=_OWN_GROUP,
        )
        self._reader = threading.Thread(target=self._read, name=self._name, daemon=True)
        self._reader.start()
        with self._heard:
            self._heard.wait_for(lambda: self._ended or self.serves, START_SECONDS)
        if not self.serves:
            self.__exit__()
            raise ChildError(f"{self._name} did not start; it printed:\n{self.log_end()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join()
        if self._process.stdin:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    @property
    @abstractmethod
    def serves(self) -> bool:
        """Tell whether it has said that it serves."""

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Tell whether it is gone."""
        return self._process.poll() is not None

    def log_end(self) -> str:
        """Return the last lines that it printed."""
        return "\n".join(self._lines)

    def _end(self) -> None:
        """Ask it to end in good order."""
        self._process.send_signal(_STOP_SIGNAL)

    def _take(self, line: str) -> None:
        """Take in a line that it printed; whoever waits is told afterwards."""
        self._lines.append(line)

    def _read(self) -> None:
        lines = self._process.stdout
        if lines is None:
            return
        with self._log.open("w", encoding="utf-8") as log, lines:
            for line in lines:
                log.write(line)
                log.flush()
                with self._heard:
                    self._take(line.rstrip())
                    self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()


class Server(Child):
    """A module of this project that prints where it serves.

    Args:
        module: What `python -m` runs.
        ready: What it prints before its address.
        arguments: Its arguments.
        environment: Beside this process's own.
        log: Receives everything that it prints; None for nothing.
    """

    def __init__(
        self,
        module: str,
        ready: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(module, [sys.executable, "-m", module, *arguments], environment or {}, log)
        self._ready = ready
        self.url = ""

    @property
    def serves(self) -> bool:
        """Tell whether it has said where it serves."""
        return bool(self.url)

    def _take(self, line: str) -> None:
        super()._take(line)
        if not self.url and self._ready in line:
            self.url = line.split(self._ready, 1)[1]


class HostProcess(Server):
    """The app under the local host.

    Args:
        settings: App settings, beside what the environment holds.
        log: Receives everything that the host prints; None for nothing.
    """

    def __init__(self, settings: Mapping[str, str], log: Path | None = None) -> None:
        threads = {"PYTHON_THREADPOOL_THREAD_COUNT": os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "16")}
        app = ("--app", str(ROOT), "--port", "0")
        super().__init__("local.host", "Host started on ", app, {**threads, **settings}, log)

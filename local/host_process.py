"""Run the host as a child process: start it, wait until it serves, stop it."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local.paths import ROOT

START_SECONDS, STOP_SECONDS = 60.0, 30.0
_STARTED = "Host started on "
_SHOWN_LINES = 40


class HostError(Exception):
    """The host did not start or ended by itself; the text holds the end of its log."""


class HostProcess:
    """The app under the local host, from entering the context to leaving it.

    Args:
        settings: App settings, beside what the environment holds.
        log: Receives everything that the host prints.
    """

    def __init__(self, settings: Mapping[str, str], log: Path) -> None:
        self._settings, self._log = settings, log
        self._heard = threading.Condition()
        self._lines: deque[str] = deque(maxlen=_SHOWN_LINES)
        self._ended = False
        self.url = ""

    def __enter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.host", "--app", str(ROOT), "--port", "0"],
            cwd=ROOT,
            env={"PYTHON_THREADPOOL_THREAD_COUNT": "16", **os.environ, **self._settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C reaches whole groups, and a second signal would cut the host's own good end short.
            start_new_session=sys.platform != "win32",
            creationflags=_own_group(),
        )
        self._reader = threading.Thread(target=self._read, name="host log", daemon=True)
        self._reader.start()
        with self._heard:
            self._heard.wait_for(lambda: self._ended or bool(self.url), START_SECONDS)
        if not self.url:
            self.__exit__(None, None, None)
            raise HostError("the host did not start; its log ends with:\n" + self.log_end())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(_stop_signal())
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._reader.join()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def log_end(self) -> str:
        """Return the last lines of the log."""
        return "\n".join(self._lines)

    @property
    def has_ended(self) -> bool:
        """Tell whether the host is gone."""
        return self._process.poll() is not None

    def _read(self) -> None:
        lines = self._process.stdout
        if lines is None:
            return
        with self._log.open("w", encoding="utf-8") as log, lines:
            for line in lines:
                log.write(line)
                log.flush()
                with self._heard:
                    self._lines.append(line.rstrip())
                    if _STARTED in line:
                        self.url = line.split(_STARTED, 1)[1].strip()
                    self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()


def _own_group() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


def _stop_signal() -> int:
    if sys.platform == "win32":
        return signal.CTRL_BREAK_EVENT
    return signal.SIGTERM

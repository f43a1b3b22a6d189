"""The app as a user runs it: `python3 dev.py start` as a process with an environment of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
HTTP_SECONDS = 60.0
_STARTED = "Host started on "
_END_SECONDS = 30.0
# What a developer's own environment may hold for the app must not reach the one under test.
_OF_THE_APP = (
    *(
        "AZURE_",
        "AzureWebJobs",
        "CAB_",
        "DASHBOARD_",
        "DEVCENTER_",
        "IDENTITY_",
        "LOCAL_",
        "MAX_CABS_",
        "MSI_",
        "PULL_",
        "PYTHON_",
    ),
    *("RECONCILE_", "REPORT_", "REQUESTS_CA_BUNDLE", "RETENTION_"),
)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without anything that the app would read, and the settings.

    Args:
        settings: App settings.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_APP)} | {**settings}


def typed(
    *words: str, settings: Mapping[str, str] | None = None, root: Path = ROOT, seconds: float = 180.0
) -> subprocess.CompletedProcess[str]:
    """Run a command of `dev.py` from anywhere, without a terminal, and wait for its end.

    Args:
        words: The command and its options.
        settings: App settings, and what else it reads; nothing else of the kind reaches it.
        root: The project: this one, or a copy without a `.venv` of its own, whose command runs there.
        seconds: How long it may take.
    """
    start = [str(ROOT / "dev.py")] if root == ROOT else ["-m", "local"]
    return subprocess.run(
        [sys.executable, *start, *words],
        cwd=Path(os.sep) if root == ROOT else root,
        env=environment(settings or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )


def changed_copy(folder: Path, **queues: object) -> Path:
    """Copy the app, with another host.json, and return where it is.

    Args:
        folder: Where to; it must not exist.
        queues: What `extensions.queues` says instead, as host.json spells it.
    """
    for name in ("functions", "shared", "local"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "function_app.py", folder / "function_app.py")
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    host["extensions"]["queues"] |= queues
    (folder / "host.json").write_text(json.dumps(host), encoding="utf-8")
    return folder


class App:
    """One run of the app, from its start to its end.

    Args:
        settings: App settings; nothing else of the kind reaches the app.
        log: Receives all that it prints.
        root: The project that is run: this one, or a copy without a `.venv` of its own.
        port: Where it listens; 0 takes a free one.
        log_level: The least that it prints.
    """

    def __init__(
        self, settings: Mapping[str, str], log: Path, root: Path = ROOT, port: int = 0, log_level: str = "INFO"
    ) -> None:
        self._log = log
        start = ["dev.py"] if root == ROOT else ["-m", "local"]
        # A terminal's Ctrl-C reaches a whole group: the app gets one of its own.
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NEW_PROCESS_GROUP
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *start, "start", "--port", str(port), "--log-level", log_level],
                cwd=root,
                # A crash of the interpreter then shows where.
                env=environment(settings) | {"PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=sys.platform != "win32",
                creationflags=flags,
            )
        try:
            self.url = wait_until(self._address, "the app's start", hint=lambda: self.log)
        except BaseException:
            self.close()
            raise

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def leaked(self) -> list[str]:
        """Return the app's lines in which only the local host has hidden something: Azure's may hide less."""
        return [line for line in self.log.splitlines() if "[Hidden Credential]" in line and " Host." not in line]

    def get(self, path: str, **query: str) -> requests.Response:
        """Send a GET."""
        return requests.get(self.url + path, params=query, timeout=HTTP_SECONDS)

    def post(self, path: str, body: object = None) -> requests.Response:
        """Send a POST: bytes as they are, anything else as JSON, nothing for None."""
        if isinstance(body, bytes):
            return requests.post(self.url + path, data=body, timeout=HTTP_SECONDS)
        return requests.post(self.url + path, json=body, timeout=HTTP_SECONDS)

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Wait until it has printed a text some times."""
        wait_until(lambda: self.log.count(text) >= times, f"{text!r} in the log", hint=lambda: self.log)

    def interrupt(self) -> None:
        """Press Ctrl-C (Ctrl-Break on Windows, which is the one that a process can send)."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Wait for its end, and return the exit code."""
        return self.process.wait(_END_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would."""
        if sys.platform == "win32":
            # dev.py has to stay there as the parent of what it runs.
            tree = ["taskkill", "/F", "/T", "/PID", str(self.process.pid)]
            subprocess.run(tree, check=True, capture_output=True)
        else:
            self.process.kill()
        self.process.wait(_END_SECONDS)

    def close(self) -> None:
        """End it where it still runs."""
        if self.process.poll() is None:
            self.kill()

    def _address(self) -> str:
        ended = self.process.poll()
        assert ended is None, f"the app ended with {ended}:\n{self.log}"
        return next((line.split(_STARTED)[1].strip() for line in self.log.splitlines() if _STARTED in line), "")

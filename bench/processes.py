"""Run programs in processes of their own, and read what they cost from the system."""

import math
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from local.child import START_SECONDS, Server
from local.paths import ROOT

_SHOWN_CHARACTERS = 2_000
_KIB = 1024


class BenchError(Exception):
    """A measurement cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far; nan where the system does not tell.

    Args:
        cpu_seconds: User and system time.
        rss: Its resident memory now, bytes.
        peak_rss: The most that it was since the start or `reset_peak`, bytes.
    """

    cpu_seconds: float
    rss: float
    peak_rss: float


def usage(pid: int | str = "self") -> Usage:
    """Return what a process has used so far.

    Args:
        pid: Its id; this process where none is given.
    """
    folder = Path("/proc") / str(pid)
    if not folder.exists():
        return Usage(math.nan, math.nan, math.nan)
    # The name, in brackets, may hold spaces; utime and stime are the 14th and 15th fields of proc(5).
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    lines = (line.split() for line in (folder / "status").read_text().splitlines() if line.startswith("Vm"))
    memory = {line[0]: int(line[1]) * _KIB for line in lines}
    return Usage(cpu, memory["VmRSS:"], memory["VmHWM:"])


def reset_peak(pid: int | str = "self") -> None:
    """Let the peak of a process's memory count from now on, where the system can (proc(5), clear_refs)."""
    file = Path("/proc") / str(pid) / "clear_refs"
    if file.exists():
        file.write_text("5")


def run_program[T](
    module: str, job: msgspec.Struct, result: type[T], environment: Mapping[str, str] | None = None
) -> T:
    """Run a module of `bench.programs` with a job, and return its result.

    Args:
        module: Its name below `bench.programs`.
        job: What it reads.
        result: What it prints.
        environment: Beside this process's own.

    Raises:
        BenchError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"bench.programs.{module}"],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        input=msgspec.json.encode(job),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{module} failed: {done.stderr.decode('utf-8', 'replace')[-_SHOWN_CHARACTERS:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=result)


class Program(Server):
    """A module of `bench.programs` that serves, and may take orders: each is a line of JSON, and so is its answer."""

    def __init__(self, module: str, ready: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(f"bench.programs.{module}", ready, environment=environment)
        self._answers: deque[str] = deque()

    def ask(self, order: msgspec.Struct) -> str:
        """Write one line of JSON to it, and return the next line that it prints.

        Raises:
            BenchError: It ended, or did not answer within a minute.
        """
        if self._process.stdin is None:
            raise BenchError("it takes no input")
        with self._heard:
            self._answers.clear()
        self._process.stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._process.stdin.flush()
        with self._heard:
            if not self._heard.wait_for(lambda: self._ended or bool(self._answers), START_SECONDS) or self._ended:
                raise BenchError(f"{self._name} did not answer:\n{self.log_end()}")
            return self._answers.popleft()

    def _take(self, line: str) -> None:
        if self.url:
            self._answers.append(line)
        super()._take(line)

"""Run programs in processes of their own, and read what they cost from the system."""

import math
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from local.paths import ROOT

_START_SECONDS, _STOP_SECONDS = 60.0, 30.0
_SHOWN_CHARACTERS = 2_000
_KEPT_LINES = 40
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


class Program:
    """A child that serves from entering the context to leaving it.

    Args:
        module: What `python -m` runs.
        ready: A part of the line that it prints when it serves.
        arguments: Its arguments.
        environment: Beside this process's own.
        mark: Lines with it are counted.
    """

    def __init__(
        self,
        module: str,
        ready: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        mark: str = "",
    ) -> None:
        self._module, self._ready, self._arguments = module, ready, list(arguments)
        self._environment, self._mark, self._marked = environment or {}, mark, 0
        self._heard = threading.Condition()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._ended = False
        self._answers: deque[str] = deque()
        self.ready_line = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module, *self._arguments],
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name=self._module, daemon=True)
        self._reader.start()
        with self._heard:
            self._heard.wait_for(lambda: self._ended or bool(self.ready_line), _START_SECONDS)
        if not self.ready_line:
            self.__exit__(None, None, None)
            raise BenchError(f"{self._module} did not start:\n{self.log_end()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._reader.join()

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def ask(self, question: msgspec.Struct) -> str:
        """Write one line of JSON to it, and return the next line that it prints.

        Raises:
            BenchError: It ended, or did not answer within a minute.
        """
        if self._process.stdin is None:
            raise BenchError(f"{self._module} takes no input")
        with self._heard:
            self._answers.clear()
        self._process.stdin.write(msgspec.json.encode(question).decode() + "\n")
        self._process.stdin.flush()
        with self._heard:
            if not self._heard.wait_for(lambda: self._ended or bool(self._answers), _START_SECONDS) or self._ended:
                raise BenchError(f"{self._module} did not answer:\n{self.log_end()}")
            return self._answers.popleft()

    def log_end(self) -> str:
        """Return the last lines that it printed."""
        return "\n".join(self._lines)

    def printed(self) -> int:
        """Return how many lines with the mark it has printed so far."""
        return self._marked

    def wait_printed(self, lines: int, seconds: float) -> None:
        """Wait until it has printed so many lines with the mark.

        Raises:
            BenchError: It did not, within the time, or ended.
        """
        with self._heard:
            enough = self._heard.wait_for(lambda: self._ended or self._marked >= lines, seconds)
            if not enough or self._ended:
                raise BenchError(f"{self._module} did not get there:\n{self.log_end()}")

    def _read(self) -> None:
        for line in self._process.stdout or ():
            with self._heard:
                self._lines.append(line.rstrip())
                self._marked += bool(self._mark) and self._mark in line
                if not self.ready_line and self._ready in line:
                    self.ready_line = line.strip()
                elif self.ready_line:
                    self._answers.append(line.strip())
                self._heard.notify_all()
        if self._process.stdout:
            self._process.stdout.close()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

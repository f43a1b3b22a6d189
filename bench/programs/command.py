"""Run a command of a peer to its end, from a process that is itself small.

Linux counts the memory of whoever starts a program into that program's peak (execve keeps the maximum of `getrusage`),
and the bench itself holds more than some peers need.
"""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.programs.job import Measured, read_job, tell

_SHOWN_CHARACTERS = 1_500
_KIB = 1024


class CommandJob(msgspec.Struct, frozen=True):
    """Program and arguments."""

    command: list[str]


def _run(job: CommandJob) -> Measured:
    """Return what the command took from its start to its end; all of its memory counts."""
    started = time.perf_counter()
    with subprocess.Popen(job.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        cpu_seconds, peak_rss = math.nan, math.nan
        if sys.platform != "win32":
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu_seconds, peak_rss = used.ru_utime + used.ru_stime, float(used.ru_maxrss * _KIB)
    if process.returncode:
        name = Path(job.command[0]).name
        raise RuntimeError(f"{name} ended with {process.returncode}: {output[-_SHOWN_CHARACTERS:]}")
    return Measured(time.perf_counter() - started, cpu_seconds, 0.0, peak_rss)


if __name__ == "__main__":
    tell(_run(read_job(CommandJob)))

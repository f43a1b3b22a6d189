"""Cabferry under the local host: the app as its own process, with pulls asked for over HTTP."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from azure.data.tables import TableServiceClient

from bench.processes import BenchError, reset_peak, usage
from bench.programs.devcenter import APPLICATION
from local.child import HostProcess

# The host says so when a function has ended. Looking at rows all the time would be work for the one Azurite.
_RUN_ENDED = "Executed 'Functions.pull_failure'"
_PATIENCE_SECONDS = 900.0
_HTTP_SECONDS = 60.0
_ASKED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one pull, as its row tells.

    Args:
        started: When it first ran.
        completed: When it had ended.
        cabs: How many it copied.
    """

    started: datetime
    completed: datetime
    cabs: int

    @property
    def run_seconds(self) -> float:
        """From start to end."""
        return (self.completed - self.started).total_seconds()


@dataclass(frozen=True, slots=True)
class Pulled:
    """What pulls took.

    Args:
        wall_seconds: From the POST until the host said that the last of them has ended.
        seconds: From the first `startedAt` to the last `completedAt`.
        cpu_seconds: Of the host's process, from the POST on.
        idle_rss: Its resident memory before, bytes.
        peak_rss: The most during it, bytes.
        times: Of each pull, in the order asked.
    """

    wall_seconds: float
    seconds: float
    cpu_seconds: float
    idle_rss: float
    peak_rss: float
    times: tuple[Times, ...]

    @property
    def cabs(self) -> int:
        """How many cabs were copied."""
        return sum(each.cabs for each in self.times)


class CabferryHost(HostProcess):
    """The app, from entering the context to leaving it; `reads` counts this bench's own looks at rows.

    Args:
        settings: App settings.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._tables = TableServiceClient.from_connection_string(settings["CAB_STORAGE"])
        self._rows = self._tables.get_table_client("pulls")
        self._runs = self.reads = 0

    def __exit__(self, *_: object) -> None:
        self._tables.close()
        super().__exit__()

    def pull(self, failures: Sequence[str], *, copied: int | None = None) -> Pulled:
        """Ask for pulls and wait until all have ended.

        Args:
            failures: Their failureHashes.
            copied: How many cabs they must copy together; None does not check.

        Raises:
            BenchError: One failed, or they did not end in time, or other cabs were copied than should be.
        """
        reset_peak(self.pid)
        before, ended, started = usage(self.pid), self._runs, time.perf_counter()
        self.ask(failures)
        rows = self._completed(failures, ended)
        wall, after = time.perf_counter() - started, usage(self.pid)
        times = tuple(_times(rows[failure]) for failure in failures)
        pulled = Pulled(
            wall_seconds=wall,
            seconds=(max(each.completed for each in times) - min(each.started for each in times)).total_seconds(),
            cpu_seconds=after.cpu_seconds - before.cpu_seconds,
            idle_rss=before.rss,
            peak_rss=after.peak_rss,
            times=times,
        )
        if copied is not None and pulled.cabs != copied:
            raise BenchError(f"{pulled.cabs} cabs were copied, and should be {copied}")
        return pulled

    def ask(self, failures: Sequence[str]) -> None:
        """Ask for pulls, without waiting for them.

        Raises:
            BenchError: The app refused.
        """
        for start in range(0, len(failures), _ASKED_AT_ONCE):
            body = {"applicationId": APPLICATION, "failureHashes": list(failures[start : start + _ASKED_AT_ONCE])}
            answer = requests.post(f"{self.url}/api/pulls", json=body, timeout=_HTTP_SECONDS)
            if not answer.ok:
                raise BenchError(f"POST /api/pulls answered {answer.status_code}: {answer.text}")

    def rows(self, failures: Sequence[str]) -> list[Any]:
        """Return the rows of pulls; one request where there is one of them.

        Raises:
            BenchError: A pull failed, or a cab of one.
        """
        self.reads += 1
        if len(failures) == 1:
            rows = [self._rows.get_entity(APPLICATION, failures[0])]
        else:
            wanted = set(failures)
            found = self._rows.query_entities(f"PartitionKey eq '{APPLICATION}'")
            rows = [row for row in found if row["RowKey"] in wanted]
        for row in rows:
            if row["state"] == "Failed" or (row["state"] == "Completed" and _number(row["failed"])):
                raise BenchError(f"a pull failed: {row['lastError']}\n{self.log_end()}")
        return rows

    def _completed(self, failures: Sequence[str], ended: int) -> dict[str, Any]:
        """Wait until all pulls have ended, and return their rows."""
        end = time.perf_counter() + _PATIENCE_SECONDS
        ended += len(failures)
        while True:
            self._wait_for_runs(ended, end - time.perf_counter())
            rows = {str(row["RowKey"]): row for row in self.rows(failures)}
            left = sum(row["state"] != "Completed" for row in rows.values())
            if not left:
                return rows
            ended = self._runs + left

    def _wait_for_runs(self, count: int, seconds: float) -> None:
        """Wait until so many runs of pulls have ended."""
        with self._heard:
            enough = self._heard.wait_for(lambda: self._ended or self._runs >= count, seconds)
            if not enough or self._ended:
                raise BenchError(f"the pulls did not end:\n{self.log_end()}")

    def _take(self, line: str) -> None:
        super()._take(line)
        self._runs += _RUN_ENDED in line


def _times(row: Any) -> Times:
    return Times(row["startedAt"], row["completedAt"], _number(row["copied"]))


def _number(value: Any) -> int:
    return int(getattr(value, "value", value))

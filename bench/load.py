"""A load that goes on: failures that arrive, somebody who asks until there is an answer, and faults at a low rate."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from random import Random
from typing import Any, Self

import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueClient

from bench.processes import BenchError
from local.embedded import Embedded
from local.kill_points import QUEUE
from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure, Family
from local.simulator.faults import Call, Fault, FaultKind

_SMALL = CabForm((64, 64))
_ASKERS = 8
_HTTP_SECONDS, _AGAIN_SECONDS, _LOOK_SECONDS = 60.0, 0.5, 1.0
_REST_SECONDS = 600.0
# Where many wait for a slow machine, one pull meets them all, and rightly tries again in an hour.
_MOST_FAULTS = 3
# What goes away by itself. Others (401, 403, a row without its URL) end in a state that tells a person what to do.
_PASSING = (
    FaultKind.THROTTLED,
    FaultKind.THROTTLED_DATE,
    FaultKind.THROTTLED_SENTENCE,
    FaultKind.SERVER_ERROR,
    FaultKind.UNAVAILABLE,
    FaultKind.TIMED_OUT,
    FaultKind.HTML,
    FaultKind.TRUNCATED,
    FaultKind.SLOW,
    FaultKind.RESET,
)
_OF_BATCHES = (*_PASSING, FaultKind.EXPIRED_SAS)


class Load:
    """What a reliability run puts on the app.

    Args:
        embedded: The storage and the Dev Center.
        chance: The seeded generator.
        url: Returns where a living host answers.
    """

    def __init__(self, embedded: Embedded, chance: Random, url: Callable[[], str]) -> None:
        self._simulator, self._chance, self._url = embedded.simulator, chance, url
        self._open = ExitStack()
        storage = embedded.settings["CAB_STORAGE"]
        tables = self._open.enter_context(TableServiceClient.from_connection_string(storage))
        self._pulls = self._open.enter_context(tables.get_table_client("pulls"))
        queue = QueueClient.from_connection_string(storage, QUEUE)
        self._queue = self._open.enter_context(queue)
        self._askers = self._open.enter_context(ThreadPoolExecutor(_ASKERS))
        self._asking: list[Future[None]] = []
        self._report = next(iter(self._simulator.world.reports.values()))
        self._building = threading.Lock()
        self._ran_at = max(run.at for run in self._report.runs)
        self._over = False
        siblings = (Family.DESKTOP, Family.APP)
        self._applications = sum(len(self._simulator.world.applications(family)) for family in siblings)
        self._poison = self._open.enter_context(QueueClient.from_connection_string(storage, f"{QUEUE}-poison"))
        self.faults = self.asked_again = self.brought_back = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._open.close()

    def arrive(self, counts: Sequence[int]) -> list[Failure]:
        """Let failures appear at the Dev Center.

        Args:
            counts: How many cabs each has.
        """
        with self._building:
            failures = [self._simulator.builder.failure(count, _SMALL) for count in counts]
            self._simulator.publish()
        return failures

    def ask(self, failures: Sequence[Failure]) -> None:
        """Ask for pulls, in the background, until there is an answer."""
        keys = sorted((failure.key for failure in failures), key=lambda key: key.application_id)
        for application_id, of_one in groupby(keys, key=lambda key: key.application_id):
            body = {"applicationId": application_id, "failureHashes": [key.failure_hash for key in of_one]}
            self._asking.append(self._askers.submit(self._until, partial(self._is_accepted, body)))

    def report(self, failures: Sequence[Failure]) -> None:
        """Let a report tell of failures, and check the reports, in the background, until its run is ingested."""
        with self._building:
            # Runs are known by their second, and a schedule's are hours apart.
            self._ran_at = max(datetime.now(UTC).replace(microsecond=0), self._ran_at + timedelta(seconds=1))
            self._simulator.builder.run(self._report, failures, at=self._ran_at)
            self._simulator.publish()
        self.check()

    def check(self) -> None:
        """Check the reports, in the background, until every run is ingested."""
        self._asking.append(self._askers.submit(self._until, self._is_ingested))

    def check_applications(self) -> None:
        """Look for the failures of desktop and Store applications, in the background, until all were found."""
        self._asking.append(self._askers.submit(self._until, self._are_found))

    def fault(self) -> None:
        """Let one of the next requests to the Dev Center go wrong, in a way that passes."""
        if len(self._simulator.faults.waiting) >= _MOST_FAULTS:
            return
        call = self._chance.choice((Call.CAB_BATCH, Call.CAB_BATCH, Call.CAB_BATCH, Call.REPORT_DATA))
        kind = self._chance.choice(_OF_BATCHES if call is Call.CAB_BATCH else _PASSING)
        self._simulator.faults.add(Fault(call=call, kind=kind, delay=2.0))
        self.faults += 1

    def wait_for_rest(self) -> None:
        """Wait until everything was answered and every pull has ended; a Failed one is asked for once more.

        Raises:
            BenchError: It does not come to rest.
        """
        self._simulator.faults.clear()
        end = time.monotonic() + _REST_SECONDS
        while time.monotonic() < end:
            for asked in self._asking:
                asked.result(max(0.0, end - time.monotonic()))
            self._asking.clear()
            if not self._queue.get_queue_properties().approximate_message_count:
                failed = self._pulls.query_entities("state eq 'Failed'", select=["PartitionKey", "RowKey"])
                keys = {(row["PartitionKey"], row["RowKey"]) for row in failed}
                if not keys:
                    return
                self.brought_back += len(keys)
                known = self._simulator.world.failures.values()
                self.ask([each for each in known if (each.key.application_id, each.key.failure_hash) in keys])
            time.sleep(_LOOK_SECONDS)
        raise BenchError(f"not at rest after {_REST_SECONDS:.0f} s")

    def left_in_poison(self) -> int:
        """Return how many messages the poison queue holds: fifty hosts died over each, or over its end.

        The reconcile takes care of them.
        """
        try:
            return self._poison.get_queue_properties().approximate_message_count or 0
        except ResourceNotFoundError:
            return 0

    def _until(self, is_answered: Callable[[], bool]) -> None:
        while not is_answered() and not self._over:
            self.asked_again += 1
            time.sleep(_AGAIN_SECONDS)

    def _is_accepted(self, body: object) -> bool:
        answer = self._post("/api/pulls", body)
        return answer is not None and answer.status_code == requests.codes.accepted

    def _is_ingested(self) -> bool:
        answer = self._post("/api/reports/check", None)
        if answer is None or not answer.ok:
            return False
        check: dict[str, Any] = {}
        while not check.get("endedAt") and not self._over:
            time.sleep(_LOOK_SECONDS)
            check = self._get(answer.headers["Location"])
        return not check.get("error") and all(run["outcome"] in {"ingested", "known"} for run in check.get("runs", ()))

    def _are_found(self) -> bool:
        answer = self._post("/api/failures/check", None)
        if answer is None or not answer.ok:
            return False
        time.sleep(_LOOK_SECONDS)
        found = self._get(answer.headers["Location"]).get("applications", ())
        return len(found) == self._applications and not any(each["error"] for each in found)

    def _get(self, path: str) -> dict[str, Any]:
        try:
            told: dict[str, Any] = requests.get(self._url() + path, timeout=_HTTP_SECONDS).json()
        except requests.RequestException:
            return {}  # likewise
        return told

    def _post(self, path: str, body: object) -> requests.Response | None:
        try:
            return requests.post(self._url() + path, json=body, timeout=_HTTP_SECONDS)
        except requests.RequestException:
            return None  # its host died over it, and it is asked again

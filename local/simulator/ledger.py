"""Remember what was asked and served; never a signature or a token."""

from collections import Counter, deque
from dataclasses import dataclass

from local.simulator.catalogue import Cab, FailureKey, Report, ReportRun, World
from local.simulator.faults import Call

_KEPT_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request of an API call.

    Args:
        call: What was called.
        host: The Host header: where it thought it went.
        query: Its parameters, without a signature's.
        status: What it was answered; 0 where the connection was cut.
        bearer: Whether it carried a bearer token.
    """

    call: Call
    host: str
    query: dict[str, str]
    status: int
    bearer: bool


class Ledger:
    """What was asked and served, since the start."""

    def __init__(self) -> None:
        self.requests: deque[SeenRequest] = deque(maxlen=_KEPT_REQUESTS)
        self.problems: list[str] = []
        self._answers: Counter[tuple[Call, int]] = Counter()
        self._pages: Counter[FailureKey] = Counter()
        self._cabs: Counter[str] = Counter()
        self._runs: Counter[tuple[int, str]] = Counter()

    def note_request(self, request: SeenRequest) -> None:
        """Count a request with its answer."""
        self.requests.append(request)
        self._answers[request.call, request.status] += 1

    def note_page(self, key: FailureKey) -> None:
        """Count a page of a failure's batch."""
        self._pages[key] += 1

    def note_cab(self, cab: Cab) -> None:
        """Count a URL given for a cab."""
        self._cabs[cab.cab_id_hash] += 1

    def note_run(self, report: Report, run: ReportRun) -> None:
        """Count a run that was listed."""
        self._runs[report.report_id, run.place.name] += 1

    def answers(self, call: Call, status: int | None = None) -> int:
        """Return how many answers a call gave.

        Args:
            call: The call.
            status: Only those with this HTTP status; None for all.
        """
        return sum(count for (of, was), count in self._answers.items() if of is call and status in {None, was})

    def served(self, world: World, faults_waiting: int) -> dict[str, object]:
        """Return everything, as `/simulator/served` shows it.

        Args:
            world: What there is.
            faults_waiting: How many faults are still to happen.
        """
        calls: dict[str, dict[str, int]] = {}
        for (call, status), count in sorted(self._answers.items()):
            calls.setdefault(call.value, {})[str(status)] = count
        return {
            "calls": calls,
            "reports": [self._served_run(report, run) for report in world.reports.values() for run in report.runs],
            "failures": [self._served_failure(world, key) for key in world.failures],
            "faultsWaiting": faults_waiting,
            "problems": self.problems,
        }

    def _served_run(self, report: Report, run: ReportRun) -> dict[str, object]:
        return {
            "reportId": report.report_id,
            "reportDatetime": f"{run.at:%Y-%m-%dT%H:%M:%S}",
            "status": run.form.status,
            "failures": len(run.failures),
            "times": self._runs[report.report_id, run.place.name],
        }

    def _served_failure(self, world: World, key: FailureKey) -> dict[str, object]:
        failure = world.failures[key]
        return {
            "family": failure.family,
            "applicationId": key.application_id,
            "failureHash": key.failure_hash,
            "failureName": failure.name,
            "pages": self._pages[key],
            "cabs": [
                {
                    "name": cab.place.name,
                    "kind": cab.archive.kind,
                    "size": held.length if (held := world.held.get(cab.cab_id_hash)) else None,
                    "times": self._cabs[cab.cab_id_hash],
                }
                for cab in world.cabs(key)
            ],
        }

"""Remember what was asked and served; never a signature or a token."""

from collections import Counter, deque
from dataclasses import dataclass

import msgspec

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


class ServedCab(msgspec.Struct, frozen=True, rename="camel"):
    """A cab as `/simulator/served` shows it; `times` counts the URLs that were given for it."""

    cab_id_hash: str
    name: str
    kind: str
    size: int | None
    times: int


class ServedFailure(msgspec.Struct, frozen=True, rename="camel"):
    """A failure as `/simulator/served` shows it; `pages` counts the batch pages that were given of it."""

    family: str
    application_id: str
    failure_hash: str
    failure_name: str
    pages: int
    cabs: list[ServedCab]


class ServedRun(msgspec.Struct, frozen=True, rename="camel"):
    """A report run as `/simulator/served` shows it; `times` counts how often it was listed."""

    report_id: int
    report_datetime: str
    status: str
    failures: int
    times: int


class Served(msgspec.Struct, frozen=True, rename="camel"):
    """All that `/simulator/served` shows: how many answers of each status each call gave, and what was given."""

    calls: dict[str, dict[str, int]]
    reports: list[ServedRun]
    failures: list[ServedFailure]
    faults_waiting: int
    problems: list[str]


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

    def served(self, world: World, faults_waiting: int) -> Served:
        """Return everything, to be shown.

        Args:
            world: What there is.
            faults_waiting: How many faults are still to happen.
        """
        calls: dict[str, dict[str, int]] = {}
        for (call, status), count in sorted(self._answers.items()):
            calls.setdefault(call.value, {})[str(status)] = count
        return Served(
            calls=calls,
            reports=[self._served_run(report, run) for report in world.reports.values() for run in report.runs],
            failures=[self._served_failure(world, key) for key in world.failures],
            faults_waiting=faults_waiting,
            problems=list(self.problems),
        )

    def _served_run(self, report: Report, run: ReportRun) -> ServedRun:
        return ServedRun(
            report_id=report.report_id,
            report_datetime=f"{run.at:%Y-%m-%dT%H:%M:%S}",
            status=run.form.status,
            failures=len(run.failures),
            times=self._runs[report.report_id, run.place.name],
        )

    def _served_failure(self, world: World, key: FailureKey) -> ServedFailure:
        return ServedFailure(
            family=world.failures[key].family.value,
            application_id=key.application_id,
            failure_hash=key.failure_hash,
            failure_name=world.failures[key].name,
            pages=self._pages[key],
            cabs=[self._served_cab(world, cab) for cab in world.cabs(key)],
        )

    def _served_cab(self, world: World, cab: Cab) -> ServedCab:
        held = world.held.get(cab.cab_id_hash)
        return ServedCab(
            cab_id_hash=cab.cab_id_hash,
            name=cab.place.name,
            kind=cab.archive.kind.value,
            size=held.length if held else None,
            times=self._cabs[cab.cab_id_hash],
        )

"""A soak: one host under a steady load with faults at a low rate; does it hold more and more, or get slower?"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Self

import requests

from bench.load import Load
from bench.plots import Plot, Series
from bench.processes import BenchError, usage
from bench.report import Section, Table, Verdict, at_most
from local.aftermath import findings
from local.child import HostProcess
from local.embedded import Embedded
from local.paths import LOCAL
from local.simulator.catalogue import FailureKey

# Everything comes in rounds of this many seconds; of some things only each n-th round.
_ROUND_SECONDS = 2.0
_FAULT, _AGAIN, _REPORT = 3, 5, 15
_LOOK_SECONDS, _HTTP_SECONDS, _PROBE_SECONDS = 0.05, 60.0, 120.0
# The last quarter of the time beside the second one. The first warms up.
_FLAT, _FLAT_LATENCY = 1.1, 1.25
_SHOWN_FINDINGS = 20
_FIXED_WORK = 500_000


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the host holds at a moment.

    Args:
        at: Seconds from the start.
        rss: Resident memory, bytes.
        handles: Open files and sockets.
        threads: How many.
        machine: Seconds that a fixed piece of work takes on this machine now.
    """

    at: float
    rss: float
    handles: int
    threads: int
    machine: float

    @classmethod
    def of(cls, pid: int, at: float) -> Self:
        """Look at a process, by proc(5)."""
        folder, started = Path("/proc") / str(pid), time.perf_counter()
        sum(range(_FIXED_WORK))
        machine = time.perf_counter() - started
        handles, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
        return cls(at, usage(pid).rss, handles, threads, machine)


class _Probe:
    """Asks for a failure of one cab again and again, and takes the time; runs beside the load in a thread.

    Args:
        load: Lets the failures arrive.
        url: Where the host answers.
        started: When the soak began, by the monotonic clock.
    """

    def __init__(self, load: Load, url: str, started: float) -> None:
        self._load, self._url, self._started = load, url, started
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self.seconds: list[tuple[float, float]] = []
        self.error = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_ROUND_SECONDS):
            try:
                self._ask()
            except (BenchError, requests.RequestException) as error:
                self.error = str(error)
                return

    def _ask(self) -> None:
        (failure,) = self._load.arrive([1])
        asked, started = failure.key, time.monotonic()
        body = {"applicationId": asked.application_id, "failureHashes": [asked.failure_hash]}
        requests.post(f"{self._url}/api/pulls", json=body, timeout=_HTTP_SECONDS).raise_for_status()
        while not self._is_completed(asked):
            if time.monotonic() - started > _PROBE_SECONDS:
                raise BenchError(f"a pull of one cab did not end within {_PROBE_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)
        self.seconds.append((started - self._started, time.monotonic() - started))

    def _is_completed(self, key: FailureKey) -> bool:
        answer = requests.get(f"{self._url}/api/pulls/{key.application_id}/{key.failure_hash}", timeout=_HTTP_SECONDS)
        answer.raise_for_status()
        return bool(answer.json()["state"] == "Completed")


def run(minutes: float, seed: int, facts: Sequence[str], say: Callable[[str], None]) -> Section:
    """Load a host, and say whether it stays as it was.

    Args:
        minutes: How long.
        seed: What the load and the faults are drawn from.
        facts: Of the machine.
        say: Receives one line a minute.

    Raises:
        BenchError: The system does not tell what a process holds, or a pull did not end.
    """
    if not Path("/proc/self/fd").exists():
        raise BenchError("the soak reads /proc, which this system has not")
    chance = Random(seed)  # noqa: S311 - a load, no secret
    say(f"{minutes:g} minutes, seed {seed}")
    samples: list[_Sample] = []
    with (
        Embedded(say) as embedded,
        HostProcess(embedded.settings, LOCAL / "bench" / "soak.log") as host,
        Load(embedded, chance, lambda: host.url) as load,
    ):
        started = time.monotonic()
        load.check()
        load.check_applications()
        with _Probe(load, host.url, started) as probe:
            earlier = load.arrive([10])
            number, end = 0, started + minutes * 60
            while (now := time.monotonic()) < end and not probe.error:
                number += 1
                load.ask(load.arrive([chance.randint(0, 6) for _ in range(3)]))
                if number % _AGAIN == 0:
                    load.ask(earlier)
                if number % _REPORT == 0:
                    load.report(load.arrive([chance.randint(0, 6) for _ in range(3)]))
                if number % _FAULT == 0:
                    load.fault()
                samples.append(_Sample.of(host.pid, now - started))
                if number % round(60 / _ROUND_SECONDS) == 0:
                    say(
                        f"{(now - started) / 60:.0f} min: {samples[-1].rss / 1e6:.0f} MB, {samples[-1].handles} handles"
                    )
                time.sleep(max(0.0, started + number * _ROUND_SECONDS - time.monotonic()))
        if probe.error:
            raise BenchError(f"{probe.error}\n{host.log_end()}")
        load.wait_for_rest()
        found = findings(embedded.settings["CAB_STORAGE"], embedded.simulator.world, ())
        cabs, failures = len(embedded.simulator.world.all_cabs()), len(embedded.simulator.world.failures)
    return _section(minutes, seed, facts, _Course(samples, probe.seconds), found, (cabs, failures, load.faults))


@dataclass(frozen=True, slots=True)
class _Course:
    """What was seen over the time.

    Args:
        samples: Of the host.
        latencies: When a pull of one cab was asked for, and how long it took, seconds.
    """

    samples: Sequence[_Sample]
    latencies: Sequence[tuple[float, float]]

    def lines(self) -> dict[str, list[tuple[float, float]]]:
        """Return each value over the time."""
        return {
            "memory, MB": [(each.at, each.rss / 1e6) for each in self.samples],
            "handles": [(each.at, float(each.handles)) for each in self.samples],
            "threads": [(each.at, float(each.threads)) for each in self.samples],
            "1-cab pull, s": list(self.latencies),
        }


def quarters(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Return the values of each quarter of the time.

    Args:
        points: Times, growing, and values.
    """
    first, last = points[0][0], points[-1][0]
    length = (last - first) / 4 or 1.0
    parts: list[list[float]] = [[], [], [], []]
    for at, value in points:
        parts[min(3, int((at - first) / length))].append(value)
    return parts


def _section(
    minutes: float,
    seed: int,
    facts: Sequence[str],
    course: _Course,
    found: Sequence[str],
    done: tuple[int, int, int],
) -> Section:
    lines = {name: quarters(points) for name, points in course.lines().items()}
    rows = [[name, *(f"{median(part):,.2f}" for part in parts)] for name, parts in lines.items()]
    rows.append(
        ["1-cab pull, s, 95th of 100", *(f"{quantiles(part, n=20)[-1]:,.2f}" for part in lines["1-cab pull, s"])]
    )
    machine = quarters([(each.at, each.machine * 1e3) for each in course.samples])
    rows.append(["a fixed piece of work, ms: the machine's own drift", *(f"{median(part):,.2f}" for part in machine)])
    cabs, failures, faults = done
    return Section(
        name="soak",
        title=f"Soak: {minutes:g} minutes",
        facts=list(facts),
        text=[
            f"One host, and every {_ROUND_SECONDS:g} s three new failures of 0 to 6 cabs; now and then a report run, a "
            "failure that is held already, and a fault of the Dev Center that passes. Beside it a failure of one cab "
            "is asked for again and again, and the time taken until its pull is Completed: it holds the wait until "
            "the host looks into the queue, and whatever fault it met.",
            f"{cabs:,} cabs of {failures:,} failures, {faults:,} faults, seed {seed}. Flat means: the median of the "
            "last quarter of the time is no more than 1.1 times (latency: 1.25 times) that of the second quarter.",
        ],
        tables=[
            Table(
                "The host, by quarters of the time",
                ["median of", "1st", "2nd", "3rd", "4th"],
                rows,
                [f"Found: {each}" for each in found[:_SHOWN_FINDINGS]],
            )
        ],
        plots=[_plot(course)],
        verdicts=[*_verdicts(lines), at_most("findings after the soak", len(found), 0)],
    )


def _verdicts(lines: dict[str, list[list[float]]]) -> list[Verdict]:
    return [
        at_most(
            f"soak: {name}, last quarter / second quarter",
            median(parts[3]) / median(parts[1]),
            _FLAT_LATENCY if name.startswith("1-cab") else _FLAT,
            "x",
        )
        for name, parts in lines.items()
    ]


def _plot(course: _Course) -> Plot:
    series = []
    for name, points in course.lines().items():
        usual = median(quarters(points)[1])
        series.append(Series(name.partition(",")[0], [(at / 60, value / usual) for at, value in points]))
    note = "Each beside its median in the second quarter of the time; minutes from the start"
    return Plot("soak", "What a host holds under a steady load", "course", series, note)

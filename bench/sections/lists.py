"""How quickly lists and the summary answer with many failures and cabs, beside what a scan of all cabs would take."""

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from statistics import quantiles

import requests

from bench.cabferry import CabferryHost
from bench.plan import Plan
from bench.processes import usage
from bench.report import Section, Table, at_most
from bench.stage import Stage
from shared.core.storage_settings import CabStorage
from shared.progress import TABLES
from shared.progress.tally import CabTally
from shared.storage.clients import StorageClients
from shared.storage.table_writes import Columns, Write

_CABS_OF_EACH, _LOOKS, _PAUSE_SECONDS, _WRITERS = 30, 40, 0.3, 4
_APPLICATIONS = ("13984104677400476", "11326571694195230", "10238467886765136")
_CALLS = {
    "GET /api/summary": "/api/summary",
    "GET /api/failures": "/api/failures",
    "GET /api/failures, filtered and sorted": "/api/failures?driver=driver1*&version=1.*&sort=missing",
    "GET /api/pulls": "/api/pulls",
    "GET /api/pulls?text=, one found": "/api/pulls?text=x9999&limit=1000",
    "GET /api/pulls?text=, thousands found": "/api/pulls?text=driver",
    "GET /api/health": "/api/health",
}


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure the calls that people look at.

    Args:
        plan: How many failures.
        facts: Of the machine.
    """
    failures, cabs = plan.listed_failures, plan.listed_failures * _CABS_OF_EACH
    with Stage() as stage:
        _fill(stage.azurite.connection_string("cabferry"), failures)
        plan.say(f"{failures:,} failures with {cabs:,} cabs are written")
        with CabferryHost(stage.settings) as host:
            before = usage(host.pid).rss
            first = _seconds(host.url + _CALLS["GET /api/summary"])
            taken = {name: _looks(host.url + path) for name, path in _CALLS.items()}
            grown = usage(host.pid).rss - before
    worst = {name: quantiles(each, n=20)[-1] for name, each in taken.items()}
    for name, seconds in worst.items():
        plan.say(f"{name}: p95 {seconds * 1e3:.0f} ms")
    rows = [
        [name, f"{min(each) * 1e3:.0f}", f"{quantiles(each, n=2)[0] * 1e3:.0f}", f"{worst[name] * 1e3:.0f}"]
        for name, each in taken.items()
    ]
    return Section(
        name="lists",
        title="Lists and sums",
        facts=list(facts),
        text=[
            f"{failures:,} failures with {cabs:,} cabs in the tables of an Azurite on the same machine, and one worker "
            f"that nobody has asked yet. Its first answer, for which the rows of all pulls are read, took {first:.1f} "
            "s; after that, what was written since is read at most every two seconds, and the rows of the cabs never. "
            f"Each call was made {_LOOKS} times, {_PAUSE_SECONDS} s apart. The worker grew by {grown / 1e6:.0f} MB."
        ],
        tables=[Table("Milliseconds from the call to the end of the answer", ["", "least", "median", "p95"], rows, [])],
        verdicts=[
            at_most(f"slowest p95 of these calls, {failures:,} failures", max(worst.values()) * 1e3, 1_000, " ms"),
            at_most("first answer", first, 5, " s"),
        ],
    )


def _looks(url: str) -> list[float]:
    taken = []
    for _ in range(_LOOKS):
        taken.append(_seconds(url))
        time.sleep(_PAUSE_SECONDS)
    return taken


def _seconds(url: str) -> float:
    started = time.perf_counter()
    requests.get(url, timeout=60).raise_for_status()
    return time.perf_counter() - started


def _fill(connection_string: str, failures: int) -> None:
    """Write rows as pulls leave them, in the order of their keys: Azurite's sorted indices then grow at their end."""
    clients = StorageClients(CabStorage(connection_string, "", "", "", None), _WRITERS)
    for name in TABLES:
        clients.tables.create_table(name)
    pulls, cabs = clients.table("pulls"), clients.table("cabs")
    with ThreadPoolExecutor(_WRITERS) as threads:
        for first, application in enumerate(sorted(_APPLICATIONS)):
            mine = range(first * failures // 3, (first + 1) * failures // 3)
            pulls.write_all(application, (Write(_hash(each), _pull(each), "insert") for each in mine))
            list(threads.map(lambda each, of=application: cabs.write_all(f"{of}_{_hash(each)}", _cabs(each)), mine))
    clients.close()


def _hash(number: int) -> str:
    return str(uuid.UUID(int=number * 2**96 + 1))


def _pull(number: int) -> Columns:
    now = datetime.now(UTC)
    tally = CabTally(
        counted_at=now,
        held=_CABS_OF_EACH - number % 3,
        missing=number % 3,
        bytes=_CABS_OF_EACH * 500_000,
        next_expiry=now + timedelta(days=number % 30),
        first_cab=now - timedelta(days=25),
        last_cab=now - timedelta(hours=number % 600),
        copied_on=now.date().isoformat(),
        copied_that_day=number % 5,
        versions=tuple(f"1.{number % 7}.{build}.0" for build in range(3)),
        failure_name=f"AV_driver{number % 50}!x{number}",
        driver_name=f"driver{number % 50}.sys",
    )
    return {"state": "Completed", "queuedAt": now, "updatedAt": now, "completedAt": now, **tally.columns()}


def _cabs(of_failure: int) -> Iterator[Write]:
    now = datetime.now(UTC)
    facts: Columns = {"failureName": "AV_driver!x", "driverName": "driver.sys", "driverVersion": "1.2.3.0"}
    for number in range(_CABS_OF_EACH):
        columns: Columns = {
            "state": "copied",
            "blobName": f"a/b/{number}",
            "length": 500_000,
            "date": now,
            "expiry": now,
            **facts,
        }
        # Azurite looks a row up by its RowKey alone: one that ten thousand failures have would take a second.
        yield Write(_hash(of_failure * _CABS_OF_EACH + number), columns, "insert")

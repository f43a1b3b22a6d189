"""Scale: several hosts on one storage, and a simulation that reproduces them before it goes further."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from typing import Any

from azure.data.tables import TableServiceClient

from bench import contenders
from bench.cabferry import CabferryHost
from bench.plan import Plan
from bench.plots import Plot, Series
from bench.processes import BenchError, run_program
from bench.programs.devcenter import APPLICATION
from bench.programs.job import Measured
from bench.programs.pull import PullJob
from bench.report import CAVEAT, Section, Table, spread
from bench.shaped.delays import Shape
from bench.shaped.server import failure_hash
from bench.shaped_service import heavy_tail
from bench.shaped_stage import ShapedStage
from bench.simulate import Model, Outcome, simulate
from bench.stage import SourceSet, Stage

_SIZE = 65_536
_FAILURES, _CABS = 24, 100
_FEW_IN_FLIGHT = 8
_SMALL_PULLS = 20
_PATIENCE_SECONDS, _LOOK_SECONDS = 600.0, 0.1
_TABLE_TRIES, _TRANSACTION_ROWS = 20, 100
_INSTANCES = (1, 2, 4, 8, 16, 32, 64)
_API_LIMITS = (1.0, 5.0, 20.0, float("inf"))
_SIMULATED, _LARGEST = 6_000, 2_000
_MILLION, _MILLION_INSTANCES = 1_000_000, 8


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Measure several hosts, simulate the same, and extrapolate.

    Args:
        plan: Hosts and rounds.
        facts: Of the machine.
    """
    on_azurite, azurite_model = _hosts_on_azurite(plan)
    on_shaped, shaped_model = _hosts_on_shaped(plan, azurite_model)
    tables = [_compared("One Azurite", on_azurite, azurite_model), _compared("Shaped service", on_shaped, shaped_model)]
    grown, plot = _extrapolated(shaped_model)
    return Section(
        name="scale",
        title="Several instances",
        facts=list(facts),
        text=[
            f"{_FAILURES} failures of {_CABS} cabs are asked for at once, and one, two and more hosts share the queue. "
            "On one Azurite the one Node process is the bound, so hosts cannot add to it. On the shaped service, with "
            f"{_FEW_IN_FLIGHT} copies in flight a host, waiting is the bound, and they do add until this machine's "
            "cores are used up.",
            "`bench/simulate.py` is given what was measured of the parts: for Azurite the ceiling's time of a copy "
            "with labels and the time of table requests, for the shaped service the delays of its form. It is told "
            "also how much CPU of the client a pull and a copy take, and that all share this machine's cores. Its time "
            "stands beside the measured one; only then it extrapolates, to instances with cores of their own.",
        ],
        tables=[*tables, grown, _million(shaped_model)],
        plots=[plot],
    )


def _hosts_on_azurite(plan: Plan) -> tuple[dict[int, list[float]], Model]:
    took: dict[int, list[float]] = {count: [] for count in plan.hosts}
    copies: list[float] = []
    rows: list[tuple[float, float]] = []
    cpu: list[tuple[float, float]] = []
    for _ in range(plan.rounds):
        for count in plan.hosts:
            with Stage() as stage:
                sources = stage.sources(_SIZE, _FAILURES * _CABS)
                took[count].append(
                    _pulled(
                        [stage.settings] * count,
                        [stage.failure(sources, _CABS) for _ in range(_FAILURES)],
                        [stage.failure(sources, 1) for _ in range(count)],
                    )
                )
                plan.say(f"{count} hosts on one Azurite: {took[count][-1]:.2f} s")
                if count == plan.hosts[0]:
                    copies.append(1 / contenders.ceiling(stage, labels=True).copy(sources, _FAILURES * _CABS).rate)
                    rows.append(_table_times(stage.settings["CAB_STORAGE"]))
                    cpu.append(_client_cpu(stage, sources))
    one = median(copies)
    single, many = (median(times) for times in zip(*rows, strict=True))
    cpu_pull, cpu_copy = (median(times) for times in zip(*cpu, strict=True))
    # A request's time is in the one process's own; what is left over loopback is nothing beside it.
    return took, Model(
        table=0,
        copy=0,
        page=0.002,
        listing=0,
        server_copy=one,
        server_table=single,
        server_row=many / _TRANSACTION_ROWS,
        cpu_pull=cpu_pull,
        cpu_copy=cpu_copy,
        cores=os.cpu_count() or 1,
    )


def _hosts_on_shaped(plan: Plan, client: Model) -> tuple[dict[int, list[float]], Model]:
    took: dict[int, list[float]] = {count: [] for count in plan.hosts}
    shape = Shape()
    for _ in range(plan.rounds):
        for count in plan.hosts:
            with ShapedStage(shape, _SIZE) as stage:
                settings = {**stage.settings, "PULL_CONCURRENCY": str(_FEW_IN_FLIGHT), "PULL_PAGES_IN_FLIGHT": "4"}
                hashes = [failure_hash(_CABS) for _ in range(_FAILURES)]
                took[count].append(_pulled([settings] * count, hashes, [failure_hash(1) for _ in range(count)]))
                plan.say(f"{count} hosts on the shaped service: {took[count][-1]:.2f} s")
    # What a delay is on average, with its few slow ones.
    slow = 1 + shape.slow_share * (shape.slow_times - 1)
    return took, Model(
        table=shape.table_ms / 1e3 * slow,
        copy=shape.copy_ms / 1e3 * slow + _SIZE / (shape.copy_mb_s * 1e6),
        page=shape.page_ms / 1e3 * slow,
        listing=shape.list_ms / 1e3 * slow,
        copies_in_flight=_FEW_IN_FLIGHT,
        cpu_pull=client.cpu_pull,
        cpu_copy=client.cpu_copy,
        cores=client.cores,
    )


def _pulled(hosts: Sequence[Mapping[str, str]], failures: Sequence[str], warm_up: Sequence[str]) -> float:
    """Pull with several hosts on one queue; return the seconds from the first start to the last end."""
    with ExitStack() as opened:
        running = [opened.enter_context(CabferryHost(settings)) for settings in hosts]
        # Each host loads everything at its first pull; which of them takes which message is theirs.
        running[0].ask(warm_up)
        _wait_for(running[0], warm_up)
        running[0].ask(failures)
        rows = _wait_for(running[0], failures)
    started = min(row["startedAt"] for row in rows)
    return float((max(row["completedAt"] for row in rows) - started).total_seconds())


def _wait_for(host: CabferryHost, failures: Sequence[str]) -> list[Any]:
    end = time.perf_counter() + _PATIENCE_SECONDS
    while time.perf_counter() < end:
        rows = host.rows(failures)
        if all(row["state"] == "Completed" for row in rows):
            return rows
        time.sleep(_LOOK_SECONDS)
    raise BenchError(f"{len(failures)} pulls did not end")


def _client_cpu(stage: Stage, sources: SourceSet) -> tuple[float, float]:
    """Return the client's CPU seconds for a pull without cabs, and for a cab of one, without a host."""

    def pulled(failures: int, cabs: int) -> float:
        pairs = [(APPLICATION, stage.failure(sources, cabs)) for _ in range(failures)]
        job = PullJob(pairs, warm_up=(APPLICATION, stage.failure(sources, 1)))
        return run_program("pull", job, Measured, stage.settings).cpu_seconds / failures

    small, large = pulled(_SMALL_PULLS, 1), pulled(1, _CABS)
    cpu_copy = (large - small) / (_CABS - 1)
    return small - cpu_copy, cpu_copy


def _table_times(connection: str) -> tuple[float, float]:
    """Return the seconds of a request that writes one row, and of a transaction of 100."""
    with TableServiceClient.from_connection_string(connection) as service:
        table = service.create_table_if_not_exists("bench")
        row = {"state": "copied", "blobName": "x" * 80, "md5": "0" * 32, "error": ""}
        started = time.perf_counter()
        for number in range(_TABLE_TRIES):
            table.upsert_entity({"PartitionKey": "one", "RowKey": str(number), **row})
        single = (time.perf_counter() - started) / _TABLE_TRIES
        started = time.perf_counter()
        for number in range(_TABLE_TRIES):
            rows = ({"PartitionKey": str(number), "RowKey": str(each), **row} for each in range(_TRANSACTION_ROWS))
            table.submit_transaction([("upsert", each) for each in rows])
        return single, (time.perf_counter() - started) / _TABLE_TRIES


def _compared(where: str, took: Mapping[int, Sequence[float]], model: Model) -> Table:
    rows = []
    for count, seconds in took.items():
        outcome = simulate(model, [_CABS] * _FAILURES, count)
        cabs = _FAILURES * _CABS
        rows.append(
            [
                f"{count}",
                spread(seconds, ".2f"),
                spread([cabs / each for each in seconds]),
                f"{outcome.seconds:.2f}",
                f"{outcome.seconds / median(seconds):.2f}",
            ]
        )
    columns = ["hosts", "measured, s", "measured, cabs/s", "simulated, s", "simulated / measured"]
    notes = [CAVEAT] if "Azurite" in where else []
    return Table(f"{where}: {_FAILURES} failures of {_CABS} cabs", columns, rows, notes)


def _million(shaped: Model) -> Table:
    model = _elsewhere(shaped)
    shapes = {
        "one cab a failure": [1] * _MILLION,
        "100 cabs a failure": [100] * (_MILLION // 100),
        "10,000 cabs a failure": [10_000] * (_MILLION // 10_000),
    }
    rows = []
    for name, pulls in shapes.items():
        outcome = simulate(model, pulls, _MILLION_INSTANCES)
        rows.append(
            [
                name,
                f"{outcome.requests:,}",
                f"{outcome.pages:,}",
                f"{2 * len(pulls):,}",
                f"{outcome.seconds / 3600:.2f}",
                f"{outcome.seconds * _MILLION_INSTANCES:,.0f}",
            ]
        )
    columns = ["", "storage requests", "API pages", "queue requests, at least", "hours", "instance seconds"]
    title = f"Simulated: {_MILLION:,} cabs with {_MILLION_INSTANCES} instances and no API limit"
    return Table(title, columns, rows, ["Extrapolated as above. `docs/scaling.md` says what such requests cost."])


def _elsewhere(shaped: Model) -> Model:
    """Return the model for instances that each have a machine of their own, with the app's default settings."""
    return replace(shaped, copies_in_flight=Model().copies_in_flight, pages_in_flight=1, cores=float("inf"))


def _extrapolated(shaped: Model) -> tuple[Table, Plot]:
    model = _elsewhere(shaped)
    pulls = heavy_tail(_SIMULATED, _LARGEST, seed=7)
    outcomes: dict[float, dict[int, Outcome]] = {
        limit: {count: simulate(replace(model, api_limit=limit), pulls, count) for count in _INSTANCES}
        for limit in _API_LIMITS
    }
    rows = [[f"{count}", *(f"{outcomes[limit][count].rate:,.0f}" for limit in _API_LIMITS)] for count in _INSTANCES]
    named = ["no limit" if limit == float("inf") else f"{limit:g} pages/s" for limit in _API_LIMITS]
    title = f"Simulated, cabs/s: {len(pulls):,} failures, {sum(pulls):,} cabs, the largest {max(pulls):,}"
    notes = [
        "Extrapolated, not measured: the delays of the shaped service, the limits of a standard storage account "
        "(20,000 requests a second, 2,000 entities a second and partition, 2,000 messages a second and queue), an API "
        "limit that nobody documented."
    ]
    series = [
        Series(f"API: {name}", [(count, outcomes[limit][count].rate) for count in _INSTANCES])
        for name, limit in zip(named, _API_LIMITS, strict=True)
    ]
    note = "Extrapolated, not measured: the delays of the shaped service, an API limit that nobody documented"
    plot = Plot("scale", "Simulated: cabs a second by instances, under a limit of the API", "lines", series, note)
    return Table(title, ["instances", *named], rows, notes), plot

"""A report is ingested once, and rather twice than not at all; one that is broken stops no other."""

import gzip
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from azure.data.tables import TableClient, UpdateMode

from local.simulator import catalogue
from local.simulator.builder import CabForm
from local.simulator.catalogue import Report
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.report_file import OEM_DRIVER_COLUMNS
from local.simulator.scenario import Location, ReportForm
from local.simulator.thread import SimulatorThread
from shared.core import clock
from shared.core.failure import Window
from shared.devcenter.client import DevCenter
from shared.devcenter.reports import Listed, ReportRun, Schedule
from shared.progress.cab_row import CabRow, CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.progress.queue import PullQueue
from shared.progress.reports import ReportRow
from shared.reports.check import check_reports
from shared.reports.file import OpenedFile, ReportFiles
from shared.reports.outcome import RunOutcome
from shared.storage.lease import RowLease
from tests.integration.app import App, Blob, reported, served
from tests.integration.conftest import MakeApp


def rows_of(app: App, report: Report) -> list[ReportRow]:
    return list(app.services.report_tools.reports.of(str(report.report_id)).values())


def reports_table(app: App) -> TableClient:
    return TableClient.from_connection_string(app.storage.connection_string, "reports")


def test_each_failure_of_a_report_is_queued_and_each_cab_listed_once(app: App, simulator: SimulatorThread) -> None:
    failures = [simulator.builder.failure(cabs) for cabs in (0, 1, 5, 110)]
    report = simulator.builder.report(failures)
    simulator.publish()
    (outcome,) = app.check()
    assert (outcome.outcome, outcome.failures, outcome.cabs, outcome.error) == ("ingested", 4, 116, "")
    assert app.waiting_messages() == 4
    for failure in failures:
        assert app.row(failure).state is PullState.QUEUED
        assert app.row(failure).window == app.window
        assert app.row(failure).requested_by.startswith(f"report {report.report_id}")
        assert set(app.states(failure)) == {cab.cab_id_hash for cab in simulator.world.cabs(failure.key)}
    (row,) = rows_of(app, report)
    assert (row.status, row.failures, row.cabs, row.error) == ("Completed", 4, 116, "")
    assert row.ingested_at
    assert app.work_off() == 4
    assert {app.row(failure).state for failure in failures} == {PullState.COMPLETED}
    # One of which no cab ever came has its name as well.
    assert [app.row(failure).failure_name for failure in failures] == [failure.name for failure in failures]


def test_a_second_check_queues_nothing_and_costs_three_requests(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(3)
    simulator.builder.report([failure])
    simulator.publish()
    app.check()
    asked = app.asked(lambda: [outcome.outcome for outcome in app.check()] == ["known"])
    assert len(asked) <= 3
    assert app.waiting_messages() == 1
    assert simulator.ledger.answers(Call.REPORT_DATA) == 2


def test_a_later_run_lists_what_is_new_and_leaves_alone_what_is_held(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(3)
    report = simulator.builder.report([failure])
    simulator.publish()
    app.check()
    app.work_off()
    simulator.builder.cabs(failure, 2)
    simulator.publish()
    simulator.builder.run(report, [failure])
    simulator.publish()
    assert Counter(outcome.outcome for outcome in app.check()) == {"known": 1, "ingested": 1}
    assert Counter(app.states(failure).values()) == {CabState.COPIED: 3, CabState.LISTED: 2}
    app.work_off()
    assert Counter(app.states(failure).values()) == {CabState.COPIED: 5}


def test_a_second_report_queues_only_what_is_new_and_what_expires_first_in_front(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.progress.requests._AT_ONCE", 1)
    ages = [CabForm(age=(timedelta(days=age), timedelta(days=age))) for age in (3, 27, 12)]
    failures = [simulator.builder.failure(2, form) for form in ages]
    without = simulator.builder.failure(0)
    report = simulator.builder.report([*failures, without])
    simulator.publish()
    (outcome,) = app.check()
    assert (outcome.failures, outcome.held) == (4, 0)
    expected = [failures[1], failures[2], failures[0], without]
    assert queued(app) == [each.key.failure_hash for each in expected]
    app.work_off()
    assert app.row(failures[0]).state is PullState.COMPLETED
    simulator.builder.cabs(failures[2], 1)
    simulator.builder.run(report, [*failures, without])
    simulator.publish()
    outcomes = [each for each in app.check() if each.outcome != "known"]
    assert [(each.failures, each.held, each.cabs) for each in outcomes] == [(2, 2, 7)]
    assert sorted(queued(app)) == sorted(each.key.failure_hash for each in (failures[2], without))


def queued(app: App) -> list[str]:
    """Return the failures whose messages wait, in their order."""
    return [PullMessage.decode(each.content.encode()).failure.failure_hash for each in app.queue.peek_messages(32)]


def test_cabs_that_were_copied_before_a_report_named_them_are_named_by_it(app: App, simulator: SimulatorThread) -> None:
    """Who pulls on demand, or sooner than the report, must find the cabs by name and version all the same."""
    failure = served(simulator, 3)
    app.pull(failure)
    assert not any("failurename" in blob.metadata for blob in app.listed(failure).values())
    before = {cab: (blob.metadata, row.settled_at) for (cab, blob), row in _both(app, failure)}
    simulator.builder.report([failure])
    simulator.publish()
    (outcome,) = app.check()
    assert (outcome.outcome, outcome.cabs, outcome.named) == ("ingested", 3, 3)
    naming = app.asked(app.work_off)
    written = Counter(request.comp for request in naming if request.method == "PUT")
    assert (written["tags"], written["metadata"]) == (3, 3)
    for (cab, blob), row in _both(app, failure):
        assert row.facts.failure_name == blob.metadata["failurename"] == failure.name
        assert row.facts.driver_version == blob.metadata["driverversion"] == blob.tags["driverVersion"]
        assert blob.tags["failureHash"] == failure.key.failure_hash
        assert blob.tags["date"] == blob.metadata["cabdate"].replace("T", " ")
        metadata, settled_at = before[cab]
        assert blob.metadata.items() > metadata.items()
        assert (row.state, row.settled_at) == (CabState.COPIED, settled_at)
    assert app.row(failure).failure_name == failure.name
    app.request(failure)
    assert not [each for each in app.asked(app.work_off) if each.comp in {"tags", "metadata"}]


def _both(app: App, failure: catalogue.Failure) -> list[tuple[tuple[str, Blob], CabRow]]:
    rows = app.cabs(failure)
    return [((cab, blob), rows[cab]) for cab, blob in app.listed(failure).items()]


@pytest.mark.parametrize("where", ["before the pulls", "between the messages", "before the end"])
def test_a_check_that_dies_queues_nothing_less_at_the_next(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A pull that says Queued may have lost its message: only this run knows, and asks again."""
    held, *failures = [simulator.builder.failure(2) for _ in range(6)]
    report = simulator.builder.report([held, *failures])
    simulator.publish()
    app.pull(held)
    tools, real = app.services.report_tools, PullQueue.send
    sent = 0

    def send(queue: PullQueue, message: PullMessage, delay: timedelta = timedelta()) -> None:
        nonlocal sent
        sent += 1
        if sent > 2:
            raise Died
        real(queue, message, delay)

    def die(*_: object, **__: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        match where:
            case "before the pulls":
                patch.setattr(type(tools.requests), "make", die)
            case "between the messages":
                patch.setattr("shared.progress.requests._AT_ONCE", 1)
                patch.setattr(PullQueue, "send", send)
            case _:
                patch.setattr(RowLease, "release", die)
        with pytest.raises(Died):
            app.check()
    assert rows_of(app, report)[0].ingested_at is None
    with reports_table(app) as table:  # The lease of the dead is over.
        for entity in table.list_entities():
            table.update_entity({**entity, "leaseUntil": datetime(2000, 1, 1, tzinfo=UTC)})
    app.queue.clear_messages()
    assert [outcome.outcome for outcome in app.check()] == ["ingested"]
    assert {each.key.failure_hash for each in failures} <= set(queued(app))
    assert [outcome.outcome for outcome in app.check()] == ["known"]


class Died(BaseException):
    """The host is gone."""


@pytest.mark.parametrize(
    ("status", "outcome"), [("Pending", "pending"), ("In Progress", "pending"), ("Failed", "failed")]
)
def test_a_run_that_has_no_file_is_noted(app: App, simulator: SimulatorThread, status: str, outcome: str) -> None:
    report = reported(simulator, 1, ReportForm(status=status))
    assert [each.outcome for each in app.check()] == [outcome]
    assert [(row.status, row.ingested_at) for row in rows_of(app, report)] == [(status, None)]
    assert app.waiting_messages() == 0
    asked = app.asked(app.check)
    assert len([each for each in asked if each.method != "GET"]) == 1, "how the check went, and nothing that is known"


def problems_of(app: App) -> tuple[str, ...]:
    checked = app.services.health.checked()
    assert checked
    return checked.problems or ()


@pytest.mark.parametrize(
    ("status", "hours", "event", "problem"),
    [
        ("Failed", 1, "report-run-failed: reportId=43000 reportDatetime=", "its newest run, of "),
        ("Pending", 13, "report-run-late: reportId=43000 due=", "is still Pending"),
        ("Pending", 11, "", ""),
    ],
)
def test_a_run_that_does_not_come_is_told_once_and_stands_until_one_does(
    app: App,
    simulator: SimulatorThread,
    caplog: pytest.LogCaptureFixture,
    status: str,
    hours: int,
    event: str,
    problem: str,
) -> None:
    failure, now = simulator.builder.failure(1), clock.now().replace(microsecond=0)
    report = simulator.builder.report([failure], ReportForm(status=status), now - timedelta(hours=hours))
    simulator.publish()
    for _ in range(3):
        app.check()
        assert len(problems_of(app)) == bool(problem)
        assert problem in "".join(problems_of(app))
    checked = app.services.health.checked()
    assert checked
    assert (checked.failed, checked.error) == (0, ""), "what the Dev Center could not make is no fault of the check"
    told = [each for each in caplog.messages if each.startswith(("report-run-", "schedule-"))]
    assert [each.startswith(event) for each in told] == [True] * bool(event)
    simulator.builder.run(report, [failure])
    simulator.publish()
    app.check()
    assert problems_of(app) == ()


def test_a_schedule_that_comes_to_its_end_is_told_once_until_another_takes_its_place(
    app: App, simulator: SimulatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    failure = simulator.builder.failure(1)
    report = simulator.builder.report([failure])
    simulator.builder.report([failure], active=False)  # which was paused before anybody looked
    simulator.publish()
    app.check()
    assert problems_of(app) == ()
    report.active = False
    for _ in range(2):
        app.check()
        paused, none = problems_of(app)
        assert paused.startswith(f"Report {report.report_id}: no run since ")
        assert paused.endswith("the schedule is paused")
        assert none.startswith("No report is scheduled")
    report.active, report.recurrence = True, 3
    app.check()
    (ended,) = problems_of(app)
    assert ended.endswith("the schedule has ended: it has made its 3 runs")
    assert [each.split()[1] for each in caplog.messages if each.startswith("schedule-ended: ")] == ["reportId=43000"]
    simulator.builder.schedule(report.template_id, clock.now())
    app.check()
    assert problems_of(app) == ()


def test_a_schedule_that_is_set_inactive_with_its_last_run_is_read_to_its_end(
    app: App, simulator: SimulatorThread
) -> None:
    report = simulator.builder.report([simulator.builder.failure(1)], active=False)
    report.recurrence = 20
    simulator.publish()
    assert [each.outcome for each in app.check()] == ["ingested"]


def test_a_report_without_the_needed_columns_says_which_it_has_and_is_tried_again(
    app: App, simulator: SimulatorThread
) -> None:
    """A template may be mended; until then the row tells what is wrong with it."""
    report = reported(simulator, 1, ReportForm(columns=OEM_DRIVER_COLUMNS))
    for _ in range(2):
        assert [each.outcome for each in app.check()] == ["failed"]
        (row,) = rows_of(app, report)
        assert "no column ApplicationId" in row.error
        assert "FailureName" in row.error
        assert row.ingested_at is None
    assert app.waiting_messages() == 0


def test_one_run_that_fails_stops_no_other(app: App, simulator: SimulatorThread) -> None:
    good, other = simulator.builder.failure(1), simulator.builder.failure(1)
    report = simulator.builder.report([good], ReportForm(columns=OEM_DRIVER_COLUMNS))
    simulator.builder.run(report, [good])
    simulator.builder.report([other])
    simulator.publish()
    assert Counter(each.outcome for each in app.check()) == {"failed": 1, "ingested": 2}
    assert app.row(good).state is app.row(other).state is PullState.QUEUED


def test_a_report_that_is_gone_stops_no_other(make_app: MakeApp, simulator: SimulatorThread) -> None:
    """A schedule that somebody deleted stays in REPORT_IDS until somebody thinks of it."""
    failure = simulator.builder.failure(1)
    report = simulator.builder.report([failure])
    simulator.publish()
    outcomes = make_app(REPORT_IDS=f"999,{report.report_id}").check()
    assert [(each.report_id, each.outcome) for each in outcomes] == [
        ("999", "failed"),
        (str(report.report_id), "ingested"),
    ]
    assert "999" in outcomes[0].error


def test_only_the_reports_that_are_named_are_asked_for(make_app: MakeApp, simulator: SimulatorThread) -> None:
    first = simulator.builder.report([simulator.builder.failure(1)])
    reported(simulator, 1)
    # The list tells only whether the report is still made.
    simulator.faults.add(Fault(call=Call.REPORT, kind=FaultKind.FORBIDDEN))
    (outcome,) = make_app(REPORT_IDS=str(first.report_id)).check()
    assert (outcome.report_id, outcome.outcome) == (str(first.report_id), "ingested")


def test_schedules_that_are_paused_are_passed_over(app: App, simulator: SimulatorThread) -> None:
    reported(simulator, 1, active=False)
    assert app.check() == []


def test_runs_before_the_lookback_are_not_asked_for(make_app: MakeApp, simulator: SimulatorThread) -> None:
    report = simulator.builder.report([simulator.builder.failure(1)])
    run = simulator.world.waiting_runs[0][1]
    simulator.builder.run(report, [], at=run.at - timedelta(days=10))
    simulator.publish()
    assert len(make_app(REPORT_LOOKBACK_DAYS="5").check()) == 1


def test_a_run_that_another_check_reads_is_left_to_it(app: App, simulator: SimulatorThread) -> None:
    report = reported(simulator, 1)
    tools = app.services.report_tools
    (run,) = tools.devcenter.report_runs(str(report.report_id), app.window).items
    lease = tools.reports.take(run, run.report_datetime)
    assert isinstance(lease, RowLease)
    assert [each.outcome for each in app.check()] == ["busy"]
    lease.release({})
    assert [each.outcome for each in app.check()] == ["ingested"]


class OddCenter:
    """A Dev Center whose lists hold what they should not, beside what it really lists."""

    def __init__(self, real: DevCenter, runs: Listed[ReportRun], schedules: list[str]) -> None:
        self._real, self._runs, self._schedules = real, runs, schedules

    def schedules(self) -> Listed[Schedule]:
        """List the real ones, and what is odd."""
        return Listed(self._real.schedules().items, self._schedules)

    def report_runs(self, report_id: str, window: Window) -> Listed[ReportRun]:
        """List the odd ones before the real ones."""
        listed = self._real.report_runs(report_id, window)
        return Listed([*self._runs.items, *listed.items], self._runs.odd)


def check_with(
    app: App, odd_runs: Sequence[ReportRun] = (), odd: Sequence[str] = (), schedules: Sequence[str] = ()
) -> list[RunOutcome]:
    """Check the reports of a Dev Center that lists these as well."""
    tools = app.services.report_tools
    center = OddCenter(tools.devcenter, Listed(list(odd_runs), list(odd)), list(schedules))
    return check_reports(replace(tools, devcenter=cast("DevCenter", center)))


def test_what_is_odd_about_a_list_is_told_once_and_costs_no_run(app: App, simulator: SimulatorThread) -> None:
    report = reported(simulator, 1)
    for again in (False, True):
        outcomes = check_with(app, odd=["a run without a time"], schedules=["a schedule without an id"])
        assert [(each.outcome, each.error) for each in outcomes] == [
            ("failed", "a schedule without an id"),
            ("failed", "a run without a time"),
            ("known" if again else "ingested", ""),
        ]
    assert sorted(row.error for row in rows_of(app, report)) == ["", "a run without a time"]
    with reports_table(app) as table:
        assert [each["error"] for each in table.query_entities("PartitionKey eq 'schedules'")] == [
            "a schedule without an id"
        ]


@pytest.mark.parametrize("location", ["https://[/x", "http://evil.com/x", "https://a.blob.core.windows.net:99999999/x"])
def test_a_run_whose_location_is_nonsense_stops_no_other(app: App, simulator: SimulatorThread, location: str) -> None:
    report = reported(simulator, 1)
    odd = ReportRun(str(report.report_id), "2026-11-20T05:35:32", "Completed", location)
    assert [each.outcome for each in check_with(app, [odd])] == ["failed", "ingested"]
    assert {bool(row.error) for row in rows_of(app, report)} == {True, False}


def test_a_file_whose_host_asks_to_wait_stops_no_other_report_and_is_told(app: App, simulator: SimulatorThread) -> None:
    """Only the Dev Center may end a check: it would refuse the next call as well."""
    first = simulator.builder.report([simulator.builder.failure(1)], ReportForm(location=Location.FRONT_SAS))
    reported(simulator, 1)
    simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.THROTTLED, retry_after=7, times=1))
    assert Counter(each.outcome for each in app.check()) == {"failed": 1, "ingested": 1}
    (row,) = rows_of(app, first)
    assert "429" in row.error
    checked = app.services.health.checked()
    assert checked is not None
    assert (checked.runs, checked.failed) == (2, 1)
    assert f"report {first.report_id}" in checked.error
    assert "429" in checked.error
    assert Counter(each.outcome for each in app.check()) == {"ingested": 1, "known": 1}
    checked = app.services.health.checked()
    assert checked is not None
    assert (checked.failed, checked.error) == (0, "")


def test_what_nobody_foresaw_about_a_run_is_told_and_stops_no_other(app: App, simulator: SimulatorThread) -> None:
    first = simulator.builder.report([simulator.builder.failure(1)])
    reported(simulator, 1)
    tools = app.services.report_tools

    def opened(run: ReportRun) -> AbstractContextManager[OpenedFile]:
        if run.report_id == str(first.report_id):
            raise ValueError("https://a/b?sig=QZXJ")
        return tools.files.opened(run)

    outcomes = check_reports(replace(tools, files=cast("ReportFiles", SimpleNamespace(opened=opened))))
    assert Counter(each.outcome for each in outcomes) == {"failed": 1, "ingested": 1}
    (row,) = rows_of(app, first)
    assert "ValueError" in row.error
    assert "QZXJ" not in row.error


def test_a_report_that_cannot_be_listed_is_told_in_its_row_until_it_can(app: App, simulator: SimulatorThread) -> None:
    report = reported(simulator, 1)
    simulator.faults.add(Fault(call=Call.REPORT_DATA, kind=FaultKind.WRONG_TYPE, times=1))
    assert [each.outcome for each in app.check()] == ["failed"]
    assert [bool(row.error) for row in rows_of(app, report)] == [True]
    assert [each.outcome for each in app.check()] == ["ingested"]
    assert [bool(row.error) for row in rows_of(app, report)] == [False, False]


def test_two_runs_of_one_time_are_told_apart_by_their_files(app: App, simulator: SimulatorThread) -> None:
    first, second, third = (simulator.builder.failure(1) for _ in range(3))
    report = simulator.builder.report([first])
    at = simulator.world.waiting_runs[0][1].at
    simulator.publish()
    assert [each.outcome for each in app.check()] == ["ingested"]
    simulator.builder.run(report, [second], at=at)
    simulator.builder.run(report, [third], at=at)
    simulator.publish()
    assert Counter(each.outcome for each in app.check()) == {"known": 1, "ingested": 2}
    assert {app.row(each).state for each in (first, second, third)} == {PullState.QUEUED}
    assert len(rows_of(app, report)) == 3
    assert [each.outcome for each in app.check()] == ["known"] * 3


def test_of_two_runs_of_one_time_the_one_that_an_earlier_version_read_is_unknown(
    app: App, simulator: SimulatorThread
) -> None:
    """Its row names no file, so both are read: a pull that is made twice copies nothing twice."""
    first, second = (simulator.builder.failure(1) for _ in range(2))
    report = simulator.builder.report([first])
    at = simulator.world.waiting_runs[0][1].at
    simulator.publish()
    app.check()
    with reports_table(app) as table:
        (entity,) = table.list_entities()
        del entity["file"]
        table.update_entity(entity, mode=UpdateMode.REPLACE)
    assert [each.outcome for each in app.check()] == ["known"], "alone it is what its time says"
    simulator.builder.run(report, [second], at=at)
    simulator.publish()
    assert Counter(each.outcome for each in app.check()) == {"ingested": 2}
    assert [each.outcome for each in app.check()] == ["known"] * 2


def test_a_run_without_a_time_is_read_and_told(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(2)
    report = simulator.builder.report([failure])
    simulator.publish()
    tools = app.services.report_tools
    (run,) = tools.devcenter.report_runs(str(report.report_id), app.window).items
    listed = Listed([replace(run, report_datetime="")], [])
    center = SimpleNamespace(schedules=tools.devcenter.schedules, report_runs=lambda *_: listed)
    odd = replace(tools, devcenter=cast("DevCenter", center))
    assert [(each.outcome, each.error) for each in check_reports(odd)] == [("ingested", "it names no time")]
    assert [each.outcome for each in check_reports(odd)] == ["known"]
    assert app.row(failure).state is PullState.QUEUED


@pytest.mark.parametrize("damage", ["cut", "moved"])
def test_what_a_broken_file_names_is_pulled_once_and_the_run_stays_failed(
    app: App, simulator: SimulatorThread, damage: str
) -> None:
    """What could be read is somebody's cabs; what could not must not be forgotten."""
    failure = simulator.builder.failure(3)
    report = simulator.builder.report([failure])
    simulator.publish()
    tools = app.services.report_tools

    @contextmanager
    def opened(run: ReportRun) -> Iterator[OpenedFile]:
        with tools.files.opened(run) as file:
            content = gzip.decompress(whole) if (whole := file.stream.read()).startswith(b"\x1f\x8b") else whole
            more = b"1\t2\r\n" * 1_000 if damage == "moved" else b"1\t2"
            yield OpenedFile(io.BytesIO(content + more), True)

    broken = replace(tools, files=cast("ReportFiles", SimpleNamespace(opened=opened)))
    for queued in (1, 0):
        (outcome,) = check_reports(broken)
        assert (outcome.outcome, outcome.failures, outcome.cabs) == ("failed", queued, 3)
        assert ("is cut" if damage == "cut" else "mostly unreadable") in outcome.error
        (row,) = rows_of(app, report)
        assert (row.ingested_at, row.error, row.failures) == (None, outcome.error, 1)
        assert app.waiting_messages() == 1
    assert [(each.outcome, each.failures) for each in app.check()] == [("ingested", 1)], "a file may be mended"

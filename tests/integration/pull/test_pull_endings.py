"""A pull that cannot go on must come back by itself when that helps, and say what to do when it does not."""

import time
from collections import Counter
from copy import replace
from datetime import timedelta
from http import HTTPStatus

import pytest
from azure.data.tables import TableServiceClient

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost
from local.simulator.thread import SimulatorThread
from shared.cabs.copy import CabCopy
from shared.cabs.creation import Copied
from shared.cabs.labels import CabLabels
from shared.core import clock
from shared.core.errors import AgainLater, OutOfTime
from shared.progress.cabs import CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.storage.connections import Answer
from shared.storage.service import StorageRequest, StorageService
from tests.integration.app import DEADLINE_SECONDS, App, failure_of
from tests.integration.conftest import MakeApp


def batch_fault(kind: FaultKind, times: int | None = None) -> Fault:
    return Fault(call=Call.CAB_BATCH, kind=kind, times=times)


def test_the_message_waits_as_long_as_the_service_asked(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(2)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.THROTTLED, retry_after=1))
    app.request(failure)
    first = app.receive()
    assert first is not None
    started = time.monotonic()
    app.handle(PullMessage.decode(first.content.encode()))
    app.queue.delete_message(first)
    while (message := app.receive()) is None:
        assert time.monotonic() < started + DEADLINE_SECONDS
        time.sleep(0.02)
    assert time.monotonic() - started >= 0.9
    again = PullMessage.decode(message.content.encode())
    assert (again.failure, again.window, again.requested_by) == (failure_of(failure), app.window, "the test")
    app.handle(again)
    assert app.row(failure).state is PullState.COMPLETED


def test_a_pull_is_found_in_the_log_from_what_asked_for_it_to_its_end(
    app: App, simulator: SimulatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    failure = simulator.builder.failure(1)
    simulator.publish()
    simulator.faults.add(batch_fault(FaultKind.SERVER_ERROR, times=1))
    pull_id = app.services.requests.make([failure_of(failure)], app.window, "the test")
    (message,) = app.queue.peek_messages()
    asked = PullMessage.decode(message.content.encode())
    assert asked.pull_id == pull_id
    with caplog.at_level("INFO"):
        app.handle(asked)
        assert app.row(failure).pull_id == pull_id
        app.handle(PullMessage(failure_of(failure), None, "the test", resumes=True, pull_id=pull_id))
    told = [record.getMessage() for record in caplog.records if record.name == "shared.pull.run"]
    assert len(told) == 2
    assert all(f"{failure_of(failure)} (pull {pull_id}): " in line for line in told)


def test_a_pull_that_moves_on_is_not_given_up(make_app: MakeApp, simulator: SimulatorThread) -> None:
    """Ten thousand cabs may meet more than ten bad moments."""
    app = make_app(PULL_MAX_ATTEMPTS="2")
    simulator.form = BatchForm(largest_page=5)
    failure = simulator.builder.failure(20)
    simulator.publish()
    for skip in ("5", "10", "15"):
        simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.SERVER_ERROR, match={"skip": skip}))
    rows = [app.pull(failure) for _ in range(4)]
    assert [row.state for row in rows] == [PullState.QUEUED] * 3 + [PullState.COMPLETED]
    assert [row.attempts for row in rows] == [1, 2, 3, 3]
    assert rows[-1].counts.copied == 20


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (FaultKind.FORBIDDEN, "Manager role"),
        (FaultKind.UNAUTHORIZED, "Partner Center"),
        (FaultKind.BAD_REQUEST, "refused"),
    ],
)
def test_what_only_a_person_can_mend_ends_at_once_and_says_what_to_do(
    app: App, simulator: SimulatorThread, kind: FaultKind, told: str
) -> None:
    failure = simulator.builder.failure(2)
    simulator.publish()
    simulator.faults.add(batch_fault(kind))
    row = app.pull(failure)
    assert (row.state, row.attempts) == (PullState.FAILED, 0)
    assert told in row.last_error
    assert row.completed_at
    assert app.waiting_messages() == 0
    assert simulator.ledger.answers(Call.CAB_BATCH) == 1, "no hammering"
    simulator.faults.clear()
    app.request(failure)
    app.work_off()
    assert app.row(failure).state is PullState.COMPLETED


def test_sources_that_all_fail_are_not_tried_a_hundred_times(app: App, simulator: SimulatorThread) -> None:
    simulator.form = BatchForm(cab_host=BlobHost.FRONT, largest_page=5)
    failure = simulator.builder.failure(50)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.UNAVAILABLE, times=None))
    row = app.pull(failure)
    assert (row.state, row.counts.copied) == (PullState.QUEUED, 0)
    assert simulator.ledger.answers(Call.BLOB) < 60
    assert app.waiting_messages() == 1


def test_a_pull_is_handed_on_when_its_time_is_used_and_completes(app: App, simulator: SimulatorThread) -> None:
    hasty = App(app.azurite, app.storage, replace(app.settings, pull_time_budget=timedelta(seconds=0.1)))
    simulator.form = BatchForm(largest_page=40)
    failure = simulator.builder.failure(120)
    simulator.publish()
    hasty.request(failure)
    asked = hasty.asked(hasty.work_off)
    row = hasty.row(failure)
    assert (row.state, row.attempts, row.last_error) == (PullState.COMPLETED, 0, "")
    assert (row.counts.seen, row.counts.copied, row.counts.already_held) == (120, 120, 0)
    assert row.requested_by == "the test"
    copies = Counter(each.path for each in asked if each.method == "PUT" and each.status == 202)
    assert len(copies) == copies.total() == 120
    sent = [each for each in asked if each.is_queue_message and each.method == "POST"]
    assert sent, "a pull of 120 cabs in 0.1 s would be new"


def test_storage_that_is_not_there_leaves_the_message_alive(app: App, simulator: SimulatorThread) -> None:
    """Without its table a pull can record nothing; its message must wait, and spend no dequeue on that."""
    failure = simulator.builder.failure(1)
    simulator.publish()
    with TableServiceClient.from_connection_string(app.storage.connection_string) as tables:
        tables.delete_table("pulls")
    app.handle(PullMessage(failure_of(failure), app.window, "the test"))
    assert app.waiting_messages() == 1
    assert app.receive() is None


def test_cab_rows_that_cannot_be_written_do_not_hide_why(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pull's row must tell the reason, and its checkpoint must not pass by what was never recorded."""
    failure = simulator.builder.failure(2)
    simulator.publish()

    def failing(*_: object) -> None:
        raise AgainLater("table cabs: storage does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(app.services.pull_tools.cabs, "write", failing)
        rows = [app.pull(failure) for _ in range(2)]
    assert [(row.state, row.attempts, row.stalled, row.skip) for row in rows] == [
        (PullState.QUEUED, 1, 1, 0),
        (PullState.QUEUED, 2, 2, 0),
    ]
    assert all("table cabs" in row.last_error for row in rows)
    row = app.pull(failure)
    assert (row.state, row.counts.copied, row.last_error) == (PullState.COMPLETED, 2, "")
    assert set(app.states(failure).values()) == {CabState.COPIED}


@pytest.mark.parametrize("page", [b"<html><body>Sign in</body></html>", b"<!DOCTYPE html><p>Sign in"])
def test_a_page_is_not_taken_for_an_empty_container(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    """Every cab would seem to be missing, and be copied again for nothing."""
    failure = simulator.builder.failure(2)
    simulator.publish()
    send = StorageService.send

    def answering(service: StorageService, request: StorageRequest, what: str, success: HTTPStatus) -> Answer:
        is_listing = request.query.get("comp") == "list"
        return Answer(200, page) if is_listing else send(service, request, what, success)

    with monkeypatch.context() as patch:
        patch.setattr(StorageService, "send", answering)
        row = app.pull(failure)
    assert (row.state, row.attempts) == (PullState.QUEUED, 1)
    assert "no listing" in row.last_error
    assert set(app.states(failure).values()) == {CabState.COPIED}
    assert app.pull(failure).state is PullState.COMPLETED


def test_a_copy_is_told_when_the_pulls_time_is_over(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One slow cab would hold its host until the platform ends it, and its neighbours with it."""
    failure = simulator.builder.failure(2)
    simulator.publish()
    told, copy = list[float | None](), CabCopy.copy

    def watched(copies: CabCopy, url: str, blob_name: str, labels: CabLabels, until: float | None = None) -> Copied:
        told.append(until)
        return copy(copies, url, blob_name, labels, until)

    monkeypatch.setattr(CabCopy, "copy", watched)
    budget = app.settings.pull_time_budget.total_seconds()
    started = clock.monotonic()
    assert app.pull(failure).state is PullState.COMPLETED
    assert len(told) == 2
    assert all(until and started + budget <= until <= clock.monotonic() + budget for until in told)


def test_a_copy_that_ran_out_of_time_goes_on_by_a_new_message_and_is_no_failure(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = simulator.builder.failure(2)
    simulator.publish()

    def late(*_: object) -> Copied:
        raise OutOfTime("the time is over after 7 of 9 bytes")

    with monkeypatch.context() as patch:
        patch.setattr(CabCopy, "copy", late)
        row = app.pull(failure)
    assert (row.state, row.attempts, row.last_error, row.counts.failed) == (PullState.QUEUED, 0, "", 0)
    assert app.states(failure) == {}
    app.work_off()
    assert app.row(failure).counts.copied == 2

"""One cab that somebody asks for by itself comes, or its row says why not; no pull of its failure is the worse."""

from copy import replace
from typing import Any

import pytest

from local.simulator import catalogue
from local.simulator.builder import CabForm
from local.simulator.catalogue import Family
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.core import clock
from shared.core.clock import spelled
from shared.core.errors import AgainLater, CabUnavailable
from shared.progress.cabs import CabRow, CabRows, CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.pull import one_cab
from tests.integration.app import App, failure_of
from tests.integration.conftest import MakeApp


def ask(app: App, failure: catalogue.Failure, cab: str) -> None:
    """Ask for one cab as the HTTP API does."""
    app.services.requests.make_one(failure_of(failure), cab, "a test")


def first_cab(simulator: SimulatorThread, failure: catalogue.Failure) -> str:
    return simulator.world.cabs(failure.key)[0].cab_id_hash


@pytest.mark.parametrize("family", [None, Family.DESKTOP, Family.APP])
def test_one_cab_is_copied_and_no_page_is_asked_for(
    make_app: MakeApp, simulator: SimulatorThread, family: Family | None
) -> None:
    make = simulator.builder
    failure = make.application_failure(family, 3) if family else make.failure(3)
    simulator.publish()
    ids = {Family.DESKTOP: "DESKTOP_APPLICATION_IDS", Family.APP: "STORE_APPLICATION_IDS"}
    app = make_app(**({ids[family]: failure.key.application_id} if family else {}))
    cab = first_cab(simulator, failure)
    ask(app, failure, cab)
    assert app.work_off() == 1
    assert app.states(failure) == {cab: CabState.COPIED}
    assert list(app.blobs(failure)) == [cab]
    assert app.cabs(failure)[cab].length == app.blobs(failure)[cab].length
    assert simulator.ledger.answers(Call.CAB_BATCH) + simulator.ledger.answers(Call.FAILURE_DETAILS) == 0


def test_the_pull_of_its_failure_goes_on_as_it_was_and_its_numbers_are_kept(
    app: App, simulator: SimulatorThread
) -> None:
    failure = simulator.builder.failure(3)
    simulator.publish()
    app.request(failure)
    waiting = app.row(failure)
    cab = first_cab(simulator, failure)
    app.handle(PullMessage(failure_of(failure), app.window, "a test", cab=cab))
    row = app.row(failure)
    assert replace(row, tally=None) == replace(waiting, tally=None)
    assert row.tally
    assert (row.state, row.tally.held) == (PullState.QUEUED, 1)
    app.work_off()
    row = app.row(failure)
    assert (row.state, row.counts.copied + row.counts.already_held) == (PullState.COMPLETED, 3)
    copies = [each for each in app.requests() if each.method == "PUT" and each.status == 202]
    assert len(copies) == 3, "none is copied twice"


def test_what_a_report_told_of_it_goes_with_it_and_into_the_catalog(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(2)
    simulator.builder.report([failure])
    simulator.publish()
    app.check()
    app.queue.clear_messages()
    cab = first_cab(simulator, failure)
    ask(app, failure, cab)
    app.work_off()
    blob = app.blobs(failure)[cab]
    assert blob.metadata["failurename"] == failure.name
    assert blob.metadata["cabexpires"] == f"{simulator.world.cabs(failure.key)[0].expires:%Y-%m-%d %H:%M:%S}"
    assert [each for each in app.requests() if "/_catalog/" in each.path]
    assert (app.cabs(failure)[cab].date, "cabdate" in blob.metadata) == (None, False)
    app.pull(failure)
    date, told = spelled(simulator.world.cabs(failure.key)[0].collected), app.blobs(failure)[cab]
    assert spelled(app.cabs(failure)[cab].date) == date
    assert told.metadata == {**blob.metadata, "cabdate": date}
    assert told.tags["date"] == date


@pytest.mark.parametrize("fault", [FaultKind.THROTTLED, FaultKind.SERVER_ERROR, FaultKind.RESET])
def test_what_may_pass_is_tried_again(app: App, simulator: SimulatorThread, fault: FaultKind) -> None:
    failure = simulator.builder.failure(1)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=fault, times=3 if fault is FaultKind.RESET else 1))
    cab = first_cab(simulator, failure)
    ask(app, failure, cab)
    app.work_off()
    assert app.states(failure) == {cab: CabState.COPIED}


def test_what_stays_so_is_given_up_and_told(make_app: MakeApp, simulator: SimulatorThread) -> None:
    app = make_app(PULL_MAX_ATTEMPTS="2")
    failure = simulator.builder.failure(1)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=FaultKind.SERVER_ERROR, times=None))
    cab = first_cab(simulator, failure)
    ask(app, failure, cab)
    assert app.work_off() == 2
    row = app.cabs(failure)[cab]
    assert (row.state, "500" in row.error) == (CabState.FAILED, True)


def test_what_a_pull_told_of_it_meanwhile_is_not_written_over(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = simulator.builder.failure(1)
    simulator.publish()
    message = PullMessage(failure_of(failure), app.window, "a test", cab=first_cab(simulator, failure))
    gone = CabRow(CabState.UNAVAILABLE, error="it is gone", settled_at=clock.now())

    def copied(*_: object) -> None:
        app.services.pull_tools.cabs.write(message.failure, [(message.cab, gone)])
        raise CabUnavailable("no such cab")

    monkeypatch.setattr(one_cab, "copied", copied)
    app.handle(message)
    assert app.cabs(failure)[message.cab].error == "it is gone"


@pytest.mark.parametrize("is_listed", [True, False])
def test_what_a_pull_counted_meanwhile_stays_as_it_counted_it(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch, *, is_listed: bool
) -> None:
    """Written over, with the time of the blob, the row was none of those that the pull said that it had copied."""
    failure = simulator.builder.failure(1)
    simulator.publish()
    message = PullMessage(failure_of(failure), app.window, "a test", cab=first_cab(simulator, failure))
    cabs, really, counted = app.services.pull_tools.cabs, one_cab.copied, list[CabRow]()
    if is_listed:
        cabs.write(message.failure, [(message.cab, CabRow(CabState.LISTED, settled_at=clock.now()))])

    def copied(*given: Any) -> object:
        done = really(*given)
        app.pull(failure)
        counted.append(app.cabs(failure)[message.cab])
        return done

    with monkeypatch.context() as patch:
        patch.setattr(one_cab, "copied", copied)
        app.handle(message)
    assert (counted[0].state, app.row(failure).counts.copied) == (CabState.COPIED, 1)
    assert app.cabs(failure)[message.cab] == counted[0]
    app.work_off()
    assert app.cabs(failure)[message.cab] == counted[0]


@pytest.mark.parametrize("state", [CabState.EXPIRED, CabState.UNAVAILABLE])
def test_what_a_pull_knows_of_a_cab_stays_however_often_it_is_asked_for(
    app: App, simulator: SimulatorThread, state: CabState
) -> None:
    failure = simulator.builder.failure(1)
    simulator.publish()
    cab = first_cab(simulator, failure)
    gone = CabRow(state, error="it is gone", settled_at=clock.now())
    app.services.pull_tools.cabs.write(failure_of(failure), [(cab, gone)])
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=FaultKind.FOREIGN_HOST, times=None))
    ask(app, failure, cab)
    app.work_off()
    assert app.cabs(failure)[cab].error == "it is gone"


def test_two_messages_of_one_cab_that_fail_at_once_are_both_done(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = simulator.builder.failure(1)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=FaultKind.FOREIGN_HOST, times=None))
    message = PullMessage(failure_of(failure), app.window, "a test", cab=first_cab(simulator, failure))
    really, other = CabRows.settle, CabRow(CabState.FAILED, error="the other one's", settled_at=clock.now())

    def sooner(rows: CabRows, *given: Any) -> bool:
        rows.write(message.failure, [(message.cab, other)])
        return really(rows, *given)

    with monkeypatch.context() as patch:
        patch.setattr(CabRows, "settle", sooner)
        app.handle(message)
    assert app.cabs(failure)[message.cab].error == "the other one's"
    assert app.waiting_messages() == 0


def test_a_row_that_cannot_be_written_makes_no_second_message(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that failed after it had sent the next came back: there were twice as many after each try."""
    failure = simulator.builder.failure(1)
    simulator.publish()
    message = PullMessage(failure_of(failure), app.window, "a test", cab=first_cab(simulator, failure))

    def busy(*_: object) -> None:
        raise AgainLater("the table is busy")

    with monkeypatch.context() as patch:
        patch.setattr(CabRows, "settle", busy)
        app.handle(message)
        assert app.waiting_messages() == 1
        with pytest.raises(AgainLater):
            app.handle(replace(message, tries=99))
        assert app.waiting_messages() == 1, "the last try comes back by itself"
    app.work_off()
    assert app.states(failure) == {message.cab: CabState.COPIED}


def test_one_that_is_there_already_is_dated_by_its_blob(app: App, simulator: SimulatorThread) -> None:
    """The retention rule counts from then: dated by this copy, it would be copied once more when the blob is gone."""
    failure = simulator.builder.failure(1)
    simulator.publish()
    app.pull(failure)
    message = PullMessage(failure_of(failure), app.window, "a test", cab=first_cab(simulator, failure))
    app.services.pull_tools.cabs.write(
        message.failure, [(message.cab, CabRow(CabState.LISTED, settled_at=clock.now()))]
    )
    app.handle(message)
    row = app.cabs(failure)[message.cab]
    blob = app.container.get_blob_client(row.blob_name).get_blob_properties()
    assert (row.state, row.settled_at) == (CabState.COPIED, blob.creation_time)


@pytest.mark.parametrize("kind", [FaultKind.FOREIGN_HOST, FaultKind.NOT_FOUND, FaultKind.FORBIDDEN, FaultKind.HTML])
def test_a_cab_that_is_not_to_be_had_is_told_at_once(app: App, simulator: SimulatorThread, kind: FaultKind) -> None:
    failure = simulator.builder.failure(1, CabForm())
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=kind, times=None))
    cab = first_cab(simulator, failure)
    ask(app, failure, cab)
    assert app.work_off() == 1
    row = app.cabs(failure)[cab]
    assert row.state in {CabState.FAILED, CabState.UNAVAILABLE}
    assert "sig=" not in row.error


def test_one_whose_host_died_over_it_again_and_again_fails_no_pull(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(1)
    simulator.publish()
    app.pull(failure)
    message = PullMessage(failure_of(failure), app.window, "a test", cab=first_cab(simulator, failure))
    app.services.poison_messages.settle(message.encode().encode())
    assert app.row(failure).state is PullState.COMPLETED
    assert app.waiting_messages() == 0
    assert [row.text("reason") for row in app.services.health.poison()]

"""One cab that somebody asks for by itself comes, or its row says why not; no pull of its failure is the worse."""

from copy import replace

import pytest

from local.simulator import catalogue
from local.simulator.builder import CabForm
from local.simulator.catalogue import Family
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.core import clock
from shared.core.clock import spelled
from shared.progress.cab_row import CabRow, CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from tests.integration.app import App, failure_of, served
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
    failure = served(simulator, 3)
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


def test_one_that_is_there_already_is_dated_by_its_blob(app: App, simulator: SimulatorThread) -> None:
    """The retention rule counts from then: dated by this copy, it would be copied once more when the blob is gone."""
    failure = served(simulator, 1)
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
    failure = served(simulator, 1, CabForm())
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=kind, times=None))
    cab = first_cab(simulator, failure)
    ask(app, failure, cab)
    assert app.work_off() == 1
    row = app.cabs(failure)[cab]
    assert row.state in {CabState.FAILED, CabState.UNAVAILABLE}
    assert "sig=" not in row.error

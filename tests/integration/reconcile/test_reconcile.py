"""What is stuck or missing must be found and put right by itself: nobody looks until a cab has expired."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableServiceClient

from local.simulator import catalogue
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.progress.cabs import CabState
from shared.progress.health import Reconciled
from tests.integration.app import App, failure_of

NOW = datetime.now(UTC)
TWO_HOURS = timedelta(hours=2)


def did(found: Reconciled) -> dict[str, object]:
    """Return what a run found and did beyond passing by."""
    names = [name for name in Reconciled.__struct_fields__ if name not in {"at", "failures"}]
    return {name: value for name in names if (value := getattr(found, name))}


@pytest.fixture
def failure(simulator: SimulatorThread) -> catalogue.Failure:
    """A failure with three cabs."""
    made = simulator.builder.failure(3)
    simulator.publish()
    return made


def listed(app: App, failure: catalogue.Failure, simulator: SimulatorThread) -> None:
    """Write what a report would list of a failure."""
    cabs = {cab.cab_id_hash: CabFacts(failure_name="BUGCHECK") for cab in simulator.world.cabs(failure.key)}
    app.services.report_tools.cabs.list_new(failure_of(failure), cabs)


def test_where_all_is_well_nothing_is_written_but_what_was_found(app: App, simulator: SimulatorThread) -> None:
    """It runs four times a day: what is well must cost next to nothing."""
    failures = [simulator.builder.failure(3) for _ in range(4)]
    simulator.publish()
    for each in failures:
        app.pull(each)
    app.reconcile()  # makes one file of what they told the catalog
    found = Reconciled(at=NOW)

    def run() -> None:
        nonlocal found
        found = app.reconcile()

    asked = app.asked(run)
    assert (found.failures, did(found)) == (4, {})
    applications = len({each.key.application_id for each in failures})
    # An application: three looks, and its key in two tables. Then their ends, names, queue, circuit, poison, the row.
    # For the catalog: two looks, the keys and their ends again, and its files.
    assert len(asked) <= 5 * applications + 8 + 4 * applications + 3
    assert [each.method for each in asked if each.method not in {"GET", "HEAD"}] == ["POST"]
    assert app.services.health.reconciled() == found


def test_a_pull_that_waits_as_it_was_asked_to_gets_no_second_message(
    app: App, failure: catalogue.Failure, simulator: SimulatorThread
) -> None:
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.THROTTLED, retry_after=7200))
    app.pull(failure)
    row = app.row(failure)
    assert row.next_try_at is not None
    assert row.next_try_at - datetime.now(UTC) > timedelta(minutes=115)
    app.change_pull(failure, updatedAt=NOW - TWO_HOURS)
    assert did(app.reconcile()) == {}


def test_a_listed_cab_that_nobody_pulled_is_pulled(
    app: App, failure: catalogue.Failure, simulator: SimulatorThread
) -> None:
    listed(app, failure, simulator)
    assert did(app.reconcile()) == {"missing": 3, "queued_again": 1}
    app.work_off()
    assert set(app.states(failure).values()) == {CabState.COPIED}
    assert did(app.reconcile()) == {}
    assert app.cabs(failure).popitem()[1].facts.failure_name == "BUGCHECK"


def test_a_blob_without_a_row_gets_one(app: App, failure: catalogue.Failure, simulator: SimulatorThread) -> None:
    app.pull(failure)
    before = app.cabs(failure)
    with TableServiceClient.from_connection_string(app.storage.connection_string) as tables:
        tables.delete_table("cabs")
        tables.create_table("cabs")
    assert did(app.reconcile()) == {"rows_mended": 3}
    rows = app.cabs(failure)
    for cab in simulator.world.cabs(failure.key):
        row, was = rows[cab.cab_id_hash], before[cab.cab_id_hash]
        told = (row.state, row.blob_name, row.length, row.md5)
        assert told == (CabState.COPIED, was.blob_name, was.length, was.md5)
    assert did(app.reconcile()) == {}


def test_blobs_of_others_are_left_alone(app: App) -> None:
    for name in ("readme.txt", "a/readme.txt", "1/2/3/4.zip", "a b/c d/e.zip", "//x", "1//x", "1/2/.zip"):
        app.container.upload_blob(name, b"other")
    assert did(app.reconcile()) == {}


def test_a_row_whose_blob_was_deleted_has_its_cab_copied_again(
    app: App, failure: catalogue.Failure, simulator: SimulatorThread
) -> None:
    app.pull(failure)
    app.delete_blob(simulator.world.cabs(failure.key)[1])
    assert did(app.reconcile()) == {"rows_mended": 1, "missing": 1, "queued_again": 1}
    app.work_off()
    assert len(app.blobs(failure)) == 3
    assert set(app.states(failure).values()) == {CabState.COPIED}
    assert did(app.reconcile()) == {}


def test_the_walk_meets_each_failure_once(app: App) -> None:
    """Keys sort otherwise in the container than in the tables, where one begins another."""
    keys = [("1", "a"), ("1", "a-b"), ("1", "a.b"), ("12", "a"), ("1-2", "a"), ("A", "b"), ("a", "b"), ("1", "ab")]
    for application_id, failure_hash in keys:
        failure = Failure(application_id, failure_hash)
        app.container.upload_blob(f"{failure.prefix}cab.zip", b"PK")
        app.services.report_tools.cabs.list_new(failure, {"other": CabFacts()})
    found = app.reconcile()
    assert (found.rows_mended, found.missing, found.queued_again, found.failures) == (8, 8, 8, 8)
    for application_id, failure_hash in keys:
        states = {
            cab: row.state
            for cab, row in app.services.pull_tools.cabs.of(Failure(application_id, failure_hash)).items()
        }
        assert states == {"cab": CabState.COPIED, "other": CabState.LISTED}


def test_more_rows_than_an_answer_holds_are_all_seen(app: App, failure: catalogue.Failure) -> None:
    """A table answers with 1,000 rows at most."""
    cabs = {f"cab-{number:04}": CabFacts() for number in range(2_150)}
    app.services.report_tools.cabs.list_new(failure_of(failure), cabs)
    assert app.reconcile().missing == 2_150

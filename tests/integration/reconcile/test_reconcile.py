"""What is stuck or missing must be found and put right by itself: nobody looks until a cab has expired."""

from datetime import UTC, datetime

from local.simulator.thread import SimulatorThread
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.progress.cab_row import CabState
from shared.progress.health import Reconciled
from tests.integration.app import App

NOW = datetime.now(UTC)


def did(found: Reconciled) -> dict[str, object]:
    """Return what a run found and did beyond passing by."""
    names = [name for name in Reconciled.__struct_fields__ if name not in {"at", "failures"}]
    return {name: value for name in names if (value := getattr(found, name))}


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


def test_blobs_of_others_are_left_alone(app: App) -> None:
    for name in ("readme.txt", "a/readme.txt", "1/2/3/4.zip", "a b/c d/e.zip", "//x", "1//x", "1/2/.zip"):
        app.container.upload_blob(name, b"other")
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


def test_more_rows_than_an_answer_holds_are_all_seen(app: App) -> None:
    """A table answers with 1,000 rows at most."""
    cabs = {f"cab-{number:04}": CabFacts() for number in range(2_150)}
    app.services.report_tools.cabs.list_new(Failure("1", "a"), cabs)
    assert app.reconcile().missing == 2_150

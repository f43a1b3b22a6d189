"""Whatever is broken from outside, one run of the reconcile puts right: every cab is there, and every row is true."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from local.simulator.catalogue import Cab, Failure
from tests.support.waiting import wait_until
from tests.system.app import App
from tests.system.playground import Playground, blob_name

NOW = datetime.now(UTC)
HOURS, DAYS = timedelta(hours=2), timedelta(days=2)
WINDOW = {
    "startDate": (NOW - timedelta(days=30)).date().isoformat(),
    "endDate": (NOW + timedelta(days=1)).date().isoformat(),
}


def reconcile(playground: Playground, app: App) -> Mapping[str, Any]:
    """Fire the timer, wait for its end, and return what it says that it found."""
    before = latest(playground)
    assert app.post("/admin/functions/reconcile", {}).status_code == 202
    return wait_until(
        lambda: found if (found := latest(playground)) != before else {}, "the end of a reconcile", hint=lambda: app.log
    )


def latest(playground: Playground) -> Mapping[str, Any]:
    """Return the row of the last run, empty before the first."""
    rows = [row for row in playground.stored.rows("health") if row["PartitionKey"] == "reconcile"]
    return rows[0] if rows else {}


def a_pull(**columns: object) -> dict[str, object]:
    """Return the row of a pull that was asked for some hours ago."""
    then = NOW - HOURS
    return {"state": "Queued", **WINDOW, "requestedBy": "a test", "queuedAt": then, "updatedAt": then, **columns}


def list_cabs(playground: Playground, *cabs: Cab, **columns: object) -> None:
    """Write the rows that a report would, with nobody to pull them."""
    for cab in cabs:
        partition = f"{cab.failure.application_id}_{cab.failure.failure_hash}"
        row = {"PartitionKey": partition, "RowKey": cab.cab_id_hash, "state": "listed", "settledAt": NOW - HOURS}
        playground.stored.put("cabs", {**row, **columns})


def assert_true_rows(playground: Playground, *failures: Failure) -> None:
    """Fail unless each cab has a row that says copied, with the length and MD5 of its blob."""
    blobs = playground.stored.downloaded()
    for failure in failures:
        rows = playground.stored.cab_rows(failure.key)
        assert {row["state"] for row in rows.values()} == {"copied"}
        told = {row["blobName"]: (row["length"], row["md5"]) for row in rows.values()}
        assert told == {name: (held.length, held.md5) for name, held in playground.held(failure).items()}
        assert all((blobs[name].length, blobs[name].md5) == value for name, value in told.items())


def test_one_run_mends_everything_that_was_broken_at_once(playground: Playground) -> None:
    """Each of these has cost somebody cabs before: a lost message, a dead host, a forgotten cab, a deleted blob."""
    builder = playground.simulator.builder
    queued, running, listed, failed, deleted, rowless, late = failures = [builder.failure(2) for _ in range(7)]
    playground.simulator.publish()
    app = playground.start()
    playground.pull(app, deleted, rowless, late)
    playground.wait_for_empty_queue()
    world, stored = playground.simulator.world, playground.stored

    stored.add("pulls", queued.key, a_pull())
    dead = a_pull(state="Running", owner="a host that died", leaseUntil=NOW - HOURS, startedAt=NOW - HOURS)
    stored.add("pulls", running.key, dead)
    list_cabs(playground, *world.cabs(listed.key))
    stored.add("pulls", failed.key, a_pull(state="Failed", lastErrorKind="person", lastError="403", completedAt=NOW))
    stored.remove(blob_name(world.cabs(deleted.key)[0]))
    for row in stored.cab_rows(rowless.key).values():
        stored.forget("cabs", row)
    late_cabs = builder.cabs(late, 1)
    playground.simulator.publish()
    list_cabs(playground, *late_cabs, settledAt=datetime.now(UTC))
    before = {name: row["settledAt"] for name, row in stored.cab_rows(deleted.key).items()}

    found = reconcile(playground, app)
    assert found["failures"] == 7
    assert (found["messagesSent"], found["queuedAgain"], found["rowsMended"]) == (2, 4, 3)
    assert (found["missing"], found["broken"]) == (4, 0)
    playground.wait_for_empty_queue()
    assert {pull.state for pull in playground.ends(app, *failures[:5], late)} == {"Completed"}
    assert_true_rows(playground, *failures)
    assert stored.listed() == playground.held(*failures)
    kept = world.cabs(deleted.key)[1].cab_id_hash
    assert stored.cab_rows(deleted.key)[kept]["settledAt"] == before[kept], "what was right is not written again"

    again = reconcile(playground, app)
    assert {name: value for name, value in again.items() if isinstance(value, int) and value} == {"failures": 7}
    told = app.get("/api/health").json()
    assert told["reconcile"]["missing"] == 0
    assert "reconciled: failures=7 underWay=0 failedPulls=0 missing=0 expiringWithin48Hours=0" in app.log

"""Whatever is broken from outside, one run of the reconcile puts right: every cab is there, and every row is true."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from local.simulator.catalogue import Cab, Failure
from local.simulator.faults import Call, Fault, FaultKind
from tests.system.app import App
from tests.system.playground import Playground, blob_name
from tests.system.stored import POISON
from tests.system.waiting import wait_until

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
    assert "reconcile: failures=7 underWay=0 failedPulls=0 missing=0 expiringWithin48Hours=0" in app.log


def test_messages_that_somebody_deleted_come_back(playground: Playground) -> None:
    """Pulls that wait for their turn in a queue that was cleared would wait for ever."""
    failures = [playground.simulator.builder.failure(1) for _ in range(5)]
    playground.simulator.publish()
    for failure in failures:
        playground.fail(failure, FaultKind.THROTTLED_SENTENCE)
    app = playground.start()
    playground.ask(app, *failures)
    for failure in failures:
        playground.wait_for_state(failure.key, {"Queued"})
    wait_until(
        # One was told to wait, and the others keep the wait.
        lambda: all(playground.stored.pull(failure.key).get("lastError") for failure in failures),
        "pulls that wait",
        hint=lambda: app.log,
    )
    playground.stored.drop_messages()
    assert reconcile(playground, app)["messagesSent"] == 5
    assert {pull.state for pull in playground.ends(app, *failures)} == {"Completed"}
    playground.assert_copied_once(*failures)


def test_cabs_that_cannot_be_had_now_are_counted_until_they_are_gone(playground: Playground) -> None:
    """A cab that expires while nobody looks is what this product must never let happen silently."""
    soon, later, gone = (playground.simulator.builder.failure(1) for _ in range(3))
    playground.simulator.publish()
    app = playground.start()
    app.get("/api/pulls")
    cabs = [playground.simulator.world.cabs(each.key)[0] for each in (soon, later, gone)]
    ended = a_pull(state="Completed", completedAt=NOW)
    for failure, cab, left in zip((soon, later, gone), cabs, (HOURS, DAYS + HOURS, -HOURS), strict=True):
        playground.stored.add("pulls", failure.key, ended)
        list_cabs(playground, cab, state="unavailable", expiry=NOW + left)
    found = reconcile(playground, app)
    assert (found["missing"], found["expiringWithin48Hours"], found["queuedAgain"]) == (2, 1, 0)
    told = app.get("/api/health").json()
    assert (told["status"], told["reconcile"]["missing"]) == ("degraded", 2)
    assert told["reconcile"]["expiringWithin48Hours"] == 1


def test_a_row_that_nobody_can_read_fails_the_run_and_stops_no_other(playground: Playground) -> None:
    """The monitoring of the platform counts failed runs; the other failures' cabs cannot wait for a person."""
    broken, well = (playground.simulator.builder.failure(1) for _ in range(2))
    playground.simulator.publish()
    app = playground.start(may_raise=True)
    app.get("/api/pulls")
    playground.stored.add("pulls", broken.key, {"state": "Muddled"})
    list_cabs(playground, *playground.simulator.world.cabs(well.key))
    found = reconcile(playground, app)
    assert (found["broken"], found["queuedAgain"]) == (1, 1)
    assert broken.key.failure_hash in found["error"]
    app.wait_for_log("Executed 'Functions.reconcile' (Failed")
    assert playground.ends(app, well)[0].state == "Completed"


def test_a_poisoned_pull_and_a_poisoned_message_are_both_kept(playground: Playground) -> None:
    """What was given up once must be found by whoever mends it."""
    failure = playground.simulator.builder.failure(2)
    playground.simulator.publish()
    app = playground.start()
    keys = {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}
    playground.stored.send(json.dumps({**keys, "startDate": "soon"}), POISON)
    playground.stored.send("not even JSON, with ?sv=1&sig=TOPSECRET", POISON)
    playground.ends(app, failure)
    playground.wait_for_empty_queue(POISON)
    found = reconcile(playground, app)
    assert (found["poison"], found["queuedAgain"]) == (1, 1)
    assert playground.ends(app, failure)[0].state == "Completed"
    (kept,) = [row for row in playground.stored.rows("health") if row["PartitionKey"] == "poison"]
    assert "not even JSON" in kept["text"]
    assert "no pull message" in kept["reason"]
    assert "TOPSECRET" not in str(dict(kept))


def test_a_schedule_of_its_own_runs_it(playground: Playground) -> None:
    """Nobody fires it by hand, all year."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    playground.start().get("/api/pulls")
    list_cabs(playground, *playground.simulator.world.cabs(failure.key))
    app = playground.start({"RECONCILE_SCHEDULE": "*/2 * * * * *"})
    assert playground.ends(app, failure)[0].state == "Completed"
    playground.assert_copied_once(failure)


def test_a_refused_app_brings_its_pulls_back_when_it_is_let_in_again(playground: Playground) -> None:
    """A role that was missing for a day must not have cost the day's cabs, though every pull of it failed."""
    failures = [playground.simulator.builder.failure(1) for _ in range(3)]
    playground.simulator.publish()
    app = playground.start()
    playground.simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.FORBIDDEN, times=None))
    assert {pull.state for pull in playground.pull(app, *failures)} == {"Failed"}
    playground.wait_for_empty_queue()
    playground.simulator.faults.clear()
    assert reconcile(playground, app)["queuedAgain"] == 3
    assert {pull.state for pull in playground.ends(app, *failures)} == {"Completed"}
    playground.assert_copied_once(*failures)

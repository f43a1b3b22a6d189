"""Messages that no pull can be made of: each ends as Failed with its reason, or is kept with its reason."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from local.simulator.catalogue import Failure
from tests.system.playground import Playground
from tests.system.stored import POISON, QUEUE
from tests.system.waiting import wait_until

SECRET = "sv=2025-05-05&sig=TOPSECRET%2Fsignature"  # looks like the query of a SAS


def message(failure: Failure, **fields: str) -> str:
    """Return a message of the queue."""
    return json.dumps({"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash, **fields})


def test_bad_messages_end_as_failed_or_kept(playground: Playground) -> None:
    """A message that fails for ever would hide behind the others; one that vanishes hides a failure's cabs."""
    bad_dates, half_a_window, good = (playground.simulator.builder.failure(1) for _ in range(3))
    playground.simulator.publish()
    app = playground.start()
    playground.stored.send("this is no JSON")
    playground.stored.send(json.dumps({"applicationId": bad_dates.key.application_id}))
    playground.stored.send(message(bad_dates, startDate="yesterday", endDate="today", url=f"https://host/cab?{SECRET}"))
    playground.stored.send(message(half_a_window, startDate="2026-01-01"))
    playground.stored.send(message(good))
    pulls = playground.ends(app, bad_dates, half_a_window, good)
    assert [pull.state for pull in pulls] == ["Failed", "Failed", "Completed"]
    assert "startDate" in (pulls[0].last_error or "")
    assert "startDate and endDate" in (pulls[1].last_error or "")
    app.wait_for_log("messageKept: ", times=2)
    playground.wait_for_empty_queue()
    assert playground.stored.messages(POISON) == 0
    assert {row["RowKey"] for row in playground.stored.rows("pulls")} == {
        failure.key.failure_hash for failure in (bad_dates, half_a_window, good)
    }
    kept = {row["text"]: row for row in playground.stored.rows("health") if row["PartitionKey"] == "poison"}
    assert kept.keys() == {"this is no JSON", json.dumps({"applicationId": bad_dates.key.application_id})}
    assert all("no pull message" in row["reason"] and row["times"] == 1 for row in kept.values())
    assert "TOPSECRET" not in app.log + (pulls[0].last_error or "")
    # No further try makes a message of it, and what cannot be a pull never reached the Dev Center.
    assert app.log.count("Executed 'Functions.pull_failure' (Failed") == 0
    assert not playground.api_requests(bad_dates)
    playground.assert_copied_once(good)


@pytest.mark.parametrize("queue", [QUEUE, POISON])
def test_what_no_function_could_read_is_kept_with_its_reason(playground: Playground, queue: str) -> None:
    """The host moves what it cannot decode to the poison queue, whose function cannot see it either."""
    app = playground.start()
    app.get("/api/pulls")
    playground.stored.send_raw("pull, please!", queue)
    playground.stored.send_raw(base64.b64encode(b"\xff\xfe\xff").decode(), queue)
    app.wait_for_log("messageKept: ", times=2)
    playground.wait_for_empty_queue(queue)
    assert app.post("/admin/functions/reconcile", {}).status_code == 202
    wait_until(lambda: app.get("/api/health").json()["reconcile"], "the end of the reconcile")
    assert app.get("/api/health").json()["reconcile"]["poison"] == 2
    reasons = [row["reason"] for row in playground.stored.rows("health") if row["PartitionKey"] == "poison"]
    assert sorted("not base64" in each or "not UTF-8" in each for each in reasons) == [True, True]


def test_an_abandoned_pull_keeps_the_error_that_it_knows(playground: Playground) -> None:
    """The last error of the pull itself says more than that its message failed."""
    known, unknown, done, moved = (playground.simulator.builder.failure(1) for _ in range(4))
    playground.simulator.publish()
    app = playground.start()
    playground.pull(app, done)
    known_row = {"state": "Queued", "lastError": "the disk of the worker was full", "startDate": "2026-01-01"}
    playground.stored.add("pulls", known.key, known_row)
    started = {"startedAt": datetime.now(UTC), "startDate": "2026-01-01", "endDate": "2026-01-01"}
    playground.stored.add("pulls", moved.key, {**known_row, **started, "skip": 1, "seen": 1})
    for failure in (known, unknown, done, moved):
        playground.stored.send(message(failure), POISON)
    playground.stored.send("not even JSON", POISON)
    app.wait_for_log("its message failed too often, but its pull did not; it goes on", times=3)
    playground.wait_for_empty_queue(POISON)
    (pull,) = playground.ends(app, known)
    assert (pull.state, pull.last_error) == ("Failed", "the disk of the worker was full")
    # What moved, or was never begun, is no pull that failed; after half a minute it goes on.
    assert playground.stored.messages() == 3
    assert playground.stored.pull(moved.key)["state"] == "Queued"
    assert "messageKept: " in app.log
    kept = [row["text"] for row in playground.stored.rows("health") if row["PartitionKey"] == "poison"]
    assert kept == ["not even JSON"]


def test_a_pull_whose_last_host_died_ends_as_failed_once_its_lease_is_over(playground: Playground) -> None:
    """Its message comes while the dead host still holds the row: who forgets it then has a pull that never ends."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    app = playground.start()
    app.get("/api/pulls")
    until = datetime.now(UTC) + timedelta(seconds=4)
    playground.stored.add(
        "pulls",
        failure.key,
        {"state": "Running", "lastError": "", "owner": "dead", "leaseUntil": until, "startDate": "2026-01-01"},
    )
    playground.stored.send(message(failure), POISON)
    assert playground.ends(app, failure)[0].state == "Failed"
    assert datetime.now(UTC) >= until
    playground.wait_for_empty_queue(POISON)

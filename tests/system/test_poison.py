"""Messages that no pull can be made of: each ends as Failed with its reason, or is kept with its reason."""

import base64
import json
from datetime import UTC, datetime, timedelta

from local.simulator.catalogue import Failure
from tests.support.waiting import wait_until
from tests.system.playground import Playground
from tests.system.stored import POISON, QUEUE

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
    app.wait_for_log("message-kept: ", times=2)
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


def test_what_no_function_could_read_is_kept_with_its_reason(playground: Playground) -> None:
    """The host moves what it cannot decode to the poison queue, whose function cannot see it either."""
    app = playground.start()
    app.get("/api/pulls")
    for queue in (QUEUE, POISON):
        playground.stored.send_raw("pull, please!", queue)
        playground.stored.send_raw(base64.b64encode(b"\xff\xfe\xff").decode(), queue)
    app.wait_for_log("message-kept: ", times=4)
    for queue in (QUEUE, POISON):
        playground.wait_for_empty_queue(queue)
    reasons = [row["reason"] for row in playground.stored.rows("health") if row["PartitionKey"] == "poison"]
    assert [sum(word in each for each in reasons) for word in ("not base64", "not UTF-8")] == [1, 1]
    assert app.post("/admin/functions/reconcile", {}).status_code == 202
    wait_until(lambda: app.get("/api/health").json()["reconcile"], "the end of the reconcile")
    assert app.get("/api/health").json()["reconcile"]["poison"] == len(reasons)


def test_a_pull_whose_last_host_died_ends_as_failed_once_its_lease_is_over(playground: Playground) -> None:
    """Its message comes while the dead host still holds the row: who forgets it then has a pull that never ends."""
    failure = playground.failure(1)
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

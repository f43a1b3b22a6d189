"""Messages that no pull can be made of: each ends as Failed with its reason, or is kept with its reason."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.simulator.catalogue import Failure
from tests.system.app import ROOT, changed_copy
from tests.system.playground import Playground
from tests.system.stored import POISON

SECRET = "sv=2025-05-05&sig=TOPSECRET%2Fsignature"  # looks like the query of a SAS


def message(failure: Failure, **fields: str) -> str:
    """Return a message of the queue."""
    return json.dumps({"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash, **fields})


@pytest.fixture
def impatient_root(tmp_path: Path) -> Path:
    """A copy of the app whose failed messages come back after a second instead of half a minute."""
    queues = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    assert queues["visibilityTimeout"] > "00:00:01", "a failed message would burn its tries within seconds"
    return changed_copy(tmp_path / "app", visibilityTimeout="00:00:01")


def test_bad_messages_end_as_failed_or_kept(playground: Playground, impatient_root: Path) -> None:
    """A message that fails for ever would hide behind the others; one that vanishes hides a failure's cabs."""
    bad_dates, half_a_window, good = (playground.simulator.builder.failure(1) for _ in range(3))
    playground.simulator.publish()
    app = playground.start(root=impatient_root, may_raise=True)
    playground.stored.send("this is no JSON")
    playground.stored.send(json.dumps({"applicationId": bad_dates.key.application_id}))
    playground.stored.send(message(bad_dates, startDate="yesterday", endDate="today", url=f"https://host/cab?{SECRET}"))
    playground.stored.send(message(half_a_window, startDate="2026-01-01"))
    playground.stored.send(message(good))
    pulls = playground.ends(app, bad_dates, half_a_window, good)
    assert [pull.state for pull in pulls] == ["Failed", "Failed", "Completed"]
    assert "yesterday" in (pulls[0].last_error or "")
    assert "2026-01-01" in (pulls[1].last_error or "")
    app.wait_for_log("is kept in the table health", times=2)
    playground.wait_for_empty_queue()
    playground.wait_for_empty_queue(POISON)
    assert {row["RowKey"] for row in playground.stored.rows("pulls")} == {
        failure.key.failure_hash for failure in (bad_dates, half_a_window, good)
    }
    kept = {row["text"]: row for row in playground.stored.rows("health") if row["PartitionKey"] == "poison"}
    assert kept.keys() == {"this is no JSON", json.dumps({"applicationId": bad_dates.key.application_id})}
    assert all("no pull message" in row["reason"] and row["times"] == 1 for row in kept.values())
    assert "this is no JSON" in app.log
    assert "TOPSECRET" not in app.log + (pulls[0].last_error or "")
    # Each was tried as often as host.json says, and what cannot be a pull never reached the Dev Center.
    assert app.log.count("Executed 'Functions.pull_failure' (Failed") == 4 * 5
    assert not playground.api_requests(bad_dates)
    playground.assert_copied_once(good)


def test_an_abandoned_pull_keeps_the_error_that_it_knows(playground: Playground) -> None:
    """The last error of the pull itself says more than that its message failed."""
    known, unknown, done = (playground.simulator.builder.failure(1) for _ in range(3))
    playground.simulator.publish()
    app = playground.start()
    playground.pull(app, done)
    playground.stored.add(
        "pulls",
        known.key,
        {"state": "Queued", "lastError": "the disk of the worker was full", "startDate": "2026-01-01"},
    )
    for failure in (known, unknown, done):
        playground.stored.send(message(failure), POISON)
    playground.stored.send("not even JSON", POISON)
    pulls = playground.ends(app, known, unknown, done)
    playground.wait_for_empty_queue(POISON)
    assert [pull.state for pull in pulls] == ["Failed", "Failed", "Completed"]
    assert pulls[0].last_error == "the disk of the worker was full"
    assert unknown.key.failure_hash in (pulls[1].last_error or "")
    assert pulls[1].completed_at is not None
    assert pulls[2].last_error is None
    assert "not even JSON" in app.log
    kept = [row["text"] for row in playground.stored.rows("health") if row["PartitionKey"] == "poison"]
    assert sorted(kept) == sorted(["not even JSON", message(done)]), "what no row can tell is kept itself"


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


def test_a_failed_message_is_pulled_again_when_it_is_asked_for(playground: Playground) -> None:
    """Failed is no dead end: who mended the cause asks again."""
    failure = playground.simulator.builder.failure(2)
    playground.simulator.publish()
    app = playground.start()
    playground.stored.send(message(failure), POISON)
    app.get("/api/pulls")
    assert playground.ends(app, failure)[0].state == "Failed"
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.last_error, pull.cabs.copied) == ("Completed", None, 2)

"""The comparison that ends the kill tests and the long runs: what it does not see would be believed to be right."""

from local.aftermath import findings
from tests.system.playground import SMALL, Playground, blob_name


def test_everything_that_is_wrong_is_found(playground: Playground) -> None:
    """One wrong thing of each kind, after a pull that went well."""
    first, second = (playground.simulator.builder.failure(3, SMALL) for _ in range(2))
    playground.simulator.publish()
    app = playground.start()
    playground.pull(app, first, second)
    playground.wait_for_empty_queue()
    assert _found(playground) == []
    app.kill()

    world, stored = playground.simulator.world, playground.stored
    gone, changed, unwritten = world.cabs(first.key)
    stored.remove(blob_name(gone))
    stored.replace(blob_name(changed), b"other bytes")
    stored.forget("cabs", stored.cab_rows(first.key)[unwritten.cab_id_hash])
    stored.replace("nobody's/blob", b"")
    stored.add("cabs", first.key, {"state": "copied"})
    stored.change("pulls", {**stored.pull(second.key), "state": "Failed", "lastError": "no reason"})
    stored.send("a message")
    found = _found(playground)
    wrong = (
        f"{blob_name(gone)} is not in the container",
        f"{blob_name(changed)} is Held(length=11,",
        f"{blob_name(changed)} was made 2 times",
        f"the row of cab {(f'{first.key.application_id}_{first.key.failure_hash}', unwritten.cab_id_hash)} says (None,",
        "nobody's/blob is in the container, and no cab",
        f"the table has a row for {(first.key.application_id, first.key.failure_hash)}",
        f"the pull of {first.key} counts (3, 3, 0), and has 2 rows",
        f"the pull of {second.key} is Failed: no reason",
        "the queue cab-pulls still holds 1 messages",
    )
    for each in wrong:
        assert sum(finding.startswith(each) for finding in found) == 1, (each, found)
    # The row of a cab whose bytes were changed does not agree with them any more, and the pull's bytes with its rows.
    assert len(found) <= len(wrong) + 2


def _found(playground: Playground) -> list[str]:
    return findings(playground.storage.connection_string, playground.simulator.world, playground.storage_requests())

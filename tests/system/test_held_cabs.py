"""Cabs that are held already: nothing is copied twice, and the table stays true to the container."""

from datetime import timedelta
from typing import Any

import pytest

from local.simulator.builder import CabForm
from local.simulator.catalogue import Cab, Failure
from tests.system.answers import Counts
from tests.system.app import App
from tests.system.playground import Playground, blob_name
from tests.system.stored import creations


@pytest.fixture
def failure(playground: Playground) -> Failure:
    """A failure of three cabs that no pull has met yet."""
    failure = playground.simulator.builder.failure(3, CabForm((2_000, 2_000)))
    playground.simulator.publish()
    return failure


@pytest.fixture
def app(playground: Playground, failure: Failure) -> App:
    """An app that has pulled the failure once."""
    app = playground.start()
    assert playground.pull(app, failure)[0].cabs == Counts(seen=3, copied=3)
    return app


def test_new_cabs_come_and_held_ones_stay(playground: Playground, failure: Failure, app: App) -> None:
    """A failure goes on happening: each pull brings what is new."""
    playground.simulator.builder.cabs(failure, 2)
    playground.simulator.publish()
    (pull,) = playground.pull(app, failure)
    assert pull.cabs == Counts(seen=5, copied=2, already_held=3)
    assert pull.bytes < sum(held.length for held in playground.held(failure).values())
    playground.assert_copied_once(failure)


def test_a_cab_that_the_retention_rule_removed_is_retired(playground: Playground, failure: Failure, app: App) -> None:
    """Copying it again would keep personal data for longer than the agreement with Microsoft allows."""
    cab = playground.simulator.world.cabs(failure.key)[0]
    playground.stored.remove(blob_name(cab))
    row = _row(playground, cab)
    playground.stored.change("cabs", {**row, "settledAt": row["settledAt"] - timedelta(days=31)})
    for _ in range(2):
        (pull,) = playground.pull(app, failure)
        assert (pull.state, pull.cabs) == ("Completed", Counts(seen=3, already_held=3))
        assert _row(playground, cab)["state"] == "retired"
    assert creations(playground.storage_requests())[blob_name(cab)] == 1


def test_a_cab_that_somebody_deleted_is_copied_again(playground: Playground, failure: Failure, app: App) -> None:
    """Before its time, a missing blob is a loss that can still be mended."""
    cab = playground.simulator.world.cabs(failure.key)[1]
    playground.stored.remove(blob_name(cab))
    (pull,) = playground.pull(app, failure)
    assert pull.state == "Completed"
    assert playground.stored.listed() == playground.held(failure)
    assert _row(playground, cab)["state"] == "copied"


def test_a_cab_that_somebody_replaced_is_reported(playground: Playground, failure: Failure, app: App) -> None:
    """A table that says copied over bytes that are another's would send people to debug the wrong crash."""
    cab = playground.simulator.world.cabs(failure.key)[2]
    playground.stored.replace(blob_name(cab), b"something else")
    (pull,) = playground.pull(app, failure)
    assert pull.cabs.failed == 1
    assert blob_name(cab) in (pull.last_error or "")
    row = _row(playground, cab)
    assert row["state"] == "failed"
    assert "14 bytes" in row["error"]


def test_rows_that_were_lost_come_back_from_the_container(playground: Playground, failure: Failure, app: App) -> None:
    """The container is what counts: a table that is gone must not make cabs be copied over what is there."""
    for row in playground.stored.cab_rows(failure.key).values():
        playground.stored.forget("cabs", row)
    (pull,) = playground.pull(app, failure)
    assert pull.state == "Completed"
    rows = playground.stored.cab_rows(failure.key)
    assert {row["state"] for row in rows.values()} == {"copied"}
    for cab in playground.simulator.world.cabs(failure.key):
        held = playground.simulator.world.held[cab.cab_id_hash]
        assert (rows[cab.cab_id_hash]["length"], rows[cab.cab_id_hash]["md5"]) == (held.length, held.md5)
    playground.assert_copied_once(failure)


def test_a_stranger_in_the_place_of_a_cab_is_not_taken_for_it(playground: Playground, failure: Failure) -> None:
    """A blob of another length under a cab's name is not the cab, and must not be lost either."""
    cab = playground.simulator.world.cabs(failure.key)[0]
    app = playground.start()
    app.get("/api/pulls")
    playground.stored.replace(blob_name(cab), b"a stranger")
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=3, copied=2, failed=1))
    assert blob_name(cab) in (pull.last_error or "")
    assert _row(playground, cab)["state"] == "failed"
    assert playground.stored.listed()[blob_name(cab)].length == len(b"a stranger")


def test_what_merely_stands_beside_a_cab_is_not_taken_for_it(playground: Playground, failure: Failure) -> None:
    """An engineer's notes beside a cab made it count as held: it was never copied, and nobody was told."""
    cabs = playground.simulator.world.cabs(failure.key)
    app = playground.start()
    app.get("/api/pulls")
    notes = [blob_name(cab).partition(".")[0] + ".analysis.txt" for cab in cabs]
    for name in notes:
        playground.stored.replace(name, b"it is the driver", "text/plain")
    for expected in (Counts(seen=3, copied=3), Counts(seen=3, already_held=3)):
        (pull,) = playground.pull(app, failure)
        assert (pull.state, pull.cabs) == ("Completed", expected)
        rows = playground.stored.cab_rows(failure.key)
        assert {row["blobName"] for row in rows.values()} == {blob_name(cab) for cab in cabs}
    assert playground.stored.listed().keys() == {*notes, *map(blob_name, cabs)}


@pytest.mark.parametrize(
    ("content", "content_type"), [(b"<html>Sign in</html>", "text/html"), (b"", "application/zip")]
)
def test_a_page_in_the_place_of_a_cab_does_not_count_as_held(
    playground: Playground, failure: Failure, app: App, content: bytes, content_type: str
) -> None:
    """Storage copies what a source answers, a sign-in page too: what was kept of one is replaced by the cab."""
    cab = playground.simulator.world.cabs(failure.key)[1]
    metadata = playground.stored.metadata(blob_name(cab))
    playground.stored.replace(blob_name(cab), content, content_type, metadata)
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.last_error) == ("Completed", None)
    assert playground.stored.downloaded() == playground.held(failure)
    assert _row(playground, cab)["state"] == "copied"


def _row(playground: Playground, cab: Cab) -> dict[str, Any]:
    return dict(playground.stored.cab_rows(cab.failure)[cab.cab_id_hash])

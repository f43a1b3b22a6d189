"""Cabs that are held already: nothing is copied twice, and the table stays true to the container."""

from typing import Any

import pytest

from local.simulator.builder import CabForm
from local.simulator.catalogue import Cab, Failure
from tests.system.answers import Counts
from tests.system.app import App
from tests.system.playground import Playground, blob_name


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

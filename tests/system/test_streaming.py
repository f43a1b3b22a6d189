"""Cabs that storage cannot reach by itself: they come through the app, and no less whole."""

import pytest

from local.cabs import ArchiveKind
from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure
from local.simulator.scenario import BatchForm, BlobHost
from tests.system.answers import Counts
from tests.system.playground import Playground, blob_name
from tests.system.stored import creations


@pytest.fixture
def failure(playground: Playground) -> Failure:
    """A failure of small cabs and one of 9 MB, which is more than one request's worth, behind the simulator."""
    failure = playground.simulator.builder.failure(5, CabForm((1_000, 300_000)))
    playground.simulator.builder.cabs(failure, 1, CabForm((9_000_000, 9_000_000), kind=ArchiveKind.CAB))
    playground.simulator.publish()
    playground.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    return failure


def test_a_cab_that_storage_cannot_reach_is_streamed(playground: Playground, failure: Failure) -> None:
    """A firewall around the storage account keeps it from copying: the cabs must come all the same."""
    app = playground.start()
    (pull,) = playground.pull(app, failure)
    held = playground.held(failure)
    assert (pull.state, pull.cabs, pull.last_error) == ("Completed", Counts(seen=6, copied=6), None)
    assert playground.stored.downloaded() == held
    assert creations(playground.storage_requests()) == dict.fromkeys(held, 1)
    rows = playground.stored.cab_rows(failure.key)
    for cab in playground.simulator.world.cabs(failure.key):
        row, expected = rows[cab.cab_id_hash], held[blob_name(cab)]
        assert (row["state"], row["length"], row["md5"]) == ("copied", expected.length, expected.md5)
        assert playground.stored.metadata(blob_name(cab))["cabidhash"] == cab.cab_id_hash
        assert playground.stored.tags(blob_name(cab))["failureHash"] == failure.key.failure_hash
    # Somebody has to learn that each byte passes through the app, and why.
    assert "cannot read" in app.log

"""Cabs that storage cannot reach by itself: they come through the app, and no less whole."""

import pytest

from local.cabs import ArchiveKind
from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure
from local.simulator.faults import Call, Fault, FaultKind
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


def test_half_a_cab_is_not_taken_for_a_whole_one(playground: Playground, failure: Failure) -> None:
    """A connection that ends early looks like the end of a file."""
    for cab in playground.simulator.world.cabs(failure.key):
        # A look at its length may come first, and meets the fault as well.
        match = {"blob": cab.place.name}
        playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.TRUNCATED, times=2, match=match))
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=6, copied=6))
    assert playground.simulator.ledger.answers(Call.BLOB, 0) >= 6
    held = playground.held(failure)
    assert playground.stored.downloaded() == held
    assert creations(playground.storage_requests()) == dict.fromkeys(held, 1)


def test_a_source_that_never_gives_a_whole_cab_costs_only_that_cab(playground: Playground, failure: Failure) -> None:
    """The others are safe in the container, and the pull says which one is missing, and why."""
    broken = playground.simulator.world.cabs(failure.key)[3]
    fault = Fault(call=Call.BLOB, kind=FaultKind.TRUNCATED, times=None, match={"blob": broken.place.name})
    playground.simulator.faults.add(fault)
    app = playground.start({"PULL_MAX_ATTEMPTS": "1"})
    (pull,) = playground.pull(app, failure)
    assert pull.state == "Failed"
    assert (pull.cabs.copied, pull.cabs.failed) == (5, 1)
    assert broken.cab_id_hash in (pull.last_error or "")
    held = {name: cab for name, cab in playground.held(failure).items() if name != blob_name(broken)}
    assert playground.stored.downloaded() == held
    row = playground.stored.cab_rows(failure.key)[broken.cab_id_hash]
    assert row["state"] == "failed"
    assert row["error"]
    # When the source is whole again, a new request brings what is missing.
    playground.simulator.faults.clear()
    (pull,) = playground.pull(app, failure)
    assert pull.last_error is None
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=6, copied=1, already_held=5))
    assert playground.stored.downloaded() == playground.held(failure)


def test_a_page_in_place_of_a_cab_is_not_kept(playground: Playground, failure: Failure) -> None:
    """A proxy that wants to be signed in to answers 200 as well: the page was held as the cab ever after."""
    met = playground.simulator.world.cabs(failure.key)[2]
    playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.HTML, match={"blob": met.place.name}))
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.cabs, pull.last_error) == ("Completed", Counts(seen=6, copied=6), None)
    assert pull.attempts >= 1
    assert playground.stored.downloaded() == playground.held(failure)
    rows = playground.stored.cab_rows(failure.key)
    assert {row["error"] for row in rows.values()} == {""}


def test_a_busy_source_is_tried_again_later(playground: Playground, failure: Failure) -> None:
    """A source that answers 503 has its cab still."""
    busy = playground.simulator.world.cabs(failure.key)[0]
    playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.UNAVAILABLE, match={"blob": busy.place.name}))
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.attempts, pull.last_error) == ("Completed", 1, None)
    assert pull.cabs == Counts(seen=6, copied=6)
    assert creations(playground.storage_requests()) == dict.fromkeys(playground.held(failure), 1)


def test_a_sas_that_the_source_refuses_gets_a_fresh_url(playground: Playground, failure: Failure) -> None:
    """On this way, too, an expired SAS is not the end of a cab."""
    playground.fail(failure, FaultKind.EXPIRED_SAS)
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=6, copied=6))
    assert len(playground.api_requests(failure)) == 2
    assert playground.stored.listed() == playground.held(failure)

"""A host that dies in mid-work: the next one goes on from what is written, and the end is the same."""

from copy import replace
from datetime import UTC, datetime

from local.azurite.server import Azurite
from local.simulator.builder import CabForm
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost, Location, ReportForm
from tests.support.waiting import wait_until
from tests.system.answers import Counts
from tests.system.playground import Playground, blob_name
from tests.system.stored import creations

# The dead host's message and lease come back after this.
SETTINGS = {"PULL_LEASE_SECONDS": "2", "LOCAL_MESSAGE_LEASE_SECONDS": "2"}
HANGS = 5.0


def test_a_page_that_was_half_copied_is_finished(playground: Playground, azurite: Azurite) -> None:
    """Killed in mid-page, with half a cab uploaded: what came whole counts, what came half goes on from there."""
    failure = playground.simulator.builder.failure(12, CabForm((1_000, 200_000)))
    (large,) = playground.simulator.builder.cabs(failure, 1, CabForm((20_000_000, 20_000_000)))
    playground.simulator.publish()
    playground.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    match = {"blob": large.place.name}
    # Half of it comes, then nothing more; a look at its length may come first, and meets a fault as well.
    for kind, times in ((FaultKind.TRUNCATED, 2), (FaultKind.SLOW, None)):
        playground.simulator.faults.add(Fault(call=Call.BLOB, kind=kind, delay=HANGS, times=times, match=match))
    half = azurite.watch(lambda made: made.account == playground.storage.name and made.comp == "block")
    app = playground.start(SETTINGS)
    playground.ask(app, failure)
    wait_until(lambda: len(playground.stored.listed()) == 12, "all but the large one")
    wait_until(half.is_set, "half of the large one")
    app.kill()
    assert playground.stored.pull(failure.key)["skip"] == 0
    assert blob_name(large) not in playground.stored.listed()
    playground.simulator.faults.clear()

    app = playground.start(SETTINGS)
    (pull,) = playground.ends(app, failure)
    assert (pull.state, pull.cabs, pull.last_error) == ("Completed", Counts(seen=13, copied=13), None)
    assert playground.stored.downloaded() == playground.held(failure)
    # Nobody saw all bytes of the large one go by, so that none could count its MD5.
    held = playground.held(failure)
    held[blob_name(large)] = replace(held[blob_name(large)], md5="")
    assert playground.stored.listed() == held
    # A copy that the dead host did not see end is one.
    assert max(creations(playground.storage_requests()).values()) == 1
    assert {row["state"] for row in playground.stored.cab_rows(failure.key).values()} == {"copied"}


def test_a_report_that_was_half_read_is_read_again(playground: Playground) -> None:
    """A run counts as ingested only when its last message is sent: too much is harmless, too little is lost."""
    failure = playground.simulator.builder.failure(3)
    form = ReportForm(location=Location.FRONT_SAS)
    report = playground.simulator.builder.report([failure], form)
    playground.simulator.publish()
    playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.SLOW, delay=HANGS, times=None))
    app = playground.start()
    assert app.post("/api/reports/check").status_code == 202
    wait_until(lambda: playground.stored.rows("reports"), "the run's row")
    app.kill()
    (row,) = playground.stored.rows("reports")
    assert "ingestedAt" not in row
    playground.simulator.faults.clear()
    app = playground.start()
    # Nobody knows yet that the reader is dead.
    assert playground.check(app)[str(report.report_id)].outcome == "busy"
    playground.stored.change("reports", {**row, "leaseUntil": datetime.now(UTC)})
    # The message of the dead host comes back as well, and either of the two reads it.
    assert playground.check(app)[str(report.report_id)].outcome in {"ingested", "known"}
    playground.ends(app, failure)
    playground.assert_copied_once(failure)

"""Each cab ends in exactly one state that says what became of it, and none of them is another's trouble."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import TableClient, UpdateMode

from local.simulator.builder import CabForm
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost
from local.simulator.thread import SimulatorThread
from shared.core import clock
from shared.progress.cab_row import CabState
from shared.progress.pull_row import PullState
from tests.integration.app import App, failure_of, served
from tests.integration.conftest import MakeApp
from tests.integration.rewriting import rewriting
from tests.support.loopback import LoopbackServer

PAST = (timedelta(days=31), timedelta(days=40))


def test_cabs_to_which_no_url_of_the_batch_leads_are_asked_for_by_themselves(
    app: App, simulator: SimulatorThread
) -> None:
    failure = served(simulator, 3)
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.EXPIRED_SAS, times=None))
    row = app.pull(failure)
    assert (row.state, row.counts.copied) == (PullState.COMPLETED, 3)
    assert simulator.ledger.answers(Call.CAB_BATCH) == 2
    assert simulator.ledger.answers(Call.CAB_DOWNLOAD) == 3


def test_a_redirect_that_leads_to_no_cab_is_told_and_tried_again(app: App, simulator: SimulatorThread) -> None:
    """What else the call for one cab may answer is sorted in tests/unit/devcenter/test_applications.py."""
    failure = served(simulator, 1)
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.EXPIRED_SAS, times=2))
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=FaultKind.FOREIGN_HOST, times=1))
    app.request(failure)
    app.work_off()
    row = app.row(failure)
    assert (row.state, row.counts.copied, row.attempts) == (PullState.COMPLETED, 1, 1)
    assert not [seen for seen in simulator.ledger.requests if seen.call is Call.BLOB and seen.bearer]


def cabs_table(app: App) -> TableClient:
    return TableClient.from_connection_string(app.storage.connection_string, "cabs")


def test_an_expired_sas_is_made_good_by_a_fresh_url(app: App, simulator: SimulatorThread) -> None:
    failure = served(simulator, 5)
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.EXPIRED_SAS))
    app.request(failure)
    # The catalog's file is one more, whatever became of the SAS.
    requests = [each for each in app.asked(app.work_off) if "/_catalog/" not in each.path]
    assert len(requests) <= 6 + 1.05 * 5, "an expired SAS is known without a request"
    assert app.row(failure).state is PullState.COMPLETED
    assert set(app.states(failure).values()) == {CabState.COPIED}
    assert simulator.ledger.answers(Call.CAB_BATCH) == 2, "one page of fresh URLs serves every cab of the page"


def test_a_cab_past_its_expiry_is_expired_for_good(make_app: MakeApp, simulator: SimulatorThread) -> None:
    app = make_app(CAB_LOOKBACK_DAYS="60")
    failure = simulator.builder.failure(2, CabForm(age=PAST, stored=False))
    simulator.builder.cabs(failure, 1)
    simulator.publish()
    row = app.pull(failure)
    assert (row.state, row.counts.expired, row.counts.copied, row.counts.failed) == (PullState.COMPLETED, 2, 1, 0)
    gone = [each for each in app.cabs(failure).values() if each.state is CabState.EXPIRED]
    assert all("expired at" in each.error for each in gone)
    asked = len(app.azurite.requests())
    row = app.pull(failure)
    assert (row.counts.expired, row.counts.already_held) == (2, 1)
    assert not [each for each in app.azurite.requests()[asked:] if each.method in {"PUT", "HEAD"}]


def test_a_cab_does_not_expire_by_a_clock_that_is_wrong(make_app: MakeApp, simulator: SimulatorThread) -> None:
    """A host whose clock went ahead by a month recorded every cab that it could not have at once as gone for good."""
    app = make_app(CAB_LOOKBACK_DAYS="60")
    simulator.form = BatchForm(clock_ahead=-timedelta(days=60).total_seconds())
    failure = served(simulator, 1, CabForm(age=PAST, stored=False))
    with clock.using(clock.Clock()):
        counts = app.pull(failure).counts
    assert (counts.expired, counts.unavailable) == (0, 1)


@pytest.mark.parametrize("form", [CabForm(downloadable=False), CabForm(stored=False)], ids=["refused", "gone"])
def test_a_cab_that_microsoft_does_not_let_go_is_unavailable(
    app: App, simulator: SimulatorThread, form: CabForm
) -> None:
    failure = simulator.builder.failure(1, form)
    simulator.builder.cabs(failure, 2)
    simulator.publish()
    row = app.pull(failure)
    assert (row.state, row.counts.unavailable, row.counts.copied) == (PullState.COMPLETED, 1, 2)
    (missed,) = [each for each in app.cabs(failure).values() if each.state is CabState.UNAVAILABLE]
    assert missed.error


def test_a_row_without_a_url_fails_alone_and_is_told(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(1, CabForm(has_url=False))
    simulator.builder.cabs(failure, 2)
    simulator.publish()
    row = app.pull(failure)
    assert (row.state, row.counts.failed, row.counts.copied) == (PullState.COMPLETED, 1, 2)
    assert "1 cabs failed" in row.last_error
    assert "cabUrl" in row.last_error


def rows_edited(rows: list[dict[str, Any]]) -> None:
    rows[0]["cabUrl"] = "https://evil.example/x.zip?sig=QZXJ"
    rows[1]["cabIdHash"] = "../../x"
    rows[2] = {"cabUrl": "https://evil.example/x.zip?sig=QZXJ"}
    rows[3]["date"], rows[3]["cabExpirationTime"] = "yesterday", "0001-01-01T00:00:00"
    rows[4]["cabUrl"] = 7


def test_bad_rows_fail_alone_and_are_told(make_app: MakeApp, simulator: SimulatorThread) -> None:
    failure = served(simulator, 8)
    with LoopbackServer(rewriting(simulator.url, rows_edited)) as proxy:
        app = make_app(DEVCENTER_BASE_URL=proxy.url)
        row = app.pull(failure)
        assert (row.state, row.counts.copied, row.counts.failed) == (PullState.COMPLETED, 5, 3)
        assert "3 cabs failed" in row.last_error
        refused = [each.error for each in app.cabs(failure).values() if each.state is CabState.FAILED]
    (foreign,) = refused  # A row without a good id has no row, and one without a URL is asked for by itself.
    assert "evil.example" in foreign
    assert "CAB_SOURCE_HOSTS" in foreign
    assert "QZXJ" not in repr(app.cabs(failure)) + row.last_error


def test_a_cab_whose_source_is_broken_stops_no_other(app: App, simulator: SimulatorThread) -> None:
    simulator.form = BatchForm(cab_host=BlobHost.FRONT, largest_page=5)
    failure = served(simulator, 12)
    bad = simulator.world.cabs(failure.key)[0]
    fault = Fault(call=Call.BLOB, kind=FaultKind.SERVER_ERROR, times=None, match={"blob": bad.place.name})
    simulator.faults.add(fault)
    row = app.pull(failure)
    assert (row.state, row.attempts, row.counts.copied) == (PullState.QUEUED, 1, 11)
    assert bad.cab_id_hash in row.last_error
    simulator.faults.clear()
    row = app.pull(failure)
    assert (row.state, row.counts.copied, row.counts.failed) == (PullState.COMPLETED, 12, 0)
    assert row.last_error == ""


def test_a_blob_that_the_retention_rule_removed_is_retired_and_not_copied_again(
    app: App, simulator: SimulatorThread
) -> None:
    failure = served(simulator, 3)
    app.pull(failure)
    cab = simulator.world.cabs(failure.key)[1]
    with cabs_table(app) as table:
        table.update_entity(
            {
                "PartitionKey": failure_of(failure).cabs_partition,
                "RowKey": cab.cab_id_hash,
                "settledAt": datetime.now(UTC) - app.settings.retention - timedelta(hours=1),
            },
            mode=UpdateMode.MERGE,
        )
    app.delete_blob(cab)
    for _ in range(2):
        row = app.pull(failure)
        assert (row.state, row.counts.copied, row.counts.already_held) == (PullState.COMPLETED, 0, 3)
        assert app.states(failure)[cab.cab_id_hash] is CabState.RETIRED
    assert len(app.blobs(failure)) == 2


def test_a_blob_whose_row_was_lost_gets_one_without_being_copied(app: App, simulator: SimulatorThread) -> None:
    failure = served(simulator, 3)
    app.pull(failure)
    cab = simulator.world.cabs(failure.key)[1]
    with cabs_table(app) as table:
        table.delete_entity(failure_of(failure).cabs_partition, cab.cab_id_hash)
    row = app.pull(failure)
    assert (row.state, row.counts.already_held, row.counts.failed) == (PullState.COMPLETED, 2, 0)
    found = app.cabs(failure)[cab.cab_id_hash]
    held = simulator.world.held[cab.cab_id_hash]
    assert (found.state, found.length, found.md5) == (CabState.COPIED, held.length, held.md5)


def test_a_cab_in_the_container_that_the_batch_no_longer_names_gets_a_row(app: App, simulator: SimulatorThread) -> None:
    failure = served(simulator, 1)
    app.pull(failure)
    name = str(uuid.uuid4())
    app.container.upload_blob(f"{failure_of(failure).prefix}{name}.ext.zip", b"PK")
    app.container.upload_blob(f"{failure_of(failure).prefix}notes/read me.txt", b"by a person")
    app.pull(failure)
    assert set(app.states(failure)) == {name, simulator.world.cabs(failure.key)[0].cab_id_hash}
    assert app.cabs(failure)[name].length == 2

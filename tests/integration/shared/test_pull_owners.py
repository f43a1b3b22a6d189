"""Messages come twice and hosts die: no cab may be copied twice for that, and no pull may be lost."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.data.tables import TableClient, UpdateMode

from local.simulator.catalogue import Failure
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm
from local.simulator.thread import SimulatorThread
from shared.lease import RowLease
from shared.pull_message import PullMessage
from shared.pull_rows import PullState
from tests.support.loopback import Answer, LoopbackServer, Seen

from .app import DEADLINE_SECONDS, App, failure_of
from .conftest import MakeApp
from .rewriting import rewriting


def copied(app: App) -> Counter[str]:
    return Counter(
        each.path for each in app.requests() if each.method == "PUT" and each.status == 202 and not each.restype
    )


def take(app: App, failure: Failure) -> RowLease:
    lease = app.services.pulls.take(failure_of(failure), app.window, window_is_asked=True)
    assert isinstance(lease, RowLease)
    return lease


def test_a_message_that_finds_another_owner_waits_for_him(make_app: MakeApp, simulator: SimulatorThread) -> None:
    app = make_app(PULL_LEASE_SECONDS="1")
    failure = simulator.builder.failure(3)
    simulator.publish()
    take(app, failure)  # an owner who dies: nobody renews it
    asked = app.asked(lambda: app.handle(PullMessage(failure_of(failure), app.window, "the test")))
    assert len(asked) <= 3
    assert app.row(failure).state is PullState.RUNNING
    assert copied(app) == {}
    assert app.work_off() >= 1
    assert app.row(failure).state is PullState.COMPLETED
    assert copied(app).total() == 3


def test_two_hosts_at_once_copy_nothing_twice(make_app: MakeApp, simulator: SimulatorThread) -> None:
    hosts = [make_app(PULL_LEASE_SECONDS="1", PULL_CONCURRENCY="4") for _ in range(2)]
    simulator.form = BatchForm(largest_page=20)
    failure = simulator.builder.failure(60)
    simulator.publish()
    message = PullMessage(failure_of(failure), hosts[0].window, "the test")
    together = threading.Barrier(2, timeout=DEADLINE_SECONDS)

    def handle(host: App) -> None:
        together.wait()
        host.handle(message)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(handle, hosts))
    assert hosts[0].waiting_messages() == 1, "the one that came second is sent again"
    hosts[0].work_off()
    row = hosts[0].row(failure)
    assert row.state is PullState.COMPLETED
    assert len(copied(hosts[0])) == copied(hosts[0]).total() == 60
    assert len(hosts[0].blobs(failure)) == 60


@pytest.mark.parametrize("status", [200, 500, 403], ids=["goes on", "fails for now", "fails"])
@pytest.mark.parametrize("skip", ["0", "10"])
def test_an_owner_who_lost_the_row_stops_and_leaves_it_alone(
    make_app: MakeApp, simulator: SimulatorThread, skip: str, status: int
) -> None:
    """Whatever happens to him then: the row, and what comes next, are the other's."""
    simulator.form = BatchForm(largest_page=5)
    failure = simulator.builder.failure(20)
    simulator.publish()
    passed_on = rewriting(simulator.url, lambda _: None)

    def losing(seen: Seen) -> Answer:
        """Let another take the row while a page is asked for."""
        if seen.query.get("skip") == skip:
            taken_by_another(app, failure)
            return Answer(status=status) if status != 200 else passed_on(seen)
        return passed_on(seen)

    with LoopbackServer(losing) as proxy:
        app = make_app(DEVCENTER_BASE_URL=proxy.url)
        app.handle(PullMessage(failure_of(failure), app.window, "the test"))
    row = app.row(failure)
    assert (row.state, row.last_error) == (PullState.RUNNING, "the other's")
    assert app.waiting_messages() == 0, "the other's pull has its own message"


def taken_by_another(app: App, failure: Failure) -> None:
    with TableClient.from_connection_string(app.storage.connection_string, "pulls") as table:
        table.update_entity(
            {
                "PartitionKey": failure.key.application_id,
                "RowKey": failure.key.failure_hash,
                "owner": "another",
                "leaseUntil": datetime.now(UTC) + timedelta(minutes=1),
                "lastError": "the other's",
            },
            mode=UpdateMode.MERGE,
        )


def test_a_pull_whose_host_died_is_gone_on_with(make_app: MakeApp, simulator: SimulatorThread) -> None:
    """The message comes back after its own lease; the row's must have ended by then."""
    app = make_app(PULL_LEASE_SECONDS="1")
    simulator.form = BatchForm(largest_page=5)
    failure = simulator.builder.failure(20)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.THROTTLED, match={"skip": "10"}))
    app.pull(failure)
    asked = len(simulator.ledger.requests)
    take(app, failure)
    app.work_off()  # until the lease of the dead one has ended, the message is sent again and again
    row = app.row(failure)
    assert (row.state, row.counts.seen, row.counts.copied) == (PullState.COMPLETED, 20, 20)
    assert list(simulator.ledger.requests)[asked].query["skip"] == "10"
    assert len(copied(app)) == copied(app).total() == 20


def test_a_message_that_comes_twice_does_the_work_once(app: App, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(10)
    simulator.publish()
    app.request(failure)
    app.request(failure)
    assert app.work_off() == 2
    assert copied(app).total() == 10
    assert app.row(failure).state is PullState.COMPLETED

"""Messages come twice and hosts die: no cab may be copied twice for that, and no pull may be lost."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.data.tables import TableClient, UpdateMode

from local.simulator.catalogue import Failure
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm
from local.simulator.thread import SimulatorThread
from shared.core.errors import AgainLater
from shared.core.failure import Window
from shared.progress.cabs import CabRows
from shared.progress.messages import PullMessage
from shared.progress.pull_leases import PullLeases
from shared.progress.pull_row import PullState
from shared.pull import one_failure
from shared.storage.lease import RowLease
from tests.integration.app import App, failure_of, served
from tests.integration.conftest import MakeApp
from tests.integration.rewriting import rewriting
from tests.support.loopback import Answer, LoopbackServer, Seen


def copied(app: App) -> Counter[str]:
    return Counter(
        each.path for each in app.requests() if each.method == "PUT" and each.status == 202 and not each.restype
    )


def take(app: App, failure: Failure, window: Window | None = None) -> RowLease:
    message = PullMessage(failure_of(failure), window or app.window, "the test")
    lease = app.services.pull_tools.leases.take(message, window or app.window)
    assert isinstance(lease, RowLease)
    return lease


@pytest.mark.parametrize("status", [200, 500, 403], ids=["goes on", "fails for now", "fails"])
@pytest.mark.parametrize("skip", ["0", "10"])
def test_an_owner_who_lost_the_row_stops_and_leaves_it_alone(
    make_app: MakeApp, simulator: SimulatorThread, skip: str, status: int
) -> None:
    """Whatever happens to him then: the row, and what comes next, are the other's."""
    simulator.form = BatchForm(largest_page=5)
    failure = served(simulator, 20)
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


@pytest.fixture
def failure(simulator: SimulatorThread) -> Failure:
    return served(simulator, 3)


def next_message(app: App, *, deliveries: int = 1) -> PullMessage:
    """Return the message that waits, as it comes so many times, and leave it in the queue."""
    message = app.wait_for_message()
    app.queue.update_message(message.id, message.pop_receipt, visibility_timeout=0)
    return PullMessage.decode(message.content.encode(), deliveries)


class TestMessagesThatComeTwice:
    """The queue delivers a message again after its host died, and holds two where the answer to the first was lost."""

    def test_one_whose_like_works_is_done(self, app: App, failure: Failure) -> None:
        app.request(failure)
        message = next_message(app)
        lease = app.services.pull_tools.leases.take(message, app.window)
        assert isinstance(lease, RowLease)
        asked = app.asked(lambda: app.handle(message))
        assert [each.method for each in asked] == ["PATCH", "GET"]
        assert app.waiting_messages() == 1, "no other is sent"
        lease.write({})  # it is still his

    def test_of_a_next_try_too(self, app: App, failure: Failure, simulator: SimulatorThread) -> None:
        simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.THROTTLED))
        app.pull(failure)
        message = next_message(app)
        assert app.row(failure).state is PullState.QUEUED
        app.handle(message)
        assert (app.row(failure).state, app.row(failure).attempts) == (PullState.COMPLETED, 1)
        app.handle(message)
        assert (app.row(failure).attempts, copied(app).total()) == (1, 3)

    def test_one_that_comes_again_itself_waits_for_its_own_lease(self, make_app: MakeApp, failure: Failure) -> None:
        """Its host died: nobody else has a message for what is left."""
        app = make_app(PULL_LEASE_SECONDS="1")
        app.request(failure)
        assert isinstance(app.services.pull_tools.leases.take(next_message(app), app.window), RowLease)
        again = next_message(app, deliveries=2)
        app.queue.clear_messages()
        app.handle(again)
        app.work_off()
        assert app.row(failure).state is PullState.COMPLETED
        assert copied(app).total() == 3

    def test_one_whose_own_lease_was_taken_unseen_is_sent_again_and_not_dropped(
        self, make_app: MakeApp, failure: Failure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = make_app(PULL_LEASE_SECONDS="1")
        app.request(failure)
        message, take = next_message(app), app.services.pull_tools.leases.take
        app.queue.clear_messages()

        def taken_unseen(message: PullMessage, window: Window) -> RowLease:
            assert isinstance(take(message, window), RowLease)
            raise AgainLater("the answer was lost")

        with monkeypatch.context() as patch:
            patch.setattr(PullLeases, "take", lambda _, *arguments, **__: taken_unseen(*arguments))
            patch.setattr(one_failure, "growing_wait", lambda _: timedelta())
            app.handle(message)
        app.work_off()
        assert app.row(failure).state is PullState.COMPLETED

    def test_one_for_fewer_days_waits_for_its_turn(self, make_app: MakeApp, failure: Failure) -> None:
        app = make_app(PULL_LEASE_SECONDS="1")
        app.request(failure)
        message = next_message(app)
        app.queue.clear_messages()
        more_days = Window(app.window.start - timedelta(days=9), app.window.end)
        take(app, failure, more_days)
        app.handle(message)
        assert app.work_off() >= 1
        assert (app.row(failure).state, app.row(failure).window) == (PullState.COMPLETED, more_days)

    def test_one_whose_row_was_ended_by_an_owner_from_before_is_pulled(self, app: App, failure: Failure) -> None:
        """He stood still for longer than his lease, and had asked for the cabs before somebody asked for newer ones."""
        before = take(app, failure)
        app.change_pull(failure, leaseUntil=datetime.now(UTC) - timedelta(seconds=1))
        app.request(failure)
        message = next_message(app)
        assert message.row_version
        before.write({})
        before.release({"state": PullState.COMPLETED.value})
        app.handle(message)
        assert copied(app).total() == 3

    def test_one_that_meets_the_reconcile_waits_until_it_has_looked(self, app: App, failure: Failure) -> None:
        app.request(failure)
        app.work_off()
        held = app.services.pull_tools.leases.hold(failure_of(failure))
        assert isinstance(held, RowLease)
        app.request(failure)
        message = next_message(app)
        app.queue.clear_messages()
        app.handle(message)
        held.release({})
        assert app.queue.get_queue_properties().approximate_message_count == 1
        app.handle(message)
        assert app.row(failure).state is PullState.COMPLETED


def once_in_mid_pull(app: App, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen when the rows of cabs are first written, while the pull's row is held."""
    write, waiting = CabRows.write, [happens]

    def written(rows: CabRows, *args: Any) -> None:
        write(rows, *args)
        if waiting:
            waiting.pop()()

    monkeypatch.setattr(CabRows, "write", written)


def test_a_running_pull_that_is_asked_for_thirty_times_is_made_once_more(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further run pages the whole batch, and the last of them would tell that nothing was copied."""
    simulator.form = BatchForm(largest_page=20)
    failure = served(simulator, 60)

    def ask() -> None:
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda _: app.request(failure), range(30)))

    app.request(failure)
    once_in_mid_pull(app, monkeypatch, ask)
    app.work_off()
    row = app.row(failure)
    assert (row.state, row.counts.seen, row.counts.copied, row.counts.already_held) == (PullState.COMPLETED, 60, 60, 0)
    assert row.counts.bytes == sum(blob.length for blob in app.listed(failure).values())
    assert simulator.ledger.answers(Call.CAB_BATCH) <= 2 * 3
    assert len(copied(app)) == copied(app).total() == 60
    # Nothing runs now, so that asking is a pull of its own.
    app.request(failure)
    app.work_off()
    assert (app.row(failure).counts.copied, app.row(failure).counts.already_held) == (0, 60)


def test_a_pull_whose_row_is_deleted_meanwhile_is_made_all_the_same(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is all that is left of it, and nobody else works on it."""
    simulator.form = BatchForm(largest_page=20)
    failure = served(simulator, 60)
    with TableClient.from_connection_string(app.storage.connection_string, "pulls") as pulls:
        key = failure.key
        once_in_mid_pull(app, monkeypatch, lambda: pulls.delete_entity(key.application_id, key.failure_hash))
        message = PullMessage(failure_of(failure), app.window, "the test")
        with pytest.raises(AgainLater, match="was deleted"):
            app.handle(message)
    # The host delivers it again.
    app.handle(message)
    assert app.row(failure).state is PullState.COMPLETED
    assert len(app.listed(failure)) == len(copied(app)) == 60

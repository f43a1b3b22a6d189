"""However the service pages, no cab of a failure may be missed, and none may be copied twice."""

import threading
from itertools import cycle

import pytest

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, LastLink, LinkForm
from local.simulator.thread import SimulatorThread
from shared.progress.cabs import CabState
from shared.progress.pull_row import PullState
from shared.storage.lease import RowLease
from shared.storage.table_writes import Columns
from tests.integration.app import App
from tests.integration.conftest import MakeApp
from tests.integration.rewriting import rewriting
from tests.support.loopback import Answer, LoopbackServer, Seen

# Each form of a link, each end, with and without a total; tests of the cursor combine them.
FORMS = [
    BatchForm(link=link, last_link=last, total_count=total or link is LinkForm.NONE, largest_page=10)
    for link, last, total in zip(LinkForm, cycle(LastLink), cycle((False, True)), strict=False)
]


def copied(app: App) -> list[str]:
    """Return the path of each blob that was made, as often as it was made."""
    return [each.path for each in app.requests() if each.method == "PUT" and each.status == 202 and not each.restype]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.link}-{form.last_link}-{form.total_count}")
def test_every_cab_is_copied_whatever_a_page_looks_like(app: App, simulator: SimulatorThread, form: BatchForm) -> None:
    simulator.form = form
    failure = simulator.builder.failure(25)
    simulator.publish()
    row = app.pull(failure)
    assert row.state is PullState.COMPLETED
    assert set(app.states(failure).values()) == {CabState.COPIED}
    assert row.counts.copied == row.counts.seen == 25
    assert len(copied(app)) == 25


@pytest.mark.parametrize("form", [BatchForm(rows_key="value", link_key="nextLink"), BatchForm(rewrite_dates=True)])
def test_other_keys_and_rewritten_dates_are_read_too(app: App, simulator: SimulatorThread, form: BatchForm) -> None:
    simulator.form = form
    failure = simulator.builder.failure(101)
    simulator.publish()
    assert app.pull(failure).counts.copied == 101


def test_what_is_copied_is_written_down_while_the_next_page_is_waited_for(
    make_app: MakeApp, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may take minutes, and a host may be killed meanwhile: what it had copied must not be unknown then."""
    failure = simulator.builder.failure(210)
    simulator.publish()
    write, written = RowLease.write, threading.Event()

    def watched(lease: RowLease, columns: Columns) -> None:
        write(lease, columns)
        if columns.get("skip") == 100:
            written.set()

    def answer(seen: Seen) -> Answer:
        assert seen.query.get("skip") != "100" or written.wait(20)
        return rewriting(simulator.url, lambda _: None)(seen)

    monkeypatch.setattr(RowLease, "write", watched)
    with LoopbackServer(answer) as server:
        app = make_app(DEVCENTER_BASE_URL=server.url)
        row = app.pull(failure)
    assert (row.state, row.attempts, row.counts.copied) == (PullState.COMPLETED, 0, 210)


def test_a_token_goes_to_no_other_host(app: App, simulator: SimulatorThread) -> None:
    simulator.form = BatchForm(link=LinkForm.FOREIGN, largest_page=10)
    failure = simulator.builder.failure(25)
    simulator.publish()
    assert app.pull(failure).counts.copied == 25
    assert {seen.host for seen in simulator.ledger.requests} == {simulator.url.removeprefix("http://")}


@pytest.mark.parametrize(
    "form",
    [
        BatchForm(repeat_rows=3, link=LinkForm.NONE, largest_page=10),
        BatchForm(shift_rows=3, link=LinkForm.FOREIGN, largest_page=10),
    ],
)
def test_a_held_cab_that_comes_again_after_a_checkpoint_is_seen_once(
    app: App, simulator: SimulatorThread, form: BatchForm
) -> None:
    """A pull that found it held knows only how many it found so, not which."""
    simulator.form = form
    failure = simulator.builder.failure(30)
    simulator.publish()
    assert app.pull(failure).counts.copied == 30
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.SERVER_ERROR, match={"skip": "10"}))
    row = app.pull(failure)
    assert (row.state, row.counts.already_held) == (PullState.QUEUED, 10)
    row = app.pull(failure)
    assert (row.state, row.counts.seen, row.counts.already_held) == (PullState.COMPLETED, 30, 30)


def test_cabs_that_move_up_while_a_pull_waits_are_not_missed(app: App, simulator: SimulatorThread) -> None:
    """Microsoft deletes the first cabs of a batch, and those at the checkpoint move onto a page that was read."""
    simulator.form = BatchForm(largest_page=10)
    failure = simulator.builder.failure(35)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.SERVER_ERROR, match={"skip": "20"}))
    row = app.pull(failure)
    assert (row.state, row.skip, row.total) == (PullState.QUEUED, 20, 35)
    simulator.world.unlist_cabs(simulator.world.cabs(failure.key)[:5])
    row = app.pull(failure)
    assert (row.state, row.counts.copied, row.counts.seen) == (PullState.COMPLETED, 35, 35)
    assert len(copied(app)) == len(set(copied(app))) == 35


def test_a_page_that_fails_is_gone_on_with_and_nothing_before_it_is_copied_again(
    app: App, simulator: SimulatorThread
) -> None:
    simulator.form = BatchForm(largest_page=10)
    failure = simulator.builder.failure(45)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.SERVER_ERROR, match={"skip": "30"}))
    row = app.pull(failure)
    assert (row.state, row.skip, row.attempts) == (PullState.QUEUED, 30, 1)
    assert row.counts.copied == 30
    asked = len(simulator.ledger.requests)
    row = app.pull(failure)
    assert (row.state, row.counts.copied, row.counts.seen) == (PullState.COMPLETED, 45, 45)
    assert [seen.query["skip"] for seen in list(simulator.ledger.requests)[asked:]] == ["30", "40"]
    assert len(copied(app)) == len(set(copied(app))) == 45

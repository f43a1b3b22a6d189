"""However the service pages, no cab of a failure may be missed, and none may be copied twice."""

import threading

import pytest

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, LinkForm
from local.simulator.thread import SimulatorThread
from shared.progress.pull_row import PullState
from shared.storage.lease import RowLease
from shared.storage.table_writes import Columns
from tests.integration.app import App, served
from tests.integration.conftest import MakeApp
from tests.integration.rewriting import rewriting
from tests.support.loopback import Answer, LoopbackServer, Seen


def test_what_is_copied_is_written_down_while_the_next_page_is_waited_for(
    make_app: MakeApp, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may take minutes, and a host may be killed meanwhile: what it had copied must not be unknown then."""
    failure = served(simulator, 210)
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
    failure = served(simulator, 30)
    assert app.pull(failure).counts.copied == 30
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.SERVER_ERROR, match={"skip": "10"}))
    row = app.pull(failure)
    assert (row.state, row.counts.already_held) == (PullState.QUEUED, 10)
    row = app.pull(failure)
    assert (row.state, row.counts.seen, row.counts.already_held) == (PullState.COMPLETED, 30, 30)

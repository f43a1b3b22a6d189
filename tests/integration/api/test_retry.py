"""A retry that could not be sent must leave a pull that can be retried again."""

import pytest

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.core.errors import NeedsPerson
from shared.progress.pull_row import PullState
from tests.integration.app import App, failure_of, served


def test_a_retry_without_its_message_leaves_the_pull_failed(app: App, simulator: SimulatorThread) -> None:
    """Only Failed pulls can be retried: one that says Queued, with nothing in the queue, would be stuck."""
    failure = served(simulator, 2)
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.BAD_REQUEST))
    before = app.pull(failure)
    assert before.state is PullState.FAILED
    app.queue.delete_queue()
    with pytest.raises(NeedsPerson, match="QueueNotFound"):
        app.services.requests.retry(failure_of(failure), app.window, "a retry")
    row = app.row(failure)
    assert (row.state, row.last_error, row.last_error_kind) == (before.state, before.last_error, before.last_error_kind)
    app.services.create_missing()
    assert app.services.requests.retry(failure_of(failure), app.window, "a retry") is PullState.FAILED
    app.work_off()
    assert app.row(failure).state is PullState.COMPLETED
    assert len(app.blobs(failure)) == 2

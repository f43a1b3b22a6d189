"""A person may ask that a dump be deleted: what docs/security.md says to do must keep it deleted."""

from local.simulator.thread import SimulatorThread
from shared.progress.cab_row import CabState
from shared.progress.pull_row import PullState
from tests.integration.app import App, served


def test_a_cab_that_is_retired_by_hand_and_deleted_stays_away(app: App, simulator: SimulatorThread) -> None:
    """The read-back takes any other missing blob for a loss, and fetches it again from Microsoft."""
    failure = served(simulator, 3)
    app.pull(failure)
    cab = simulator.world.cabs(failure.key)[1]
    app.change_cab(cab, state="retired")
    app.delete_blob(cab)
    for _ in range(2):
        row = app.pull(failure)
        assert (row.state, row.counts.copied, row.counts.already_held) == (PullState.COMPLETED, 0, 3)
        app.reconcile()
        app.work_off()
    assert app.states(failure)[cab.cab_id_hash] is CabState.RETIRED
    assert cab.cab_id_hash not in app.listed(failure)
    assert len(app.listed(failure)) == 2

"""A pull that takes longer than one run of a function may: it hands on, and no cab is lost or copied twice."""

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost
from tests.system.answers import Counts
from tests.system.app import App
from tests.system.playground import SMALL, Playground


def _runs(app: App) -> int:
    return app.log.count("Executed 'Functions.pull_failure' (Succeeded")


def test_a_pull_over_its_time_hands_on_within_a_page(playground: Playground) -> None:
    """A page of large cabs alone can take longer than the budget: what is copied of it must count."""
    failure = playground.simulator.builder.failure(9, SMALL)
    playground.simulator.publish()
    playground.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.SLOW, delay=0.4, times=None))
    app = playground.start({"PULL_TIME_BUDGET": "1", "PULL_CONCURRENCY": "1"})
    (pull,) = playground.pull(app, failure)
    playground.wait_for_empty_queue()
    assert (pull.state, pull.cabs, pull.attempts) == ("Completed", Counts(seen=9, copied=9), 0)
    assert _runs(app) >= 3
    playground.assert_copied_once(failure)


def test_a_small_pull_does_not_wait_for_a_large_one(playground: Playground) -> None:
    """One failure with thousands of cabs must not keep all others waiting for a day."""
    large, small = (playground.simulator.builder.failure(count, SMALL) for count in (70, 2))
    playground.simulator.publish()
    playground.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.SLOW, delay=0.05, times=None))
    app = playground.start({"PULL_CONCURRENCY": "2"})
    playground.ask(app, large)
    playground.wait_for_state(large.key, {"Running"})
    (pull,) = playground.pull(app, small)
    assert (pull.state, pull.cabs.copied) == ("Completed", 2)
    assert playground.stored.pull(large.key)["state"] == "Running"
    playground.ends(app, large)
    playground.assert_copied_once(large, small)

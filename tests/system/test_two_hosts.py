"""Two hosts at once on one storage, as the platform runs them: they share the work and never do it twice."""

from concurrent.futures import ThreadPoolExecutor

from tests.system.answers import Counts
from tests.system.playground import SMALL, Playground
from tests.system.stored import POISON

SETTINGS = {"PULL_LEASE_SECONDS": "2", "LOCAL_MESSAGE_LEASE_SECONDS": "5"}


def test_two_hosts_never_copy_a_cab_twice(playground: Playground) -> None:
    """The same failures are asked for on both hosts at once, twice each: the worst that two teams could do."""
    failures = [playground.simulator.builder.failure(number % 7, SMALL) for number in range(16)]
    failures.append(playground.simulator.builder.failure(110, SMALL))
    playground.simulator.publish()
    with ThreadPoolExecutor() as both:
        apps = list(both.map(lambda _: playground.start(SETTINGS), range(2)))
        list(both.map(lambda app: playground.ask(app, *failures), [*apps, *apps]))
    for failure in failures:
        playground.wait_for_state(failure.key, {"Completed", "Failed"})
    # The second messages find everything held.
    playground.wait_for_empty_queue()
    playground.assert_copied_once(*failures)
    for failure in failures:
        pull = playground.told(apps[0], failure)
        held = len(playground.held(failure))
        assert pull.state == "Completed"
        assert pull.cabs in {Counts(seen=held, copied=held), Counts(seen=held, already_held=held)}
    assert playground.stored.messages(POISON) == 0
    # Both had their share.
    assert all("Executed 'Functions.pull_failure' (Succeeded" in app.log for app in apps)

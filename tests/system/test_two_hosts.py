"""Two hosts at once on one storage, as the platform runs them: they share the work and never do it twice."""

from concurrent.futures import ThreadPoolExecutor

from local.simulator.faults import Call, Fault, FaultKind
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


def test_a_message_for_a_running_pull_waits_for_it(playground: Playground) -> None:
    """A second message, on another host, while the first pull runs: only one may work on a failure."""
    failure = playground.long_failure(150, copied=20)
    match = {"failureHash": failure.key.failure_hash, "skip": "100"}
    slow = Fault(call=Call.CAB_BATCH, kind=FaultKind.SLOW, delay=4, match=match)
    playground.simulator.faults.add(slow)
    first, second = (playground.start(SETTINGS) for _ in range(2))
    playground.ask(first, failure)
    playground.wait_for_state(failure.key, {"Running"})
    playground.ask(second, failure)
    playground.ends(first, failure)
    playground.wait_for_empty_queue()
    assert "another owner" in first.log + second.log
    # The second found nothing new: what is told is what the first did.
    assert playground.told(first, failure).cabs == Counts(seen=150, copied=20, unavailable=130)
    playground.assert_copied_once(failure)
    # Two pulls of two pages each, one after the other.
    assert [request.query["skip"] for request in playground.api_requests(failure)] == ["0", "100", "0", "100"]


def test_two_checks_at_once_ingest_a_run_once(playground: Playground) -> None:
    """A timer on one host and a person on the other."""
    failures = [playground.simulator.builder.failure(2, SMALL) for _ in range(5)]
    playground.simulator.builder.report(failures)
    playground.simulator.publish()
    with ThreadPoolExecutor() as both:
        apps = list(both.map(lambda _: playground.start(SETTINGS), range(2)))
        fired = both.submit(apps[0].post, "/admin/functions/check_reports", {"input": ""})
        (run,) = playground.check(apps[1]).values()
        assert fired.result().ok
    assert run.outcome in {"busy", "ingested", "known"}
    playground.ends(apps[0], *failures)
    playground.wait_for_empty_queue()
    assert all(len(playground.api_requests(failure)) == 1 for failure in failures)
    playground.assert_copied_once(*failures)

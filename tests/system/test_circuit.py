"""A role that was taken away: the app stops hammering, says so, and goes on by itself once it works again."""

from local.simulator.catalogue import Failure
from local.simulator.faults import Call, Fault, FaultKind
from tests.support.waiting import wait_until
from tests.system.answers import Preflight, decoded
from tests.system.playground import Playground

FAILURES, AT_ONCE, TO_OPEN = 24, 12, 5


def test_refusals_in_a_row_stop_the_calls_and_lose_nothing(playground: Playground) -> None:
    """Thousands of queued pulls that each ask a Dev Center that refuses them all would be throttled for it, too."""
    failures = [playground.simulator.builder.failure(1) for _ in range(FAILURES)]
    playground.simulator.publish()
    playground.simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.FORBIDDEN, times=None))
    app = playground.start()
    playground.ask(app, *failures)
    wait_until(lambda: all(_rests(playground, failure) for failure in failures), "the end of all tries")

    asked = sum(len(playground.api_requests(failure)) for failure in failures)
    assert TO_OPEN <= asked <= AT_ONCE + TO_OPEN, "those that run at once, and those that follow until it opens"
    told = [playground.told(app, failure) for failure in failures]
    assert {pull.state for pull in told} == {"Failed", "Queued"}
    assert all("Manager role" in (pull.last_error or "") for pull in told)
    assert all("is not asked until" in (pull.last_error or "") for pull in told if pull.state == "Queued")
    assert all(pull.attempts == 0 for pull in told)

    health = app.get("/api/health").json()
    assert health["status"] == "degraded"
    assert health["circuit"]["kind"] == "403"
    assert health["circuit"]["failures"] >= TO_OPEN
    assert "Manager role" in health["circuit"]["error"]
    checked = playground.checked(app)
    assert (checked.state, "is not asked until" in str(checked.error)) == ("Failed", True), checked

    # Who has given the role wants to know at once whether it works, and not at the next probe.
    checks = decoded(app.post("/api/preflight"), Preflight).checks
    assert [(check.name, "Manager" in str(check.what_to_do)) for check in checks if not check.ok] == [
        ("cabdownloadbatch", True)
    ]

    playground.simulator.faults.clear()
    assert decoded(app.post("/api/preflight"), Preflight).ready
    app.interrupt()
    assert app.wait() == 0
    app = playground.start()
    playground.ask(app, *failures)
    # Those that were told to wait for the circuit do, for a minute.
    assert {pull.state for pull in playground.ends(app, *failures, seconds=150)} == {"Completed"}
    playground.assert_copied_once(*failures, only=False)  # the preflight writes a probe
    assert app.get("/api/health").json()["circuit"] is None


def _rests(playground: Playground, failure: Failure) -> bool:
    """Tell whether a pull has failed, or waits for the next probe."""
    row = playground.stored.pull(failure.key)
    return row["state"] == "Failed" or (row["state"] == "Queued" and bool(row["lastError"]))

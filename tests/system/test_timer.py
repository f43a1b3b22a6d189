"""The timer: reports are checked by themselves, when the schedule says so and not before."""

from local.simulator.faults import Call
from tests.support.waiting import wait_until
from tests.system.playground import Playground


def test_the_schedule_alone_brings_the_cabs(playground: Playground) -> None:
    """Nobody asks for anything: this is how the app runs all year."""
    failure = playground.simulator.builder.failure(3)
    playground.simulator.builder.report([failure])
    playground.simulator.publish()
    app = playground.start({"REPORT_POLL_SCHEDULE": "*/2 * * * * *"})
    (pull,) = playground.ends(app, failure)
    assert pull.state == "Completed"
    playground.assert_copied_once(failure)
    # It goes on, and a known run costs nothing but the look.
    checks = playground.simulator.ledger.answers(Call.REPORT)
    wait_until(lambda: playground.simulator.ledger.answers(Call.REPORT) >= checks + 2, "two more checks")
    assert len(playground.api_requests(failure)) == 1


def test_a_check_that_fails_is_a_failed_run_of_the_function(playground: Playground) -> None:
    """The monitoring of the platform counts failed runs: a check that ends well without a report tells nobody."""
    playground.simulator.builder.report([])
    playground.simulator.publish()
    app = playground.start({"DEVCENTER_ACCESS_TOKEN": "refused"}, may_raise=True)
    assert app.post("/admin/functions/check_reports", {}).status_code == 202
    app.wait_for_log("Executed 'Functions.check_reports' (Failed")
    assert "401" in app.log
    assert "refused" not in app.log.replace("is refused", "")

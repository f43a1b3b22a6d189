"""What a report costs, with all that it asks for: requests to storage are billed."""

from tests.system.playground import SMALL, Playground

# Of a pull by itself, tests/integration/pull/test_pull.py counts each request.
A_FAILURE, A_NEW_CAB = 6, 1.05
# The rows of a check itself, and one look for each application whether an earlier version stored other spellings.
A_CHECK = 16


def test_a_report_stays_within_its_budget(playground: Playground) -> None:
    """A first report names hundreds of failures, most of them with a cab or two; its rows are written before."""
    failures = [playground.simulator.builder.failure(number % 4, SMALL) for number in range(30)]
    playground.simulator.builder.report(failures)
    playground.simulator.publish()
    app = playground.start()
    app.get("/api/pulls")
    before, looks = len(playground.storage_requests()), playground.stored.pull_looks
    playground.check(app)
    for failure in failures:
        playground.wait_for_state(failure.key, {"Completed"})
    # The row of the check is looked at until the check has ended.
    asked = [
        request
        for request in playground.storage_requests()[before:]
        if not request.is_queue_message and not (request.method == "GET" and "'check'" in request.path)
    ]
    cabs = sum(number % 4 for number in range(30))
    assert len(asked) - (playground.stored.pull_looks - looks) <= A_CHECK + A_FAILURE * len(failures) + A_NEW_CAB * cabs
    playground.assert_copied_once(*failures)

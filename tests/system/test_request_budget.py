"""What a pull costs: requests to storage are billed, and those to the API may be throttled."""

from math import ceil

import pytest

from tests.system.answers import Counts
from tests.system.app import App
from tests.system.playground import SMALL, Playground

A_FAILURE, A_NEW_CAB = 6, 1.05
# Whether an earlier version stored a failure under another spelling, where one is asked for by itself.
A_LOOK = 1
# A file of the catalog, from a pull that brought cabs and had no other beside it to share the file with.
A_FILE = 1
# The rows of a check itself, and one look for each application whether an earlier version stored other spellings.
A_CHECK = 16


@pytest.fixture(scope="module")
def app(shared_playground: Playground) -> App:
    """An app that has made its tables and connections already."""
    app = shared_playground.start()
    shared_playground.pull(app, shared_playground.simulator.builder.failure(0))
    return app


@pytest.mark.parametrize("cabs", [0, 1, 101])
def test_a_pull_stays_within_its_budget(shared_playground: Playground, app: App, cabs: int) -> None:
    """At most 7 storage requests a failure that is asked for alone, 1 where it brings cabs, and 1.05 a new cab.

    And one request of the API for 100.
    """
    failure = shared_playground.simulator.builder.failure(cabs, SMALL)
    shared_playground.simulator.publish()
    cost = shared_playground.cost(app, failure)
    assert shared_playground.told(app, failure).cabs == Counts(seen=cabs, copied=cabs)
    assert cost <= A_FAILURE + A_LOOK + (A_FILE if cabs else 0) + A_NEW_CAB * cabs
    assert len(shared_playground.api_requests(failure)) <= max(1, ceil(cabs / 100))
    shared_playground.assert_copied_once(failure, only=False)


def test_many_pulls_at_once_stay_within_their_budget(shared_playground: Playground, app: App) -> None:
    """A first report names hundreds of failures, most of them with a cab or two."""
    failures = [shared_playground.simulator.builder.failure(number % 3, SMALL) for number in range(40)]
    shared_playground.simulator.publish()
    cost = shared_playground.cost(app, *failures)
    assert cost <= A_FAILURE * len(failures) + A_NEW_CAB * sum(number % 3 for number in range(40))
    shared_playground.assert_copied_once(*failures, only=False)


def test_a_report_stays_within_its_budget(playground: Playground) -> None:
    """The reading of a report counts as well: its rows are written before any pull runs."""
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


def test_a_pull_of_many_held_cabs_costs_its_pages_and_a_handful(shared_playground: Playground, app: App) -> None:
    """Every run of a report asks for all of its failures again, nearly all of them held."""
    failure = shared_playground.simulator.builder.failure(400, SMALL)
    shared_playground.simulator.publish()
    cost = shared_playground.cost(app, failure)
    assert cost <= A_FAILURE + A_NEW_CAB * 400
    assert len(shared_playground.api_requests(failure)) <= 4
    assert shared_playground.cost(app, failure) <= 20
    assert len(shared_playground.api_requests(failure)) <= 8
    assert shared_playground.told(app, failure).cabs == Counts(seen=400, already_held=400)
    shared_playground.assert_copied_once(failure, only=False)

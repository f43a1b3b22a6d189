"""Pulls asked for by a message: what another program, or a person with a storage explorer, puts into the queue."""

import json
from datetime import date, timedelta

import pytest

from tests.system.answers import Counts, Window
from tests.system.app import App
from tests.system.playground import Playground


@pytest.fixture(scope="module")
def app(shared_playground: Playground) -> App:
    return shared_playground.start()


@pytest.mark.parametrize("cabs", [0, 1, 100, 101])
def test_a_message_with_nothing_but_names_is_a_pull(shared_playground: Playground, app: App, cabs: int) -> None:
    """The rest can be left out: the app knows its own window."""
    copied = min(cabs, 5)
    failure = shared_playground.long_failure(cabs, copied)
    body = {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}
    shared_playground.stored.send(json.dumps(body))
    (pull,) = shared_playground.ends(app, failure)
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=cabs, copied=copied, unavailable=cabs - copied))
    assert pull.window is not None
    assert pull.window.end_date - pull.window.start_date == timedelta(days=31)
    shared_playground.assert_copied_once(failure, only=False)


def test_a_message_is_pulled_for_its_days_and_remembers_who_asked(shared_playground: Playground, app: App) -> None:
    """The message is the contract's: days, and who wanted it."""
    failure = shared_playground.simulator.builder.failure(3)
    shared_playground.simulator.publish()
    body = {
        "applicationId": failure.key.application_id,
        "failureHash": failure.key.failure_hash,
        "startDate": "2026-01-02",
        "endDate": "2026-01-03",
        "requestedBy": "a person with a storage explorer",
    }
    shared_playground.stored.send(json.dumps(body))
    (pull,) = shared_playground.ends(app, failure)
    assert pull.window == Window(start_date=date(2026, 1, 2), end_date=date(2026, 1, 3))
    (asked,) = shared_playground.api_requests(failure)
    assert (asked.query["startDate"], asked.query["endDate"]) == ("2026-01-02", "2026-01-03")
    assert shared_playground.stored.pull(failure.key)["requestedBy"] == "a person with a storage explorer"

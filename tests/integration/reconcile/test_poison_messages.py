"""What the poison queue holds is a pull that hosts died over, or that nothing could be done for: none may end there."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from local.simulator import catalogue
from local.simulator.thread import SimulatorThread
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from tests.integration.app import App, failure_of

NOW = datetime.now(UTC)


@pytest.fixture
def failure(simulator: SimulatorThread) -> catalogue.Failure:
    made = simulator.builder.failure(3)
    simulator.publish()
    return made


def settle(app: App, failure: catalogue.Failure) -> PullState | None:
    """Give the app the message of a pull from the poison queue, and return how its row stands then."""
    message = PullMessage(failure_of(failure), app.window, "the test", row_version="of long ago")
    app.services.poison_messages.settle(base64.b64encode(message.encode().encode()))
    row = app.services.pulls.get(failure_of(failure))
    return row.state if row else None


def poison_queue(app: App) -> QueueClient:
    return QueueClient.from_connection_string(
        app.storage.connection_string, f"{app.settings.queue}-poison", api_version="2025-05-05"
    )


def kept(app: App) -> dict[str, str]:
    return {row.text("text"): row.text("reason") for row in app.services.health.poison()}


def test_the_reconcile_takes_care_of_what_stands_in_the_poison_queue(
    app: App, failure: catalogue.Failure, simulator: SimulatorThread
) -> None:
    """No function sees what the host cannot decode, and none what was delivered too often."""
    bad_dates = simulator.builder.failure(1)
    named = {"applicationId": bad_dates.key.application_id, "failureHash": bad_dates.key.failure_hash}
    with poison_queue(app) as queue:
        queue.create_queue()
        for text in (
            "{not base64, and no JSON}",
            "nor this!",
            base64.b64encode(b"\xff\xfeUTF-16?").decode(),
            base64.b64encode(b"no JSON").decode(),
            base64.b64encode(json.dumps({**named, "startDate": "soon"}).encode()).decode(),
            base64.b64encode(PullMessage(failure_of(failure), app.window, "x").encode().encode()).decode(),
        ):
            queue.send_message(text)
        found = app.reconcile()
        assert queue.get_queue_properties().approximate_message_count == 0
    assert (found.poison, found.queued_again) == (4, 1), "the Failed one is brought back in the same run"
    assert app.row(bad_dates).state is PullState.QUEUED
    reasons = kept(app)
    assert "not base64" in reasons["nor this!"]
    assert sum("not UTF-8" in each for each in reasons.values()) == 1
    assert app.waiting_messages() == 2, "so is the good one"


def test_a_host_that_holds_the_row_is_waited_for(app: App, failure: catalogue.Failure) -> None:
    app.request(failure)
    app.queue.clear_messages()
    app.change_pull(failure, state="Running", startedAt=NOW, seen=1, leaseUntil=NOW + timedelta(hours=1))
    with QueueClient.from_connection_string(
        app.storage.connection_string,
        f"{app.settings.queue}-poison",
        api_version="2025-05-05",
        message_encode_policy=TextBase64EncodePolicy(),
    ) as queue:
        queue.create_queue()
        assert settle(app, failure) is PullState.RUNNING
        assert queue.get_queue_properties().approximate_message_count == 1
        assert queue.receive_message() is None, "not before its lease is over"
    assert app.waiting_messages() == 0

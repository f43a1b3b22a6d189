"""What the poison queue holds is a pull that hosts died over, or that nothing could be done for: none may end there."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from local.simulator import catalogue
from local.simulator.thread import SimulatorThread
from shared.core.errors import AgainLater
from shared.progress.messages import PullMessage
from shared.progress.pulls import PullState
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


@pytest.mark.parametrize(
    ("columns", "state", "messages"),
    [
        ({}, PullState.QUEUED, 1),
        ({"state": "Running", "startedAt": NOW, "seen": 130}, PullState.RUNNING, 1),
        ({"state": "Queued", "startedAt": NOW, "seen": 130, "lastError": "no disk"}, PullState.QUEUED, 1),
        ({"state": "Running", "startedAt": NOW, "seen": 130, "seenWhenPoisoned": 130}, PullState.FAILED, 0),
        ({"state": "Running", "startedAt": NOW, "seen": 131, "seenWhenPoisoned": 130}, PullState.RUNNING, 1),
        ({"state": "Running", "startedAt": NOW}, PullState.FAILED, 0),
        ({"state": "Queued", "lastError": "no disk"}, PullState.FAILED, 0),
        ({"state": "Completed", "startedAt": NOW}, PullState.COMPLETED, 1),
        ({"state": "Failed", "startedAt": NOW}, PullState.FAILED, 0),
        (
            {"state": "Failed", "startedAt": NOW, "endDate": "2026-01-01", "startDate": "2026-01-01"},
            PullState.FAILED,
            1,
        ),
    ],
    ids=[
        *("never begun", "moved, and its host died", "moved, and failed", "stood still since", "moved since"),
        *("never moved", "failed before it began", "completed", "failed for these days", "failed for other days"),
    ],
)
def test_only_a_pull_that_was_tried_and_did_not_move_is_failed(
    app: App, failure: catalogue.Failure, columns: dict[str, object], state: PullState, messages: int
) -> None:
    """Hosts that die, and services that do not answer, are no fault of a pull: who sets it to Failed loses its cabs."""
    app.request(failure)
    app.queue.clear_messages()
    app.change_pull(failure, **columns)
    assert settle(app, failure) is state
    assert app.waiting_messages() == messages
    assert kept(app) == {}
    if "seen" in columns:
        row = app.services.pulls.row(failure_of(failure))
        assert row is not None
        assert row.number("seenWhenPoisoned") == (columns["seen"] if messages else 130)


def test_a_message_that_never_came_to_a_row_is_pulled(app: App, failure: catalogue.Failure) -> None:
    """It came while no host could begin anything."""
    assert settle(app, failure) is None
    assert app.waiting_messages() == 1


def test_a_row_that_cannot_be_read_keeps_the_message(app: App, failure: catalogue.Failure) -> None:
    app.request(failure)
    app.queue.clear_messages()
    app.change_pull(failure, state="Confused")
    message = PullMessage(failure_of(failure), None, "the test").encode()
    app.services.poison_messages.settle(message.encode())
    assert "cannot be read" in kept(app)[message]


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


def test_a_poison_message_that_cannot_be_settled_stays_and_stops_no_other(
    app: App, failure: catalogue.Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = app.services.health.keep_poison

    def failing(text: str, reason: str) -> None:
        if "first" in text:
            raise AgainLater("table health: storage does not answer")
        keep(text, reason)

    monkeypatch.setattr(app.services.health, "keep_poison", failing)
    with poison_queue(app) as queue:
        queue.create_queue()
        queue.send_message("first!")
        queue.send_message("second!")
        with pytest.raises(AgainLater, match="1 of 0 failures"):
            app.reconcile()
        assert queue.get_queue_properties().approximate_message_count == 1
    assert set(kept(app)) == {"second!"}


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

"""What the poison queue holds is a pull that hosts died over, or that nothing could be done for: none may end there."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.errors import AgainLater
from shared.core.failure import Failure
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from tests.simulation.tasks import BEGINNING
from tests.support.memory_app import MemoryApp, memory_app

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = BEGINNING
FAILURE = Failure("1", "failure")


@pytest.fixture
def app() -> Iterator[MemoryApp]:
    with memory_app() as made:
        made.serve(FAILURE, 3)
        yield made


def settle(app: MemoryApp, text: str = "") -> PullState | None:
    """Give the app a message from the poison queue, that of the pull if none is told; return how its row stands."""
    message = PullMessage(FAILURE, app.window, "the test", row_version="of long ago")
    raw = text.encode() or base64.b64encode(message.encode().encode())
    app.do(lambda: app.host.poison_messages.settle(raw))
    row = app.world.promise.pull_row(FAILURE)
    return row.state if row else None


def kept(app: MemoryApp) -> dict[str, str]:
    return {row.text("text"): row.text("reason") for row in app.kept()}


def queued(app: MemoryApp, **columns: object) -> None:
    """Queue the pull, lose its message, and write columns of its row."""
    app.request(FAILURE)
    app.world.queue.messages.clear()
    app.change_pull(FAILURE, **columns)


@pytest.mark.parametrize(
    ("columns", "state", "messages"),
    [
        ({}, PullState.QUEUED, 1),
        ({"state": "Running", "startedAt": NOW, "seen": 130}, PullState.RUNNING, 1),
        ({"state": "Queued", "startedAt": NOW, "seen": 130, "lastError": "no disk"}, PullState.QUEUED, 1),
        ({"state": "Running", "startedAt": NOW, "seen": 130, "seenWhenPoisoned": 130}, PullState.FAILED, 0),
        ({"state": "Running", "startedAt": NOW, "seen": 131, "seenWhenPoisoned": 130}, PullState.RUNNING, 1),
        ({"state": "Running", "startedAt": NOW}, PullState.FAILED, 0),
        ({"state": "Queued", "startedAt": NOW}, PullState.FAILED, 0),
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
        *("never moved", "begun, and never moved", "failed before it began", "completed"),
        *("failed for these days", "failed for other days"),
    ],
)
def test_only_a_pull_that_was_tried_and_did_not_move_is_failed(
    app: MemoryApp, columns: dict[str, object], state: PullState, messages: int
) -> None:
    """Hosts that die, and services that do not answer, are no fault of a pull: who sets it to Failed loses its cabs."""
    queued(app, **columns)
    assert settle(app) is state
    assert len(app.world.queue.messages) == messages
    assert kept(app) == {}
    row = app.world.tables["pulls"].row(FAILURE.application_id, FAILURE.failure_hash)
    assert row is not None
    if "seen" in columns:
        assert row.number("seenWhenPoisoned") == (columns["seen"] if messages else 130)
    if state is PullState.FAILED and columns.get("state") != "Failed":
        assert str(columns.get("lastError", "its message failed too often: ")) in row.text("lastError")
    for message in app.world.queue.messages:
        sent = PullMessage.decode(message.text.encode())
        assert (sent.failure, sent.window, sent.row_version) == (FAILURE, app.window, "")
        assert message.visible_at - message.sent_at == timedelta(seconds=30), "hosts must not die over it one by one"


def test_a_pull_that_its_hosts_died_over_is_told_once(app: MemoryApp, caplog: pytest.LogCaptureFixture) -> None:
    """Its message is gone then: without this line nothing could be alerted on."""
    queued(app, lastError="no\nINFO disk")
    for _ in range(2):
        settle(app)
    (told,) = (line for line in caplog.messages if line.startswith("pull-failed: "))
    names = f"applicationId={FAILURE.application_id} failureHash={FAILURE.failure_hash}"
    assert told.startswith(f"pull-failed: {names} pull={app.row(FAILURE).pull_id} kind=unforeseen reason=no INFO disk")


def test_a_message_that_never_came_to_a_row_is_pulled(app: MemoryApp) -> None:
    """It came while no host could begin anything."""
    assert settle(app) is None
    assert app.work_off() == 1
    assert len(app.blobs(FAILURE)) == 3


def test_a_row_that_cannot_be_read_keeps_the_message(app: MemoryApp) -> None:
    queued(app, state="Confused")
    message = PullMessage(FAILURE, None, "the test").encode()
    app.do(lambda: app.host.poison_messages.settle(message.encode()))
    assert kept(app).keys() == {message}
    assert f"the row of the pull of {FAILURE} cannot be read: 'Confused'" in kept(app)[message]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{not base64, and no JSON}", "JSON"),
        ("nor this!", "not base64"),
        (base64.b64encode(b"\xff\xfeUTF-16?").decode(), "not UTF-8"),
        (base64.b64encode(b"no JSON").decode(), "JSON"),
    ],
)
def test_a_message_that_names_no_pull_is_kept(app: MemoryApp, text: str, why: str) -> None:
    settle(app, text)
    (reason,) = kept(app).values()
    assert why in reason


def test_a_pull_that_no_message_can_tell_of_is_failed_and_says_why(app: MemoryApp) -> None:
    queued(app)
    named = {"applicationId": FAILURE.application_id, "failureHash": FAILURE.failure_hash}
    text = base64.b64encode(json.dumps({**named, "startDate": "soon"}).encode()).decode()
    assert settle(app, text) is PullState.FAILED
    assert "startDate" in app.row(FAILURE).last_error
    assert kept(app) == {}


def test_a_message_of_another_pull_than_the_row_tells_of_is_kept(app: MemoryApp) -> None:
    """The row is Completed, and says nothing of what came."""
    queued(app, state="Completed")
    named = {"applicationId": FAILURE.application_id, "failureHash": FAILURE.failure_hash}
    assert settle(app, json.dumps({**named, "startDate": "soon"})) is PullState.COMPLETED
    assert len(kept(app)) == 1


def test_a_host_that_holds_the_row_is_waited_for(app: MemoryApp) -> None:
    queued(app, state="Running", startedAt=NOW, seen=1, leaseUntil=NOW + timedelta(hours=1))
    assert settle(app) is PullState.RUNNING
    assert not app.world.queue.messages
    (message,) = app.world.poison.messages
    sent = PullMessage.decode(message.text.encode())
    assert sent.failure == FAILURE
    waits = message.visible_at - app.world.tasks.now()
    assert timedelta(minutes=59) < waits < timedelta(hours=1, seconds=2), "not before its lease is over"


def test_a_poison_message_that_cannot_be_settled_stays_and_stops_no_other(
    app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = app.host.health.keep_poison

    def failing(text: str, reason: str) -> None:
        if "first" in text:
            raise AgainLater("table health: storage does not answer, sig=SECRET")
        keep(text, reason)

    monkeypatch.setattr(app.host.health, "keep_poison", failing)
    for text in ("first!", "second!"):
        app.world.poison.send(text, timedelta())
    with pytest.raises(AgainLater, match="1 of 0 failures"):
        app.reconcile()
    assert [message.text for message in app.world.poison.messages] == ["first!"]
    assert set(kept(app)) == {"second!"}
    found = app.do(app.host.health.reconciled)
    assert found is not None
    assert found.error.startswith("a message of the poison queue: table health: storage does not answer")
    assert "SECRET" not in found.error

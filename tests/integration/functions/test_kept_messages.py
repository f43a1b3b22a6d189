"""A message that comes while nothing can be done must wait: five deliveries once emptied a queue in two minutes."""

import base64
import os
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from azure.functions.queue import QueueMessage
from azure.storage.queue import QueueClient

from functions import kept_messages, queues
from local.simulator import catalogue
from local.simulator.thread import SimulatorThread
from shared import services
from shared.core import stopping
from shared.core.errors import AgainLater
from shared.core.settings_table import default_of
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.progress.pulls import PullRows
from tests.integration.app import App, failure_of, served

DEFAULT_QUEUE = default_of("CAB_QUEUE")
pytestmark = pytest.mark.usefixtures("environment")
# What the host calls; the blueprint keeps builders in the place of the functions.
PULL, ABANDON = (each._function.get_user_function() for each in (queues.pull_failure, queues.abandon_pull))
POISON = f"{DEFAULT_QUEUE}-poison"


@pytest.fixture
def environment(
    app: App, simulator: SimulatorThread, access_token: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The app settings of a process that has done nothing yet."""
    monkeypatch.setenv("CAB_STORAGE", app.storage.connection_string)
    monkeypatch.setenv("CAB_SOURCE_HOSTS", "127.0.0.1")
    monkeypatch.setenv("DEVCENTER_BASE_URL", simulator.url)
    monkeypatch.setenv("DEVCENTER_ACCESS_TOKEN", access_token)
    monkeypatch.setattr(kept_messages, "_refusal", kept_messages._Refusal())
    services._made.cache_clear()
    yield
    services._made.cache_clear()


@pytest.fixture
def failure(simulator: SimulatorThread) -> catalogue.Failure:
    return served(simulator, 2)


def message_of(app: App, failure: catalogue.Failure, deliveries: int = 1) -> QueueMessage:
    """Return a message as the worker hands it to a function."""
    asked = PullMessage(failure_of(failure), app.window, "the test", row_version="a version", resumes=True)
    return QueueMessage(body=base64.b64encode(asked.encode().encode()).decode(), dequeue_count=deliveries)


def waiting(app: App, queue: str = DEFAULT_QUEUE) -> list[str]:
    """Return the texts of a queue's messages, none of which may come back at once."""
    with QueueClient.from_connection_string(app.storage.connection_string, queue, api_version="2025-05-05") as client:
        assert client.receive_message() is None, "it would come back at once, and again"
        sent = [each for each in app.requests() if each.method == "POST" and each.path == f"/{queue}/messages"]
        assert len(sent) == client.get_queue_properties().approximate_message_count
    return [each.path for each in sent]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULL_CONCURRENCY", "many"),
        ("DEVCENTER_ACCESS_TOKEN", ""),
        ("CAB_CONTAINER", "No Name"),
        ("DEVCENTER_BASE_URL", "http://x"),
    ],
)
def test_a_bad_setting_keeps_every_message_and_is_named_once_a_minute(
    app: App,
    failure: catalogue.Failure,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
) -> None:
    good = os.environ.get(name)
    monkeypatch.setenv(name, value)
    for _ in range(5):
        PULL(message_of(app, failure))
    assert len(waiting(app)) == 5
    told = [record.getMessage() for record in caplog.records if "messages are kept" in record.getMessage()]
    assert len(told) == 1
    assert (name if value else "DEVCENTER_TENANT_ID") in told[0]
    monkeypatch.setenv(name, good or "")
    monkeypatch.setattr(kept_messages, "_REFUSED_SECONDS", 0.0)
    PULL(message_of(app, failure))
    assert app.row(failure).state is PullState.COMPLETED


def test_a_table_that_cannot_be_reached_at_the_start_keeps_every_message(
    app: App, failure: catalogue.Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them would else wait for the same refusal, one after the other, and hold the worker's threads."""
    asked = 0

    def refused(_: object) -> None:
        nonlocal asked
        asked += 1
        raise AgainLater("creating the table pulls: storage does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(services.Services, "create_missing", refused)
        for _ in range(3):
            PULL(message_of(app, failure))
    assert (asked, len(waiting(app))) == (1, 3)
    monkeypatch.setattr(kept_messages, "_REFUSED_SECONDS", 0.0)
    PULL(message_of(app, failure))
    assert app.row(failure).state is PullState.COMPLETED


def test_a_poison_message_that_cannot_be_settled_comes_back(
    app: App, failure: catalogue.Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the poison queue no host takes a message for ever, and there is none behind it."""
    with QueueClient.from_connection_string(app.storage.connection_string, POISON, api_version="2025-05-05") as queue:
        queue.create_queue()

    def failing(*_: object) -> None:
        raise AgainLater("table pulls: storage does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(PullRows, "row", failing)
        ABANDON(message_of(app, failure))
    monkeypatch.setenv("RETENTION_DAYS", "long")
    services._made.cache_clear()
    ABANDON(message_of(app, failure))
    assert len(waiting(app, POISON)) == 2
    assert app.services.pulls.get(failure_of(failure)) is None


def test_a_message_that_comes_after_the_stop_is_returned(
    app: App, failure: catalogue.Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be taken, handed on, and come back at once, for as long as the process lives."""
    app.request(failure)
    app.queue.clear_messages()
    before, sent = app.services.pulls.row(failure_of(failure)), len(app.requests())
    monkeypatch.setattr(stopping, "is_stopping", lambda: True)
    for _ in range(3):
        PULL(message_of(app, failure))
    assert app.services.pulls.row(failure_of(failure)) == before
    assert [each.path for each in app.requests()[sent:] if "/messages" not in each.path and each.method != "GET"] == []
    assert app.receive() is None, "not at once"
    assert app.waiting_messages() == 3
    assert "shared.services" in sys.modules
    assert services._made.cache_info().currsize == 0, "nothing is made for a message that is returned"


@pytest.mark.parametrize(("deliveries", "version"), [(1, "a version"), (2, "")])
def test_a_message_that_may_have_changed_its_row_names_no_version_any_more(
    app: App, failure: catalogue.Failure, monkeypatch: pytest.MonkeyPatch, deliveries: int, version: str
) -> None:
    """Its deliveries begin at one again: it would take its own row for another message's, and be dropped."""
    monkeypatch.setattr(stopping, "is_stopping", lambda: True)
    monkeypatch.setattr(kept_messages, "_AFTER_STOP", timedelta())
    PULL(message_of(app, failure, deliveries))
    message = app.wait_for_message()
    assert PullMessage.decode(message.content.encode()).row_version == version


@pytest.mark.parametrize("text", ["{no JSON", "no base64!", "", base64.b64encode(b"\xff\xfe").decode()])
def test_what_is_no_message_is_kept_at_once(app: App, text: str) -> None:
    PULL(QueueMessage(body=text, dequeue_count=1))
    assert len([*app.services.health.poison()]) == 1
    assert app.waiting_messages() == 0

"""What the app has to say must reach a person: a line of no invocation is dropped, a lost pull is a success."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm
from local.simulator.thread import SimulatorThread
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from tests.integration.app import App, failure_of
from tests.integration.conftest import MakeApp
from tests.support.azurite import StorageAccount

ROOT = Path(__file__).parents[3]


def test_a_line_of_any_thread_is_known_to_belong_to_its_invocation(
    app: App, storage: StorageAccount, simulator: SimulatorThread, access_token: str
) -> None:
    failure = simulator.builder.failure(40)
    simulator.publish()
    simulator.form = BatchForm(largest_page=20)
    app.request(failure)
    # For so long that the lease is renewed.
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.SLOW, delay=2))
    settings = {
        "CAB_STORAGE": storage.connection_string,
        "CAB_SOURCE_HOSTS": "127.0.0.1",
        "DEVCENTER_BASE_URL": simulator.url,
        "DEVCENTER_ACCESS_TOKEN": access_token,
        "PULL_LEASE_SECONDS": "1",
    }
    message = PullMessage(failure_of(failure), app.window, "the test").encode()
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.invoked_app", message],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = {(thread.partition("_")[0].split()[0], invocation) for thread, invocation in json.loads(done.stdout)}
    # Pages are fetched in the threads of the copies.
    expected = {("copy", "of pull_failure"), ("lease", "of pull_failure"), ("reconcile", "of reconcile")}
    assert expected <= seen
    ours = {(thread, invocation) for thread, invocation in seen if thread not in {"MainThread", "asyncio"}}
    assert not {thread for thread, invocation in ours if invocation is None}
    assert len(app.listed(failure)) == 40


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if line.startswith(("pull-failed: ", "message-kept: "))]


def test_a_pull_that_fails_for_good_is_told_once(
    app: App, simulator: SimulatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    """Its function succeeds, so that its message goes: without this line nothing could be alerted on."""
    failure = simulator.builder.failure(2)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.BAD_REQUEST))
    assert app.pull(failure).state is PullState.FAILED
    (told,) = events(caplog)
    names = f"applicationId={failure.key.application_id} failureHash={failure.key.failure_hash}"
    assert told.startswith(f"pull-failed: {names} pull={app.row(failure).pull_id} kind=never reason=")
    assert "400" in told
    app.services.poison_messages.settle(PullMessage(failure_of(failure), app.window, "the test").encode().encode())
    assert events(caplog) == [told], "who finds it Failed has nothing to tell"


def test_a_pull_that_is_given_up_after_its_tries_is_told_once(
    make_app: MakeApp, simulator: SimulatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    failure = simulator.builder.failure(2)
    simulator.publish()
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.HTML, times=None))
    app = make_app(PULL_MAX_ATTEMPTS="2")
    app.pull(failure)
    assert events(caplog) == [], "it is tried again"
    app.pull(failure)
    (told,) = events(caplog)
    assert "kind=later" in told


def test_a_pull_that_its_hosts_died_over_is_told_once(
    app: App, simulator: SimulatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    failure = simulator.builder.failure(2)
    simulator.publish()
    app.request(failure)
    app.change_pull(failure, state="Queued", lastError="no\nINFO disk")
    message = PullMessage(failure_of(failure), app.window, "the test").encode().encode()
    for _ in range(2):
        app.services.poison_messages.settle(message)
    (told,) = events(caplog)
    assert told.startswith(f"pull-failed: applicationId={failure.key.application_id} ")
    assert "kind=unforeseen" in told


def test_a_message_that_is_put_aside_is_told(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app.services.poison_messages.settle(b"bm90aGluZw==")
    assert len(events(caplog)) == 1

"""What the app has to say must reach a person: the platform drops a line of no invocation."""

import json
import os
import subprocess
import sys
from pathlib import Path

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm
from local.simulator.thread import SimulatorThread
from shared.progress.messages import PullMessage
from tests.integration.app import App, failure_of, served
from tests.support.azurite import StorageAccount

ROOT = Path(__file__).parents[3]


def test_a_line_of_any_thread_is_known_to_belong_to_its_invocation(
    app: App, storage: StorageAccount, simulator: SimulatorThread, access_token: str
) -> None:
    failure = served(simulator, 40)
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

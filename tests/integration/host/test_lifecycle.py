"""Starting and stopping: an app that cannot run says why, and a stop loses nothing."""

import json
from http import HTTPStatus
from pathlib import Path

from azure.storage.queue import QueueClient

from tests.integration.host.conftest import StartHost, write_host_json
from tests.integration.host.running import wait_until


def test_an_app_that_does_not_import_answers_with_the_reason(start: StartHost, app: Path) -> None:
    (app / "function_app.py").write_text("import no_such_module\n")
    host = start()
    answer = host.ask("GET", "/api/things/me/first")
    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "No module named 'no_such_module'" in json.loads(answer.body)["detail"]
    assert json.loads(host.ask("GET", "/admin/host/status").body)["state"] == "Error"
    assert "Traceback" in host.log
    assert "function_app.py" in host.log
    assert host.stop() == 0


def test_a_function_that_overruns_ends_the_host(start: StartHost, jobs: QueueClient, app: Path) -> None:
    write_host_json(app, function_timeout="00:00:01")
    host = start(LOCAL_MESSAGE_LEASE_SECONDS="600")
    jobs.send_message("wait for-ever")
    assert host.process.wait(20) == 1
    assert "Timeout value of 0:00:01 exceeded by function 'Functions.job'" in host.log
    wait_until(lambda: jobs.peek_messages(5), "the message, back after its visibilityTimeout")

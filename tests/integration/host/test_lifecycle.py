"""Starting and stopping: an app that cannot run says why, and a stop loses nothing."""

import json
import threading
from http import HTTPStatus
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient

from tests.integration.host.conftest import StartHost, write_host_json
from tests.integration.host.running import Answer, wait_until


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


def test_a_stop_lets_running_functions_end(start: StartHost, jobs: QueueClient, app: Path) -> None:
    host = start()
    jobs.send_message("wait job-gate")
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(host.ask("GET", "/api/slow/http-gate")))
    asking.start()
    host.wait_for("job 1 wait job-gate")
    host.wait_for("slow http-gate")
    host.interrupt()
    wait_until(lambda: "Host is stopping" in host.log, "the stop")
    jobs.send_message("not taken any more")
    (app / "job-gate").touch()
    host.wait_for("done wait job-gate")
    with pytest.raises(AssertionError):
        wait_until(lambda: host.process.poll() is not None, "an end before the request's", seconds=1.5)
    (app / "http-gate").touch()
    assert host.process.wait(20) == 0
    asking.join()
    assert answers[0].body == b"at last"
    assert "done wait job-gate" in host.events
    assert [message.content for message in jobs.peek_messages(5)] == ["not taken any more"]


def test_a_stop_gives_back_what_does_not_end(start: StartHost, jobs: QueueClient) -> None:
    host = start(LOCAL_STOP_GRACE_SECONDS="0", LOCAL_MESSAGE_LEASE_SECONDS="600")
    jobs.send_message("wait for-ever")
    host.wait_for("job 1 wait for-ever")
    assert host.stop() == 0, "a thread that is still busy must not keep the host from ending"
    assert [message.content for message in jobs.peek_messages(5)] == ["wait for-ever"]


def test_a_second_signal_ends_at_once(start: StartHost, jobs: QueueClient) -> None:
    host = start(LOCAL_STOP_GRACE_SECONDS="600")
    jobs.send_message("wait for-ever")
    host.wait_for("job 1 wait for-ever")
    host.interrupt()
    wait_until(lambda: "Host is stopping" in host.log, "the first signal's effect")
    assert host.process.poll() is None
    assert host.stop() > 128


def test_a_function_that_overruns_ends_the_host(start: StartHost, jobs: QueueClient, app: Path) -> None:
    write_host_json(app, function_timeout="00:00:01")
    host = start(LOCAL_MESSAGE_LEASE_SECONDS="600")
    jobs.send_message("wait for-ever")
    assert host.process.wait(20) == 1
    assert "Timeout value of 0:00:01 exceeded by function 'Functions.job'" in host.log
    wait_until(lambda: jobs.peek_messages(5), "the message, back after its visibilityTimeout")

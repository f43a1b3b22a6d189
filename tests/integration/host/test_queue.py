"""The queue of the local host is Azure's: what every system test, and whoever tries the app, takes it for.

That a message comes back whose host was killed is what tests/system/test_killed_host.py stands on.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from tests.support.azurite import StorageAccount
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 20.0
# Its functions do as the first word of their message says, and note it.
APP = """
import os, time
from pathlib import Path
import azure.functions as func

app, events = func.FunctionApp(), Path("events.txt").resolve()

def note(*words):
    with events.open("a", encoding="utf-8") as file:
        file.write(" ".join(map(str, words)) + "\\n")

@app.queue_trigger("message", "jobs", "JOBS_STORAGE")
def job(message: func.QueueMessage) -> None:
    body = message.get_body().decode()
    note("job", message.dequeue_count, body)
    verb, _, rest = body.partition(" ")
    if verb == "fail":
        raise ValueError("as asked: https://example.com/?sig=TOPSECRET")
    while verb == "wait" and not events.with_name(rest).exists():
        time.sleep(0.01)
    if verb == "nap":
        time.sleep(float(rest))

@app.queue_trigger("message", "jobs-poison", "JOBS_STORAGE")
def bury(message: func.QueueMessage) -> None:
    note("bury", message.dequeue_count, message.get_body().decode())
"""
type Start = Callable[..., Path]


@pytest.fixture
def jobs(storage: StorageAccount) -> Iterator[QueueClient]:
    """The queue, filled as an app that uses the SDK would."""
    with QueueClient.from_connection_string(
        storage.connection_string, "jobs", api_version="2025-05-05", message_encode_policy=TextBase64EncodePolicy()
    ) as queue:
        queue.create_queue()
        yield queue


@pytest.fixture
def start(tmp_path: Path, storage: StorageAccount) -> Iterator[Start]:
    """Start a host of that app, with a host.json for impatient people; return where its events and its log are."""
    hosts: list[subprocess.Popen[bytes]] = []

    def start_host(*, function_timeout: str = "00:05:00", **queues: Any) -> Path:
        (tmp_path / "function_app.py").write_text(APP, encoding="utf-8")
        options = {"visibilityTimeout": "00:00:01", "maxPollingInterval": "00:00:00.200", "maxDequeueCount": 2}
        extensions = {"queues": {**options, **queues}}
        content = {"version": "2.0", "functionTimeout": function_timeout, "extensions": extensions}
        (tmp_path / "host.json").write_text(json.dumps(content), encoding="utf-8")
        settings = {"JOBS_STORAGE": storage.connection_string, "LOCAL_MESSAGE_LEASE_SECONDS": "2"}
        with (tmp_path / "host.log").open("wb") as log:
            command = [sys.executable, "-m", "local.host", "--app", str(tmp_path), "--port", "0"]
            environment = {**os.environ, **settings, "PYTHON_THREADPOOL_THREAD_COUNT": "8", "PYTHONPATH": str(ROOT)}
            hosts.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log))
        return tmp_path

    yield start_host
    for host in hosts:
        host.kill()
        host.wait(DEADLINE_SECONDS)


def events(folder: Path) -> list[str]:
    path = folder / "events.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def is_empty(queue: QueueClient) -> bool:
    """Tell whether a queue holds no message, visible or not."""
    return not queue.get_queue_properties().approximate_message_count


def test_a_message_that_fails_comes_back_and_ends_in_the_poison_queue(start: Start, jobs: QueueClient) -> None:
    folder = start()
    jobs.send_message("fail ünï")
    wait_until(lambda: "job 1 fail ünï" in events(folder), "the first try")
    failed = time.monotonic()
    wait_until(lambda: "job 2 fail ünï" in events(folder), "the second try")
    assert time.monotonic() - failed > 0.7, "visibilityTimeout was not kept"
    # The function on the poison queue gets the same body; the queue did not exist before.
    wait_until(lambda: "bury 1 fail ünï" in events(folder), "its burial")
    wait_until(lambda: is_empty(jobs), "an empty queue")
    assert "job 3 fail ünï" not in events(folder)
    log = (folder / "host.log").read_text(encoding="utf-8")
    assert "ValueError: as asked" in log
    assert "TOPSECRET" not in log


def test_a_long_function_keeps_its_message_beyond_the_lease(start: Start, jobs: QueueClient) -> None:
    folder = start()
    jobs.send_message("nap 3")
    wait_until(lambda: events(folder) and is_empty(jobs), "an empty queue")
    assert events(folder) == ["job 1 nap 3"]


def test_as_many_run_at_once_as_batch_size_and_threshold_allow(start: Start, jobs: QueueClient) -> None:
    for number in range(5):
        jobs.send_message(f"wait gate-{number}")
    folder = start(batchSize=2, newBatchThreshold=1)
    wait_until(lambda: len(events(folder)) == 2, "the first batch")
    (folder / events(folder)[0].split()[-1]).touch()
    # One is left, which is the threshold: the next batch of two makes three.
    wait_until(lambda: len(events(folder)) == 4, "the second batch")
    with pytest.raises(AssertionError):
        wait_until(lambda: len(events(folder)) > 4, "a third batch", seconds=0.6)
    for number in range(5):
        (folder / f"gate-{number}").touch()
    wait_until(lambda: is_empty(jobs), "an empty queue")


def test_a_function_that_overruns_ends_the_host_and_gives_its_message_back(start: Start, jobs: QueueClient) -> None:
    folder = start(function_timeout="00:00:01", visibilityTimeout="00:00:00")
    jobs.send_message("wait for-ever")
    log = folder / "host.log"
    told = "Timeout value of 0:00:01 exceeded by function 'Functions.job'"
    wait_until(lambda: told in log.read_text(encoding="utf-8"), "its end")
    # A host that had gone on would have taken it again at once.
    wait_until(lambda: jobs.peek_messages(5), "the message, back after its lease")
    assert events(folder) == ["job 1 wait for-ever"]

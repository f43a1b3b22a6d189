"""A queue, an app directory and hosts for each test."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from tests.integration.host.running import RunningHost
from tests.support.azurite import StorageAccount

StartHost = Callable[..., RunningHost]


@pytest.fixture
def jobs(storage: StorageAccount) -> Iterator[QueueClient]:
    """The queue that the sample app listens to, filled as an app that uses the SDK would."""
    with QueueClient.from_connection_string(
        storage.connection_string,
        "jobs",
        api_version="2025-05-05",
        message_encode_policy=TextBase64EncodePolicy(),
        message_decode_policy=TextBase64DecodePolicy(),
    ) as queue:
        queue.create_queue()
        yield queue


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A directory with the sample app and a host.json for impatient people."""
    shutil.copy(Path(__file__).with_name("sample_app.py"), tmp_path / "function_app.py")
    write_host_json(tmp_path)
    return tmp_path


@pytest.fixture
def start(app: Path, storage: StorageAccount, jobs: QueueClient) -> Iterator[StartHost]:
    """Start a host on the sample app; settings are added to those that it needs."""
    hosts: list[RunningHost] = []

    def start_host(**settings: str) -> RunningHost:
        needed = {
            "EVENTS": str(app / "events.txt"),
            "JOBS": jobs.queue_name,
            "JOBS_STORAGE": storage.connection_string,
            "LOCAL_MESSAGE_LEASE_SECONDS": "2",
        }
        hosts.append(RunningHost(app, {**needed, **settings}))
        return hosts[-1]

    yield start_host
    for host in hosts:
        if host.process.poll() is None:
            host.kill()


def write_host_json(directory: Path, function_timeout: str = "00:05:00", **queues: Any) -> None:
    """Write a host.json with `extensions.queues` as given, over a one-second return of failed messages."""
    options = {"visibilityTimeout": "00:00:01", "maxPollingInterval": "00:00:00.200", "maxDequeueCount": 2, **queues}
    content = {"version": "2.0", "functionTimeout": function_timeout, "extensions": {"queues": options}}
    (directory / "host.json").write_text(json.dumps(content), encoding="utf-8")

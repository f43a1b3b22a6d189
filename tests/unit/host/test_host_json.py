"""host.json is read as Azure reads it; what is wrong in it is named before anything starts."""

from datetime import timedelta
from pathlib import Path

import pytest

from local.host.errors import StartError
from local.host.host_json import HostJson, read_host_json


def read(tmp_path: Path, content: str) -> HostJson:
    path = tmp_path / "host.json"
    path.write_text(content, encoding="utf-8")
    return read_host_json(path)


def test_defaults_are_azures(tmp_path: Path) -> None:
    host_json = read(tmp_path, '{"version": "2.0", "logging": {"anything": 1}}')
    queues = host_json.extensions.queues
    assert host_json.function_timeout == timedelta(minutes=30)
    assert host_json.extensions.http.route_prefix == "api"
    assert (queues.batch_size, queues.threshold, queues.max_dequeue_count) == (16, 8, 5)
    assert (queues.visibility_timeout, queues.max_polling_interval) == (timedelta(0), timedelta(minutes=1))
    assert queues.message_encoding == "base64"


def test_every_queue_setting_is_taken(tmp_path: Path) -> None:
    queues = read(
        tmp_path,
        """{"version": "2.0", "extensions": {"queues": {"maxPollingInterval": "00:00:02.500", "batchSize": 8,
        "visibilityTimeout": "1.00:00:30", "newBatchThreshold": 0, "maxDequeueCount": 3, "messageEncoding": "none"}}
        }""",
    ).extensions.queues
    assert queues.max_polling_interval == timedelta(seconds=2.5)
    assert queues.visibility_timeout == timedelta(days=1, seconds=30)
    assert (queues.batch_size, queues.threshold, queues.max_dequeue_count) == (8, 0, 3)
    assert queues.message_encoding == "none"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{}", "version"),
        ('{"version": "1.0"}', "$.version"),
        ('{"version": "2.0", "functionTimeout": "5 minutes"}', "$.functionTimeout"),
        ('{"version": "2.0", "functionTimeout": 300}', "$.functionTimeout"),
        ('{"version": "2.0", "functionTimeout": "00:00:00"}', "functionTimeout"),
        ('{"version": "2.0", "functionTimeout": "24:00:00"}', "$.functionTimeout"),
        ('{"version": "2.0", "extensions": {"queues": {"batchSize": 33}}}', "$.extensions.queues.batchSize"),
        ('{"version": "2.0", "extensions": {"queues": {"batchsize": 3}}}', "batchsize"),
        ('{"version": "2.0", "extensions": {"queues": {"maxPollingInterval": "00:00:00"}}}', "maxPollingInterval"),
        ('{"version": "2.0", "extensions": {"queues": {"messageEncoding": "hex"}}}', "messageEncoding"),
        ('{"version": "2.0", "extensions": {"http": {"routePrefix": "/api/"}}}', "routePrefix"),
        ('{"version": "2.0", ', "truncated"),
        ("[]", "array"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, named: str) -> None:
    with pytest.raises(StartError, match=r"host\.json: ") as raised:
        read(tmp_path, content)
    assert named in str(raised.value)

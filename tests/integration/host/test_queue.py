"""The queue trigger: no message is lost, none is repeated without need, and what cannot be processed is kept."""

import time
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient

from tests.integration.host.conftest import StartHost, write_host_json
from tests.integration.host.running import wait_until


def count(queue: QueueClient) -> int:
    """Return how many messages a queue holds, visible or not."""
    return queue.get_queue_properties().approximate_message_count or 0


def test_a_message_that_fails_comes_back_and_ends_in_the_poison_queue(start: StartHost, jobs: QueueClient) -> None:
    host = start()
    jobs.send_message("fail ünï")
    host.wait_for("job 1 fail ünï")
    failed = time.monotonic()
    host.wait_for("job 2 fail ünï")
    assert time.monotonic() - failed > 0.7, "visibilityTimeout was not kept"
    # The function on the poison queue gets the same body; the queue did not exist before.
    host.wait_for("bury 1 fail ünï")
    wait_until(lambda: count(jobs) == 0, "an empty queue")
    assert "job 3 fail ünï" not in host.events
    assert "ValueError: as asked" in host.log
    assert "TOPSECRET" not in host.log


def test_the_message_of_a_killed_host_comes_back_after_its_lease(start: StartHost, jobs: QueueClient) -> None:
    host = start()
    jobs.send_message("wait gate")
    host.wait_for("job 1 wait gate")
    host.kill()
    (host.app / "gate").touch()
    again = start()
    again.wait_for("job 2 wait gate")
    again.wait_for("done wait gate")


def test_a_long_function_keeps_its_message_beyond_the_lease(start: StartHost, jobs: QueueClient) -> None:
    host = start()
    jobs.send_message("nap 3 seconds")
    host.wait_for("done nap 3 seconds")
    wait_until(lambda: count(jobs) == 0, "an empty queue")
    assert [event for event in host.events if event.startswith("job")] == ["job 1 nap 3 seconds"]


def test_as_many_run_at_once_as_batch_size_and_threshold_allow(start: StartHost, jobs: QueueClient, app: Path) -> None:
    write_host_json(app, batchSize=2, newBatchThreshold=1)
    for number in range(5):
        jobs.send_message(f"wait gate-{number}")
    host = start(PYTHON_THREADPOOL_THREAD_COUNT="8")

    def started() -> int:
        return sum(event.startswith("job") for event in host.events)

    wait_until(lambda: started() == 2, "the first batch")
    (app / host.events[0].split()[-1]).touch()
    # One is left, which is the threshold: the next batch of two makes three.
    wait_until(lambda: started() == 4, "the second batch")
    with pytest.raises(AssertionError):
        wait_until(lambda: started() > 4, "a third batch", seconds=0.6)
    for number in range(5):
        (app / f"gate-{number}").touch()
    wait_until(lambda: count(jobs) == 0, "an empty queue")

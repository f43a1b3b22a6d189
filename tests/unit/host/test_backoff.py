"""An idle queue is asked ever more rarely, as maxPollingInterval allows, and soon again after a message."""

from datetime import timedelta

from local.host.backoff import PollingBackoff


def test_waits_grow_from_100_ms_to_the_maximum() -> None:
    maximum = timedelta(seconds=5)
    backoff = PollingBackoff(maximum)
    waits = [backoff.next_wait() for _ in range(2_000)]
    assert waits[0] == timedelta(milliseconds=100)
    assert waits[:7] == sorted(waits[:7])
    assert set(waits[8:]) == {maximum}
    backoff.reset()
    assert backoff.next_wait() == timedelta(milliseconds=100)

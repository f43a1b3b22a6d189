"""A pull of one cab must not wait behind thousands, and all pulls together must stay within one limit."""

import threading
from concurrent.futures import wait

import pytest

from shared.pull.pool import FairPool


def test_a_short_lane_is_served_between_the_calls_of_a_long_one() -> None:
    pool = FairPool(1)
    first, second = pool.lane(), pool.lane()
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def holding() -> None:
        begun.set()
        assert go_on.wait(10)

    calls = [first.submit(holding)]
    assert begun.wait(10)
    calls += [first.submit(order.append, "long") for _ in range(50)]
    calls += [second.submit(order.append, "short")]
    go_on.set()
    wait(calls, 10)
    assert order.index("short") <= 1
    assert order.count("long") == 50


def test_no_more_calls_run_at_once_than_there_are_threads() -> None:
    pool = FairPool(3)
    all_run, most_at_once, running = threading.Barrier(3, timeout=10), 0, 0
    lock = threading.Lock()

    def call() -> None:
        nonlocal most_at_once, running
        with lock:
            running += 1
            most_at_once = max(most_at_once, running)
        all_run.wait()
        with lock:
            running -= 1

    wait([lane.submit(call) for lane in (pool.lane(), pool.lane()) for _ in range(6)], 20)
    assert most_at_once == 3


def test_results_and_errors_come_back_to_who_asked() -> None:
    lane = FairPool(2).lane()
    assert list(lane.map(abs, range(-100, 0))) == list(range(100, 0, -1))
    with pytest.raises(ZeroDivisionError):
        lane.submit(divmod, 1, 0).result(10)
    assert lane.submit(abs, -1).result(10) == 1, "an error must not cost the thread"


def test_a_call_that_was_cancelled_is_not_made() -> None:
    pool = FairPool(1)
    lane = pool.lane()
    go_on, made = threading.Event(), threading.Event()
    first = lane.submit(go_on.wait, 10)
    second = lane.submit(made.set)
    assert second.cancel()
    go_on.set()
    assert first.result(10)
    lane.submit(abs, 1).result(10)
    assert not made.is_set()

"""A line that no invocation is known for is dropped by the platform, and whoever looks for it finds nothing."""

import threading
from collections.abc import Iterator
from concurrent.futures import Executor

import pytest
from azure_functions_runtime import invocation_id_cv

from shared.core.threads import Pool, carrying, thread
from shared.pull.pool import FairPool


@pytest.fixture(params=["a pool", "the fair pool"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """One with a single thread, so that a call meets what the call before it left behind."""
    if request.param == "the fair pool":
        yield FairPool(1).lane()
    else:
        with Pool(1) as pool:
            yield pool


@pytest.fixture
def invocation() -> Iterator[str]:
    token = invocation_id_cv.set("7f")
    yield "7f"
    invocation_id_cv.reset(token)


def test_a_call_runs_in_the_invocation_that_submitted_it(executor: Executor, invocation: str) -> None:
    assert executor.submit(invocation_id_cv.get).result(10) == invocation


def test_a_thread_of_a_pool_keeps_no_invocation_for_the_next_call(executor: Executor, invocation: str) -> None:
    """Two pulls share the pool: a line of one under the other's invocation misleads more than none."""
    executor.submit(invocation_id_cv.set, "left behind").result(10)
    assert executor.submit(invocation_id_cv.get).result(10) == invocation
    invocation_id_cv.set("80")
    assert executor.submit(invocation_id_cv.get).result(10) == "80"
    assert list(executor.map(lambda _: invocation_id_cv.get(), range(3))) == ["80"] * 3


def test_calls_of_one_invocation_run_side_by_side(invocation: str) -> None:
    """A context can be entered once at a time, so each call needs a copy of its own."""
    both = threading.Barrier(2, timeout=10)

    def call() -> object:
        both.wait()
        return invocation_id_cv.get()

    with Pool(2) as pool:
        assert list(pool.map(lambda _: call(), range(2))) == [invocation] * 2


def test_a_thread_of_its_own_runs_in_the_invocation_that_made_it(invocation: str) -> None:
    seen: list[object] = []
    made = thread(lambda: seen.append(invocation_id_cv.get()), "a lease", daemon=True)
    invocation_id_cv.set("80")
    made.start()
    made.join(10)
    assert seen == [invocation]
    assert (made.name, made.daemon) == ("a lease", True)


def test_what_a_call_raises_and_returns_comes_through() -> None:
    assert carrying(int)("7") == 7
    with pytest.raises(ValueError, match="seven"):
        carrying(int)("seven")

"""A wrong bound would make the app look better or worse than it is."""

import pytest

from bench.shaped.delays import Delays, Given, Shape
from bench.shaped_stage import lower_bound

TABLES = [0.01] * 6
LISTING = [0.03]
SERIAL = 3 * 0.01 + 0.03


def given(pages: list[float], copies: list[float]) -> Given:
    return Given({"table": TABLES, "list": LISTING, "page": pages, "copy": copies}, {})


def test_one_cab_waits_for_every_step_in_turn() -> None:
    assert lower_bound(given([0.5], [0.04]), 32, 1) == pytest.approx(SERIAL + 0.5 + 0.04)


def test_copying_is_the_limit_where_pages_are_fast() -> None:
    bound = lower_bound(given([0.1, 0.1], [0.04] * 200), 4, 1)
    assert bound == pytest.approx(SERIAL + 0.1 + 200 * 0.04 / 4)


def test_paging_is_the_limit_where_pages_are_slow_and_the_last_page_is_copied_after_it() -> None:
    bound = lower_bound(given([0.5] * 3, [0.04] * 250), 50, 1)
    assert bound == pytest.approx(SERIAL + 1.5 + 50 * 0.04 / 50)


def test_pages_in_flight_come_in_rounds() -> None:
    bound = lower_bound(given([0.5] * 9, [0.04] * 900), 900, 4)
    assert bound == pytest.approx(SERIAL + 3 * 0.5 + 0.04)


def test_what_comes_behind_a_slow_page_can_be_copied_before_it() -> None:
    """It holds up one place of four; only its own cabs must wait for it."""
    pages = [0.5, 3.0, 0.5, 0.5, 0.5]
    assert lower_bound(given(pages, [0.04] * 500), 4, 4) == pytest.approx(SERIAL + 0.5 + 500 * 0.04 / 4)
    assert lower_bound(given(pages, [0.04] * 500), 100, 4) == pytest.approx(SERIAL + 3.0 + 0.04)


def test_one_slow_copy_is_a_bound_of_its_own() -> None:
    assert lower_bound(given([0.1], [0.04, 3.0]), 32, 1) == pytest.approx(SERIAL + 0.1 + 3.0)


def test_the_same_seed_gives_the_same_delays_whatever_else_is_asked() -> None:
    one, other = Delays(Shape(seed=7)), Delays(Shape(seed=7))
    first = [one.next("copy", 65_536) for _ in range(50)]
    second = []
    for _ in range(50):
        other.next("page")
        second.append(other.next("copy", 65_536))
    assert first == second


def test_delays_lie_around_the_form_and_a_few_are_slow() -> None:
    delays = Delays(Shape(copy_ms=40, spread=0.25, slow_share=0.01, slow_times=5))
    drawn = sorted(delays.next("copy") for _ in range(10_000))
    usual = [delay for delay in drawn if delay <= 0.0501]
    assert usual[0] >= 0.0299
    assert 0.98 <= len(usual) / len(drawn) < 1
    assert 0.15 <= drawn[-1] <= 0.2501

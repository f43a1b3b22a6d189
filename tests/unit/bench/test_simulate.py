"""The simulation must agree with what can be worked out by hand before anybody believes its extrapolation."""

from dataclasses import replace

import pytest

from bench.events import Limit, Places, Process, Simulation
from bench.shaped_service import heavy_tail
from bench.simulate import Model, simulate

MODEL = Model(table=0.01, copy=0.04, page=0.5, listing=0.03, copies_in_flight=32, pages_in_flight=1)


def test_one_cab_takes_the_sum_of_its_steps() -> None:
    outcome = simulate(MODEL, [1])
    # Two table requests, the page, the copy, the listing, and two table requests.
    assert outcome.seconds == pytest.approx(0.02 + 0.5 + 0.04 + 0.03 + 0.02, abs=0.002)
    assert (outcome.requests, outcome.pages, outcome.cabs) == (6, 1, 1)


def test_requests_are_those_that_the_app_makes() -> None:
    quick, slow = (simulate(replace(MODEL, page=page), [1_000]) for page in (0.1, 6.0))
    # A copy each, the lengths of all pages, and four for the pull.
    assert quick.requests == 1_000 + 10 + 4
    # Where a page takes seconds, also its rows and a checkpoint, but for the last.
    assert slow.requests == quick.requests + 9 * 2
    assert quick.pages == slow.pages == 10


def test_copies_never_exceed_their_places() -> None:
    fast_api = replace(MODEL, page=0.0, table=0.0, listing=0.0, pages_in_flight=4)
    assert simulate(fast_api, [3_200]).seconds >= 3_200 * 0.04 / 32


def test_an_api_limit_bounds_every_number_of_instances() -> None:
    limited = replace(MODEL, api_limit=2.0)
    pulls = [100] * 40
    for instances in (1, 4, 16):
        assert simulate(limited, pulls, instances).seconds >= 39 / 2


def test_instances_share_the_queue() -> None:
    pulls = [100] * 96
    one, four = (simulate(MODEL, pulls, instances).seconds for instances in (1, 4))
    assert 3 <= one / four <= 4.5


def test_one_storage_process_cannot_be_made_faster_by_more_instances() -> None:
    model = replace(MODEL, table=0, copy=0, page=0, listing=0, server_copy=0.002)
    one, four = (simulate(model, [100] * 24, instances).seconds for instances in (1, 4))
    assert one == pytest.approx(four, rel=0.02)
    assert one == pytest.approx(2_400 * 0.002, rel=0.02)


def test_instances_on_one_machine_share_its_cores() -> None:
    model = replace(MODEL, table=0, copy=0, page=0, listing=0, cpu_copy=0.001, cores=2)
    one, four = (simulate(model, [100] * 24, instances).seconds for instances in (1, 4))
    assert one == pytest.approx(2_400 * 0.001, rel=0.02)
    assert four == pytest.approx(2_400 * 0.001 / 2, rel=0.05)


def test_a_limit_spaces_what_it_lets_through() -> None:
    limit = Limit(10)
    assert [limit.delay(0.0) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    assert limit.delay(5.0) == 0.0


def test_places_are_given_in_the_order_of_asking() -> None:
    simulation, places, order = Simulation(), Places(1), list[int]()

    def holder(number: int) -> Process:
        yield places
        order.append(number)
        yield 1.0
        simulation.release(places)

    for number in range(3):
        simulation.start(holder(number))
    assert simulation.run() == pytest.approx(3.0)
    assert order == [0, 1, 2]


def test_the_heavy_tail_has_its_largest_and_many_of_one() -> None:
    sizes = heavy_tail(50, 1_000, seed=1)
    assert len(sizes) == 50
    assert max(sizes) == 1_000
    assert sizes.count(1) >= 10
    assert sizes == heavy_tail(50, 1_000, seed=1)

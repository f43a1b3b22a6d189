"""The playground's world: small enough to start in a second, and with everything in it that is worth seeing."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from local.cabs import ArchiveKind
from local.simulator.builder import WorldBuilder
from local.simulator.catalogue import World
from local.simulator.scenario import ReportForm, Scenario, WorldPlan

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def playground(seed: int = 1) -> World:
    world = World()
    WorldBuilder(world, seed, NOW).playground(WorldPlan(), ReportForm())
    world.list_cabs(world.waiting_cabs)
    return world


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_playground_has_an_empty_a_single_and_a_paged_failure(seed: int) -> None:
    world = playground(seed)
    counts = sorted(len(world.cabs(key)) for key in world.failures)
    assert len(counts) == 12
    assert counts[0] == 0
    assert 1 in counts
    assert counts[-1] == 130
    assert 50 <= sum(counts[:-1]) <= 80


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_playground_is_small_and_mixed(seed: int) -> None:
    cabs = playground(seed).all_cabs()
    sizes = [cab.archive.dump_size for cab in cabs]
    assert sum(sizes) < 40_000_000
    assert min(sizes) == 64 * 1024
    assert max(sizes) <= 2 * 1024 * 1024
    assert {cab.archive.kind for cab in cabs} == set(ArchiveKind)
    assert {cab.place.account for cab in cabs} == {"uswewatcab09", "uswewatcab12"}


def test_every_failure_is_in_exactly_one_report() -> None:
    world = playground()
    told = [key for _, run in world.waiting_runs for key in run.failures]
    assert len(world.reports) == 2
    assert sorted(key.failure_hash for key in told) == sorted(key.failure_hash for key in world.failures)


def test_dates_lie_within_the_retention() -> None:
    for cab in playground().all_cabs():
        assert NOW - timedelta(days=30) < cab.collected < NOW < cab.expires == cab.collected + timedelta(days=30)
        assert cab.place.container == f"kernel-{cab.collected:%Y%m%d}"


def test_the_same_seed_builds_the_same_world() -> None:
    assert playground(7).all_cabs() == playground(7).all_cabs()
    assert playground(7).all_cabs() != playground(8).all_cabs()


def test_cabs_are_listed_newest_first_and_a_later_one_joins_in_order() -> None:
    world = World()
    builder = WorldBuilder(world, 1, NOW)
    failure = builder.failure(20)
    world.list_cabs(world.waiting_cabs)
    world.list_cabs(list(builder.cabs(failure, 5)))
    dates = [cab.collected for cab in world.cabs(failure.key)]
    assert len(dates) == 25
    assert dates == sorted(dates, reverse=True)


def test_a_scenario_file_says_all_of_it() -> None:
    text = b'{"world": {"failures": 3, "cabs": 9}, "batch": {"link": "absolute", "sasLifetime": 5}, "nullErrors": true}'
    scenario = msgspec.json.decode(text, type=Scenario)
    assert (scenario.world.failures, scenario.batch.sas_lifetime, scenario.null_errors) == (3, 5.0, True)
    assert msgspec.json.decode(msgspec.json.encode(scenario), type=Scenario) == scenario


def test_a_misspelled_scenario_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="sasLifetme"):
        msgspec.json.decode(b'{"batch": {"sasLifetme": 5}}', type=Scenario)

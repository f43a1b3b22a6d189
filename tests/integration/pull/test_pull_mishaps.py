"""What can befall a host at its requests, with the real clients on real storage; `tests/simulation` plays the rest."""

from dataclasses import replace
from datetime import timedelta

import pytest

from local.simulator.builder import CabForm
from local.simulator.scenario import BatchForm
from local.simulator.thread import SimulatorThread
from shared.progress.cabs import CabState
from shared.progress.pulls import PullState
from shared.pull.pool import FairPool
from tests.integration.conftest import MakeApp

from .mishaps import Mishap, MishapKind, Wires
from .pull_promise import check_promise
from .pull_world import Host, PullWorld

NEWEST = timedelta(hours=1)


@pytest.fixture
def world(make_app: MakeApp, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> PullWorld:
    """Two hosts whose leases are short, and one failure of six cabs on three pages."""
    hosts = [Host(make_app(PULL_LEASE_SECONDS="1", PULL_CONCURRENCY="4")) for _ in range(2)]
    world = PullWorld(hosts, Wires(monkeypatch), simulator)
    simulator.form = BatchForm(largest_page=2)
    world.begin(failures=1)
    world.arrive(world.watched[0], 6, CabForm())
    world.app.request(world.watched[0].failure)
    return world


@pytest.mark.parametrize("at", [2, 11])
@pytest.mark.parametrize("intruded", [False, True], ids=["alone", "followed"])
def test_an_owner_who_stood_still_for_longer_than_its_lease_leaves_no_pull_behind(
    world: PullWorld, at: int, intruded: bool
) -> None:
    """It once took its lease for lost, though nobody had taken the row, and let the message go: a pull for ever."""
    frozen, other = world.hosts
    world.deliver(frozen, Mishap(MishapKind.FROZEN, at), other if intruded else None)
    check_promise(world)
    world.work_off()
    check_promise(world)
    row = world.app.row(world.watched[0].failure)
    assert (row.state, row.counts.seen) == (PullState.COMPLETED, 6)
    assert set(world.app.states(world.watched[0].failure).values()) == {CabState.COPIED}


def test_a_cab_whose_pull_died_is_not_called_unavailable_once_its_source_is_gone(world: PullWorld) -> None:
    """Its blob is in the container: whoever asks the table which cabs there are would never find it."""
    (watched,) = world.watched
    world.deliver(world.hosts[0], Mishap(MishapKind.KILLED_AFTER, 0, method="PUT"))
    (cab, *_) = world.app.listed(watched.failure)
    assert world.app.states(watched.failure) == {}, "copied, and not yet told"
    world.withdraw(watched, cab)
    world.end_lease(watched)
    world.work_off()
    check_promise(world)
    assert world.app.states(watched.failure)[cab] is CabState.COPIED


@pytest.mark.parametrize(
    ("kind", "times", "first"),
    [
        (MishapKind.KILLED_AFTER, 1, 1),
        (MishapKind.LOST, 1, 2),
        (MishapKind.BUSY, 6, 1),
    ],
    ids=str,
)
def test_whatever_happens_at_whichever_request_nothing_is_lost(
    world: PullWorld, kind: MishapKind, times: int, first: int
) -> None:
    """From the lease of a pull of three pages to its last row; the simulation plays more, without real clients."""
    for at in range(first, 17, 4):
        world.begin(failures=1)
        (watched,) = world.watched
        world.arrive(watched, 1, CabForm(age=(NEWEST, NEWEST), stored=False))
        world.arrive(watched, 5, CabForm())
        world.app.request(watched.failure)
        world.deliver(world.hosts[0], Mishap(kind, at, times))
        check_promise(world)
        world.work_off()
        check_promise(world)
        row = world.app.row(watched.failure)
        assert (row.state, row.counts.seen, row.counts.unavailable) == (PullState.COMPLETED, 6, 1), at


def test_a_blob_that_was_taken_away_is_seen_to_by_the_next_pull(world: PullWorld) -> None:
    (watched,) = world.watched
    world.work_off()
    old, young, *_ = watched.cabs
    world.take_away(watched, old, is_old=True)
    world.take_away(watched, young, is_old=False)
    world.app.request(watched.failure)
    world.work_off()
    check_promise(world)
    states = world.app.states(watched.failure)
    assert (states[old], states[young]) == (CabState.RETIRED, CabState.COPIED)


def test_a_pull_whose_hosts_copied_and_could_not_say_so_is_not_given_up(world: PullWorld) -> None:
    """A host that dies within five seconds has written down nothing, however many cabs it copied."""
    (watched,) = world.watched
    host = world.hosts[0]
    host.tools = replace(host.tools, settings=replace(host.tools.settings, pull_max_attempts=1))
    world.deliver(host, Mishap(MishapKind.KILLED_AFTER, 0, method="PUT"))
    assert CabState.COPIED not in world.app.states(watched.failure).values()
    world.end_lease(watched)
    world.deliver(host, None)
    row = world.app.row(watched.failure)
    assert (row.state, row.stalled) == (PullState.COMPLETED, 0)
    check_promise(world)


def test_a_pull_that_ends_every_host_is_given_up_with_the_reason(world: PullWorld) -> None:
    (watched,) = world.watched
    host = world.hosts[0]
    # One copy at a time: what is copied beside the one that ends the host moves the pull on.
    settings = replace(host.tools.settings, pull_max_attempts=3)
    host.tools = replace(host.tools, settings=settings, pool=FairPool(1))
    for mishap in [*[Mishap(MishapKind.KILLED, 0, method="PUT")] * 3, None]:
        assert world.is_unfinished(watched)
        world.deliver(host, mishap)
        world.end_lease(watched)
    row = world.app.row(watched.failure)
    assert (row.state, row.attempts, row.stalled) == (PullState.FAILED, 3, 3)
    assert "given up after 3 tries" in row.last_error
    check_promise(world)

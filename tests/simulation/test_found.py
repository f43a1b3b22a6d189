"""What games have found, and mishaps that were met in the open, each as small as it can be told."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.core.errors import LeaseLost
from shared.core.failure import Failure, default_window
from shared.progress.cab_row import CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.storage.lease import RowLease

from .center import Cab, Form
from .lines import GoodLine
from .tables import MemoryTable, Table
from .tasks import in_place
from .world import DAY, Expected, Storm, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.progress.pull_row import PullRow

    from .lines import Called

FAILURE = Failure("100", "aa")


@contextmanager
def played(form: Form | None = None, **settings: str) -> Iterator[World]:
    """Give a world in which nothing happens but what a test expects, and check its promise to the end."""
    world = World(1, story=[])
    with in_place(world.tasks, 1):
        world.configure(form, **settings)
        yield world
        world.calm_down()
        world.run(DAY)
        world.promise.check_end()


def arrive(world: World, count: int, failure: Failure = FAILURE) -> list[str]:
    """Let so many cabs be at the Dev Center, the later ones newer; return the names of all."""
    names = [f"{failure.failure_hash}{number:04}" for number in range(count)]
    now = world.tasks.now()
    for number, name in enumerate(names):
        if name in world.center.cabs:
            continue
        dated = now - timedelta(days=2) + timedelta(seconds=number)
        world.center.arrive(Cab(name, failure, dated, now + timedelta(days=25), b"PK\x03\x04 " + name.encode()))
    return names


def pull_of(world: World, failure: Failure = FAILURE) -> PullRow:
    """Return the row of a pull, which must be there."""
    row = world.promise.pull_row(failure)
    assert row is not None
    return row


def told(world: World, *words: str) -> list[str]:
    """Return the lines of the story that hold all these words."""
    return [line for line in world.story or () if all(word in line for word in words)]


def test_a_pull_whose_host_is_killed_again_and_again_completes_since_it_moves_on() -> None:
    """Five deliveries once made a message poison, and its pull Failed, though each had copied many more cabs."""
    with played(Form(page=100), PULL_MAX_ATTEMPTS="4") as world:
        names = arrive(world, 400)
        world.expecting = [Expected("copy", f"copies to 100/aa/{names[at]}", "killed") for at in range(60, 400, 60)]
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(3 * 3600)
        assert not world.expecting, "some kills did not come"
        assert pull_of(world).state is PullState.COMPLETED, pull_of(world).last_error
        assert len(world.container.blobs) == 400


def test_a_wait_that_was_asked_for_is_kept_by_all_and_fails_no_pull() -> None:
    """Eight pulls once failed after 23 s and 80 calls, all of which came back in the same second each time."""
    failures = [Failure("100", f"a{number}") for number in range(8)]
    with played(Form(page=100)) as world:
        for failure in failures:
            arrive(world, 3, failure)
        world.storms.append(Storm(frozenset({"devcenter"}), "throttled", until=75.0, lasts=75.0))
        world.begin(hosts=2)
        world.ask(*failures)
        world.run(3600)
        assert {pull_of(world, failure).state for failure in failures} == {PullState.COMPLETED}
        assert len(told(world, "asks for", "THROTTLED")) < 40
        assert not told(world, "writes", "Failed")


@pytest.mark.parametrize("status", range(3))
def test_one_refusal_of_one_source_streams_that_cab_alone(status: int) -> None:
    """Its whole host was once streamed until the process ended."""
    with played(Form(page=100)) as world:
        names = arrive(world, 12)
        world.chance.drawn.seed(status)
        world.expecting = [Expected("copy", f"copies to 100/aa/{names[3]}", "not verified")]
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(600)
        assert pull_of(world).counts.copied == 12
        streamed = told(world, "GET /c/")
        assert len(streamed) == 1
        assert names[3] in streamed[0]


def test_the_newest_cabs_are_kept_of_a_batch_with_thousands_in_front_though_the_host_dies() -> None:
    """More than twenty pages of cabs that were not wanted once looked like a server that does not page."""
    with played(Form(page=100), MAX_CABS_PER_FAILURE="20") as world:
        names = arrive(world, 2_200)
        world.expecting = [Expected("copy", f"copies to 100/aa/{names[-5]}", "killed after")]
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(3600)
        assert not world.expecting
        assert pull_of(world).state is PullState.COMPLETED, pull_of(world).last_error
        assert sorted(world.container.blobs) == [f"100/aa/{name}.ext.zip" for name in names[-20:]]


def test_a_message_that_comes_to_a_process_that_ends_is_for_another_one() -> None:
    """It once took the lease, asked for a page, handed on, and took the next message, until it was killed."""
    with played(Form(page=3)) as world:
        arrive(world, 9)
        world.begin(hosts=1)
        (host,) = world.hosts
        world.stop(host)
        message = PullMessage(FAILURE, default_window(world.settings.cab_lookback), "the test")
        world.queue.send(message.encode(), timedelta())
        world.run(25)
        assert told(world, host.name, "takes message")
        assert not told(world, host.name, " pulls 100")
        world.run(600)
        assert pull_of(world).counts.copied == 9


@pytest.mark.parametrize(
    ("kind", "words", "mishap"),
    [
        ("write", "(Completed", "killed"),
        ("write", "(Completed", "killed after"),
        ("write", "upsert aa0000 (failed", "busy"),
    ],
)
def test_a_cab_that_was_copied_by_a_later_try_counts_as_failed_no_more(kind: Called, words: str, mishap: str) -> None:
    """It was once taken for a row of the batch that could not be read, and the pull said so for ever."""
    with played(Form(page=3)) as world:
        names = arrive(world, 3)
        world.expecting = [
            Expected("copy", f"copies to 100/aa/{names[0]}", "busy"),
            Expected(kind, words, mishap),
        ]
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(3600)
        assert not world.expecting
        counts = pull_of(world).counts
        # Where it was told to be Completed, and the host died then, its message makes the pull once more.
        assert (counts.copied + counts.already_held, counts.failed, pull_of(world).last_error) == (3, 0, "")


def test_a_blob_that_was_missed_is_copied_again_though_the_host_dies_when_it_has_said_so() -> None:
    """The next host went on from the checkpoint behind it, found nothing missing any more, and was Completed."""
    with played(Form(page=3), PULL_TIME_BUDGET="5") as world:
        names = arrive(world, 6)
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(60)
        del world.container.blobs[f"100/aa/{names[0]}.ext.zip"]
        world.promise.taken_away[names[0]] += 1
        names = arrive(world, 8)
        world.expecting = [
            Expected("copy", f"copies to 100/aa/{names[-1]}", "slow"),
            Expected("write", f"upsert {names[0]} (listed)", "killed after"),
        ]
        world.ask(FAILURE)
        world.run(3600)
        assert not world.expecting
        assert pull_of(world).state is PullState.COMPLETED
        assert len(world.container.blobs) == 8


def test_a_cab_that_failed_and_was_copied_by_a_host_that_died_is_known_though_microsoft_lists_it_no_more() -> None:
    """Its row said failed for ever, beside its blob: no pull met it again, and no read-back looked at a failed one."""
    with played(Form(page=3)) as world:
        names = arrive(world, 3)
        world.expecting = [
            Expected("copy", f"copies to 100/aa/{names[0]}", "busy"),
            Expected("read", "lists the blobs of 100/aa/", "slow"),
            Expected("read", "lists the blobs of 100/aa/", "killed"),
        ]
        world.begin(hosts=1)
        world.ask(FAILURE)
        while world.expecting:
            world.run(5)
        assert world.promise.cab_rows(FAILURE)[names[0]].state is CabState.FAILED
        world.center.leave(world.center.cabs[names[0]])
        world.run(3600)
        assert world.promise.cab_rows(FAILURE)[names[0]].state is CabState.COPIED


def test_a_cab_that_was_copied_by_a_host_that_died_is_known_though_the_next_try_of_it_failed() -> None:
    """Its blob was older than its row, which said failed for ever when Microsoft listed the cab no more."""
    with played(Form(page=3)) as world:
        names = arrive(world, 3)
        copies = f"copies to 100/aa/{names[0]}"
        world.expecting = [Expected("copy", copies, "killed after"), Expected("copy", copies, "busy")]
        world.begin(hosts=1)
        world.ask(FAILURE)
        while world.expecting:
            world.run(1)
        world.center.leave(world.center.cabs[names[0]])
        world.run(3600)
        assert world.promise.cab_rows(FAILURE)[names[0]].state is CabState.COPIED


def test_a_cab_that_is_found_there_is_as_old_as_its_blob() -> None:
    """By the age of its row it was missing before its time when its blob was removed, and was copied once more."""
    with played(Form(page=3), RETENTION_DAYS="2", PULL_MAX_ATTEMPTS="100") as world:
        (name,) = arrive(world, 1)
        world.expecting = [Expected("copy", f"copies to 100/aa/{name}", "killed after")]
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(60)
        world.storms.append(Storm(frozenset({"devcenter"}), "unreachable", until=2 * DAY, lasts=2 * DAY))
        world.run(2.5 * DAY)
        assert told(world, f"looks at 100/aa/{name}"), "a later try finds it"
        assert world.container.blobs
        world.run(1.5 * DAY)
        assert not world.container.blobs
        assert world.promise.cab_rows(FAILURE)[name].state is CabState.RETIRED


def test_a_row_that_is_deleted_while_the_reconcile_looks_is_not_made_anew_without_a_state() -> None:
    """Nobody could read it then: every reconcile failed at it, and every list of pulls."""
    with played(Form(page=3)) as world:
        names = arrive(world, 3)
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(60)
        del world.container.blobs[f"100/aa/{names[0]}.ext.zip"]
        world.promise.taken_away[names[0]] += 1
        world.reconcile()
        while not told(world, "queries cabs 100_ 100`"):  # the last that it reads before it looks at failures
            world.tasks.step(world.tasks.seconds + 60)
        del world.tables["pulls"].rows["100", "aa"]
        world.run(60)
        assert world.tables["pulls"].row("100", "aa") is None
        assert not told(world, "could not be put right")
        world.run(2 * DAY)
        assert len(world.container.blobs) == 3


def test_an_owner_does_not_take_for_its_own_what_another_wrote_in_the_same_moment() -> None:
    """Both leases end at the same time then, and nothing but their owners tells them apart."""
    world = World(1)
    with in_place(world.tasks, 1):
        table = MemoryTable(Table("rows"), GoodLine())
        first = RowLease.take(table, "a", "b", timedelta(seconds=60), lambda _: {})
        assert isinstance(first, RowLease)
        world.tasks.seconds += 61
        second = RowLease.take(table, "a", "b", timedelta(seconds=60), lambda _: {})
        assert isinstance(second, RowLease)
        with pytest.raises(LeaseLost):
            first.ensure()


def test_a_blob_that_was_taken_away_is_copied_again_and_one_that_is_old_is_not() -> None:
    with played(Form(page=3), RETENTION_DAYS="2") as world:
        cab, _ = arrive(world, 2)
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(60)
        name = f"100/aa/{cab}.ext.zip"
        del world.container.blobs[name]
        world.promise.taken_away[cab] += 1
        world.run(DAY)
        assert name in world.container.blobs, "the reconcile asks for it again"
        world.run(4 * DAY)
        assert not world.container.blobs
        assert {row.state for row in world.promise.cab_rows(FAILURE).values()} == {CabState.RETIRED}


@pytest.mark.parametrize(
    ("later", "kept"), [("", 5), ('rules = [{name = "few", action = "keep", at-most-cabs = 4}]', 4)]
)
def test_a_cab_that_an_earlier_run_left_out_is_copied_where_the_rules_keep_it_by_now(later: str, kept: int) -> None:
    """It was said to be listed, while the pull went on behind it and was Completed; nobody looked for a day."""
    with played(Form(page=2)) as world:
        arrive(world, 5)
        world.rule('rules = [{name = "few", action = "keep", at-most-cabs = 1}]')
        world.storms.append(Storm(frozenset({"copy"}), "busy", until=200.0, lasts=200.0))
        world.begin(hosts=1)
        world.ask(FAILURE)
        world.run(100)
        assert pull_of(world).skip == 4, "it has not passed over the first pages"
        world.rule(later)
        world.run(3600)
        assert pull_of(world).state is PullState.COMPLETED, pull_of(world).last_error
        assert sum(name.startswith(FAILURE.prefix) for name in world.container.blobs) == kept
        assert pull_of(world).counts.seen == 5, "a cab counts for each run that left it out"
        world.rule("")

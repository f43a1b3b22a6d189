"""A pull brings every cab of its failure into the container, byte for byte, and pays for each once."""

import pytest

from local.simulator.faults import Call
from local.simulator.scenario import BatchForm
from local.simulator.thread import SimulatorThread
from shared.progress.messages import PullMessage
from shared.progress.pull_row import CabCounts, PullState
from shared.pull import policy
from tests.integration.app import App, failure_of, served


@pytest.mark.parametrize(("cabs", "pages"), [(0, 1), (1, 1), (10, 1), (11, 2), (25, 3)])
def test_every_cab_is_held_byte_for_byte(app: App, simulator: SimulatorThread, cabs: int, pages: int) -> None:
    simulator.form = BatchForm(largest_page=10)
    failure = served(simulator, cabs)
    app.request(failure)
    requests = app.asked(app.work_off)
    # Each page is written down here: a transaction, and the checkpoint. And a file of the catalog.
    assert len(requests) <= 6 + cabs + 2 * (pages - 1) + (1 if cabs else 0)
    assert simulator.ledger.answers(Call.CAB_BATCH) == pages

    held = {cab.cab_id_hash: simulator.world.held[cab.cab_id_hash] for cab in simulator.world.cabs(failure.key)}
    assert {cab: (blob.length, blob.md5) for cab, blob in app.blobs(failure).items()} == {
        cab: (source.length, source.md5) for cab, source in held.items()
    }
    row = app.row(failure)
    assert (row.state, row.last_error, row.attempts) == (PullState.COMPLETED, "", 0)
    assert row.counts == CabCounts(seen=cabs, copied=cabs, bytes=sum(source.length for source in held.values()))
    assert row.started_at
    assert row.completed_at
    assert row.completed_at >= row.started_at


def test_what_is_done_within_seconds_is_written_once(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the lengths, at the end: each row that is written before that is paid for twice."""
    monkeypatch.setattr(policy, "must_write", lambda *_: False)
    failure = served(simulator, 250)
    app.request(failure)
    requests = app.asked(app.work_off)
    assert len([each for each in requests if each.path == "/$batch"]) == 3
    assert len([each for each in requests if each.method == "PATCH"]) == 2, "the lease and the end"
    assert {row.length is not None for row in app.cabs(failure).values()} == {True}


def test_a_second_pull_copies_nothing_and_costs_a_handful_of_requests(app: App, simulator: SimulatorThread) -> None:
    failure = served(simulator, 120)
    app.pull(failure)
    requests = app.asked(lambda: app.pull(failure))
    assert len(requests) <= 8
    assert not [each for each in requests if each.method == "PUT"]
    assert simulator.ledger.answers(Call.CAB_BATCH) == 4
    assert app.row(failure).state is PullState.COMPLETED
    assert app.row(failure).counts == CabCounts(seen=120, already_held=120)


def test_cabs_that_arrive_later_are_all_that_is_copied_later(app: App, simulator: SimulatorThread) -> None:
    failure = served(simulator, 5)
    app.pull(failure)
    simulator.builder.cabs(failure, 3)
    simulator.publish()
    app.request(failure)
    requests = app.asked(app.work_off)
    assert len([each for each in requests if each.method == "PUT" and each.status == 202]) == 3
    assert len(requests) <= 6 + 1.05 * 3
    assert len(app.blobs(failure)) == 8
    counts = app.row(failure).counts
    assert (counts.seen, counts.copied, counts.already_held) == (8, 3, 5)


def test_two_windows_are_two_pulls(app: App, simulator: SimulatorThread) -> None:
    """Who asks for other days while a pull waits must not be given the days of that one."""
    failure = served(simulator, 3)
    app.request(failure)
    other = app.window.start.replace(day=1)
    window = type(app.window)(other, app.window.end)
    row = app.pull(failure, window)
    assert (row.state, row.window) == (PullState.COMPLETED, window)


def test_a_message_without_days_asks_for_the_documented_ones(app: App, simulator: SimulatorThread) -> None:
    failure = served(simulator, 2)
    app.handle(PullMessage(failure_of(failure), None, "somebody"))
    assert app.row(failure).window == app.window
    assert app.row(failure).counts.copied == 2

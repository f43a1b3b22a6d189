"""Asking for a pull must leave a row to look at, whatever stands there, and never disturb who works on it."""

from datetime import date, datetime, timedelta

import pytest

from shared.core import clock
from shared.core.failure import Failure, Window
from shared.progress.asked_pulls import AskedPulls
from shared.progress.messages import PullMessage
from shared.progress.pull_leases import PullLeases
from shared.progress.pull_row import PullRow, PullState
from shared.progress.pulls import PullRows
from shared.storage.lease import HeldElsewhere, RowLease
from shared.storage.table_rows import Row
from shared.storage.table_writes import Columns
from tests.integration.tables import table_of
from tests.support.azurite import StorageAccount

WINDOW = Window(date(2026, 10, 22), date(2026, 11, 22))
OTHER = Window(date(2026, 1, 1), date(2026, 11, 22))
LEASE = timedelta(seconds=60)


class InAnHour(clock.Clock):
    """The clock when every lease of now has run out."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=1)


class Pulls(PullRows, AskedPulls):
    """All that is read of pulls, and asked for."""


@pytest.fixture
def pulls(storage: StorageAccount) -> Pulls:
    return Pulls(table_of(storage, "pulls"))


def failures(count: int, application_id: str = "1") -> list[Failure]:
    return [Failure(application_id, f"hash-{number:03}") for number in range(count)]


def asked_for(
    failure: Failure, window: Window | None = WINDOW, row_version: str = "", *, resumes: bool = False
) -> PullMessage:
    return PullMessage(failure, window, "a test", row_version, resumes)


def leases_on(pulls: Pulls, lease: timedelta = LEASE) -> PullLeases:
    return PullLeases(pulls._table, lease)


def taken(
    pulls: Pulls,
    failure: Failure,
    window: Window = WINDOW,
    *,
    window_is_asked: bool = True,
    lease: timedelta = LEASE,
) -> RowLease:
    made = leases_on(pulls, lease).take(asked_for(failure, window if window_is_asked else None), window)
    assert isinstance(made, RowLease)
    return made


def state_of(pulls: Pulls, failure: Failure) -> PullState:
    row = pulls.get(failure)
    assert row is not None
    return row.state


def test_a_failure_that_nobody_asked_for_has_no_row(pulls: Pulls) -> None:
    assert pulls.get(Failure("1", "a")) is None


def test_any_number_of_failures_of_any_applications_is_queued(pulls: Pulls) -> None:
    asked = [*failures(250), *failures(3, "2"), *failures(1, "3")]
    pulls.queue([*asked, *asked[:10]], WINDOW, "a test")
    for failure in asked:
        row = pulls.get(failure)
        assert row is not None
        assert (row.state, row.window, row.requested_by) == (PullState.QUEUED, WINDOW, "a test")
        assert row.queued_at
        assert (row.started_at, row.completed_at) == (None, None)


def test_a_pull_that_runs_stays_as_it_is(pulls: Pulls) -> None:
    asked = failures(3)
    pulls.queue(asked, WINDOW, "first")
    running = taken(pulls, asked[1])
    pulls.queue(asked, OTHER, "second")
    rows = [pulls.get(failure) for failure in asked]
    assert [row and row.state for row in rows] == [PullState.QUEUED, PullState.RUNNING, PullState.QUEUED]
    assert [row and row.requested_by for row in rows] == ["second", "first", "second"]
    running.write({"skip": 100})
    assert not running.is_lost


def test_a_running_pull_that_is_asked_for_again_and_again_is_owed_one_message(pulls: Pulls) -> None:
    """Each further message would page the whole batch once more."""
    asked = failures(2)
    pulls.queue(asked, WINDOW, "first")
    running = taken(pulls, asked[1])
    assert pulls.queue(asked, WINDOW, "again").keys() == {*asked}
    running.write({"skip": 100})
    assert [pulls.queue([asked[1]], WINDOW, "again") for _ in range(5)] == [{}] * 5
    assert pulls.queue([asked[1]], OTHER, "other days") == {asked[1]: ""}
    assert pulls.queue([asked[1]], OTHER, "other days") == {}
    running.release({"state": "Completed", "copied": 7})
    before = pulls.get(asked[1])
    assert before is not None
    assert [*before.asked_again] == [WINDOW, OTHER]
    # Who asked last is told, and the days of the run are those of who asked first.
    assert (before.asked_by, before.requested_by, before.window) == ("other days", "first", WINDOW)
    assert before.asked_at is not None
    assert before.queued_at is not None
    assert before.asked_at > before.queued_at
    # The further run is the same pull, paged once more: what it brought before is still its own.
    lease = leases_on(pulls).take(asked_for(asked[1]), WINDOW)
    assert isinstance(lease, RowLease)
    row = pulls.get(asked[1])
    assert row is not None
    assert (row.state, row.skip, row.started_at, [*row.asked_again]) == (
        PullState.RUNNING,
        0,
        before.started_at,
        [OTHER],
    )
    lease.release({"state": "Completed"})
    assert pulls.queue([asked[1]], WINDOW, "anew")[asked[1]], "nothing runs: it starts anew, with a message"


def test_a_message_that_goes_on_makes_the_run_that_is_owed(pulls: Pulls) -> None:
    """Two messages change places: the one that was to go on must not be passed over as done while a run is owed."""
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "first")
    lease = taken(pulls, failure)
    pulls.queue([failure], WINDOW, "again")
    lease.release({"state": "Queued"})
    version = lease.row.etag
    other = leases_on(pulls).take(asked_for(failure), WINDOW)
    assert isinstance(other, RowLease)
    other.release({"state": "Completed"})
    late = leases_on(pulls).take(asked_for(failure, row_version=version, resumes=True), WINDOW)
    assert isinstance(late, RowLease)
    late.release({"state": "Completed"})
    assert leases_on(pulls).take(asked_for(failure, row_version=version, resumes=True), WINDOW) is None


@pytest.mark.parametrize("text", ["x", "2026-01-01", "2026-02-01/2026-01-01", "2026-01-01/soon /"])
def test_a_note_that_somebody_wrote_by_hand_is_passed_over(pulls: Pulls, text: str) -> None:
    (failure,) = failures(1)
    taken(pulls, failure).write({"askedAgain": text})
    row = pulls.get(failure)
    assert row is not None
    assert row.asked_again == {}


def test_a_pull_that_has_ended_starts_anew(pulls: Pulls) -> None:
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "first")
    taken(pulls, failure).release({"state": "Completed", "skip": 7, "copied": 7, "lastError": "x", "attempts": 2})
    pulls.queue([failure], WINDOW, "second")
    row = pulls.get(failure)
    assert row is not None
    assert (row.state, row.skip, row.counts.copied, row.last_error, row.attempts) == (PullState.QUEUED, 0, 0, "", 0)


def test_new_and_known_failures_are_queued_together(pulls: Pulls) -> None:
    asked = failures(120)
    pulls.queue(asked[::3], WINDOW, "first")
    pulls.queue(asked, WINDOW, "second")
    assert {row.requested_by for row in (pulls.get(failure) for failure in asked) if row} == {"second"}


def test_what_was_queued_can_be_taken_by_its_version(pulls: Pulls) -> None:
    (failure,) = failures(1)
    versions = pulls.queue([failure], WINDOW, "a test")
    lease = leases_on(pulls).take(asked_for(failure, row_version=versions[failure]), WINDOW)
    assert isinstance(lease, RowLease)
    row = pulls.get(failure)
    assert row is not None
    assert (row.state, row.window, row.requested_by) == (PullState.RUNNING, WINDOW, "a test")
    assert row.started_at


def test_a_pull_has_one_owner(pulls: Pulls) -> None:
    (failure,) = failures(1)
    taken(pulls, failure)
    assert isinstance(leases_on(pulls).take(asked_for(failure), WINDOW), HeldElsewhere)


def test_a_pull_that_is_to_run_is_not_held_by_others(pulls: Pulls) -> None:
    """Whose host stands still for longer than its lease, and lives, goes on: whoever holds the row would end it."""
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "a test")
    assert leases_on(pulls).hold(failure) is None
    lease = taken(pulls, failure)
    lease.write({"skip": 100})
    with clock.using(InAnHour()):
        assert leases_on(pulls).hold(failure) is None
        lease.release({"state": "Completed"})
        assert isinstance(leases_on(pulls).hold(failure), RowLease)


def test_an_interrupted_pull_goes_on_from_its_checkpoint(pulls: Pulls) -> None:
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "a test")
    taken(pulls, failure).release({"state": "Queued", "skip": 100, "copied": 99})
    lease = taken(pulls, failure)
    assert (lease.row.number("skip"), lease.row.number("copied")) == (100, 99)


def test_a_try_whose_host_died_counts_unless_it_had_moved_on(pulls: Pulls) -> None:
    """Hosts that die over nine hundred cabs, each after a hundred more, once made the pull Failed."""
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "a test")
    seen: list[tuple[int, int]] = []
    for moves_on in (True, True, True, True, True, False, False):
        lease = taken(pulls, failure, lease=timedelta())  # a dead host's hold is over at once
        seen.append((lease.row.number("attempts"), lease.row.number("stalled")))
        if moves_on:
            lease.write({"skip": 100, "stalled": 0})
    assert seen == [(0, 0), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2)]


def test_an_interrupted_pull_starts_anew_for_other_days(pulls: Pulls) -> None:
    """Its checkpoint counts rows of the days that it asked for."""
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "a test")
    taken(pulls, failure).release({"state": "Queued", "skip": 100, "copied": 99})
    lease = taken(pulls, failure, OTHER)
    assert (lease.row.number("skip"), lease.row.text("startDate")) == (0, "2026-01-01")


def test_messages_that_take_turns_make_one_pull_of_all_their_days(pulls: Pulls) -> None:
    """They once forgot each other's tries, and asked for a cab that was gone every few seconds without end."""
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "a test")
    earlier = Window(date(2026, 9, 1), date(2026, 10, 30))
    taken(pulls, failure).release({"state": "Queued"})
    taken(pulls, failure, earlier).release({"state": "Queued", "skip": 100, "stalled": 3})
    for window in (WINDOW, earlier):
        lease = taken(pulls, failure, window)
        row = PullRow.of(lease.row)
        assert (row.window, row.skip, row.stalled) == (Window(date(2026, 9, 1), WINDOW.end), 100, 3)
        lease.release({"state": "Queued"})


def test_a_message_without_days_keeps_those_of_an_interrupted_pull(pulls: Pulls) -> None:
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "a test")
    taken(pulls, failure).release({"state": "Queued", "skip": 100})
    lease = taken(pulls, failure, OTHER, window_is_asked=False)
    assert (lease.row.number("skip"), lease.row.text("startDate")) == (100, "2026-10-22")


def test_a_message_of_a_pull_that_has_ended_starts_it_anew(pulls: Pulls) -> None:
    (failure,) = failures(1)
    taken(pulls, failure).release({"state": "Completed", "skip": 100})
    assert taken(pulls, failure).row.number("skip") == 0


def test_a_message_that_failed_too_often_ends_its_pull_with_the_last_error(pulls: Pulls) -> None:
    known, unknown = failures(2)
    pulls.queue([known], WINDOW, "a test")
    taken(pulls, known).release({"state": "Queued", "lastError": "the table is full"})
    for failure in (known, unknown):
        leases_on(pulls).fail(failure, "its message failed too often")
    rows = [pulls.get(failure) for failure in (known, unknown)]
    assert [row and row.state for row in rows] == [PullState.FAILED, PullState.FAILED]
    assert [row and row.last_error for row in rows] == ["the table is full", "its message failed too often"]
    assert all(row and row.completed_at for row in rows)


@pytest.mark.parametrize("state", ["Completed", "Failed"])
def test_a_pull_that_has_ended_is_not_ended_again(pulls: Pulls, state: str) -> None:
    (failure,) = failures(1)
    taken(pulls, failure).release({"state": state, "lastError": "as it was"})
    leases_on(pulls).fail(failure, "too often")
    row = pulls.get(failure)
    assert row is not None
    assert (row.state.value, row.last_error) == (state, "as it was")


def test_a_pull_that_another_message_works_on_is_not_ended(pulls: Pulls) -> None:
    (failure,) = failures(1)
    lease = taken(pulls, failure)
    held = leases_on(pulls).fail(failure, "too often")
    assert isinstance(held, HeldElsewhere)
    assert timedelta() < held.remaining <= LEASE
    assert state_of(pulls, failure) is PullState.RUNNING
    lease.write({})


def test_pulls_are_listed_by_state_and_page(pulls: Pulls) -> None:
    asked = failures(12)
    pulls.queue(asked, WINDOW, "a test")
    taken(pulls, asked[3]).release({"state": "Failed"})
    rows, following = pulls.page(PullState.QUEUED, "", "", 6, None)
    more, end = pulls.page(PullState.QUEUED, "", "", 6, following)
    assert end is None
    assert [row.failure for row in [*rows, *more]] == [failure for failure in asked if failure != asked[3]]
    assert [row.failure for row in pulls.page(None, "", "", 100, None)[0]] == asked
    assert [row.failure for row in pulls.page(PullState.FAILED, "", "", 100, None)[0]] == [asked[3]]


def test_a_failed_pull_is_queued_again_with_its_own_days(pulls: Pulls) -> None:
    (failure,) = failures(1)
    pulls.queue([failure], WINDOW, "first")
    taken(pulls, failure).release({"state": "Failed", "skip": 100, "copied": 99, "lastError": "refused"})
    before, queued = pulls.retry(failure, OTHER, "a retry")
    assert before is not None
    assert queued is not None
    assert (before.state, before.last_error) == (PullState.FAILED, "refused")
    row = pulls.get(failure)
    assert row is not None
    assert (row.state, row.window, row.requested_by) == (PullState.QUEUED, WINDOW, "first")
    # From the start: its checkpoint is past the cabs that it failed to copy.
    assert (row.skip, row.counts.copied, row.last_error, row.completed_at) == (0, 0, "", None)
    lease = leases_on(pulls).take(asked_for(failure, row_version=queued.etag), WINDOW)
    assert isinstance(lease, RowLease)


def test_a_failed_pull_that_never_had_days_gets_those_of_a_new_one(pulls: Pulls) -> None:
    (failure,) = failures(1)
    leases_on(pulls).fail(failure, "its message failed too often")
    pulls.retry(failure, OTHER, "a retry")
    row = pulls.get(failure)
    assert row is not None
    assert (row.state, row.window) == (PullState.QUEUED, OTHER)


@pytest.mark.parametrize("state", ["Queued", "Completed"])
def test_only_a_failed_pull_is_queued_again(pulls: Pulls, state: str) -> None:
    (failure,) = failures(1)
    taken(pulls, failure).release({"state": state, "skip": 100})
    before, queued = pulls.retry(failure, OTHER, "a retry")
    assert before is not None
    assert (before.state.value, queued) == (state, None)
    assert pulls.get(failure) == before


def test_a_retry_does_not_disturb_a_pull_that_runs(pulls: Pulls) -> None:
    (failure,) = failures(1)
    running = taken(pulls, failure)
    before, queued = pulls.retry(failure, OTHER, "a retry")
    assert before is not None
    assert (before.state, queued) == (PullState.RUNNING, None)
    running.write({"skip": 100})
    assert not running.is_lost


def test_a_pull_that_starts_while_it_is_retried_is_not_disturbed(
    pulls: Pulls, storage: StorageAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both may see the Failed row; the one that writes first has it."""
    (failure,) = failures(1)
    taken(pulls, failure).release({"state": "Failed"})
    table = table_of(storage, "pulls", created=False)
    merge = table.merge

    def late(row: Row, columns: Columns) -> Row | None:
        taken(pulls, failure)
        return merge(row, columns)

    monkeypatch.setattr(table, "merge", late)
    before, queued = AskedPulls(table).retry(failure, OTHER, "a retry")
    assert before is not None
    assert (before.state, queued) == (PullState.RUNNING, None)
    assert state_of(pulls, failure) is PullState.RUNNING


def test_nobody_asked_for_what_has_no_row(pulls: Pulls) -> None:
    (failure,) = failures(1)
    assert pulls.retry(failure, OTHER, "a retry") == (None, None)
    assert pulls.get(failure) is None

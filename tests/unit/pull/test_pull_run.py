"""What a run of a pull writes, sends and logs on its way, in memory: what it leaves out, the next one lacks."""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from shared.core import clock
from shared.core.errors import AgainLater, NeedsPerson
from shared.core.failure import Failure
from shared.progress.cab_row import CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.pull.one_failure import pull_failure
from shared.storage.lease import RowLease
from tests.simulation.center import Form
from tests.simulation.tasks import BEGINNING
from tests.simulation.world import Expected, Storm
from tests.support.memory_app import MemoryApp, memory_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.cabs.creation import Copied
    from shared.cabs.labels import CabLabels
    from shared.progress.pull_row import PullRow
    from tests.simulation.lines import Called

NOW = BEGINNING
FAILURE = Failure("1", "failure")


@pytest.fixture
def app() -> Iterator[MemoryApp]:
    with memory_app() as made:
        made.serve(FAILURE, 3)
        yield made


def expect(app: MemoryApp, kind: Called, words: str, mishap: str) -> None:
    app.world.expecting.append(Expected(kind, words, mishap))


TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


def handle(app: MemoryApp, **message: object) -> None:
    """Let the host handle a message."""
    asked = PullMessage(FAILURE, app.window, "the test", **message)  # type: ignore[arg-type]
    app.do(lambda: pull_failure(app.host.pull_tools, asked))


def sent(app: MemoryApp) -> list[tuple[PullMessage, float]]:
    """Return the messages that were sent, and the seconds that they wait."""
    messages = app.world.queue.messages
    return [
        (PullMessage.decode(each.text.encode()), (each.visible_at - each.sent_at).total_seconds()) for each in messages
    ]


def begin(app: MemoryApp) -> RowLease:
    """Take the row, as another host that pulls it."""
    message = PullMessage(FAILURE, app.window, "another")
    lease = app.do(lambda: app.host.pull_tools.leases.take(message, app.window))
    assert isinstance(lease, RowLease)
    return lease


def test_a_pull_that_is_well_writes_its_rows_and_tells_so(app: MemoryApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shared.pull")
    handle(app, pull_id="p1")
    row = app.row(FAILURE)
    assert (row.state, row.pull_id, row.skip, row.counts.copied) == (PullState.COMPLETED, "p1", 3, 3)
    assert set(app.states(FAILURE).values()) == {CabState.COPIED}
    assert row.counts.bytes == sum(len(cab.content) for cab in app.world.center.batches[FAILURE])
    assert not app.world.queue.messages
    assert any("(pull p1): Completed: CabCounts(seen=3, copied=3" in line for line in caplog.messages)


def test_who_asks_is_told_the_id_that_row_and_log_have(app: MemoryApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "shared.pull")
    pull_id = app.do(lambda: app.host.requests.make([FAILURE], app.window, "the test"))
    app.work_off()
    assert app.row(FAILURE).pull_id == pull_id
    assert all(f"{FAILURE} (pull {pull_id}): " in line for line in caplog.messages)


@pytest.mark.parametrize(("retry_after", "least"), [(None, 108.0), ("600", 600.0)])
def test_a_row_that_cannot_be_read_has_the_message_sent_again_later_and_spends_no_dequeue(
    app: MemoryApp, retry_after: str | None, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if retry_after is None:
        expect(app, "read", "reads pulls 1 failure", "busy")
    else:

        def busy(*_: object, **__: object) -> None:
            raise AgainLater("busy", timedelta(seconds=int(retry_after)))

        monkeypatch.setattr(app.host.pull_tools.leases, "take", busy)
    handle(app, row_version="" if retry_after is None else "W/1", pull_id="p1")
    ((message, waits),) = sent(app)
    assert (message.failure, message.row_version, message.pull_id) == (FAILURE, "", "p1")
    assert least <= waits <= least * 1.5


@pytest.mark.parametrize(("passed", "waits"), [(0, (15, 15)), (50, (8, 11))])
def test_a_pull_that_another_host_makes_is_looked_at_again_when_that_can_have_ended(
    app: MemoryApp, passed: int, waits: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shared.pull")
    begin(app)
    app.world.tasks.seconds += passed
    handle(app, pull_id="p1")
    assert caplog.messages == [f"{FAILURE} is being pulled by another owner; pull p1 waits"]
    ((message, seconds),) = sent(app)
    assert message.failure == FAILURE
    assert waits[0] <= seconds <= waits[1]
    assert app.row(FAILURE).requested_by == "another"


def test_a_message_that_comes_twice_is_done_when_the_first_has_made_the_pull(
    app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shared.pull")
    app.request(FAILURE)
    (message,) = app.world.queue.messages
    asked = PullMessage.decode(message.text.encode())
    app.world.queue.messages.clear()
    for _ in range(2):
        app.do(lambda: pull_failure(app.host.pull_tools, asked))
    assert len([line for line in app.world.story or () if "cabdownloadbatch" in line]) == 1
    assert caplog.messages[-1] == f"{FAILURE} is pulled, or was, by a message that came sooner than this one"
    assert not app.world.queue.messages


def test_what_was_done_is_written_down_every_five_seconds(app: MemoryApp) -> None:
    """A host that dies then costs a look at each cab of these seconds, and no more."""
    app.world.configure(PULL_CONCURRENCY="1")
    app.start_again()
    more = app.serve(FAILURE, 12)
    for cab in more:
        expect(app, "copy", f"copies to 1/failure/{cab.name}.", "slow")
    seen: list[PullRow] = []
    app.world.tables["pulls"].written = lambda *_: seen.append(app.row(FAILURE))
    handle(app)
    checkpoints = {row.updated_at: row for row in seen if row.state is PullState.RUNNING and row.skip}
    assert len(checkpoints) >= 3, "pages of three, each of which takes a minute or more"
    assert all(row.counts.copied >= row.skip for row in checkpoints.values())
    moments = [moment for moment in checkpoints if moment]
    waits = [after - before for before, after in pairwise(moments)]
    assert min(waits) >= timedelta(seconds=5)
    assert app.row(FAILURE).counts.copied == 15


@pytest.mark.parametrize(
    ("mishap", "state", "columns"),
    [
        ("throttled", PullState.QUEUED, {"attempts": 1, "last_error_kind": "later"}),
        ("unauthorized", PullState.FAILED, {"attempts": 0, "last_error_kind": "person"}),
    ],
)
def test_a_batch_that_cannot_be_had_is_told_and_goes_on_where_that_may_help(
    app: MemoryApp,
    mishap: str,
    state: PullState,
    columns: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shared")
    app.world.storms.append(Storm(frozenset({"devcenter"}), mishap, 60.0, 60.0))
    handle(app, pull_id="p1", traceparent=TRACE)
    row = app.row(FAILURE)
    assert row.state is state
    assert {name: getattr(row, name) for name in columns} == columns
    messages = sent(app)
    if state is PullState.QUEUED:
        ((message, waits),) = messages
        assert (message.resumes, message.pull_id, message.requested_by) == (True, "p1", "the test")
        assert message.traceparent == TRACE, "however often it is handed on, it leads to what asked for it"
        assert message.row_version == app.world.tables["pulls"].rows["1", "failure"][1]
        assert (message.failure, message.window) == (FAILURE, app.window)
        assert waits >= 1
        assert row.next_try_at is not None
        assert any("(pull p1): goes on in" in line for line in caplog.messages)
        app.work_off()
        assert app.row(FAILURE).state is PullState.COMPLETED
    else:
        assert messages == []
        told = "pull-failed: applicationId=1 failureHash=failure pull=p1 kind=person reason="
        assert any(line.startswith(told) for line in caplog.messages)


@pytest.mark.parametrize("mishap", ["throttled", "unauthorized"])
def test_a_host_that_dies_over_the_catalog_has_said_how_the_run_ended(
    app: MemoryApp, mishap: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message once came by the old one, ten minutes later, and a pull that had failed was never told."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    caplog.set_level(logging.INFO, "shared")
    monkeypatch.setattr("shared.catalog.news.CatalogNews.tell", dies)
    app.world.storms.append(Storm(frozenset({"devcenter"}), mishap, 60.0, 60.0))
    with pytest.raises(KeyboardInterrupt):
        handle(app)
    assert len(sent(app)) == (mishap == "throttled")
    assert any(line.startswith("pull-failed:") for line in caplog.messages) == (mishap == "unauthorized")


def test_rows_that_cannot_be_written_leave_the_checkpoint_where_the_run_began(
    app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    expect(app, "write", "writes cabs", "busy")
    handle(app)
    row = app.row(FAILURE)
    assert (row.state, row.skip, row.counts.copied) == (PullState.QUEUED, 0, 0)
    assert "writes cabs" in row.last_error
    assert any("the checkpoint stays where this run began" in line for line in caplog.messages)
    app.work_off()
    assert (app.row(FAILURE).state, app.row(FAILURE).counts.copied) == (PullState.COMPLETED, 3)


@pytest.mark.parametrize(("are_rows_written", "copied"), [(True, 3), (False, 0)])
def test_what_nobody_foresaw_keeps_what_was_done_where_that_can_be_written(
    app: MemoryApp, monkeypatch: pytest.MonkeyPatch, are_rows_written: bool, copied: int
) -> None:
    def odd(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("shared.pull.run.name_blobs", odd)
    if not are_rows_written:
        expect(app, "write", "writes cabs", "busy")
    app.request(FAILURE)
    app.change_pull(FAILURE, stalled=7)
    with pytest.raises(ZeroDivisionError):
        handle(app)
    row = app.row(FAILURE)
    assert (row.state, row.last_error_kind, row.last_error) == (PullState.QUEUED, "unforeseen", "ZeroDivisionError: ")
    assert (row.skip, row.counts.copied, row.stalled) == (copied, copied, 1 if copied else 8)
    assert list(app.states(FAILURE).values()) == [CabState.COPIED] * copied


def test_a_row_that_cannot_be_told_that_all_is_well_is_told_so_later(app: MemoryApp) -> None:
    expect(app, "write", "(Completed", "busy")
    handle(app)
    assert (app.row(FAILURE).state, app.row(FAILURE).counts.copied) == (PullState.QUEUED, 3)
    assert len(sent(app)) == 1


@pytest.mark.parametrize(("copied", "state"), [(0, PullState.FAILED), (2, PullState.COMPLETED)])
def test_a_pull_that_hosts_died_over_is_given_up_unless_they_have_copied_cabs(
    app: MemoryApp, copied: int, state: PullState
) -> None:
    handle(app)
    cabs = app.world.center.batches[FAILURE]
    app.world.tables["cabs"].rows.clear()
    for cab in cabs[copied:]:
        app.delete_blob(cab)
    died = {"state": "Running", "leaseUntil": NOW - timedelta(hours=1), "copied": 0, "seen": 0, "skip": 0}
    app.change_pull(FAILURE, stalled=10, startedAt=NOW - timedelta(minutes=1), **died)
    handle(app)
    row = app.row(FAILURE)
    assert (row.state, row.counts.copied) == (state, 3 if copied else 0)
    if not copied:
        assert "given up after 11 tries in a row without a new cab" in row.last_error


def test_a_cab_that_is_missed_at_the_end_is_copied_again(app: MemoryApp) -> None:
    """The table said that it was held, and the container had it no more."""
    handle(app)
    app.delete_blob(app.world.center.batches[FAILURE][1])
    handle(app)
    row = app.row(FAILURE)
    assert (row.state, row.skip) == (PullState.QUEUED, 0)
    assert row.last_error.startswith("1 cabs must be copied again; the first: 1/failure/cab-1.ext.zip was copied, but")
    app.work_off()
    assert app.row(FAILURE).state is PullState.COMPLETED
    assert len(app.blobs(FAILURE)) == 3


def test_a_cab_that_may_not_be_downloaded_is_not_asked_for(app: MemoryApp) -> None:
    cab = app.world.center.batches[FAILURE][0]
    cab.downloadable = False
    handle(app)
    found = app.cabs(FAILURE)[cab.name]
    assert found.state is CabState.UNAVAILABLE
    assert "Microsoft lists it, but does not let it be downloaded" in found.error
    assert not [line for line in app.world.story or () if f"{cab.name}.ext.zip" in line]


def test_where_only_a_person_can_help_no_copy_that_waits_for_its_turn_begins(
    app: MemoryApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.world.configure(PULL_CONCURRENCY="1")
    app.start_again()
    app.serve(FAILURE, 12)
    begun: list[object] = []

    def refused(*of: object) -> None:
        begun.append(of)
        app.world.tasks.sleep(0.1)
        raise NeedsPerson("403: give the role")

    monkeypatch.setattr("shared.pull.run.copied", refused)
    handle(app)
    assert (app.row(FAILURE).state, app.row(FAILURE).last_error) == (PullState.FAILED, "403: give the role")
    assert len(begun) <= 2, "the one that was refused, and one that was under way as that came to be known"
    assert app.states(FAILURE) == {}


@pytest.mark.parametrize(("is_met_before", "state"), [(True, CabState.UNAVAILABLE), (False, CabState.EXPIRED)])
def test_a_cab_that_nobody_could_have_does_not_become_expired(
    app: MemoryApp, is_met_before: bool, state: CabState
) -> None:
    """Whether one that is met too late could have been had, nobody knows: it counts as one that was."""
    cab = app.world.center.batches[FAILURE][0]
    cab.downloadable, cab.expires = False, NOW + timedelta(hours=1)
    if is_met_before:
        handle(app)
    app.world.tasks.seconds += 7_200
    handle(app)
    counts = app.row(FAILURE).counts
    assert app.states(FAILURE)[cab.name] is state
    assert (counts.unavailable, counts.expired) == (int(is_met_before), int(not is_met_before))


def test_fresh_urls_that_cannot_be_had_are_asked_for_by_a_later_try(app: MemoryApp) -> None:
    app.world.center.form = Form(sas=timedelta(0))
    expect(app, "devcenter", "skip=0", "slow")
    expect(app, "devcenter", "skip=0", "busy")
    handle(app)
    row = app.row(FAILURE)
    assert (row.state, row.skip) == (PullState.QUEUED, 0)
    assert "answered 503" in row.last_error
    assert set(app.states(FAILURE).values()) == {CabState.FAILED}


def test_a_process_that_ends_hands_on_and_begins_no_copy(app: MemoryApp) -> None:
    expect(app, "devcenter", "cabdownloadbatch", "slow")

    def stop() -> None:
        app.world.tasks.sleep(2)
        app.host.is_stopping = True

    app.world.tasks.start(app.host, stop)
    handle(app)
    assert app.row(FAILURE).state is PullState.QUEUED
    ((_, waits),) = sent(app)
    assert waits == 0
    assert not app.world.container.blobs


def test_an_owner_that_stood_still_for_too_long_ends_and_says_whose_pull_it_is(
    app: MemoryApp, caplog: pytest.LogCaptureFixture
) -> None:
    def take_over() -> None:
        app.world.tasks.sleep(1)
        app.change_pull(FAILURE, owner="another", leaseUntil=NOW + timedelta(hours=1))

    expect(app, "devcenter", "cabdownloadbatch", "slow")
    app.world.tasks.start(app.host, take_over)
    handle(app)
    assert app.row(FAILURE).state is PullState.RUNNING
    assert not app.world.queue.messages
    (line,) = (line for line in caplog.messages if line.endswith("; it is that owner's pull now"))
    assert line.startswith(f"{FAILURE}: ")
    assert "None" not in line


def test_a_copy_is_told_when_the_pulls_time_is_over(app: MemoryApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """One slow cab would hold its host until the platform ends it, and its neighbours with it."""
    copy, told = app.host.pull_tools.copies.copy, list[float]()

    def watched(url: str, name: str, labels: CabLabels, until: float) -> Copied:
        told.append(until - clock.monotonic())
        return copy(url, name, labels, until)

    monkeypatch.setattr(app.host.pull_tools.copies, "copy", watched)
    handle(app)
    budget = app.world.settings.pull_time_budget.total_seconds()
    assert len(told) == 3
    assert all(budget - 60 < each <= budget for each in told)


def test_a_time_that_is_up_lets_no_copy_begin(app: MemoryApp) -> None:
    app.world.configure(PULL_TIME_BUDGET="5", PULL_CONCURRENCY="1")
    app.start_again()
    more = app.serve(FAILURE, 6)
    expect(app, "copy", f"copies to 1/failure/{more[0].name}.", "slow")
    handle(app)
    row = app.row(FAILURE)
    assert row.state is PullState.QUEUED
    assert row.counts.copied == 4, "three of the first page, and the one that was under way"
    assert not [line for line in app.world.story or () if f"copies to 1/failure/{more[-1].name}." in line]
    app.work_off()
    assert app.row(FAILURE).counts.copied == 9

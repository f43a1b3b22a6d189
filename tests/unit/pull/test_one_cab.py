"""One cab that somebody asks for by itself comes, or its row says why not, and it is found in the telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.core.errors import AgainLater, CabUnavailable
from shared.core.failure import Failure
from shared.progress.cab_row import CabRow, CabState
from shared.progress.cabs import CabRows
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.pull import one_cab
from shared.pull.one_cab import copy_cab
from tests.simulation.tables import MemoryTable
from tests.simulation.tasks import BEGINNING
from tests.simulation.world import Expected
from tests.support.memory_app import MemoryApp, memory_app
from tests.support.told import insights

if TYPE_CHECKING:
    from pathlib import Path

FAILURE = Failure("1", "failure")
ASKING = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


@pytest.fixture
def cab(app: MemoryApp) -> str:
    """The only cab of the failure."""
    return app.serve(FAILURE, 1)[0].name


def asking(cab: str, **more: Any) -> PullMessage:
    return PullMessage(FAILURE, None, "a test", cab=cab, **more)


def handle(app: MemoryApp, message: PullMessage) -> None:
    """Do what the queue's trigger does with a message."""
    app.do(lambda: copy_cab(app.host.pull_tools, message))


def expect(app: MemoryApp, *mishaps: str) -> None:
    """Let the call for one cab go wrong so often."""
    app.world.expecting += [Expected("devcenter", "cabdownload?", each) for each in mishaps]


def ask(app: MemoryApp, cab: str) -> int:
    """Ask for a cab as the HTTP API does; return how many messages that made."""
    app.do(lambda: app.host.requests.make_one(FAILURE, cab, "a test"))
    return app.work_off()


@pytest.mark.parametrize("mishaps", [("throttled",), ("busy",), ("reset", "reset", "reset")])
def test_what_may_pass_is_tried_again(app: MemoryApp, cab: str, mishaps: tuple[str, ...]) -> None:
    expect(app, *mishaps)
    assert ask(app, cab) == 2
    assert app.states(FAILURE) == {cab: CabState.COPIED}


def test_what_stays_so_is_given_up_and_told(app: MemoryApp, cab: str) -> None:
    app.world.configure(PULL_MAX_ATTEMPTS="2")
    app.start_again()
    expect(app, "busy", "busy")
    assert ask(app, cab) == 2
    row = app.cabs(FAILURE)[cab]
    assert (row.state, "503" in row.error) == (CabState.FAILED, True)


def test_what_a_pull_told_of_it_meanwhile_is_not_written_over(
    app: MemoryApp, cab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = CabRow(CabState.UNAVAILABLE, error="it is gone", settled_at=BEGINNING)

    def copied(*_: object) -> None:
        app.host.pull_tools.cabs.write(FAILURE, [(cab, gone)])
        raise CabUnavailable("no such cab")

    monkeypatch.setattr(one_cab, "copied", copied)
    handle(app, asking(cab))
    assert app.cabs(FAILURE)[cab].error == "it is gone"


@pytest.mark.parametrize("is_listed", [True, False])
def test_what_a_pull_counted_meanwhile_stays_as_it_counted_it(
    app: MemoryApp, cab: str, monkeypatch: pytest.MonkeyPatch, *, is_listed: bool
) -> None:
    """Written over, with the time of the blob, the row was none of those that the pull said that it had copied."""
    really, counted = one_cab.copied, list[CabRow]()
    if is_listed:
        app.change_cab(FAILURE, cab, state="listed", settledAt=BEGINNING)

    def copied(*given: Any) -> object:
        done = really(*given)
        app.pull(FAILURE)
        counted.append(app.cabs(FAILURE)[cab])
        return done

    with monkeypatch.context() as patch:
        patch.setattr(one_cab, "copied", copied)
        handle(app, asking(cab))
    assert (counted[0].state, app.row(FAILURE).counts.copied) == (CabState.COPIED, 1)
    assert app.cabs(FAILURE)[cab] == counted[0]
    app.work_off()
    assert app.cabs(FAILURE)[cab] == counted[0]


@pytest.mark.parametrize("state", ["expired", "unavailable"])
def test_what_a_pull_knows_of_a_cab_stays_however_often_it_is_asked_for(app: MemoryApp, cab: str, state: str) -> None:
    app.change_cab(FAILURE, cab, state=state, error="it is gone", settledAt=BEGINNING)
    app.world.center.cabs[cab].gone_at = BEGINNING
    ask(app, cab)
    assert app.cabs(FAILURE)[cab].error == "it is gone"


def test_two_messages_of_one_cab_that_fail_at_once_are_both_done(
    app: MemoryApp, cab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.world.center.cabs[cab].downloadable = False
    really, other = CabRows.settle, CabRow(CabState.FAILED, error="the other one's", settled_at=BEGINNING)

    def sooner(rows: CabRows, *given: Any) -> bool:
        rows.write(FAILURE, [(cab, other)])
        return really(rows, *given)

    with monkeypatch.context() as patch:
        patch.setattr(CabRows, "settle", sooner)
        handle(app, asking(cab))
    assert app.cabs(FAILURE)[cab].error == "the other one's"
    assert not app.world.queue.messages


def test_a_row_that_cannot_be_written_makes_no_second_message(
    app: MemoryApp, cab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that failed after it had sent the next came back: there were twice as many after each try."""

    def busy(*_: object) -> None:
        raise AgainLater("the table is busy")

    with monkeypatch.context() as patch:
        patch.setattr(CabRows, "settle", busy)
        handle(app, asking(cab))
        assert len(app.world.queue.messages) == 1
        with pytest.raises(AgainLater):
            handle(app, asking(cab, tries=99))
        assert len(app.world.queue.messages) == 1, "the last try comes back by itself"
    app.work_off()
    assert app.states(FAILURE) == {cab: CabState.COPIED}


def test_one_whose_host_died_over_it_again_and_again_fails_no_pull(app: MemoryApp, cab: str) -> None:
    app.pull(FAILURE)
    app.do(lambda: app.host.poison_messages.settle(asking(cab).encode().encode()))
    assert app.row(FAILURE).state is PullState.COMPLETED
    assert not app.world.queue.messages
    assert [row.text("reason") for row in app.kept()]


@pytest.mark.parametrize(("others", "is_counted"), [(2, True), (100, False)])
def test_of_a_large_failure_not_all_rows_are_read_for_one_cab(
    app: MemoryApp, monkeypatch: pytest.MonkeyPatch, *, others: int, is_counted: bool
) -> None:
    """A thousand of ten thousand, asked for one by one, were ten thousand queries; here one brings a few rows."""
    app.pull(FAILURE)
    for number in range(others):
        app.change_cab(FAILURE, f"other-{number}", state="listed")
    really, queries = MemoryTable._page, list[str]()

    def page(table: MemoryTable, where: str, *rest: Any) -> Any:
        queries.append(where)
        return really(table, where, *rest)

    monkeypatch.setattr(MemoryTable, "_page", page)
    (cab,) = app.serve(FAILURE, 1)
    app.change_cab(FAILURE, cab.name, state="listed")
    handle(app, asking(cab.name))
    assert len(queries) <= 1
    tally = app.row(FAILURE).tally
    assert tally is not None
    assert tally.held == is_counted, "the reconcile counts the others"


def test_it_is_joined_to_what_asked_for_it(tmp_path: Path) -> None:
    with insights(tmp_path) as azure, memory_app() as app:
        app.pull(FAILURE)
        (cab,) = app.serve(FAILURE, 1)
        handle(app, asking(cab.name, traceparent=ASKING))
    (span,) = (row for row in azure.rows["AppDependencies"] if row["Name"] == "cab")
    assert ASKING.split("-")[1] in span["Properties"]["_MS.links"]
    assert span["Properties"]["failureHash"] == "failure"

"""A check that somebody asked for happens once, however often it was asked for, and its row tells what became of it."""

from base64 import b64encode
from datetime import datetime, timedelta

import pytest

from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.core import clock
from shared.core.errors import AgainLater
from shared.progress.queue import PullQueue
from shared.reports import asked_check
from shared.reports.asked_check import AskedCheck, AskedChecks
from shared.reports.outcome import RunOutcome
from tests.integration.app import App, reported


class Behind(clock.Clock):
    """The clock of another instance."""

    def now(self) -> datetime:
        return super().now() - timedelta(minutes=1)


def checks_of(app: App) -> AskedChecks:
    return app.services.asked_checks


def last_of(app: App) -> AskedCheck:
    last = checks_of(app).last()
    assert last is not None
    return last


def messages(app: App) -> list[bytes]:
    """Take what waits in the queue of checks, as the host hands it on."""
    client = app.queue_named(f"{app.settings.queue}-checks")
    taken = list(client.receive_messages())
    for each in taken:
        client.delete_message(each)
    return [b64encode(each.content.encode()) for each in taken]


def test_a_check_is_asked_for_made_and_told(app: App, simulator: SimulatorThread) -> None:
    report = reported(simulator, 2)
    checks = checks_of(app)
    assert checks.last() is None
    checks.ask()
    assert last_of(app).state == "Queued"
    checks.ask()
    (message,) = messages(app)
    checks.run(app.services.report_tools, message)
    last = last_of(app)
    assert (last.state, last.error, last.left_out) == ("Completed", "", 0)
    assert [(each.report_id, each.outcome, each.cabs) for each in last.outcomes] == [
        (str(report.report_id), "ingested", 2)
    ]
    assert last.ended_at
    assert last.ended_at >= last.asked_at
    checks.ask()
    assert last_of(app).state == "Queued", "what an earlier check did is not taken for this one's"
    assert len(messages(app)) == 1
    checks.run(app.services.report_tools, message)
    assert last_of(app).state == "Queued", "an earlier message that comes again does not end a later check"


def test_a_check_that_fails_says_why(app: App, simulator: SimulatorThread) -> None:
    simulator.faults.add(Fault(call=Call.REPORT, kind=FaultKind.FORBIDDEN))
    checks_of(app).ask()
    checks_of(app).run(app.services.report_tools, *messages(app))
    assert (last_of(app).state, "Manager role" in last_of(app).error) == ("Failed", True)


def test_a_check_that_the_dev_center_asks_to_wait_goes_back_to_its_queue(
    app: App, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure: neither it nor health says so, and nobody has to ask again."""
    simulator.faults.add(Fault(call=Call.REPORT, kind=FaultKind.THROTTLED, retry_after=20, times=1))
    started = clock.now()
    checks_of(app).ask()
    (message,) = messages(app)
    checks_of(app).run(app.services.report_tools, message)
    waits = last_of(app)
    assert (waits.state, waits.ended_at, app.services.health.checked()) == ("Queued", None, None)
    assert "it asks for time" in waits.error
    assert waits.next_try_at
    assert timedelta(seconds=20) <= waits.next_try_at - started < timedelta(minutes=1)
    queue = app.queue_named(f"{app.settings.queue}-checks")
    assert (messages(app), queue.get_queue_properties().approximate_message_count) == ([], 1)
    checks_of(app).ask()
    assert (queue.get_queue_properties().approximate_message_count, last_of(app)) == (1, waits)
    # Another message that comes before is told the same.
    checks_of(app).run(app.services.report_tools, message)
    assert "the Dev Center asked for a wait, and is not asked until" in last_of(app).error
    later = waits.next_try_at + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    checks_of(app).run(app.services.report_tools, message)
    ended, checked = last_of(app), app.services.health.checked()
    assert (ended.state, ended.error, ended.next_try_at, checked and checked.error) == ("Completed", "", None, "")


def test_a_check_does_not_wait_beyond_the_next_of_the_timer(app: App, simulator: SimulatorThread) -> None:
    simulator.faults.add(Fault(call=Call.REPORT, kind=FaultKind.THROTTLED, retry_after=50_000, times=1))
    checks_of(app).ask()
    checks_of(app).run(app.services.report_tools, *messages(app))
    last, checked = last_of(app), app.services.health.checked()
    assert (last.state, last.next_try_at) == ("Failed", None)
    assert "; the reports are checked again at 20" in last.error
    assert checked
    assert checked.error == last.error


def test_what_nobody_foresaw_is_told_too(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("QZXJ")

    monkeypatch.setattr(asked_check, "check_reports", broken)
    checks_of(app).ask()
    checks_of(app).run(app.services.report_tools, *messages(app))
    assert (last_of(app).state, "ValueError" in last_of(app).error) == ("Failed", True)
    assert "QZXJ" not in last_of(app).error


def test_a_check_whose_message_was_not_sent_can_be_asked_for_again(app: App) -> None:
    class Refusing(PullQueue):
        def send_text(self, text: str, delay: timedelta) -> None:
            raise AgainLater(f"{text} is not sent {delay}")

    refusing = AskedChecks(app.services.health_table, Refusing(app.queue))
    with pytest.raises(AgainLater):
        refusing.ask()
    assert checks_of(app).last() is None
    checks_of(app).ask()
    assert len(messages(app)) == 1


def test_a_host_that_dies_over_asking_leaves_no_check_that_never_comes(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks again gets a check, wherever it died: what stands in the row as asked for was sent."""

    class Dies(Exception):
        """The end of a host."""

    def dies(*_: object) -> None:
        raise Dies

    with monkeypatch.context() as dying, pytest.raises(Dies):
        dying.setattr(app.services.health_table, "insert", dies)
        checks_of(app).ask()
    assert (checks_of(app).last(), len(messages(app))) == (None, 1)
    checks_of(app).ask()
    assert (last_of(app).state, len(messages(app))) == ("Queued", 1)


def test_a_clock_that_is_behind_asks_for_a_check_of_its_own(app: App) -> None:
    checks_of(app).ask()
    checks_of(app).run(app.services.report_tools, *messages(app))
    with clock.using(Behind()):
        checks_of(app).ask()
        assert last_of(app).state == "Queued"
        checks_of(app).run(app.services.report_tools, *messages(app))
    assert last_of(app).state == "Completed"


def test_a_message_that_was_lost_does_not_block_the_next(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    checks_of(app).ask()
    messages(app)
    later = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    checks_of(app).ask()
    assert len(messages(app)) == 1


def test_more_outcomes_than_a_row_holds_leave_those_that_failed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [RunOutcome(f"{number}", "2026-11-01", "Completed", "known", error="é" * 900) for number in range(400)]
    outcomes[399] = RunOutcome("399", "2026-11-01", "Completed", "failed", error="why")
    monkeypatch.setattr(asked_check, "check_reports", lambda *_: outcomes)
    checks_of(app).ask()
    checks_of(app).run(app.services.report_tools, *messages(app))
    last = last_of(app)
    assert last.outcomes[0].error == "why"
    assert len(last.outcomes) + last.left_out == 400
    assert last.left_out > 0


class At(clock.Clock):
    """A clock that stands, and is moved by hand."""

    def __init__(self) -> None:
        self.moment = super().now()

    def now(self) -> datetime:
        return self.moment


def test_however_often_the_dev_center_calls_there_is_one_check_a_minute_and_none_too_few(app: App) -> None:
    """What calls may be anybody who has the URL, and the run that it told of must not wait for the timer."""
    checks, queue = checks_of(app), app.queue_named(f"{app.settings.queue}-checks")

    def waiting() -> int:
        return queue.get_queue_properties().approximate_message_count or 0

    with clock.using(At()) as now:
        start = now.moment
        for seconds, count in ((0, 2), (1, 2), (59, 2), (61, 3), (100, 3), (1_000, 5)):
            now.moment = start + timedelta(seconds=seconds)
            # Another instance knows of it as well.
            for instance in (checks, AskedChecks(app.services.health_table, app.services.checks)):
                instance.call_back()
            assert waiting() == count, seconds
    assert len(messages(app)) == 2, "the others stay invisible until their minute is over"

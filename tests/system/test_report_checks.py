"""Checks of the reports, one after another: each run is ingested once, and not before it is complete."""

import re
from datetime import UTC, datetime, timedelta

from local.simulator.catalogue import Failure, Report
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import Location, ReportForm
from tests.system.playground import Playground


def _published(playground: Playground, form: ReportForm | None = None) -> tuple[Failure, Report]:
    failure = playground.simulator.builder.failure(2)
    report = playground.simulator.builder.report([failure], form)
    playground.simulator.publish()
    return failure, report


def _complete(playground: Playground, report: Report, failure: Failure) -> None:
    """Let a report's only run be done."""
    (run,) = report.runs
    report.runs.clear()
    playground.simulator.builder.run(report, [failure], ReportForm(), at=run.at)
    playground.simulator.publish()


def test_a_second_check_queues_and_copies_nothing(playground: Playground) -> None:
    """The timer comes every half hour, for years: it must cost next to nothing."""
    failure, report = _published(playground)
    app = playground.start()
    playground.check(app)
    playground.ends(app, failure)
    playground.wait_for_empty_queue()
    before, looks = len(playground.storage_requests()), playground.stored.pull_looks
    assert playground.check(app)[str(report.report_id)].outcome == "known"
    asked = [request for request in playground.storage_requests()[before:] if not request.is_queue_message]
    # What is asked of the table `health`, where the check itself is told, is not counted.
    assert [request.path for request in asked if not re.match(r"/(health|\$batch)", request.path)] == ["/reports()"]
    assert playground.stored.pull_looks == looks
    assert playground.stored.messages() == 0
    assert len(playground.api_requests(failure)) == 1
    assert playground.simulator.ledger.answers(Call.BLOB) == 0
    playground.assert_copied_once(failure)


def test_a_new_run_brings_only_what_is_new(playground: Playground) -> None:
    """Each run tells of the old failures again."""
    failure, report = _published(playground)
    app = playground.start()
    playground.check(app)
    playground.ends(app, failure)
    playground.wait_for_empty_queue()
    playground.simulator.builder.cabs(failure, 3)
    playground.simulator.publish()
    playground.simulator.builder.run(report, [failure])
    playground.simulator.publish()
    playground.check(app)
    playground.wait_for_empty_queue()
    assert playground.told(app, failure).cabs.copied == 3
    assert playground.told(app, failure).cabs.already_held == 2
    playground.assert_copied_once(failure)


def test_a_run_that_is_pending_is_ingested_when_it_is_complete(playground: Playground) -> None:
    """A run that was seen too early must not count as seen."""
    failure, report = _published(playground, ReportForm(status="Pending"))
    app = playground.start()
    for _ in range(2):
        assert playground.check(app)[str(report.report_id)].outcome == "pending"
        (row,) = playground.stored.rows("reports")
        assert row["status"] == "Pending"
        assert "ingestedAt" not in row
    _complete(playground, report, failure)
    assert playground.check(app)[str(report.report_id)].outcome == "ingested"
    playground.ends(app, failure)
    playground.assert_copied_once(failure)
    (row,) = playground.stored.rows("reports")
    assert row["status"] == "Completed"


def test_a_run_that_failed_at_microsoft_is_told_and_stops_no_other(playground: Playground) -> None:
    """Somebody has to schedule it again, and has to know."""
    failed = playground.simulator.builder.report([], ReportForm(status="Failed"))
    failure, _ = _published(playground)
    app = playground.start()
    run = playground.check(app)[str(failed.report_id)]
    assert (run.status, run.outcome) == ("Failed", "failed")
    rows = {row["PartitionKey"]: row["status"] for row in playground.stored.rows("reports")}
    assert rows[str(failed.report_id)] == "Failed"
    playground.ends(app, failure)
    playground.assert_copied_once(failure)


def test_a_file_that_cannot_be_fetched_is_read_at_a_later_check(playground: Playground) -> None:
    """A run whose file was not to be had once must not be lost."""
    failure, report = _published(playground, ReportForm(location=Location.FRONT_SAS))
    fault = Fault(call=Call.BLOB, kind=FaultKind.UNAVAILABLE, times=None)
    playground.simulator.faults.add(fault)
    app = playground.start()
    run = playground.check(app)[str(report.report_id)]
    assert run.outcome == "failed"
    assert "503" in (run.error or "")
    (row,) = playground.stored.rows("reports")
    assert "503" in row["error"]
    playground.simulator.faults.clear()
    assert playground.check(app)[str(report.report_id)].outcome == "ingested"
    playground.ends(app, failure)
    playground.assert_copied_once(failure)
    (row,) = playground.stored.rows("reports")
    assert row["error"] == ""


def test_a_file_that_breaks_off_is_read_again(playground: Playground) -> None:
    """Half a report would leave half of the failures out, with nobody to notice."""
    failure, report = _published(playground, ReportForm(location=Location.FRONT_SAS))
    playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.TRUNCATED))
    app = playground.start()
    run = playground.check(app)[str(report.report_id)]
    assert (run.outcome, run.failures, run.cabs) == ("ingested", 1, 2)
    playground.ends(app, failure)
    playground.assert_copied_once(failure)


def test_only_the_reports_that_are_wanted_are_checked(playground: Playground) -> None:
    """An account has reports of other kinds, and schedules that were stopped."""
    builder = playground.simulator.builder
    wanted, other, stopped = (builder.failure(1) for _ in range(3))
    of_wanted, of_other = builder.report([wanted]), builder.report([other])
    of_stopped = builder.report([stopped], active=False)
    playground.simulator.publish()
    assert set(playground.check(playground.start())) == {str(of_wanted.report_id), str(of_other.report_id)}
    app = playground.start({"REPORT_IDS": f"{of_wanted.report_id}, {of_stopped.report_id}"})
    assert set(playground.check(app)) == {str(of_wanted.report_id), str(of_stopped.report_id)}


def test_runs_of_long_ago_are_not_asked_for(playground: Playground) -> None:
    """REPORT_LOOKBACK_DAYS bounds what a new installation pulls at once."""
    builder = playground.simulator.builder
    old, recent = builder.failure(1), builder.failure(1)
    report = builder.report([old], at=datetime.now(UTC).replace(microsecond=0) - timedelta(days=4))
    builder.run(report, [recent])
    playground.simulator.publish()
    app = playground.start({"REPORT_LOOKBACK_DAYS": "2"})
    playground.check(app)
    assert {row["RowKey"] for row in playground.stored.rows("pulls")} == {recent.key.failure_hash}


def test_a_dev_center_that_refuses_says_what_to_do(playground: Playground) -> None:
    """A missing role is the first thing that goes wrong: the answer has to name it."""
    _published(playground)
    app = playground.start()
    for kind, said in (
        (FaultKind.FORBIDDEN, "Manager role"),
        (FaultKind.UNAUTHORIZED, "DEVCENTER_CLIENT_ID"),
        (FaultKind.HTML, "is not what it should be"),
        (FaultKind.TRUNCATED, "is not what it should be"),
        (FaultKind.WRONG_TYPE, "is not what it should be"),
        (FaultKind.SERVER_ERROR, "500"),
    ):
        playground.simulator.faults.add(Fault(call=Call.REPORT, kind=kind))
        told = playground.checked(app)
        assert (told.state, said in str(told.error), told.runs) == ("Failed", True, []), told
    assert playground.stored.rows("pulls") == []


def test_a_dev_center_that_throttles_is_left_alone_for_as_long_as_it_asks(playground: Playground) -> None:
    """Who asks again too soon is throttled for longer."""
    _published(playground)
    app = playground.start()
    playground.simulator.faults.add(Fault(call=Call.REPORT_DATA, kind=FaultKind.THROTTLED_SENTENCE, retry_after=77))
    told = playground.checked(app)
    assert (told.state, "429" in str(told.error)) == ("Failed", True), told
    asked = playground.simulator.ledger.answers(Call.REPORT)
    told = playground.checked(app)
    assert (told.state, "is not asked until" in str(told.error)) == ("Failed", True), told
    assert playground.simulator.ledger.answers(Call.REPORT) == asked

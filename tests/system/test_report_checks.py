"""Checks of the reports, one after another: each run is ingested once, and not before it is complete."""

from local.simulator.catalogue import Failure, Report
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import ReportForm
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

"""A report in each shape that is known or possible: whatever it looks like, its cabs come."""

from dataclasses import dataclass

import pytest

from local.simulator.catalogue import Failure
from local.simulator.report_file import IHV_DRIVER_COLUMNS, OEM_DRIVER_COLUMNS
from local.simulator.scenario import Header, Location, ReportForm
from tests.system.answers import Pull, Run
from tests.system.playground import Playground

WITHOUT_CABS = tuple(column for column in IHV_DRIVER_COLUMNS if column != "CabIdHash")
# Unit tests of the reader combine them.
SHAPES = {
    "tab, gzip": ReportForm(),
    "plain": ReportForm(gzip=False, extension=".txt", status="Success"),
    "plain named gz, quoted": ReportForm(gzip=False, quote_all=True),
    "comma, upper header": ReportForm(delimiter=",", header=Header.UPPER, encoding="utf-8-sig"),
    "UTF-16": ReportForm(encoding="utf-16"),
    "only what is needed": ReportForm(columns=("FailureHash", "ApplicationId")),
    "without CabIdHash": ReportForm(columns=WITHOUT_CABS),
    "by another address": ReportForm(location=Location.FRONT_SAS),
}
NAMES_NO_CAB = {"only what is needed", "without CabIdHash"}


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of the report of one shape: its run, its failure, and the pull."""

    run: Run
    failure: Failure
    pull: Pull


@pytest.fixture(scope="module")
def ingested(shared_playground: Playground) -> dict[str, Ingested]:
    """One check of all shapes at once."""
    builder = shared_playground.simulator.builder
    failures = {name: builder.failure(3, occurrences_without_cab=2) for name in SHAPES}
    reports = {name: builder.report([failures[name]], form) for name, form in SHAPES.items()}
    shared_playground.simulator.publish()
    app = shared_playground.start()
    runs = shared_playground.check(app)
    # One that was not ingested must not keep the others' tests waiting.
    good = [name for name, report in reports.items() if runs[str(report.report_id)].outcome == "ingested"]
    pulls = dict(zip(good, shared_playground.ends(app, *(failures[name] for name in good)), strict=True))
    return {name: Ingested(runs[str(reports[name].report_id)], failures[name], pulls[name]) for name in good}


@pytest.mark.parametrize("name", SHAPES)
def test_a_report_of_any_shape_brings_its_cabs(
    shared_playground: Playground, ingested: dict[str, Ingested], name: str
) -> None:
    """The report's form is not documented: a shape that is not read is a month without cabs."""
    done = ingested[name]
    assert (done.run.failures, done.run.cabs, done.run.error) == (1, 0 if name in NAMES_NO_CAB else 3, None)
    assert (done.pull.state, done.pull.cabs.copied) == ("Completed", 3)
    listed = shared_playground.stored.listed()
    assert {blob: listed.get(blob) for blob in shared_playground.held(done.failure)} == shared_playground.held(
        done.failure
    )
    known = {row.get("failureName", "") for row in shared_playground.stored.cab_rows(done.failure.key).values()}
    assert known == ({""} if name in NAMES_NO_CAB else {done.failure.name})


def test_a_report_without_the_needed_columns_says_which_it_has(playground: Playground) -> None:
    """The OEMDriver view is an easy mistake: the error must show the template's author what to change."""
    good = playground.simulator.builder.failure(1)
    wrong = playground.simulator.builder.report([good], ReportForm(columns=OEM_DRIVER_COLUMNS))
    playground.simulator.builder.report([good])
    playground.simulator.publish()
    app = playground.start()
    run = playground.check(app)[str(wrong.report_id)]
    assert (run.outcome, run.failures) == ("failed", 0)
    (row,) = (row for row in playground.stored.rows("reports") if row["PartitionKey"] == str(wrong.report_id))
    for told in (run.error or "", str(row["error"])):
        assert "ApplicationId" in told
        assert {"FailureHash", "DriverVersion", "HardwareId"} <= set(told.replace(",", " ").replace(".", " ").split())
    assert "ingestedAt" not in row
    health = app.get("/api/health").json()
    assert (health["status"], health["reports"]["failed"]) == ("degraded", 1)
    assert "no column ApplicationId" in health["reports"]["error"]
    # One report's mistake costs no other report.
    playground.ends(app, good)
    playground.assert_copied_once(good)

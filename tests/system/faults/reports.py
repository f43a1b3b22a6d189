"""Report checks, of one report for each fault: together, but for the faults that end a whole check."""

from collections.abc import Iterable, Mapping

from local.simulator.catalogue import Report
from local.simulator.faults import Call as DevCenterCall
from local.simulator.faults import Fault as DevCenterFault
from local.simulator.scenario import Location, ReportForm
from tests.support.waiting import wait_until
from tests.system.answers import ReportCheck, decoded
from tests.system.faults.cells import ASK_FOR_TIME, KINDS, Call, Cell, Fault, Outcome
from tests.system.faults.stage import SLOW_SECONDS, Observed, Seen, Stage
from tests.system.playground import SMALL

_CABS = 1
# A token that the Dev Center refuses, and a wait that it asks for, concern every report: it would only refuse again.
_END_A_CHECK = {Fault.S401, Fault.S403, Fault.THROTTLED, Fault.S503}
_DONE = {"ingested", "known"}


def observe(stage: Stage, cells: Iterable[Cell]) -> Observed:
    """Check one report for each cell, first with its fault, then without, and return what was seen.

    Args:
        stage: Where.
        cells: What goes wrong.
    """
    builder = stage.playground.simulator.builder
    failures = {cell: builder.failure(_CABS, SMALL) for cell in cells}
    form = ReportForm(location=Location.FRONT_SAS)
    reports = {cell: builder.report([failure], form, active=False) for cell, failure in failures.items()}
    stage.playground.simulator.publish()
    for cell, report in reports.items():
        _inject(stage, cell, report)
    alone = [cell for cell in reports if cell.call is Call.REPORT_DATA and cell.fault in _END_A_CHECK]
    seen = _checked(stage, {cell: report for cell, report in reports.items() if cell not in alone})
    for cell in alone:
        if cell.fault in ASK_FOR_TIME:
            seen[cell] = _waited(stage, cell, reports[cell])
        else:
            seen |= _checked(stage, {cell: reports[cell]})
    for cell, report in reports.items():
        seen[cell].calls = _calls(stage, cell, report)
    stage.playground.simulator.faults.clear()
    _note_rows(stage, reports, seen)
    for cell, (outcome, told) in _check(stage, reports).items():
        if outcome not in _DONE:
            seen[cell].wrong.append(f"without the fault it is {outcome}: {told}")
    pulls = stage.playground.ends(stage.app, *failures.values())
    for cell, pull in zip(failures, pulls, strict=True):
        if (pull.state, pull.cabs.copied, pull.last_error) != ("Completed", _CABS, None):
            seen[cell].wrong.append(f"its pull is {pull}")
    stage.playground.assert_copied_once(*failures.values())
    return seen


def _inject(stage: Stage, cell: Cell, report: Report) -> None:
    call, match = _asked_for(cell, report)
    fault = DevCenterFault(
        call=call, kind=KINDS[cell.fault], times=None if cell.lasts else 1, delay=SLOW_SECONDS, match=match
    )
    stage.playground.simulator.faults.add(fault)


def _asked_for(cell: Cell, report: Report) -> tuple[DevCenterCall, dict[str, str]]:
    """Return what a cell's fault is about, and how its requests are known."""
    if cell.call is Call.REPORT_DATA:
        return DevCenterCall.REPORT_DATA, {"reportId": str(report.report_id)}
    return DevCenterCall.BLOB, {"blob": report.runs[0].place.name}


def _calls(stage: Stage, cell: Cell, report: Report) -> int:
    call, match = _asked_for(cell, report)
    requests = stage.playground.simulator.ledger.requests
    return sum(each.call is call and match.items() <= each.query.items() for each in tuple(requests))


def _checked(stage: Stage, reports: Mapping[Cell, Report]) -> dict[Cell, Seen]:
    seen = {}
    for cell, (outcome, told) in _check(stage, reports).items():
        named = {"ingested": Outcome.COMPLETE, "failed": Outcome.TOLD}
        seen[cell] = Seen(named.get(outcome, Outcome.REFUSED), told)
    return seen


def _waited(stage: Stage, cell: Cell, report: Report) -> Seen:
    """Check a report that the Dev Center asks to wait: the check waits, and ends by itself once that helps."""

    def told() -> ReportCheck:
        return decoded(stage.app.get("/api/reports/check"), ReportCheck)

    def waits() -> list[ReportCheck]:
        seen = told()
        # A wait that the check before this was asked for is kept, and says nothing of this one.
        return [seen] if seen.next_try_at and "is not asked until" not in str(seen.error) else []

    report.active = True
    stage.app.post("/api/reports/check")
    (waiting,) = wait_until(waits, "a check that waits")
    if cell.lasts:
        report.active = False
    wait_until(lambda: told().ended_at, "the end of a check that waited")
    report.active = False
    done = [run for run in told().runs if run.report_id == str(report.report_id) and run.outcome == "ingested"]
    return Seen(Outcome.LATER if done else Outcome.WAITS, str(waiting.error))


def _check(stage: Stage, reports: Mapping[Cell, Report]) -> Mapping[Cell, tuple[str, str]]:
    """Check some reports, and return the outcome and the error of each; those of the check where that failed."""
    for report in reports.values():
        report.active = True

    def asked() -> list[ReportCheck]:
        told = stage.playground.checked(stage.app)
        return [] if "is not asked until" in str(told.error) else [told]

    # A wait that the check before this was asked for is kept, and says nothing of this one.
    (told,) = wait_until(asked, "a check that asks the Dev Center", pause=0.5)
    for report in reports.values():
        report.active = False
    if told.error:
        return dict.fromkeys(reports, (told.state, told.error))
    runs = {run.report_id: run for run in told.runs}
    found = {cell: runs[str(report.report_id)] for cell, report in reports.items()}
    return {cell: (run.outcome, run.error or "") for cell, run in found.items()}


def _note_rows(stage: Stage, reports: Mapping[Cell, Report], seen: Mapping[Cell, Seen]) -> None:
    """Note each run that is known, could not be read, and whose row does not tell why."""
    rows = {row["PartitionKey"]: row for row in stage.playground.stored.rows("reports")}
    for cell, report in reports.items():
        if cell.call is Call.REPORT_FILE and seen[cell].outcome is not Outcome.COMPLETE:
            told = rows.get(str(report.report_id), {}).get("error", "")
            if not told or told not in seen[cell].reason:
                seen[cell].wrong.append(f"its row says {told!r}")

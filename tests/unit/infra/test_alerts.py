"""Each alert fires on what the app itself tells when that happens, and none does where all is well.

The app's own code runs on services in memory, and tells a loopback ingestion by the real exporter; the alert's query is
read by Kusto's own parser (infra/kql/count.cjs).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from functions.exception_guard import telling_no_secret
from infra.queries import KQL, queries
from local.install import node_command
from shared.core.errors import CabferryError
from shared.core.events import EVENTS, REPORT_RUN_FAILED, SCHEDULE_ENDED, WORK_STOPPED
from shared.core.failure import Failure
from shared.core.metrics import METRICS
from shared.failures.check import check_failures
from shared.reports.check import check_reports
from tests.simulation.center import Run
from tests.simulation.tasks import BEGINNING
from tests.simulation.world import Storm
from tests.support.memory_app import MemoryApp, memory_app
from tests.support.told import insights
from tests.unit.infra.predicted import ROOT, resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shared.failures.check import FailureTools

FAILURE = Failure("1", "failure")
_DAY = timedelta(days=1)
type Tables = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Alert:
    """A rule as Azure gets it."""

    query: str
    is_missed: bool
    window: timedelta

    def fires(self, found: int) -> bool:
        """Tell whether it does where its query finds so many rows."""
        return found < 1 if self.is_missed else found > 0


def alerts() -> dict[str, Alert]:
    rules: dict[str, Alert] = {}
    for rule in resources("production", "Insights/scheduledQueryRules"):
        (criterion,) = rule["properties"]["criteria"]["allOf"]
        assert criterion["timeAggregation"] == "Count"
        operator, threshold = criterion["operator"], criterion["threshold"]
        assert (operator, threshold) in {("LessThan", 1), ("GreaterThan", 0)}
        window = re.fullmatch(r"PT?(\d+)([HD])", rule["properties"]["windowSize"])
        assert window
        hours = timedelta(hours=int(window[1])) * (24 if window[2] == "D" else 1)
        rules[rule["name"]] = Alert(criterion["query"], operator == "LessThan", hours)
    return rules


ALERTS = alerts()
MISSED = {name for name, rule in ALERTS.items() if rule.is_missed}


def firing(workspaces: dict[str, Tables]) -> dict[str, set[str]]:
    """Return for each workspace the alerts that fire now; the parser is asked once, for it takes seconds to load."""
    now = datetime.now(UTC)
    windows = sorted({rule.window for rule in ALERTS.values()})
    # Each alert is asked of the rows within its own window, as Azure does.
    recent = [
        {name: [_plain(row) for row in rows if row["TimeGenerated"] > now - window] for name, rows in tables.items()}
        for tables in workspaces.values()
        for window in windows
    ]
    told = json.dumps({"queries": [rule.query for rule in ALERTS.values()], "workspaces": recent})
    done = subprocess.run(node_command(KQL, "count.cjs"), input=told, stdout=subprocess.PIPE, text=True, check=True)
    counted = dict(zip(product(workspaces, windows), json.loads(done.stdout), strict=True))
    return {
        workspace: {
            name
            for place, (name, rule) in enumerate(ALERTS.items())
            if rule.fires(counted[workspace, rule.window][place])
        }
        for workspace in workspaces
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "TimeGenerated"}


def what_it_tells(folder: Path, *happens: Callable[[MemoryApp], object]) -> Tables:
    """Let things happen to the app, and return the rows that it becomes in Azure."""
    with insights(folder) as azure, memory_app() as app:
        app.serve(FAILURE, 3)
        for each in happens:
            each(app)
    return {**azure.rows, "Operation": []}


def its_timers_run(app: MemoryApp) -> None:
    app.pull(FAILURE)
    app.do(lambda: check_reports(app.host.report_tools))
    # None is configured, so that of the tools only the settings are asked.
    check_failures(cast("FailureTools", SimpleNamespace(settings=app.world.settings)))
    app.reconcile()


def it_is_forbidden(app: MemoryApp) -> None:
    app.world.storms.append(Storm(frozenset({"devcenter"}), "unauthorized", 60.0, 60.0))


def a_pull_fails(app: MemoryApp) -> None:
    it_is_forbidden(app)
    app.pull(FAILURE)


def everybody_is_refused(app: MemoryApp) -> None:
    it_is_forbidden(app)
    for number in range(5):
        app.pull(Failure("1", f"failure-{number}"))


def a_message_is_none(app: MemoryApp) -> None:
    app.do(lambda: app.host.poison_messages.settle(b"bm90aGluZw=="))


def a_cab_expires_tomorrow(app: MemoryApp) -> None:
    app.change_cab(FAILURE, "a-cab", state="failed", settledAt=BEGINNING, expiry=BEGINNING + _DAY)
    app.reconcile()


def a_cab_is_lost(app: MemoryApp) -> None:
    app.change_cab(FAILURE, "a-cab", state="failed", settledAt=BEGINNING - 5 * _DAY, expiry=BEGINNING - 2 * _DAY)
    app.reconcile()


def a_check_fails(app: MemoryApp) -> None:
    it_is_forbidden(app)

    @telling_no_secret
    def check_reports_now(timer: object) -> None:
        check_reports(app.host.report_tools)

    with suppress(CabferryError):
        app.do(lambda: check_reports_now("due"))


def a_run_is_late(app: MemoryApp) -> None:
    app.world.center.runs.append(Run(app.world.tasks.now() - timedelta(hours=20), ()))
    for _ in range(2):
        app.do(lambda: check_reports(app.host.report_tools))


HAPPENS: dict[str, tuple[Callable[[MemoryApp], object], set[str]]] = {
    "all is well": (lambda _: None, set()),
    "a pull fails": (a_pull_fails, {"cabferry-given-up"}),
    "everybody is refused": (everybody_is_refused, {"cabferry-given-up", "cabferry-refused"}),
    "a message is none": (a_message_is_none, {"cabferry-poison"}),
    "nothing works": (lambda _: WORK_STOPPED.tell(reason="no table"), {"cabferry-poison"}),
    "a cab expires": (a_cab_expires_tomorrow, {"cabferry-expiring"}),
    "a cab is lost": (a_cab_is_lost, {"cabferry-lost"}),
    "a check fails": (a_check_fails, {"cabferry-failures"}),
    "a run fails": (
        lambda _: REPORT_RUN_FAILED.tell(reportId="1", reportDatetime="", reason="cut"),
        {"cabferry-reports"},
    ),
    "a run is late": (a_run_is_late, {"cabferry-reports"}),
    "a schedule ends": (lambda _: SCHEDULE_ENDED.tell(reportId="1", reason="its time is over"), {"cabferry-reports"}),
}


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no Node to run Kusto's parser")
def test_each_alert_fires_on_what_the_app_tells_and_none_where_all_is_well(tmp_path: Path) -> None:
    told = {name: what_it_tells(tmp_path, its_timers_run, happens) for name, (happens, _) in HAPPENS.items()}
    well = told["all is well"]
    expected = {name: alerts for name, (_, alerts) in HAPPENS.items()}
    # What Azure writes itself, as the baseline alerts of Microsoft look for it.
    for detail, alerts in (("OverQuota", {"cabferry-log-cap"}), ("RespectQuota", set())):
        row = {
            "OperationCategory": "Data Collection Status",
            "Detail": f"is {detail}",
            "TimeGenerated": datetime.now(UTC),
        }
        told[detail], expected[detail] = {**well, "Operation": [row]}, alerts
    # Yesterday's news is none, and a day without any is one.
    for name, tables in list(told.items()):
        told[f"{name} yesterday"] = {table: [_older(row) for row in rows] for table, rows in tables.items()}
        expected[f"{name} yesterday"] = MISSED
    assert firing(told) == expected
    assert {"cabferry-silence", "cabferry-unlooked", "cabferry-unwatched"} == MISSED
    assert set().union(*expected.values()) == ALERTS.keys()


def _older(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "TimeGenerated": row["TimeGenerated"] - _DAY}


def test_queries_look_for_names_that_there_are_and_a_page_says_what_to_do_about_alerts() -> None:
    known = {each.name for each in METRICS} | {each.name for each in EVENTS} | {"pull"}
    for place, query in queries().items():
        # Requests are named after functions.
        for names in re.findall(r"^App(?!Requests)[^|]+\| where Name (?:==|!?in) ([^|]+)", query, re.DOTALL):
            assert set(re.findall(r'"([^"]+)"', names.partition(" and ")[0])) <= known, place
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8").split("\n## Alerts\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(cabferry-[a-z-]+)` \|", page, re.MULTILINE) == list(ALERTS)

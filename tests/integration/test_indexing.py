"""Azure's own worker runtime indexes the app: exactly these functions, whatever is missing around them.

An app that is not indexed shows no functions and no reason, and nothing of it can say what to mend.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.api.openapi import openapi
from tests.support.azurite import StorageAccount

ROOT = Path(__file__).parents[2]
OURS = ("CAB_", "DEVCENTER_", "PULL_", "RECONCILE_", "REPORT_", "MAX_CABS_", "RETENTION_")
EVERYTHING_SET = {
    "REPORT_POLL_SCHEDULE": "0 0 * * * *",
    "RECONCILE_SCHEDULE": "0 0 1 * * *",
    "FAILURE_POLL_SCHEDULE": "0 0 2 * * *",
    "CAB_QUEUE": "other-pulls",
    "CAB_STORAGE": "UseDevelopmentStorage=true",
    "DEVCENTER_ACCESS_TOKEN": "token",
}
RETURN = {"name": "$return", "type": "http", "direction": "OUT"}
THIRD_PARTY = ("msgspec", "azure.storage")


def http(method: str, route: str) -> list[dict[str, Any]]:
    trigger = {"name": "req", "type": "httpTrigger", "direction": "IN"}
    methods = ["GET", "HEAD"] if method == "GET" else [method]
    return [{**trigger, "methods": methods, "route": route, "authLevel": "FUNCTION"}, RETURN]


def anonymous(route: str, *methods: str) -> list[dict[str, Any]]:
    """What shows no data without a sign-in: the page and what it is told of that."""
    trigger = {"name": "req", "type": "httpTrigger", "direction": "IN"}
    return [{**trigger, "methods": [*(methods or ("GET", "HEAD"))], "route": route, "authLevel": "ANONYMOUS"}, RETURN]


def queue(name: str) -> list[dict[str, Any]]:
    trigger = {"name": "message", "type": "queueTrigger", "direction": "IN"}
    return [{**trigger, "queueName": name, "connection": "CAB_STORAGE"}]


def timer(schedule: str) -> list[dict[str, Any]]:
    trigger = {"name": "timer", "type": "timerTrigger", "direction": "IN"}
    return [{**trigger, "schedule": schedule, "runOnStartup": False, "useMonitor": True}]


def expected(schedule: str, finding: str, healing: str, queue_name: str) -> dict[str, list[dict[str, Any]]]:
    cab = "failures/{applicationId}/{failureHash}/cabs/{cabIdHash}"
    return {
        "request_pull": http("POST", "pulls"),
        "show_pull": http("GET", "pulls/{applicationId}/{failureHash}"),
        "list_pulls": http("GET", "pulls"),
        "list_cabs": http("GET", "pulls/{applicationId}/{failureHash}/cabs"),
        "request_cab": http("POST", "cabs/{applicationId}/{cabIdHash}"),
        "retry_pull": http("POST", "pulls/{applicationId}/{failureHash}/retry"),
        "list_failures": http("GET", "failures"),
        "show_trends": http("GET", "trends"),
        "show_failure": http("GET", "failures/{applicationId}/{failureHash}"),
        "summary": http("GET", "summary"),
        "list_runs": http("GET", "reports"),
        "show_openapi": http("GET", "openapi.json"),
        "request_failure_check": http("POST", "failures/check"),
        "show_failure_check": http("GET", "failures/check"),
        "request_check": http("POST", "reports/check"),
        "show_check": http("GET", "reports/check"),
        "report_ready": http("POST", "reports/callback"),
        "list_templates": http("GET", "reports/templates"),
        "make_template": http("POST", "reports/templates"),
        "list_schedules": http("GET", "reports/schedules"),
        "make_schedule": http("POST", "reports/schedules"),
        "pause_schedule": http("POST", "reports/schedules/{reportId}/pause"),
        "resume_schedule": http("POST", "reports/schedules/{reportId}/resume"),
        "link_cab": http("POST", f"{cab}/link"),
        "fetch_cab": http("GET", f"{cab}/content"),
        "show_dashboard": anonymous("dashboard"),
        "show_dashboard_file": anonymous("dashboard/files/{file}"),
        "show_dashboard_person": anonymous("dashboard/me"),
        "call_from_dashboard": anonymous("dashboard/calls/{*path}", "GET", "POST"),
        "health": http("GET", "health"),
        "show_plan": http("GET", "plan"),
        "try_plan": http("POST", "plan"),
        "preflight": http("POST", "preflight"),
        "show_preflight": http("GET", "preflight"),
        "check_reports": timer(schedule),
        "check_failures": timer(finding),
        "reconcile": timer(healing),
        "pull_failure": queue(queue_name),
        "abandon_pull": queue(f"{queue_name}-poison"),
        "run_check": queue(f"{queue_name}-checks"),
    }


def index(settings: dict[str, str], *hidden: str) -> dict[str, Any]:
    """Index the app in a process of its own, and ask it something.

    Args:
        settings: All of its settings.
        hidden: Packages that cannot be imported.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.indexed_app", *hidden],
        cwd=ROOT,
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    indexed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return indexed


def test_without_any_setting_the_app_is_indexed_and_says_what_is_missing() -> None:
    indexed = index({})
    assert indexed["functions"] == expected("0 */30 * * * *", "0 10 */2 * * *", "0 20 */6 * * *", "cab-pulls")
    status, problem = indexed["answers"]["health"]
    assert status == 503
    for name in ("CAB_STORAGE", "DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID", "DEVCENTER_CLIENT_SECRET"):
        assert f"{name} is missing" in problem["detail"]


def test_with_every_setting_the_bindings_name_them(storage: StorageAccount) -> None:
    """The host resolves %NAME%, so that a changed schedule needs no new deployment."""
    indexed = index({**EVERYTHING_SET, "CAB_STORAGE": storage.connection_string})
    assert indexed["functions"] == expected(
        "%REPORT_POLL_SCHEDULE%", "%FAILURE_POLL_SCHEDULE%", "%RECONCILE_SCHEDULE%", "%CAB_QUEUE%"
    )
    assert [indexed["answers"][name][0] for name in ("health", "request_pull")] == [200, 202]


def test_a_malformed_setting_costs_no_function() -> None:
    malformed = ("PULL_CONCURRENCY", "CAB_SOURCE_HOSTS", "DEVCENTER_BASE_URL")
    indexed = index({**EVERYTHING_SET, **dict.fromkeys(malformed, "!")})
    assert indexed["functions"] == expected(
        "%REPORT_POLL_SCHEDULE%", "%FAILURE_POLL_SCHEDULE%", "%RECONCILE_SCHEDULE%", "%CAB_QUEUE%"
    )
    status, problem = indexed["answers"]["request_pull"]
    assert status == 503
    for name in malformed:
        assert name in problem["detail"]


def test_the_openapi_document_has_exactly_the_calls_that_are_indexed() -> None:
    """A call that is not documented is one that nobody finds; one that is not there is a client that fails."""
    indexed = {
        (name, method.lower(), f"/api/{trigger['route']}")
        for name, (trigger, *_) in expected("", "", "", "").items()
        if trigger["type"] == "httpTrigger" and trigger["authLevel"] == "FUNCTION"
        for method in trigger["methods"]
        if method != "HEAD"  # which is where GET is, as the description says
    }
    documented = {
        (operation["operationId"], method, path)
        for path, operations in openapi()["paths"].items()
        for method, operation in operations.items()
    }
    assert documented == indexed


@pytest.mark.parametrize("missing", THIRD_PARTY)
def test_a_package_that_cannot_be_imported_costs_no_function_and_is_named(missing: str) -> None:
    indexed = index({}, missing)
    assert indexed["functions"] == expected("0 */30 * * * *", "0 10 */2 * * *", "0 20 */6 * * *", "cab-pulls")
    assert indexed["answers"]["health"][0] == 503, "health tells of settings, and needs no package"
    status, problem = indexed["answers"]["request_pull"]
    assert status == 500
    assert missing in problem["detail"]

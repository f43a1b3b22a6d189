"""The functions that the host finds: exactly those of the contract, whatever is missing in the settings."""

from typing import Any

from local.simulator.faults import Call
from tests.system.answers import problem
from tests.system.app import App
from tests.system.playground import Playground

ANSWER = {"name": "$return", "type": "http", "direction": "OUT"}
FAILURE = {"applicationId": "13984104677400476", "failureHash": "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"}


def http(method: str, route: str) -> list[dict[str, Any]]:
    """Return the bindings of a function of the HTTP API."""
    trigger = {
        "name": "req",
        "type": "httpTrigger",
        "direction": "IN",
        "methods": [method],
        "authLevel": "FUNCTION",
        "route": route,
    }
    return [trigger, ANSWER]


def queue(name: str) -> list[dict[str, Any]]:
    """Return the bindings of a function of a queue."""
    trigger = {"name": "message", "type": "queueTrigger", "direction": "IN", "queueName": name}
    return [{**trigger, "connection": "CAB_STORAGE"}]


def timer(schedule: str) -> list[dict[str, Any]]:
    """Return the bindings of a function of the clock."""
    trigger = {"name": "timer", "type": "timerTrigger", "direction": "IN", "schedule": schedule}
    return [{**trigger, "runOnStartup": False, "useMonitor": True}]


HTTP_FUNCTIONS = {
    "request_pull": http("POST", "pulls"),
    "show_pull": http("GET", "pulls/{applicationId}/{failureHash}"),
    "list_pulls": http("GET", "pulls"),
    "list_cabs": http("GET", "pulls/{applicationId}/{failureHash}/cabs"),
    "retry_pull": http("POST", "pulls/{applicationId}/{failureHash}/retry"),
    "list_runs": http("GET", "reports"),
    "show_openapi": http("GET", "openapi.json"),
    "request_check": http("POST", "reports/check"),
    "request_failure_check": http("POST", "failures/check"),
    "show_check": http("GET", "reports/check"),
    "show_failure_check": http("GET", "failures/check"),
    "health": http("GET", "health"),
    "preflight": http("POST", "preflight"),
    "show_preflight": http("GET", "preflight"),
}


def indexed(app: App) -> dict[str, Any]:
    """Return the bindings of every function, by name."""
    return {function["name"]: function["config"]["bindings"] for function in app.get("/admin/functions").json()}


def in_error(app: App) -> set[str]:
    """Return the functions that do not listen."""
    return {function["name"] for function in app.get("/admin/functions").json() if not function["listening"]}


def test_the_functions_are_those_of_the_contract(playground: Playground) -> None:
    """A function that is not indexed never runs: no check, no pull, no answer."""
    app = playground.start({"CAB_QUEUE": "other-pulls"})
    assert indexed(app) == {
        **HTTP_FUNCTIONS,
        "check_reports": timer("%REPORT_POLL_SCHEDULE%"),
        "check_failures": timer("%FAILURE_POLL_SCHEDULE%"),
        "reconcile": timer("%RECONCILE_SCHEDULE%"),
        "pull_failure": queue("%CAB_QUEUE%"),
        "abandon_pull": queue("%CAB_QUEUE%-poison"),
        "run_check": queue("%CAB_QUEUE%-checks"),
    }
    assert not in_error(app)
    assert app.get("/api/health").json()["status"] == "ok"


def test_an_app_without_any_setting_says_which_are_missing(playground: Playground) -> None:
    """An app with no functions and no reason is what a first deployment must never look like."""
    unset = ("CAB_STORAGE", "CAB_SOURCE_HOSTS", "DEVCENTER_ACCESS_TOKEN", "DEVCENTER_BASE_URL")
    app = playground.start(
        dict.fromkeys([*unset, "REPORT_POLL_SCHEDULE", "FAILURE_POLL_SCHEDULE", "RECONCILE_SCHEDULE"], "")
    )
    assert indexed(app) == {
        **HTTP_FUNCTIONS,
        "check_reports": timer("0 */30 * * * *"),
        "check_failures": timer("0 10 */2 * * *"),
        "reconcile": timer("0 20 */6 * * *"),
        "pull_failure": queue("cab-pulls"),
        "abandon_pull": queue("cab-pulls-poison"),
        "run_check": queue("cab-pulls-checks"),
    }
    # Nothing can be listened to where there is no storage; all else answers, and goes on to.
    assert in_error(app) == {"pull_failure", "abandon_pull", "run_check"}
    for answer in (
        app.get("/api/health"),
        app.post("/api/pulls", FAILURE),
        app.get("/api/pulls"),
        app.get(f"/api/pulls/{FAILURE['applicationId']}/{FAILURE['failureHash']}"),
        app.get(f"/api/pulls/{FAILURE['applicationId']}/{FAILURE['failureHash']}/cabs"),
        app.post(f"/api/pulls/{FAILURE['applicationId']}/{FAILURE['failureHash']}/retry"),
        app.get("/api/reports"),
        app.post("/api/reports/check"),
        app.get("/api/reports/check"),
        app.get("/api/health"),
    ):
        told = problem(answer, 503)
        for name in ("CAB_STORAGE", "DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID", "DEVCENTER_CLIENT_SECRET"):
            assert name in told
    assert app.get("/api/openapi.json").json()["openapi"] == "3.1.0"
    assert app.process.poll() is None


def test_every_malformed_setting_is_named_at_once(playground: Playground) -> None:
    """A setting that is silently replaced by another value pulls from the wrong place, or at the wrong pace."""
    malformed = {
        "DEVCENTER_BASE_URL": "http://devcenter.example",
        "PULL_CONCURRENCY": "many",
        "PULL_LEASE_SECONDS": "0",
        "CAB_CONTAINER": "Failure Cabs",
        "CAB_SOURCE_HOSTS": "*",
        "REPORT_IDS": "1,2/3",
    }
    app = playground.start(malformed)
    for answer in (app.get("/api/health"), app.post("/api/pulls", FAILURE)):
        told = problem(answer, 503)
        assert [name for name in malformed if name not in told] == []
    assert not in_error(app)
    assert not playground.stored.messages()


def test_a_timer_that_cannot_be_read_stops_nothing_else(playground: Playground) -> None:
    """A typing error in the schedule must not cost the pulls on demand."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    app = playground.start({"REPORT_POLL_SCHEDULE": "sometimes"})
    assert in_error(app) == {"check_reports"}
    (pull,) = playground.pull(app, failure)
    assert pull.state == "Completed"
    assert playground.simulator.ledger.answers(Call.REPORT) == 0


def test_the_names_of_container_and_queue_are_settings(playground: Playground) -> None:
    """Two apps on one account must be able to stay apart."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    app = playground.start({"CAB_CONTAINER": "other-cabs", "CAB_QUEUE": "other-pulls"})
    playground.pull(app, failure)
    paths = {request.path.split("/")[1] for request in playground.storage_requests()}
    assert {"other-cabs", "other-pulls"} <= paths
    assert not {"failure-cabs", "cab-pulls"} & paths

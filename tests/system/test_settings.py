"""The app with settings that are missing, wrong or its own: what still works does, and what does not says why."""

from local.simulator.faults import Call
from tests.system.answers import problem
from tests.system.app import App
from tests.system.playground import Playground

FAILURE = {"applicationId": "13984104677400476", "failureHash": "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"}


def in_error(app: App) -> set[str]:
    """Return the functions that do not listen."""
    return {function["name"] for function in app.get("/admin/functions").json() if not function["listening"]}


def test_an_app_without_any_setting_says_which_are_missing(playground: Playground) -> None:
    """An app with no functions and no reason is what a first deployment must never look like."""
    unset = ("CAB_STORAGE", "CAB_SOURCE_HOSTS", "DEVCENTER_ACCESS_TOKEN", "DEVCENTER_BASE_URL")
    app = playground.start(
        dict.fromkeys([*unset, "REPORT_POLL_SCHEDULE", "FAILURE_POLL_SCHEDULE", "RECONCILE_SCHEDULE"], "")
    )
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


def test_a_timer_that_cannot_be_read_stops_nothing_else_and_names_are_settings(playground: Playground) -> None:
    """A typing error must not cost the pulls on demand, and two apps on one account must be able to stay apart."""
    failure = playground.failure(1)
    app = playground.start(
        {"REPORT_POLL_SCHEDULE": "sometimes", "CAB_CONTAINER": "other-cabs", "CAB_QUEUE": "other-pulls"}
    )
    assert in_error(app) == {"check_reports"}
    # The first look after a deployment is no error.
    assert (app.get("/api/pulls").json()["pulls"], app.get("/api/reports").json()["runs"]) == ([], [])
    (pull,) = playground.pull(app, failure)
    assert pull.state == "Completed"
    assert playground.simulator.ledger.answers(Call.REPORT) == 0
    paths = {request.path.split("/")[1] for request in playground.storage_requests()}
    assert {"other-cabs", "other-pulls"} <= paths
    assert not {"failure-cabs", "cab-pulls"} & paths

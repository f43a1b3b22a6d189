"""The life of a report, from a wish to cabs in the container, without Partner Center."""

from typing import Any

import requests

from tests.system.app import App, typed
from tests.system.playground import Playground


def _schedule(app: App, report_id: str) -> Any:
    schedules = app.get("/api/reports/schedules").json()["schedules"]
    return {each["reportId"]: each for each in schedules}[report_id]


def _run(playground: Playground, report_id: str) -> None:
    """Let the Dev Center make a run."""
    url = f"{playground.simulator.url}/simulator/reports/{report_id}/runs"
    answer = requests.post(url, timeout=30)
    assert answer.status_code == 201, answer.text


def _typed(app: App, *words: str, code: int = 0) -> str:
    """Return what `python3 dev.py report` says."""
    done = typed("report", "--url", app.url, *words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_a_report_is_made_watched_paused_and_resumed_by_the_app_alone(playground: Playground) -> None:
    failure = playground.failure(3)
    app = playground.start()
    made = app.post("/api/reports/schedules", {"recurrenceInterval": 12, "recurrence": 2})
    assert made.status_code == 201, made.text
    report_id, template_id = made.json()["reportId"], made.json()["templateId"]

    (template,) = app.get("/api/reports/templates").json()["templates"]
    assert (template["templateId"], template["missingColumns"]) == (template_id, [])
    assert "DeviceId" not in template["columns"]
    told = _schedule(app, report_id)
    assert (told["state"], told["recurrenceInterval"], told["runsLeft"]) == ("active", 12, 2)
    assert told["nextRunAt"] == told["startTime"]

    # The Dev Center calls, and what its columns name is pulled, though nobody checks.
    playground.simulator.world.reports[int(report_id)].callback = f"{app.url}/api/reports/callback?code=QZXJKEY"
    _run(playground, report_id)
    playground.ends(app, failure)
    playground.assert_copied_once(failure)

    assert app.post(f"/api/reports/schedules/{report_id}/pause").json() == {"reportId": report_id, "isActive": False}
    assert f"report {report_id} was paused: POST" in app.log
    assert _schedule(app, report_id)["state"] == "paused"
    assert _typed(app, "resume", report_id) == f"report {report_id} is active\n"
    assert _schedule(app, report_id)["state"] == "active"
    assert _typed(app, "schedules").splitlines()[1].split()[:2] == [report_id, "active"]
    assert template_id in _typed(app, "templates")
    assert "Completed" in _typed(app, "status")
    assert "makes this report already" in _typed(app, "create", "--every", "24", code=2)

    again = app.post("/api/reports/schedules", {})
    assert (again.status_code, "makes this report already" in again.json()["detail"]) == (400, True)
    for body, words in (
        ({"recurrenceInterval": 11}, "recurrenceInterval is 11"),
        ({"templateId": "4711"}, "No template has the id 4711"),
        ({"callbackUrl": "http://x/?code=QZXJKEY"}, "https://"),
    ):
        refused = app.post("/api/reports/schedules", body)
        assert (refused.status_code, words in refused.json()["detail"]) == (400, True), refused.text
    unknown = app.post("/api/reports/schedules/4711/pause")
    assert (unknown.status_code, "No report has the id 4711" in unknown.json()["detail"]) == (400, True)
    assert "QZXJKEY" not in app.log
    for sent in (b"", b"\0\xff" * 1_000_000, b"<x/>"):
        answer = requests.post(f"{app.url}/api/reports/callback?a=b&code=QZXJKEY", sent, timeout=30)
        assert (answer.status_code, answer.headers["Location"]) == (202, "/api/reports/check")
    assert "QZXJKEY" not in app.log

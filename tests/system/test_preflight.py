"""The preflight of an app as it runs, and the command; `tests/integration/preflight` breaks each part."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.simulator.faults import FaultKind
from local.simulator.scenario import ReportForm
from tests.system.answers import Check, LastPreflight, Preflight, decoded, problem
from tests.system.app import App, changed_copy, typed
from tests.system.playground import Playground

NAMES = ["settings", "token", "reportdata", "cabdownloadbatch", "container", "tables", "queue", "copy"]


def asked(app: App) -> dict[str, Check]:
    """Ask for a preflight, and return its checks by name."""
    told = decoded(app.post("/api/preflight"), Preflight)
    assert [check.name for check in told.checks] == NAMES
    assert told.ready == all(check.ok for check in told.checks)
    for check in told.checks:
        assert (check.what_to_do is None) == check.ok, check
        assert check.answered, check
        assert check.milliseconds < 30_000, check
    return {check.name: check for check in told.checks}


def test_where_all_is_well_everything_answers_and_nothing_is_left_behind(playground: Playground) -> None:
    """A preflight that left a blob, a row or a message would be found by people who look for cabs."""
    failure = playground.simulator.builder.failure(2)
    playground.simulator.builder.report([failure], ReportForm())
    playground.simulator.publish()
    app = playground.start()
    assert "POST /api/preflight" in problem(app.get("/api/preflight"), 404)
    checks = asked(app)
    assert all(check.ok for check in checks.values()), checks
    last = decoded(app.get("/api/preflight"), LastPreflight)
    assert {check.name: check for check in last.checks} == checks
    assert abs(last.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert decoded(app.get("/api/preflight"), LastPreflight) == last, "nothing is asked"
    assert "1 schedules, 1 of them active" in checks["reportdata"].answered
    assert "the newest Completed" in checks["reportdata"].answered
    assert checks["token"].answered == "a token that cannot be read: it is opaque"
    assert "0 cabs" in checks["cabdownloadbatch"].answered
    assert "deleted" in checks["container"].answered
    assert "copied" in checks["copy"].answered
    assert playground.stored.listed() == {}
    assert [row for row in playground.stored.rows("health") if row["PartitionKey"] == "_preflight"] == []
    assert playground.stored.rows("pulls") == playground.stored.rows("cabs") == []
    assert playground.stored.messages() == 0
    assert playground.pull(app, failure)[0].state == "Completed"
    assert playground.stored.listed() == playground.held(failure)
    done = typed("preflight", "--url", app.url, settings={"CABFERRY_FUNCTION_KEY": "key"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_prints_what_to_do_and_starts_no_pull(playground: Playground, tmp_path: Path) -> None:
    """Whoever looks whether the app could work does not want it to begin."""
    failure = playground.failure(1)
    playground.fail(failure, FaultKind.UNAVAILABLE)
    playground.stored.send("not taken by anybody")
    settings = {
        "CAB_STORAGE": playground.storage.connection_string,
        "DEVCENTER_BASE_URL": playground.simulator.url,
        "DEVCENTER_ACCESS_TOKEN": secrets.token_urlsafe(),
    }
    # In a copy, where no other test's app runs, which it would ask.
    done = typed("preflight", settings=settings, root=changed_copy(tmp_path / "app"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED" in done.stdout
    assert "-> Set DEVCENTER_ACCESS_TOKEN" in " ".join(done.stdout.split())
    assert "not ready: 2 of 8" in done.stdout
    assert playground.stored.visible_messages() == ["not taken by anybody"]


def test_the_command_says_that_nobody_answers() -> None:
    nobody = typed("preflight", "--url", "http://127.0.0.1:1")
    assert nobody.returncode == 1
    assert "does not answer" in nobody.stderr
    assert "Traceback" not in nobody.stderr

"""`pull`, `watch` and `status` against a server that answers as the contract of the HTTP API says."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.simulator.thread import LoopThread
from local.simulator.token_endpoint import TokenEndpoint
from tests.support.loopback import Answer, LoopbackServer, in_turn

from .conftest import Cabferry, Cabs

ROOT = Path(__file__).parents[3]
KEY = "made-up-function-key"
FIRST = "2026-12-01T03:00:00Z"
RUN = ("reportId", "reportDatetime", "status", "failures", "cabs", "ingestedAt", "error")
FAILURE = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
SUMMARY = {
    "state": "ok",
    "problems": [],
    "at": "2026-11-28T12:00:00Z",
    "pulls": {"Queued": 1, "Running": 2, "Completed": 3, "Failed": 0},
    "oldestQueuedAt": "2026-11-28T11:59:00Z",
    "cabs": {"copiedToday": 4, "held": 217, "missing": 0, "expiringSoon": None, "bytes": 1_234_000_000},
    "failures": 6,
    "checks": {
        "reports": {"lastAt": "2026-11-28T11:30:00Z", "nextAt": "2026-11-28T12:30:00Z", "error": None},
        "failures": {"lastAt": None, "nextAt": None, "error": None},
    },
    "reconcile": {"lastAt": "2026-11-28T06:20:00Z", "nextAt": "2026-11-28T12:20:00Z", "error": None},
    "circuit": {"state": "closed", "reason": None, "asksAgainAt": None},
    "poison": 0,
    "unknown": [],
}


def pull(state: str, seen: int, **more: object) -> dict[str, object]:
    return {
        "applicationId": "1",
        "failureHash": FAILURE,
        "failureName": "0x9F_3_acme!DrvPower",
        "state": state,
        "total": 9,
        "cabs": {"seen": seen, "copied": seen, "alreadyHeld": 0, "expired": 0, "unavailable": 0, "failed": 0},
        "bytes": seen * 1_000_000,
        "rate": 5_000_000,
        "lastError": None,
        "note": None,
        **more,
    }


def told(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(json.dumps(body).encode(), status, headers)


# An app that starts anew says so; what waits for it asks again.
BUSY = told({"title": "Service Unavailable"}, 503)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABFERRY_FUNCTION_KEY", KEY)


def test_status_tells_the_strip_of_the_dashboard(cabferry: Cabferry) -> None:
    with LoopbackServer(lambda _: told(SUMMARY)) as server:
        said = cabferry("status", "--url", f"127.0.0.1:{server.port}")
        assert cabferry("status", "--url", f"{server.url}/api", "--json").json == SUMMARY
    assert said.code == 0, said.error
    assert said.out.splitlines() == [
        "OK  at 2026-11-28T12:00:00Z",
        "pulls     Queued 1, Running 2, Failed 0, oldest queued at 2026-11-28T11:59:00Z",
        "cabs      4 copied today, 217 held (1.2 GB)",
        "at risk   0 missing, ? expire within 48 h",
        "reports   last 2026-11-28T11:30:00Z, next 2026-11-28T12:30:00Z",
        "failures  last never, next ?",
        "reconcile last 2026-11-28T06:20:00Z, next 2026-11-28T12:20:00Z",
    ]
    assert server.seen[0].headers["x-functions-key"] == KEY
    assert server.seen[0].target == "/api/summary"


def test_status_of_an_app_that_is_not_well_says_why_and_exits_so(cabferry: Cabferry) -> None:
    circuit = {"state": "open", "reason": "401: renew the secret", "asksAgainAt": "2026-11-28T13:00:00Z"}
    summary = SUMMARY | {"state": "degraded", "problems": ["3 pulls Failed"], "circuit": circuit, "poison": 2}
    with LoopbackServer(lambda _: told(summary)) as server:
        said = cabferry("status", "--url", server.url)
    assert said.code == 7
    for line in ("  ! 3 pulls Failed", "circuit   open: 401: renew the secret; asks again at", "poison    2 messages"):
        assert line in said.out


def test_pull_waits_until_the_end_and_exits_by_it(
    cabs: Cabs, cabferry: Cabferry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cabferry.pull.time.sleep", lambda _: None)
    cabs.add(1)
    cabs.publish()
    accepted = {"pulls": [{"applicationId": "1", "failureHash": FAILURE, "location": "/api/pulls/1/x"}]}
    for last, code in ((pull("Completed", 9), 0), (pull("Failed", 3, lastError="403: ask for the role"), 7)):
        answers = in_turn(told(accepted, 202), BUSY, told(pull("Queued", 0)), told(pull("Running", 3)), told(last))
        with LoopbackServer(answers) as server:
            said = cabferry("pull", "1fd83f6d", "--wait", "--url", server.url)
        assert said.code == code
        asked = json.loads(server.seen[0].body)
        assert asked == {"applicationId": "13984104677400476", "failureHash": FAILURE}
        assert server.seen[1].target == server.seen[2].target == f"/api/pulls/1/{FAILURE}"
        assert "Running, 3 of 9 cabs seen, 3 copied (3.0 MB), 0 held before, 5.0 MB/s" in said.error
    assert "403: ask for the role" in said.error


def test_pull_tells_a_script_that_nothing_is_known_or_that_it_asks_wrongly(cabferry: Cabferry) -> None:
    accepted = {"pulls": [{"applicationId": "1", "failureHash": FAILURE, "location": "/"}]}
    note = "Microsoft names no cab for these ids in these days"
    for held, code in (({"cabs": 0, "bytes": 0}, 3), ({"cabs": 2, "bytes": 9}, 0)):
        with LoopbackServer(in_turn(told(accepted, 202), told(pull("Completed", 0, note=note, held=held)))) as server:
            said = cabferry("pull", FAILURE, "--application", 1, "--wait", "--url", server.url)
        assert (said.code, note in said.error) == (code, True)
    with LoopbackServer(lambda _: told({"title": "Bad Request", "detail": "an id has no slash"}, 400)) as server:
        said = cabferry("pull", FAILURE, "--application", "a/b", "--url", server.url)
    assert (said.code, "an id has no slash" in said.error) == (2, True)


def test_pull_of_what_no_catalog_has(cabferry: Cabferry) -> None:
    accepted = {"pulls": [{"applicationId": "7", "failureHash": FAILURE, "location": "/"}]}
    with LoopbackServer(lambda _: told(accepted, 202)) as server:
        said = cabferry("pull", FAILURE, "--application", 7, "--json", "--url", server.url)
    assert (said.code, said.json) == (0, accepted["pulls"])


def test_reports_are_listed_made_and_paused(cabferry: Cabferry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody opens Partner Center for it, and no key stands in a command line."""
    schedule = {"reportId": "43000", "state": "ended", "templateId": None, "recurrenceInterval": 24, "runsLeft": 0}
    listed = {
        "schedules": [{**schedule, "nextRunAt": None, "lastRunAt": "2026-11-27T03:00:00Z"}],
        "odd": ["one is odd"],
    }
    monkeypatch.setenv("CABFERRY_CALLBACK_URL", "https://app/api/reports/callback?code=QZXJ")
    answers = (
        told(listed),
        told({"reportId": "43007", "templateId": "9"}, 201),
        told({"reportId": "43007", "isActive": False}),
        told({"runs": [{**dict.fromkeys(RUN), "reportId": "43007", "status": "Failed"}], "continuation": None}),
        told({"problems": ["Report 43007: its newest run failed"]}),
        told({"templates": [], "odd": []}),
    )
    with LoopbackServer(in_turn(*answers)) as server:
        said = cabferry("report", "schedules", "--url", server.url)
        assert said.out.splitlines()[1].split() == ["43000", "ended", "-", "24", "0", "-", "2026-11-27T03:00:00Z"]
        assert "! one is odd" in said.out
        said = cabferry("report", "create", "--every", 12, "--start", FIRST, "--url", server.url)
        assert said.out == "report 43007 is scheduled, of template 9\n"
        assert cabferry("report", "pause", "43007", "--url", server.url).out == "report 43007 is paused\n"
        assert cabferry("report", "resume", "--url", server.url).code == 2
        for wish, unused, named in (
            ("schedules", ("43007",), "REPORT-ID"),
            ("create", ("43007", "--every", 12), "REPORT-ID"),
            ("pause", ("43007", "--runs", 3, "--every", 12), "--every or --runs"),
            ("status", ("--template", "9", "--start", FIRST), "--start or --template"),
        ):
            said = cabferry("report", wish, *unused, "--url", server.url)
            assert (said.code, said.error) == (2, f"cabferry: report {wish} takes no {named}\n")
        said = cabferry("report", "status", "--url", server.url)
        assert (said.code, said.out.splitlines()[1].split()[:3]) == (7, ["43007", "-", "Failed"])
        assert "! Report 43007: its newest run failed" in said.out
        assert cabferry("report", "templates", "--url", server.url).out == "none\n"
    assert [(each.method, each.path) for each in server.seen] == [
        ("GET", "/api/reports/schedules"),
        ("POST", "/api/reports/schedules"),
        ("POST", "/api/reports/schedules/43007/pause"),
        ("GET", "/api/reports"),
        ("GET", "/api/health"),
        ("GET", "/api/reports/templates"),
    ]
    wished = {"recurrenceInterval": 12, "startTime": FIRST, "callbackUrl": "https://app/api/reports/callback?code=QZXJ"}
    assert json.loads(server.seen[1].body) == wished


def test_in_the_folder_of_the_app_the_key_may_have_another_name() -> None:
    """As `python3 dev.py report` has it: that of a deployed app stands beside the one that runs here."""
    environment = {**os.environ, "KEY_OF_PRODUCTION": "another-made-up-key"}
    with LoopbackServer(lambda _: told({"reportId": "43007", "isActive": True})) as server:
        typed = ("--url", server.url, "--key-from-environment", "KEY_OF_PRODUCTION", "resume", "43007")
        command = [sys.executable, "-m", "local.commands.report", *typed]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "report 43007 is active\n", "")
    assert server.seen[0].headers["x-functions-key"] == "another-made-up-key"


def test_watch_tells_of_what_is_new(cabferry: Cabferry, monkeypatch: pytest.MonkeyPatch) -> None:
    def failures(held: int | None, continuation: str | None = None) -> dict[str, object]:
        cabs = {"held": held, "missing": 0, "expired": 0, "unavailable": 0, "failed": 0, "expiringSoon": 0}
        row = {"applicationId": "1", "failureHash": FAILURE, "failureName": "N", "driverName": "acme.sys", "cabs": cabs}
        rows = [{**row, "versions": ["1.2"], "bytes": 5, "updatedAt": "T"}]
        return {"failures": rows, "total": 1, "continuation": continuation}

    def stop_after(times: int) -> None:
        left = iter(range(times))

        def sleep(_: float) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr("cabferry.watch.time.sleep", sleep)

    first = told(failures(3), ETag='W/"1"')
    more = (told(failures(4, "more")), told(failures(5)), told(failures(5)))
    answers = (first, BUSY, Answer(status=304), *more)
    for arguments, lines in (
        ((), 1),
        (("--driver", "acme*"), 1),
        (("--driver", "other.sys"), 0),
        (("--version", "2*"), 0),
    ):
        stop_after(4)
        with LoopbackServer(in_turn(*answers)) as server:
            said = cabferry("watch", "--url", server.url, "--json", *arguments)
        assert said.code == 130
        assert [json.loads(line)["newCabs"] for line in said.out.splitlines()] == [2] * lines
    assert server.seen[1].headers["if-none-match"] == 'W/"1"'
    assert [each.query.get("continuation") for each in server.seen] == [None, None, None, None, "more", None]


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (Answer(status=401), 4, "set CABFERRY_FUNCTION_KEY"),
        (Answer(status=302, headers={"Location": "https://login.example/"}), 5, "answered 302"),
        (told({"title": "T", "detail": "storage is away"}, 503), 5, "answered 503: storage is away"),
        (told({"title": "T"}, 404), 3, "answered 404: T"),
        (Answer(b"<html>", 200), 5, "no JSON"),
    ],
)
def test_what_an_app_refuses_is_told_without_the_key(cabferry: Cabferry, answer: Answer, code: int, said: str) -> None:
    with LoopbackServer(lambda _: answer) as server:
        done = cabferry("status", "--url", server.url)
    assert (done.code, said in done.error) == (code, True), done.error
    assert KEY not in done.out + done.error
    assert len(server.seen) == 1


def test_an_address_that_would_send_the_key_in_the_clear_is_refused(cabferry: Cabferry) -> None:
    for url in ("http://app.example", "https://app.example/?code=QZXJ", "ftp://127.0.0.1.example"):
        said = cabferry("status", "--url", url)
        assert (said.code, "QZXJ" in said.error) == (2, False)


def test_a_password_in_an_address_is_shown_by_nothing(cabferry: Cabferry) -> None:
    """Each line about the app names its address: on a screen, and in the logs of a pipeline."""
    for url in ("https://ada:QZXJ@127.0.0.1:1", "ada:QZXJ@127.0.0.1:1", "http://QZXJ@localhost:1", "https://QZXJ@["):
        said = cabferry("status", "--url", url)
        assert (said.code, "QZXJ" in said.out + said.error, said.error.count("\n")) == (2, False, 1)


def test_a_key_file_is_read_and_told_where_others_may_too(
    cabferry: Cabferry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("CABFERRY_FUNCTION_KEY")
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="utf-8")
    file.chmod(0o644)
    monkeypatch.setenv("CABFERRY_KEY_FILE", str(file))
    with LoopbackServer(lambda _: told(SUMMARY)) as server:
        assert cabferry("status", "--url", server.url).code == 0
    assert server.seen[0].headers["x-functions-key"] == KEY
    assert os.name == "nt" or "chmod 600" in caplog.text


def test_who_signs_in_shows_a_token_that_has_not_ended(
    cabferry: Cabferry, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lives for an hour, and who watches does so for days."""
    monkeypatch.delenv("CABFERRY_FUNCTION_KEY")
    endpoint = loop_thread.enter(TokenEndpoint(lifetime=timedelta(minutes=2)))
    for name, value in {**endpoint.environment, "CABFERRY_AUDIENCE": "api://cabferry"}.items():
        monkeypatch.setenv(name, value)
    accepted = {"pulls": [{"applicationId": "1", "failureHash": FAILURE, "location": "/"}]}
    with LoopbackServer(in_turn(told(accepted, 202), told(pull("Completed", 1)))) as server:
        said = cabferry("pull", FAILURE, "--application", 1, "--wait", "--url", server.url)
    assert said.code == 0, said.error
    shown = [each.headers["authorization"].removeprefix("Bearer ") for each in server.seen]
    assert len({*shown}) == len(shown) == 2
    assert all(endpoint.tokens.accepts(each, "api://cabferry") for each in shown)


def test_help_is_quick_and_needs_nothing_installed() -> None:
    """Completions call it at every press of a key: only the standard library may be imported."""
    script = "import sys; from cabferry.__main__ import main; main(['--help'])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client")}
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "exit codes: 0 done" in done.stdout

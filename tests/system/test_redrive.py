"""`python3 dev.py redrive`: whoever mended a cause sends everything back with one command."""

import json
import subprocess

from local.simulator.faults import FaultKind
from tests.support.loopback import Answer, LoopbackServer, Seen
from tests.system.app import typed
from tests.system.playground import Playground

KEY = "a-function-key-of-a-test"


def redrive(url: str, *options: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command, and wait for its end."""
    return typed("redrive", "--url", url, *options, settings={"CABFERRY_FUNCTION_KEY": key} if key else {})


def test_every_failed_pull_is_back_in_the_queue(playground: Playground) -> None:
    """One by one by hand is how the last hundred are forgotten."""
    failures = [playground.simulator.builder.failure(1) for _ in range(4)]
    well = playground.failure(1)
    app = playground.start()
    for failure in failures:
        playground.fail(failure, FaultKind.FORBIDDEN, times=None)
    playground.pull(app, *failures, well)
    playground.wait_for_empty_queue()
    tried = redrive(app.url, "--dry-run")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert tried.stdout.count("would be asked for again; it failed: ") == 4
    assert len(playground.api_requests(well)) == 1
    assert playground.stored.messages() == 0
    playground.simulator.faults.clear()
    done = redrive(app.url)
    assert (done.returncode, done.stderr) == (0, "")
    for failure in failures:
        assert f"{failure.key.application_id}/{failure.key.failure_hash}: back in the queue" in done.stdout
    assert "4 pulls are back in the queue, 0 are not" in done.stdout
    assert {pull.state for pull in playground.ends(app, *failures)} == {"Completed"}
    playground.assert_copied_once(*failures, well)
    assert "there is nothing to do" in redrive(app.url).stdout


def test_an_app_that_is_not_there_is_told() -> None:
    """A traceback is no answer to somebody who forgot to start it."""
    with LoopbackServer(lambda _: Answer()) as gone:
        url = gone.url
    done = redrive(url)
    assert done.returncode == 1
    assert "is the app running there?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_key_is_sent_to_the_app_and_shown_to_nobody() -> None:
    """A key on a screen, or at whoever a redirect names, is a key for everybody."""

    def answer(request: Seen) -> Answer:
        if request.headers.get("x-functions-key") != KEY:
            return Answer(status=401)
        return Answer(status=302, headers={"Location": f"http://localhost:1{request.path}"})

    with LoopbackServer(answer) as server:
        refused, redirected = redrive(server.url), redrive(server.url, key=KEY)
    assert "set CABFERRY_FUNCTION_KEY" in refused.stderr
    assert (refused.returncode, redirected.returncode, len(server.seen)) == (1, 1, 2)
    assert KEY not in refused.stdout + refused.stderr + redirected.stdout + redirected.stderr


def test_what_is_not_accepted_is_told_and_stops_no_other() -> None:
    """Half of them sent back, and an exit code that says all is well, would leave the other half for good."""
    pulls = [{"applicationId": "1", "failureHash": name, "lastError": None} for name in ("a", "b", "c")]
    statuses = {"/api/pulls/1/a/retry": 503, "/api/pulls/1/b/retry": 409, "/api/pulls/1/c/retry": 202}

    def answer(request: Seen) -> Answer:
        if request.path == "/api/pulls":
            return Answer(json.dumps({"pulls": pulls, "continuation": None}).encode())
        return Answer(json.dumps({"detail": f"told of {request.path}"}).encode(), statuses[request.path])

    with LoopbackServer(answer) as server:
        done = redrive(server.url)
    assert done.returncode == 1
    assert "1/a: not accepted (503): told of /api/pulls/1/a/retry" in done.stdout
    assert "1/b: told of /api/pulls/1/b/retry" in done.stdout
    assert "1/c: back in the queue" in done.stdout
    assert "1 pulls are back in the queue, 1 are not" in done.stdout

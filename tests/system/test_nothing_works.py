"""An app whose settings are bad, or whose tables do not answer, keeps every message until somebody has mended that."""

import threading
from urllib.parse import urlsplit

import urllib3

from local.simulator.catalogue import Failure
from tests.support.loopback import Answer, LoopbackServer, Seen
from tests.system.app import App
from tests.system.playground import Playground
from tests.system.stored import POISON
from tests.system.waiting import wait_until

# Longer than the first wait of a message that was kept, and its spread.
SECONDS = 150.0
_OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
KEPT = "messages are kept, and none is worked on"


def _asked_for(playground: Playground) -> list[Failure]:
    """Put twelve pulls into the queue, as another program may."""
    failures = [playground.simulator.builder.failure(1) for _ in range(12)]
    playground.simulator.publish()
    for each in failures:
        key = each.key
        playground.stored.send(
            f'{{"applicationId": "{key.application_id}", "failureHash": "{key.failure_hash}", "requestedBy": "a test"}}'
        )
    return failures


def _sent_again(playground: Playground, app: App) -> None:
    """Wait until each message was delivered and sent again, and none is in the poison queue."""
    done = "Executed 'Functions.pull_failure' (Succeeded"
    wait_until(lambda: app.log.count(done) >= 12, "every message to be delivered", hint=lambda: app.log)
    wait_until(lambda: playground.stored.messages() == 12, "every message to be back")
    assert playground.stored.messages(POISON) == 0
    assert app.log.count(KEPT) == 1, "once a minute"
    assert "Executed 'Functions.pull_failure' (Failed" not in app.log


def test_a_bad_setting_costs_no_message(playground: Playground) -> None:
    failures = _asked_for(playground)
    app = playground.start({"CAB_CONTAINER": "No Name"})
    _sent_again(playground, app)
    assert "CAB_CONTAINER" in next(line for line in app.log.splitlines() if KEPT in line)
    health = app.get("/api/health")
    assert (health.status_code, "CAB_CONTAINER" in health.json()["detail"]) == (503, True)
    app.interrupt()
    app.wait()
    app = playground.start()
    assert {pull.state for pull in playground.ends(app, *failures, seconds=SECONDS)} == {"Completed"}
    playground.assert_copied_once(*failures)


def test_tables_that_do_not_answer_at_the_start_cost_no_message(playground: Playground) -> None:
    """The same process goes on by itself as soon as they do."""
    failures, is_mended, pool = _asked_for(playground), threading.Event(), urllib3.PoolManager()
    parts = dict(part.split("=", 1) for part in playground.storage.connection_string.split(";") if part)
    tables = urlsplit(parts["TableEndpoint"])

    def answer(seen: Seen) -> Answer:
        if not is_mended.is_set():
            return Answer(status=503)
        theirs = pool.request(
            seen.method,
            f"{tables.scheme}://{tables.netloc}{seen.target}",
            seen.body,
            headers={name: value for name, value in seen.headers.items() if name not in _OF_ONE_HOP},
            retries=False,
        )
        kept = {name: value for name, value in theirs.headers.items() if name.lower() not in _OF_ONE_HOP}
        return Answer(theirs.data, theirs.status, kept)

    with LoopbackServer(answer) as server:
        parts["TableEndpoint"] = server.url + tables.path
        app = playground.start({"CAB_STORAGE": ";".join(f"{name}={value}" for name, value in parts.items())})
        _sent_again(playground, app)
        assert "creating the table" in next(line for line in app.log.splitlines() if KEPT in line)
        is_mended.set()
        assert {pull.state for pull in playground.ends(app, *failures, seconds=SECONDS)} == {"Completed"}
        playground.wait_for_empty_queue()
        app.close()
    playground.assert_copied_once(*failures)

"""Ctrl-C and its kin: the app ends well, and leaves nothing running."""

import os
import re
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.azurite.server import Azurite
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost
from tests.support.waiting import DEADLINE_SECONDS, wait_until
from tests.system.answers import Counts
from tests.system.app import App
from tests.system.playground import SMALL, Playground
from tests.system.stored import creations

# Azure's own: who waits for one of these does not end within the deadline of a test.
LONG_LEASES = {"LOCAL_MESSAGE_LEASE_SECONDS": "600", "PULL_LEASE_SECONDS": "300"}


def _terminate(app: App) -> None:
    """Ask the process to end, as a service manager does."""
    if sys.platform == "win32":
        app.interrupt()
    else:
        os.kill(app.process.pid, signal.SIGTERM)


def test_the_app_ends_well_when_it_is_asked_to(playground: Playground) -> None:
    """A stop that looks like a crash, or needs a second one, is not trusted any more."""
    failure = playground.failure(2)
    app = playground.start()
    playground.pull(app, failure)
    app.interrupt()
    assert app.wait() == 0
    assert not _answers(app.url)
    # What was left undone would be found by the next start.
    assert playground.stored.messages() == 0


def test_a_stop_in_mid_pull_hands_on(playground: Playground) -> None:
    """Azure takes instances away as load falls: an hour's pull goes on elsewhere at once, from where it was."""
    failure = playground.failure(150, SMALL)
    # Ten cabs a second: it would not end within the grace that a stop gives.
    playground.simulator.form = BatchForm(largest_page=10, cab_host=BlobHost.FRONT)
    playground.simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.SLOW, delay=0.2, times=None))
    app = playground.start({**LONG_LEASES, "PULL_CONCURRENCY": "2"})
    playground.ask(app, failure)
    wait_until(lambda: playground.stored.pull(failure.key).get("skip", 0) >= 10, "the first checkpoint")
    _terminate(app)
    assert app.wait() == 0
    assert "handed on, since the process ends" in app.log
    row, held = playground.stored.pull(failure.key), playground.stored.listed()
    assert (row["state"], row["owner"], row["attempts"]) == ("Queued", "", 0)
    assert 10 <= row["skip"] < 150
    assert row["copied"] == len(held)
    # The rows know every cab that is held, and the message for the rest waits for nobody.
    assert {each["blobName"] for each in playground.stored.cab_rows(failure.key).values()} == held.keys()
    (message,) = playground.stored.visible_messages()
    assert failure.key.failure_hash in message
    asked = len(playground.api_requests(failure))
    playground.simulator.faults.clear()

    app = playground.start(LONG_LEASES)
    (pull,) = playground.ends(app, failure)
    playground.wait_for_empty_queue()
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=150, copied=150))
    assert int(playground.api_requests(failure)[asked].query["skip"]) == row["skip"]
    playground.assert_copied_once(failure)


def test_what_a_stopped_host_leaves_is_done_by_the_other_at_once(playground: Playground, azurite: Azurite) -> None:
    """Two hosts share many pulls, and one is taken away in mid-work: nobody waits for its leases."""
    failures = [playground.simulator.builder.failure(4, SMALL) for _ in range(40)]
    playground.simulator.publish()
    with ThreadPoolExecutor() as both:
        apps = list(both.map(lambda _: playground.start(LONG_LEASES), range(2)))
    account = playground.storage.name
    some = azurite.watch(lambda each: each.account == account and bool(creations([each])), 20)
    playground.ask(apps[0], *failures)
    assert some.wait(DEADLINE_SECONDS)
    _terminate(apps[0])
    assert apps[0].wait() == 0
    pulls = playground.ends(apps[1], *failures)
    playground.wait_for_empty_queue()
    assert {(pull.state, pull.cabs) for pull in pulls} == {("Completed", Counts(seen=4, copied=4))}
    playground.assert_copied_once(*failures)


def test_the_embedded_default_leaves_nothing_running(tmp_path: Path) -> None:
    """An Azurite that stays behind holds its memory, and the next one's patience."""
    app = App({}, tmp_path / "start.log")
    try:
        assert app.get("/api/health").json()["status"] == "ok"
        addresses = _embedded(app)
        assert "/api/health" in app.get("/").text
    finally:
        app.kill()
    wait_until(lambda: not any(map(_answers, addresses)), "the end of Azurite and the simulator")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """The commonest mishap of a start: the sentence has to name the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        log = tmp_path / "start.log"
        with pytest.raises(AssertionError, match="the app ended with 1"):
            App({"CAB_STORAGE": "UseDevelopmentStorage=true"}, log, port=port)
    assert f"port {port}" in log.read_text(encoding="utf-8")
    assert "--port" in log.read_text(encoding="utf-8")
    assert "Traceback" not in log.read_text(encoding="utf-8")


def _embedded(app: App) -> list[str]:
    """Return where an app, its Azurite and its simulator listen, after checking that they do."""
    (file,) = re.findall(r"when this ends; (.+) opens it", app.log)
    connection_string = Path(file).read_text(encoding="utf-8")
    parts = (part.partition("=") for part in connection_string.split(";"))
    storage = [value for name, _, value in parts if name.endswith("Endpoint")]
    (devcenter,) = {word for line in app.log.splitlines() for word in line.split() if word.endswith("/simulator")}
    addresses = [*storage, devcenter, app.url]
    assert len(storage) == 3
    assert all(map(_answers, addresses))
    return addresses


def _answers(url: str) -> bool:
    """Tell whether anything listens at an address."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5):
            return True
    except OSError:
        return False

"""The preflight as a whole: bounded in time, whatever hangs, and without anything that stays open."""

import gc
import threading
import time

import pytest

from shared.core.errors import AgainLater
from shared.preflight import health, last
from shared.preflight.last import last_preflight
from shared.preflight.run import preflight
from tests.support.loopback import Answer, LoopbackServer, Seen

KEY = "UVpYSlFaWEo="


def settings(url: str) -> dict[str, str]:
    """Return the settings of an app whose every counterpart is one server."""
    endpoints = "".join(f"{service}Endpoint={url}/account;" for service in ("Blob", "Queue", "Table"))
    return {
        "CAB_STORAGE": f"AccountName=account;AccountKey={KEY};{endpoints}",
        "DEVCENTER_BASE_URL": url,
        "DEVCENTER_ACCESS_TOKEN": "token",
    }


def failing(seen: Seen) -> Answer:
    """Answer as a service that is out of order: blobs and queues in XML, tables and the Dev Center in JSON."""
    if seen.path.startswith(("/account/failure-cabs", "/account/cab-pulls")):
        body = b"<?xml version='1.0'?><Error><Code>ServerBusy</Code><Message>The server is busy.</Message></Error>"
        return Answer(body, 503, {"Content-Type": "application/xml", "x-ms-error-code": "ServerBusy"})
    return Answer(b'{"statusCode": 503}', 503, {"Content-Type": "application/json"})


def test_no_connection_stays_open() -> None:
    """Who lets a monitor ask each minute must not run the app out of sockets."""
    with LoopbackServer(failing) as server:
        found = {each.name: each for each in preflight(settings(server.url))}
        assert len(server.seen) >= 6
        gc.collect()  # the SDK's errors hold their answers in circles
        end = time.monotonic() + 10
        while server.open_connections and time.monotonic() < end:
            threading.Event().wait(0.01)
        assert server.open_connections == 0
    assert {name for name, each in found.items() if each.is_ok} == {"settings", "token"}
    for name in ("reportdata", "cabdownloadbatch", "container", "tables", "queue", "copy"):
        assert "503" in found[name].answered
        assert "in some minutes" in str(found[name].what_to_do)


def test_a_service_that_hangs_does_not_hang_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """A firewall that drops packets looks like this, and the others' answers must still come."""
    go_on = threading.Event()

    def hanging(seen: Seen) -> Answer:
        go_on.wait(30)
        return failing(seen)

    with LoopbackServer(hanging) as server:
        start = time.monotonic()
        found = {each.name: each for each in preflight(settings(server.url), seconds=1)}
        assert time.monotonic() - start < 10
        go_on.set()
    assert found["token"].is_ok
    for name in ("reportdata", "cabdownloadbatch", "container", "tables", "queue", "copy"):
        assert found[name].answered == "no answer within 1 seconds"
        assert "127.0.0.1" in str(found[name].what_to_do)
    assert KEY not in caplog.text


def test_without_any_setting_each_check_names_its_own() -> None:
    found = {each.name: each for each in preflight({})}
    assert not any(each.is_ok for each in found.values())
    assert "DEVCENTER_TENANT_ID" in found["token"].answered
    assert "CAB_STORAGE" not in found["token"].answered
    assert "CAB_STORAGE" in found["queue"].answered
    for name in ("DEVCENTER_TENANT_ID", "CAB_STORAGE"):
        assert name in found["settings"].answered


def test_who_asks_for_the_last_preflight_of_a_storage_that_hangs_is_told_so_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page asks for it as it opens, and a gateway's own error would say nothing of what hangs."""
    answers_again = threading.Event()
    monkeypatch.setattr(last, "services", lambda: answers_again.wait(30))
    monkeypatch.setattr(health, "SECONDS", 0.1)
    start = time.monotonic()
    try:
        with pytest.raises(AgainLater, match="the cab storage has not answered"):
            last_preflight()
        assert time.monotonic() - start < 10
    finally:
        answers_again.set()

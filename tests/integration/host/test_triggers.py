"""HTTP, timers and the host's own interface: what people and scripts call is what Azure would answer."""

import json
from http import HTTPStatus

from tests.integration.host.conftest import StartHost
from tests.integration.host.running import wait_until


def test_http(start: StartHost) -> None:
    """One host for all of these, because each start takes a while."""
    host = start()

    answer = host.ask("POST", "/api/things/m%20e/2?q=a&q=b", b"body", **{"X-In": "in"})
    assert answer.body == b"POST m e 2 a,b in body"
    assert (answer.status, answer.headers["X-Out"]) == (HTTPStatus.MULTI_STATUS, "1")
    assert host.ask("GET", "/api/things/me/first").body == b"first of me", "a literal segment comes before a parameter"

    for method, path in (
        ("DELETE", "/api/things/me/2"),
        ("HEAD", "/api/things/me/first"),
        ("GET", "/api/nothing"),
        ("GET", "/things/me/2"),
        ("GET", "/"),
    ):
        assert host.ask(method, path).status == HTTPStatus.NOT_FOUND, (method, path)

    answer = host.ask("GET", "/api/broken?code=TOPSECRET")
    assert (answer.status, answer.body) == (HTTPStatus.INTERNAL_SERVER_ERROR, b"")
    assert "ValueError: inner detail of GET" in host.log
    assert "TOPSECRET" not in host.log, "a query can hold a function key"

    assert "Executing 'Functions.thing' (Reason=" in host.log
    assert "Executed 'Functions.thing' (Succeeded, Id=" in host.log
    assert "Executed 'Functions.broken' (Failed, Id=" in host.log
    assert f"thing: [GET,POST] {host.url}/api/things/{{owner}}/{{thing}}" in host.log


def test_a_timer_fires_by_its_schedule(start: StartHost) -> None:
    host = start(TICKS="* * * * * *")
    wait_until(lambda: host.events.count("tick False True") >= 2, "two runs")


def test_functions_are_fired_and_listed_by_the_host(start: StartHost) -> None:
    host = start()
    assert host.fire("tick").status == HTTPStatus.ACCEPTED
    assert host.fire("job", "by hand").status == HTTPStatus.ACCEPTED
    host.wait_for("tick False True")
    host.wait_for("done by hand")

    assert host.fire("thing").status == HTTPStatus.BAD_REQUEST
    assert host.fire("nobody").status == HTTPStatus.NOT_FOUND
    assert host.ask("POST", "/admin/functions/job", b"by hand").status == HTTPStatus.BAD_REQUEST

    status = json.loads(host.ask("GET", "/admin/host/status").body)
    assert status == {"state": "Running", "errors": []}
    functions = {function["name"]: function for function in json.loads(host.ask("GET", "/admin/functions").body)}
    assert functions["job"]["config"]["bindings"] == [
        {
            "direction": "IN",
            "type": "queueTrigger",
            "name": "message",
            "queueName": "%JOBS%",
            "connection": "JOBS_STORAGE",
        }
    ]
    assert functions["thing"]["invoke_url_template"] == f"{host.url}/api/things/{{owner}}/{{thing}}"


def test_a_missing_setting_fails_its_function_only(start: StartHost) -> None:
    host = start()
    functions = {function["name"]: function for function in json.loads(host.ask("GET", "/admin/functions").body)}
    assert {name for name, function in functions.items() if not function["listening"]} == {
        "unresolvable",
        "unconnected",
    }
    assert "MISSING_QUEUE" in functions["unresolvable"]["error"]
    assert "MISSING_STORAGE" in functions["unconnected"]["error"]
    assert host.log.count("The 'unresolvable' function is in error") == 1
    assert host.fire("unresolvable").status == HTTPStatus.SERVICE_UNAVAILABLE
    assert host.ask("GET", "/api/things/me/first").status == HTTPStatus.OK

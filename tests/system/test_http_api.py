"""The HTTP API: what it answers to those who ask for pulls, and look at them."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from urllib.parse import quote

import pytest

from local.simulator.catalogue import Failure
from local.simulator.faults import FaultKind
from tests.support.waiting import wait_until
from tests.system.answers import Counts, Pull, Pulls, Window, decoded, problem
from tests.system.app import App
from tests.system.playground import Playground

APPLICATION, HASH = "13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
DAYS = {"startDate": "2026-01-02", "endDate": "2026-01-03"}


@pytest.fixture(scope="module")
def app(shared_playground: Playground) -> App:
    return shared_playground.start()


@pytest.fixture(scope="module")
def pulled(shared_playground: Playground, app: App) -> list[Failure]:
    """Seven failures of several applications: five pulled, two whose requests the Dev Center refuses."""
    builder = shared_playground.simulator.builder
    failures = [builder.failure(1) for _ in range(5)]
    shared_playground.simulator.publish()
    refused = [builder.failure(0) for _ in range(2)]
    for failure in refused:
        shared_playground.fail(failure, FaultKind.FORBIDDEN, None)
    shared_playground.pull(app, *failures, *refused)
    return [*failures, *refused]


def test_a_pull_is_accepted_with_the_way_to_its_state(shared_playground: Playground, app: App) -> None:
    """Scripts follow Location, after what Retry-After says; the days that are asked for are those that are pulled."""
    failure = shared_playground.failure(1)
    answer = app.post("/api/pulls", {**_body(failure), **DAYS})
    assert answer.status_code == 202
    assert answer.headers["Location"] == _path(failure)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"].startswith("application/json")
    # The row is there when the answer is: following Location never finds nothing.
    assert app.get(answer.headers["Location"]).status_code == 200
    (pull,) = shared_playground.ends(app, failure)
    # Its cab is of another day.
    assert (pull.window, pull.cabs) == (Window(start_date=date(2026, 1, 2), end_date=date(2026, 1, 3)), Counts())
    (asked,) = shared_playground.api_requests(failure)
    assert {name: asked.query[name] for name in DAYS} == DAYS


def test_one_cab_is_copied_by_itself(shared_playground: Playground, app: App) -> None:
    """Whoever looks at a crash wants this one cab, and not to wait for the thousand others of its failure."""
    failure = shared_playground.failure(3)
    cab = shared_playground.simulator.world.cabs(failure.key)[0].cab_id_hash
    path = f"/api/cabs/{failure.key.application_id}/{cab}"
    assert "failureHash" in problem(app.post(path), 404)
    for odd in ("a_b", "x" * 65, "NULL"):
        assert "applicationId is" in problem(app.post(f"/api/cabs/{odd}/{cab}"), 400)
    answer = app.post(path, {"failureHash": failure.key.failure_hash})
    assert (answer.status_code, answer.headers["Location"]) == (202, f"{_path(failure)}/cabs")

    def is_copied() -> bool:
        return [each["state"] for each in app.get(answer.headers["Location"]).json()["cabs"]] == ["copied"]

    wait_until(is_copied, "the copied cab")
    assert "already" in problem(app.post(path), 409)
    assert not shared_playground.api_requests(failure), "no page of the batch is asked for"


def test_an_id_in_another_spelling_is_the_same_failure(shared_playground: Playground, app: App) -> None:
    """A GUID that is pasted from another tool must not make a second pull, and every cab a second blob."""
    failure = shared_playground.failure(2)
    application_id, failure_hash = failure.key.application_id, failure.key.failure_hash
    spelled = f"{{{failure_hash.upper()}}}"
    body = json.dumps({"applicationId": application_id, "failureHash": spelled}).encode("utf-16")
    answer = app.post("/api/pulls", body)
    assert answer.headers["Location"] == _path(failure), answer.text
    (pull,) = shared_playground.ends(app, failure)
    assert pull.cabs == Counts(seen=2, copied=2)
    assert decoded(app.get(f"/api/pulls/{application_id}/{quote(spelled)}"), Pull) == pull
    assert len(app.get(f"/api/pulls/{application_id}/{quote(spelled)}/cabs").json()["cabs"]) == 2
    rows = [row["RowKey"] for row in shared_playground.stored.rows("pulls") if row["PartitionKey"] == application_id]
    assert [key for key in rows if key.lower() == failure_hash] == [failure_hash]
    shared_playground.assert_copied_once(failure, only=False)


def test_one_request_asks_for_many_pulls(shared_playground: Playground, app: App) -> None:
    """A team asks for all failures of a driver at once, and a hash that comes twice is pulled once."""
    failures = [shared_playground.simulator.builder.failure(2) for _ in range(12)]
    shared_playground.simulator.publish()
    application_id = failures[0].key.application_id
    of_one = [failure for failure in failures if failure.key.application_id == application_id]
    hashes = [failure.key.failure_hash for failure in of_one]
    answer = app.post("/api/pulls", {"applicationId": application_id, "failureHashes": hashes + hashes})
    assert answer.status_code == 202
    assert answer.headers["Location"].startswith("/api/pulls")
    shared_playground.ends(app, *of_one)
    shared_playground.wait_for_empty_queue()
    shared_playground.assert_copied_once(*of_one, only=False)
    assert all(len(shared_playground.api_requests(failure)) == 1 for failure in of_one)


def test_of_many_who_retry_a_failed_pull_at_once_one_makes_it_with_its_own_days(
    shared_playground: Playground, app: App
) -> None:
    """Two people at one list of failures must not double the work, nor know which days were asked for."""
    failure = shared_playground.failure(3)
    shared_playground.fail(failure, FaultKind.BAD_REQUEST)
    days = {**DAYS, "endDate": "2099-01-03"}
    (pull,) = shared_playground.pull(app, failure, window=days)
    assert pull.state == "Failed"
    shared_playground.wait_for_empty_queue()
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(lambda _: app.post(f"{_path(failure)}/retry"), range(8)))
    accepted, *others = sorted(answers, key=lambda answer: answer.status_code)
    assert (accepted.status_code, {answer.status_code for answer in others}) == (202, {409})
    assert accepted.headers["Location"] == _path(failure)
    assert accepted.json() == {"pulls": [{**_body(failure), "location": _path(failure)}]}
    (pull,) = shared_playground.ends(app, failure)
    shared_playground.wait_for_empty_queue()
    assert (pull.state, pull.cabs, pull.last_error) == ("Completed", Counts(seen=3, copied=3), None)
    asked = shared_playground.api_requests(failure)
    assert [{name: each.query[name] for name in days} for each in asked] == [days, days]
    shared_playground.assert_copied_once(failure, only=False)
    # A retry by mistake must not start anew what is complete.
    assert "Completed" in problem(app.post(f"{_path(failure)}/retry"), 409)
    assert shared_playground.told(app, failure) == pull


def test_a_pull_that_nobody_asked_for_is_not_found(app: App) -> None:
    """Unknown is not the same as empty, and a misspelled hash must not look as if it were on its way."""
    assert HASH in problem(app.get(f"/api/pulls/{APPLICATION}/{HASH}"), 404)
    assert HASH in problem(app.post(f"/api/pulls/{APPLICATION}/{HASH}/retry"), 404)


def test_pages_show_every_pull_once(shared_playground: Playground, app: App, pulled: list[Failure]) -> None:
    """A pull that no page shows is a failure that nobody sees."""
    pages = _pages(app, limit="3")
    assert all(len(page) <= 3 for page in pages)
    shown = sorted((pull.application_id, pull.failure_hash) for page in pages for pull in page)
    assert shown == sorted((row["PartitionKey"], row["RowKey"]) for row in shared_playground.stored.rows("pulls"))


def test_pages_show_one_state_only_where_it_is_asked_for(app: App, pulled: list[Failure]) -> None:
    """`state=Failed` is the question of every morning."""
    by_state = {
        state: {pull.failure_hash for page in _pages(app, state=state, limit="2") for pull in page}
        for state in ("Completed", "Failed", "Queued", "Running")
    }
    hashes = [failure.key.failure_hash for failure in pulled]
    assert by_state["Completed"] >= set(hashes[:5])
    assert by_state == {**by_state, "Failed": set(hashes[5:]), "Queued": set(), "Running": set()}


def _body(failure: Failure) -> dict[str, str]:
    return {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}


def _path(failure: Failure) -> str:
    return f"/api/pulls/{failure.key.application_id}/{failure.key.failure_hash}"


def _pages(app: App, **query: str) -> list[list[Pull]]:
    pages, continuation = [], ""
    while True:
        page = decoded(
            app.get("/api/pulls", **query, **({"continuation": continuation} if continuation else {})), Pulls
        )
        pages.append(page.pulls)
        if page.continuation is None:
            return pages
        continuation = page.continuation

"""The HTTP API: what it answers to those who ask for pulls, and look at them."""

import json
from datetime import date
from urllib.parse import quote

import pytest

from local.simulator.catalogue import Failure
from local.simulator.faults import FaultKind
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


def test_a_pull_is_accepted_with_the_way_to_its_state(playground: Playground) -> None:
    """Scripts follow Location, after what Retry-After says."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    app = playground.start()
    body = {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}
    answer = app.post("/api/pulls", body)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/pulls/{failure.key.application_id}/{failure.key.failure_hash}"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"].startswith("application/json")
    # The row is there when the answer is: following Location never finds nothing.
    assert app.get(answer.headers["Location"]).status_code == 200
    (pull,) = playground.ends(app, failure)
    assert pull.cabs == Counts(seen=1, copied=1)


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "({})"])
def test_an_id_in_any_spelling_is_one_failure(playground: Playground, form: str) -> None:
    """A GUID that is pasted from another tool must not make a second pull, and every cab a second blob."""
    failure = playground.simulator.builder.failure(2)
    playground.simulator.publish()
    app, application_id, failure_hash = playground.start(), failure.key.application_id, failure.key.failure_hash
    spelled = form.format(failure_hash.upper())
    body = json.dumps({"applicationId": application_id, "failureHash": spelled}).encode("utf-16")
    answer = app.post("/api/pulls", body)
    assert answer.headers["Location"] == f"/api/pulls/{application_id}/{failure_hash}", answer.text
    (pull,) = playground.ends(app, failure)
    assert pull.cabs == Counts(seen=2, copied=2)
    assert decoded(app.get(f"/api/pulls/{application_id}/{quote(spelled)}"), Pull) == pull
    assert len(app.get(f"/api/pulls/{application_id}/{quote(spelled)}/cabs").json()["cabs"]) == 2
    assert "is missing" in problem(
        app.post("/api/pulls", {"applicationId": application_id, "failureHash": "NULL"}), 400
    )
    assert len(playground.stored.rows("pulls")) == 1
    playground.assert_copied_once(failure)


def test_one_request_asks_for_many_pulls(playground: Playground) -> None:
    """A team asks for all failures of a driver at once, and a hash that comes twice is pulled once."""
    failures = [playground.simulator.builder.failure(2) for _ in range(12)]
    playground.simulator.publish()
    app, application_id = playground.start(), failures[0].key.application_id
    of_one = [failure for failure in failures if failure.key.application_id == application_id]
    hashes = [failure.key.failure_hash for failure in of_one]
    answer = app.post("/api/pulls", {"applicationId": application_id, "failureHashes": hashes + hashes})
    assert answer.status_code == 202
    assert answer.headers["Location"].startswith("/api/pulls")
    playground.ends(app, *of_one)
    playground.wait_for_empty_queue()
    playground.assert_copied_once(*of_one)
    assert {row["RowKey"] for row in playground.stored.rows("pulls")} == set(hashes)
    assert all(len(playground.api_requests(failure)) == 1 for failure in of_one)


def test_the_days_that_are_asked_for_are_the_days_that_are_pulled(playground: Playground) -> None:
    """A report looks back 90 days and the batch 30 by default: without the dates, older cabs would not come."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    app = playground.start()
    (pull,) = playground.pull(app, failure, window=DAYS)
    assert pull.window == Window(start_date=date(2026, 1, 2), end_date=date(2026, 1, 3))
    assert pull.cabs == Counts()
    (asked,) = playground.api_requests(failure)
    assert {name: asked.query[name] for name in DAYS} == DAYS


def test_a_pull_that_nobody_asked_for_is_not_found(app: App) -> None:
    """Unknown is not the same as empty."""
    assert HASH in problem(app.get(f"/api/pulls/{APPLICATION}/{HASH}"), 404)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_show_every_pull_once(app: App, pulled: list[Failure], limit: int) -> None:
    """A pull that no page shows is a failure that nobody sees."""
    pages = _pages(app, limit=str(limit))
    assert all(len(page) <= limit for page in pages)
    shown = sorted((pull.application_id, pull.failure_hash) for page in pages for pull in page)
    assert shown == sorted((failure.key.application_id, failure.key.failure_hash) for failure in pulled)


def test_pages_show_one_state_only_where_it_is_asked_for(app: App, pulled: list[Failure]) -> None:
    """`state=Failed` is the question of every morning."""
    by_state = {
        state: {pull.failure_hash for page in _pages(app, state=state, limit="2") for pull in page}
        for state in ("Completed", "Failed", "Queued", "Running")
    }
    hashes = [failure.key.failure_hash for failure in pulled]
    assert by_state == {"Completed": set(hashes[:5]), "Failed": set(hashes[5:]), "Queued": set(), "Running": set()}


def test_an_app_that_never_pulled_shows_an_empty_page(playground: Playground) -> None:
    """The first look after a deployment must not be an error."""
    assert decoded(playground.start().get("/api/pulls"), Pulls) == Pulls(pulls=[], continuation=None)


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

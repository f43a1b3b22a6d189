"""`POST /api/pulls/{applicationId}/{failureHash}/retry`: a pull that failed is tried again, and no other."""

from concurrent.futures import ThreadPoolExecutor

from local.simulator.catalogue import Failure
from local.simulator.faults import FaultKind
from tests.system.answers import Counts, problem
from tests.system.app import App
from tests.system.playground import Playground

DAYS = {"startDate": "2026-01-02", "endDate": "2099-01-03"}


def path(failure: Failure) -> str:
    """Return where a pull is told of."""
    return f"/api/pulls/{failure.key.application_id}/{failure.key.failure_hash}"


def failed(playground: Playground, app: App) -> Failure:
    """Return a failure whose pull the Dev Center refused once, asked for with days of its own."""
    failure = playground.simulator.builder.failure(3)
    playground.simulator.publish()
    playground.fail(failure, FaultKind.BAD_REQUEST)
    (pull,) = playground.pull(app, failure, window=DAYS)
    assert pull.state == "Failed"
    playground.wait_for_empty_queue()
    return failure


def test_a_failed_pull_is_tried_again_with_its_own_days(playground: Playground) -> None:
    """Whoever mended the cause must not have to know which days were asked for."""
    app = playground.start()
    failure = failed(playground, app)
    answer = app.post(f"{path(failure)}/retry")
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == path(failure)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json() == {
        "pulls": [
            {
                "applicationId": failure.key.application_id,
                "failureHash": failure.key.failure_hash,
                "location": path(failure),
            }
        ]
    }
    (pull,) = playground.ends(app, failure)
    assert (pull.state, pull.cabs, pull.last_error) == ("Completed", Counts(seen=3, copied=3), None)
    assert [{name: asked.query[name] for name in DAYS} for asked in playground.api_requests(failure)] == [DAYS, DAYS]
    playground.assert_copied_once(failure)


def test_many_who_retry_at_once_make_one_pull(playground: Playground) -> None:
    """Two people at one list of failures must not double the work."""
    app = playground.start()
    failure = failed(playground, app)
    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(lambda _: app.post(f"{path(failure)}/retry"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 7]
    playground.ends(app, failure)
    playground.wait_for_empty_queue()
    assert len(playground.api_requests(failure)) == 2
    playground.assert_copied_once(failure)


def test_a_pull_that_is_not_failed_stays_as_it_is(playground: Playground) -> None:
    """A retry by mistake must not start a pull that is complete anew."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    app = playground.start()
    (pull,) = playground.pull(app, failure)
    assert "Completed" in problem(app.post(f"{path(failure)}/retry"), 409)
    assert playground.told(app, failure) == pull
    assert not playground.stored.messages()


def test_a_pull_that_nobody_asked_for_cannot_be_retried(playground: Playground) -> None:
    """A misspelled hash must not look as if it were on its way."""
    app = playground.start()
    assert "a-hash" in problem(app.post("/api/pulls/1/a-hash/retry"), 404)
    assert playground.stored.rows("pulls") == []

"""A Dev Center that does not answer as it should: what helps is done, and what does not is told to a person."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local.simulator.catalogue import Failure
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.ledger import SeenRequest
from tests.system.answers import Counts, Pull
from tests.system.playground import Playground

WAIT = 3
A_DAY = 86_400
THROTTLED = (FaultKind.THROTTLED, FaultKind.THROTTLED_DATE, FaultKind.THROTTLED_SENTENCE)
BUSY = (FaultKind.SERVER_ERROR, FaultKind.UNAVAILABLE, FaultKind.TIMED_OUT)
BROKEN = (FaultKind.HTML, FaultKind.TRUNCATED, FaultKind.WRONG_TYPE)
# What goes wrong at every try, with what lastError must say of it.
LASTING = {
    FaultKind.SERVER_ERROR: "500",
    FaultKind.UNAVAILABLE: "503",
    FaultKind.THROTTLED: "429",
    FaultKind.HTML: "Sign in to your account",
    FaultKind.TRUNCATED: "applicationId",
    FaultKind.WRONG_TYPE: "none",
    FaultKind.RESET: "connection broke",
}
# What no further try of the app helps, with what a person must read.
REFUSED = {
    FaultKind.FORBIDDEN: "Manager role",
    FaultKind.UNAUTHORIZED: "DEVCENTER_CLIENT_ID",
    FaultKind.BAD_REQUEST: "the fault script says so",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What became of the pull of a failure whose batch went wrong, and when the API was asked for it."""

    failure: Failure
    pull: Pull
    asked: list[tuple[float, SeenRequest]]


@dataclass(frozen=True, slots=True)
class Cases:
    """What became of pulls whose batches went wrong once, and of those where they did every time, by the fault."""

    once: dict[FaultKind, Case]
    lasting: dict[FaultKind, Case]


@pytest.fixture(scope="module")
def moments(shared_playground: Playground) -> Iterator[list[tuple[float, SeenRequest]]]:
    """Every request that the Dev Center sees, with the moment of its answer."""
    seen: list[tuple[float, SeenRequest]] = []
    ledger = shared_playground.simulator.ledger
    note = ledger.note_request

    def noting(request: SeenRequest) -> None:
        seen.append((time.monotonic(), request))
        note(request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "note_request", noting)
        yield seen


@pytest.fixture(scope="module")
def cases(shared_playground: Playground, moments: list[tuple[float, SeenRequest]]) -> Cases:
    """Pull all of them in one app at once, so that their waits pass side by side; PULL_MAX_ATTEMPTS is 2."""
    once = {kind: _failing(shared_playground, kind, 1, WAIT) for kind in (*THROTTLED, *BUSY, *BROKEN, FaultKind.RESET)}
    lasting = {kind: _failing(shared_playground, kind, None, 1) for kind in (*LASTING, *REFUSED)}
    shared_playground.simulator.publish()
    failures = [*once.values(), *lasting.values()]
    pulls = dict(zip(failures, shared_playground.pull(shared_playground.start(), *failures), strict=True))

    def case(failure: Failure) -> Case:
        asked = shared_playground.api_requests(failure)
        return Case(failure, pulls[failure], [(moment, request) for moment, request in moments if request in asked])

    return Cases(
        {kind: case(failure) for kind, failure in once.items()},
        {kind: case(failure) for kind, failure in lasting.items()},
    )


@pytest.fixture(scope="module")
def once(cases: Cases) -> dict[FaultKind, Case]:
    return cases.once


@pytest.fixture(scope="module")
def lasting(cases: Cases) -> dict[FaultKind, Case]:
    return cases.lasting


def _failing(playground: Playground, kind: FaultKind, times: int | None, retry_after: int) -> Failure:
    """Return a failure whose batch goes wrong."""
    failure = playground.simulator.builder.failure(2)
    match = {"failureHash": failure.key.failure_hash}
    fault = Fault(call=Call.CAB_BATCH, kind=kind, times=times, retry_after=retry_after, match=match)
    playground.simulator.faults.add(fault)
    return failure


@pytest.mark.parametrize("kind", [*THROTTLED, *BUSY, *BROKEN])
def test_what_passes_is_tried_again(once: dict[FaultKind, Case], kind: FaultKind) -> None:
    """A pull that gives up at the first 503 loses cabs to a minute's outage."""
    pull = once[kind].pull
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=2, copied=2))
    assert (pull.attempts, pull.last_error) == (1, None)
    assert len(once[kind].asked) == 2


@pytest.mark.parametrize("kind", THROTTLED)
def test_the_wait_that_is_asked_for_is_kept(once: dict[FaultKind, Case], kind: FaultKind) -> None:
    """Who asks again too soon is throttled for longer."""
    (first, throttled), (second, _) = once[kind].asked
    assert throttled.status == 429
    assert second - first >= WAIT


def test_a_broken_connection_is_tried_again_at_once(once: dict[FaultKind, Case]) -> None:
    """A reset says nothing about the next connection: waiting for it would be lost time."""
    case = once[FaultKind.RESET]
    assert (case.pull.state, case.pull.cabs, case.pull.attempts) == ("Completed", Counts(seen=2, copied=2), 0)
    assert [request.status for _, request in case.asked] == [0, 200]


@pytest.mark.parametrize("kind", LASTING)
def test_what_does_not_pass_ends_as_failed_with_its_reason(lasting: dict[FaultKind, Case], kind: FaultKind) -> None:
    """Trying for ever would hide the outage; Failed shows it, with what was seen."""
    pull = lasting[kind].pull
    assert (pull.state, pull.attempts, pull.cabs) == ("Failed", 2, Counts())
    assert LASTING[kind] in (pull.last_error or "")
    assert "2 tries" in (pull.last_error or "")
    assert pull.completed_at is not None
    # Three connections a try, where it is the connection that breaks.
    assert len(lasting[kind].asked) == (6 if kind is FaultKind.RESET else 2)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_only_a_person_can_mend_is_not_tried_again(lasting: dict[FaultKind, Case], kind: FaultKind) -> None:
    """Hammering an API with a refused token or a bad request helps nobody."""
    case = lasting[kind]
    assert (case.pull.state, case.pull.attempts) == ("Failed", 0)
    assert REFUSED[kind] in (case.pull.last_error or "")
    assert len(case.asked) == 1


def test_a_failed_pull_is_pulled_by_a_new_request(playground: Playground) -> None:
    """When the role is there, nobody wants to wait for the next report."""
    failure = playground.simulator.builder.failure(2)
    playground.simulator.publish()
    playground.fail(failure, FaultKind.FORBIDDEN)
    app = playground.start()
    assert playground.pull(app, failure)[0].state == "Failed"
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.cabs, pull.last_error) == ("Completed", Counts(seen=2, copied=2), None)


def test_a_long_wait_is_told_and_keeps_nobody_busy(playground: Playground) -> None:
    """A day's throttling must neither hold a worker nor look like a pull that hangs."""
    throttled, other = (playground.simulator.builder.failure(1) for _ in range(2))
    playground.simulator.publish()
    match = {"failureHash": throttled.key.failure_hash}
    fault = Fault(call=Call.CAB_BATCH, kind=FaultKind.THROTTLED, retry_after=A_DAY, match=match)
    playground.simulator.faults.add(fault)
    app = playground.start()
    playground.ask(app, throttled)
    app.wait_for_log("(Succeeded")
    playground.pull(app, other)
    pull = playground.told(app, throttled)
    assert (pull.state, pull.attempts) == ("Queued", 1)
    assert "429" in (pull.last_error or "")
    assert len(playground.api_requests(throttled)) == 1
    assert playground.stored.messages() == 1


def test_a_page_in_the_middle_that_fails_costs_no_page_before_it(playground: Playground) -> None:
    """The checkpoint is there so that an outage after an hour's copying does not cost that hour."""
    failure = playground.long_failure(250)
    playground.fail(failure, FaultKind.UNAVAILABLE, 1, skip="200")
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.attempts, pull.cabs) == ("Completed", 1, Counts(seen=250, copied=12, unavailable=238))
    assert [request.query["skip"] for request in playground.api_requests(failure)] == ["0", "100", "200", "200"]
    playground.assert_copied_once(failure)

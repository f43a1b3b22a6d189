"""A check of the failures of applications: each that happened is queued once, and a crash repeats and loses none."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from local.simulator.catalogue import Failure, Family
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.core import clock
from shared.core.errors import AgainLater
from shared.failures import asked_check
from shared.failures.check import raise_if_failed
from shared.progress.failures import ApplicationCheck, FailureRows
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.progress.requests import PullRequests
from tests.integration.app import App, failure_of
from tests.integration.conftest import MakeApp
from tests.support.loopback import Answer, LoopbackServer, Seen

DESKTOP_ID, STORE_ID = "10238467886765136388", "9NBLGGGZ5QDR"
HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"


class Died(BaseException):
    """The host is gone."""


def made(simulator: SimulatorThread, *families: Family, cabs: int = 2) -> list[Failure]:
    failures = [simulator.builder.application_failure(family, cabs, number=2) for family in families]
    simulator.publish()
    return failures


def configured(*failures: Failure) -> dict[str, str]:
    """Return the settings that name the applications of failures."""
    ids: dict[Family, dict[str, None]] = {Family.DESKTOP: {}, Family.APP: {}}
    for each in failures:
        ids[each.family][each.key.application_id] = None
    return {
        "DESKTOP_APPLICATION_IDS": ",".join(ids[Family.DESKTOP]),
        "STORE_APPLICATION_IDS": ",".join(ids[Family.APP]),
    }


def messages(app: App) -> list[PullMessage]:
    return [PullMessage.decode(each.content.encode()) for each in app.queue.peek_messages(max_messages=32)]


def by_id(checks: list[ApplicationCheck]) -> dict[str, ApplicationCheck]:
    return {each.application_id: each for each in checks}


def hit(**told: object) -> dict[str, object]:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    first = {"date": f"{yesterday:%Y-%m-%d}", "failureHash": HASH, "failureName": "AV_x!y", "eventCount": 0.5}
    return {**first, **told}


class Hits:
    """A Dev Center that tells of some rows, by application id."""

    def __init__(self, rows: Mapping[str, list[dict[str, object]]]) -> None:
        self.rows = dict(rows)
        self.server = LoopbackServer(self._answer)

    def _answer(self, seen: Seen) -> Answer:
        rows = self.rows[seen.query["applicationId"]]
        return Answer(json.dumps({"Value": rows, "TotalCount": len(rows)}).encode())


def test_every_failure_is_queued_once_and_every_cab_of_it_copied(make_app: MakeApp, simulator: SimulatorThread) -> None:
    failures = made(simulator, Family.DESKTOP, Family.DESKTOP, Family.APP, Family.APP)
    simulator.center.longest_list = 1
    app = make_app(**configured(*failures))
    checks = app.check_failures()
    assert {(each.family, each.failures, each.queued, each.error) for each in checks} == {
        ("desktop", 2, 2, ""),
        ("app", 2, 2, ""),
    }
    assert [app.row(each).failure_name for each in failures] == [each.name for each in failures]
    queued = messages(app)
    assert sorted((each.failure, each.failure.family) for each in queued) == sorted(
        (failure_of(each), each.family.value) for each in failures
    )
    simulator.center.longest_list = 10_000
    app.work_off()
    for failure in failures:
        row = app.row(failure)
        assert (row.state, row.counts.copied, row.failure.family) == (PullState.COMPLETED, 2, failure.family.value)
        assert row.requested_by == f"check of application {failure.key.application_id}"
    assert simulator.ledger.answers(Call.CAB_BATCH) == 0


def test_a_second_check_costs_its_pages_and_writes_its_own_row_alone(
    make_app: MakeApp, simulator: SimulatorThread
) -> None:
    failures = made(simulator, Family.DESKTOP, Family.APP)
    app = make_app(**configured(*failures))
    app.check_failures()
    app.work_off()
    before = len(simulator.ledger.requests)
    requests = app.asked(app.check_failures)
    assert [each.call for each in list(simulator.ledger.requests)[before:]] == [Call.FAILURE_HITS] * 2
    assert len([each for each in requests if each.method != "GET"]) == 2, "how far each application was checked"
    assert app.waiting_messages() == 0
    assert {each.queued for each in app.check_failures()} == {0}


def test_what_happened_again_is_queued_again(make_app: MakeApp) -> None:
    hits = Hits({DESKTOP_ID: [hit(eventCount=0.25)]})
    with hits.server as server:
        app = make_app(DEVCENTER_BASE_URL=server.url, DESKTOP_APPLICATION_IDS=DESKTOP_ID)
        assert app.check_failures()[0].queued == 1
        for rows, queued in [
            ([hit(eventCount=0.25)], 0),
            ([hit(eventCount=0.5)], 1),
            ([hit(eventCount=0.5)], 0),
            ([hit(eventCount=0.5), hit(market="DE", eventCount=0.001)], 1),
            # A day that is told late is news as well, though later ones were known.
            ([hit(eventCount=0.1, date=f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}")], 1),
            ([hit(eventCount=0.1), hit(failureHash=HASH.replace("1", "2"), eventCount=0.001)], 1),
        ]:
            hits.rows[DESKTOP_ID] = rows
            assert app.check_failures()[0].queued == queued, rows


@pytest.mark.parametrize(
    "row",
    [
        hit(eventCount=0.0),
        hit(eventCount=0.0012422360248447205),
        hit(eventCount=None),
        hit(eventCount="8.94736842105263"),
        hit(eventCount="many"),
        hit(date=None),
        hit(date="soon"),
        hit(failureHash=HASH.upper()),
        hit(failureHash="{" + HASH + "}"),
        hit(failureName="tab\tand\x01control", productName="x" * 100_000),
        {name.upper(): value for name, value in hit().items()},
    ],
    ids=str,
)
def test_whatever_a_row_tells_a_failure_is_a_failure(make_app: MakeApp, row: dict[str, object]) -> None:
    with Hits({STORE_ID: [row]}).server as server:
        app = make_app(DEVCENTER_BASE_URL=server.url, STORE_APPLICATION_IDS=STORE_ID)
        (check,) = app.check_failures()
        assert (check.failures, check.queued, check.error) == (1, 1, "")
        assert [each.failure.failure_hash for each in messages(app)] == [HASH]
        assert app.check_failures()[0].queued == 0


def test_rows_that_cannot_be_read_are_told_and_stop_no_other(make_app: MakeApp) -> None:
    rows: list[dict[str, object]] = [hit(failureHash=None), hit(failureHash="a/b"), hit()]
    with Hits({DESKTOP_ID: rows}).server as server:
        app = make_app(DEVCENTER_BASE_URL=server.url, DESKTOP_APPLICATION_IDS=DESKTOP_ID)
        (check,) = app.check_failures()
    assert (check.failures, check.queued) == (1, 1)
    assert "2 rows cannot be read" in check.error


@pytest.mark.parametrize("point", ["messages", "rows"])
def test_a_crash_repeats_and_loses_none(
    make_app: MakeApp, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Before the messages were sent, and between them and what was seen."""
    failures = made(simulator, Family.DESKTOP, Family.DESKTOP)
    app = make_app(**configured(*failures))

    def died(*_: object, **__: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        if point == "messages":
            patched.setattr(PullRequests, "make", died)
        else:
            patched.setattr(FailureRows, "write", died)
        with pytest.raises(Died):
            app.check_failures()
    (check,) = app.check_failures()
    assert (check.failures, check.queued, check.error) == (2, 2, "")
    app.work_off()
    assert {app.row(each).counts.copied + app.row(each).counts.already_held for each in failures} == {2}
    assert app.check_failures()[0].queued == 0


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (FaultKind.FORBIDDEN, "403"),
        (FaultKind.NOT_FOUND, "404"),
        (FaultKind.BAD_REQUEST, "400"),
        (FaultKind.SERVER_ERROR, "500"),
        (FaultKind.HTML, "not a page"),
        (FaultKind.TRUNCATED, "not a page"),
        (FaultKind.WRONG_TYPE, "not a page"),
    ],
)
def test_one_application_that_fails_says_why_and_stops_no_other(
    make_app: MakeApp, simulator: SimulatorThread, kind: FaultKind, told: str
) -> None:
    broken, good = made(simulator, Family.DESKTOP, Family.APP)
    match = {"applicationId": broken.key.application_id}
    simulator.faults.add(Fault(call=Call.FAILURE_HITS, kind=kind, match=match))
    app = make_app(**configured(broken, good))
    checks = by_id(app.check_failures())
    assert told in checks[broken.key.application_id].error
    assert checks[broken.key.application_id].covered_to is None
    assert (checks[good.key.application_id].queued, checks[good.key.application_id].error) == (1, "")
    with pytest.raises(AgainLater, match=broken.key.application_id):
        raise_if_failed(checks.values())
    assert by_id(list(app.services.failure_tools.failures.checks()))[broken.key.application_id].error
    # What is mended is checked as a whole.
    again = by_id(app.check_failures())[broken.key.application_id]
    assert (again.queued, again.error) == (1, "")


def test_a_wait_that_is_asked_for_is_kept_for_all_and_told(make_app: MakeApp, simulator: SimulatorThread) -> None:
    first, second = made(simulator, Family.DESKTOP, Family.APP)
    simulator.faults.add(Fault(call=Call.FAILURE_HITS, kind=FaultKind.THROTTLED, retry_after=60))
    app = make_app(**configured(first, second))
    checks = by_id(app.check_failures())
    assert "429" in checks[first.key.application_id].error
    assert "not asked until" in checks[second.key.application_id].error
    assert simulator.ledger.answers(Call.FAILURE_HITS) == 1


def test_what_nobody_foresaw_of_one_application_stops_no_other(make_app: MakeApp, simulator: SimulatorThread) -> None:
    broken, good = made(simulator, Family.DESKTOP, Family.APP)
    app = make_app(**configured(broken, good))
    app.change("failures", broken.key.application_id, broken.key.failure_hash, earlier="by hand", firstDate="never")
    checks = by_id(app.check_failures())
    assert "unexpected" in checks[broken.key.application_id].error
    assert checks[good.key.application_id].queued == 1


def test_the_days_since_the_last_complete_check_are_looked_at_two_of_them_twice(
    make_app: MakeApp, simulator: SimulatorThread
) -> None:
    (failure,) = made(simulator, Family.APP)
    app = make_app(**configured(failure))
    today = datetime.now(UTC).date()

    def asked() -> tuple[str, str]:
        app.check_failures()
        query = simulator.ledger.requests[-1].query
        return query["startDate"], query["endDate"]

    tomorrow = f"{today + timedelta(days=1):%m/%d/%Y}"
    assert asked() == (f"{today - timedelta(days=30):%m/%d/%Y}", tomorrow)
    assert asked() == (f"{today - timedelta(days=2):%m/%d/%Y}", tomorrow)
    for covered, days in [(5, 7), (60, 30), (-3, 0)]:
        last = (today - timedelta(days=covered)).isoformat()
        app.change("health", "failure-check", failure.key.application_id, coveredTo=last)
        assert asked()[0] == f"{today - timedelta(days=days):%m/%d/%Y}"
    simulator.faults.add(Fault(call=Call.FAILURE_HITS, kind=FaultKind.SERVER_ERROR, times=None))
    last = (today - timedelta(days=9)).isoformat()
    app.change("health", "failure-check", failure.key.application_id, coveredTo=last)
    asked()
    assert asked()[0] == f"{today - timedelta(days=11):%m/%d/%Y}", "a check that failed covers nothing"


def test_who_asks_twice_gets_one_check(make_app: MakeApp, simulator: SimulatorThread) -> None:
    (failure,) = made(simulator, Family.APP)
    app = make_app(**configured(failure))
    for _ in range(2):
        asked_check.ask(app.services.checks)
    checks = app.queue_named(f"{app.settings.queue}-checks")
    for message in checks.receive_messages():
        asked_at = asked_check.asked_for_failures(b64encode(message.content.encode()))
        assert asked_at
        asked_check.run(app.services.failure_tools, asked_at, app.services.checks)
    assert simulator.ledger.answers(Call.FAILURE_HITS) == 1


def test_a_check_that_the_dev_center_asks_to_wait_goes_back_to_its_queue(
    make_app: MakeApp, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked need not ask again, and no timer of hours is waited for."""
    first, second = made(simulator, Family.DESKTOP, Family.APP)
    app = make_app(**configured(first, second), FAILURE_POLL_SCHEDULE="0 0 0 1 1 *")
    simulator.faults.add(Fault(call=Call.FAILURE_HITS, kind=FaultKind.THROTTLED, retry_after=20, times=1))
    asked_at, rows = clock.now(), app.services.failure_tools.failures
    asked_check.run(app.services.failure_tools, asked_at, app.services.checks)
    waits = max(each.next_try_at for each in rows.checks() if each.next_try_at)
    assert timedelta(seconds=15) <= waits - asked_at < timedelta(minutes=1)
    queue = app.queue_named(f"{app.settings.queue}-checks")
    assert ([*queue.receive_messages()], queue.get_queue_properties().approximate_message_count) == ([], 1)
    later = waits + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    asked_check.run(app.services.failure_tools, asked_at, app.services.checks)
    assert [(each.error, each.next_try_at, each.queued) for each in rows.checks()] == [("", None, 1)] * 2
    assert queue.get_queue_properties().approximate_message_count == 1


def test_failures_are_kept_with_names_counts_and_days(make_app: MakeApp) -> None:
    days = [f"{datetime.now(UTC) - timedelta(days=ago):%Y-%m-%d}" for ago in (9, 1)]
    told = {"productName": "Contoso Studio", "fileName": "studio.exe", "applicationVersion": "1.2"}
    rows = [hit(date=day, eventCount=count, **told) for day, count in zip(days, (0.25, 8.5), strict=True)]
    with Hits({DESKTOP_ID: [*rows, *rows]}).server as server:
        app = make_app(DEVCENTER_BASE_URL=server.url, DESKTOP_APPLICATION_IDS=DESKTOP_ID)
        app.check_failures()
    (seen,) = app.services.failure_tools.failures.of_application(DESKTOP_ID).values()
    assert (seen.name, seen.product, seen.file, seen.version) == ("AV_x!y", "Contoso Studio", "studio.exe", "1.2")
    assert seen.events == pytest.approx(17.5)
    assert seen.failure.family == "desktop"
    columns = seen.columns()
    assert (columns["firstDate"], columns["lastDate"]) == tuple(days)

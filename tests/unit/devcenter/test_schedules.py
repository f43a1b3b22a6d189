"""Templates and schedules: the one place where the app changes something at Microsoft's."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.errors import AgainLater, BadAnswer, BadInput, CabferryError, NeedsPerson
from shared.devcenter.report_answers import schedules_in, templates_in
from shared.devcenter.reports import Schedule, Template
from tests.support.loopback import Answer, LoopbackServer, in_turn

from .devcenter_client import dev_center

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAILY = {"startTime": "2026-11-20T12:00:00Z", "recurrenceInterval": 24, "recurrence": 10}
TEMPLATE = {"view": "IHVDriver", "projection": ["FailureHash", "EventType"], "dateRange": {"reportPeriod": "Yesterday"}}


@pytest.mark.parametrize(
    "schedule",
    [
        json.dumps(DAILY),
        DAILY,
        json.dumps({"StartTime": "2026-11-20T12:00:00", "RecurrenceInterval": "24", "Recurrence": 10.0}),
    ],
)
@pytest.mark.parametrize("template_id", [925, "925", 925.0])
def test_a_schedule_is_read_however_it_is_spelled(schedule: object, template_id: object) -> None:
    row = {"reportId": 43000, "templateId": template_id, "schedule": schedule, "isActive": True}
    listed = schedules_in(json.dumps({"data": [row], "errors": None}).encode(), "it")
    assert listed.items == [Schedule("43000", True, "925", NOON, 24, 10)]
    assert not listed.odd


@pytest.mark.parametrize(
    "schedule",
    [
        *("{report details}", "", None, 7, [], {}, "[]", '"x"'),
        *(json.dumps({**DAILY, "recurrence": odd}) for odd in (0, -1, "many", 1e9, None)),
        *(json.dumps({**DAILY, "recurrenceInterval": odd}) for odd in (0, 1e300)),
    ],
)
def test_a_schedule_that_does_not_tell_when_it_runs_is_read_all_the_same(schedule: object) -> None:
    """What matters is that its runs are looked for."""
    body = json.dumps({"data": [{"reportId": 43000, "schedule": schedule}]}).encode()
    (read,) = schedules_in(body, "it").items
    assert (read.report_id, read.is_active) == ("43000", True)
    assert read.runs_left(NOON) is None
    assert read.due(0) is None


def test_a_schedule_tells_its_runs() -> None:
    schedule, hour = Schedule("1", True, "", NOON, 12, 3), timedelta(hours=1)
    assert [schedule.due(number) for number in range(3)] == [NOON, NOON + 12 * hour, NOON + 24 * hour]
    assert schedule.due(-1) == NOON + 24 * hour
    assert schedule.due(3) is None
    ages = (-13, -1, 0, 11, 12, 23, 24, 1_000)
    assert [schedule.runs_left(NOON + age * hour) for age in ages] == [3, 3, 2, 2, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("schedule", "can"),
    [
        (Schedule("1", True, "5", NOON - timedelta(days=9), 24, 90), True),
        (Schedule("1", True, "5", NOON + timedelta(minutes=10), 24, 90), True),
        (Schedule("1", True, "5"), True),
        (Schedule("1", False, "5", NOON, 24, 90), False),
        (Schedule("1", True, "5", NOON - timedelta(days=9), 24, 3), False),
        # Nobody would hear for a year that no report is made any more.
        (Schedule("1", True, "5", NOON + timedelta(days=360), 24, 90), False),
        (Schedule("1", True, "5", NOON - timedelta(days=9), 8_784, 2), False),
    ],
)
def test_a_schedule_takes_the_place_of_another_where_it_makes_runs_soon(schedule: Schedule, *, can: bool) -> None:
    assert schedule.stands_in(NOON) == can


@pytest.mark.parametrize("key", ["template", " template", "Template"])
def test_a_template_is_read_as_documented_and_beside_odd_ones(key: str) -> None:
    rows = [
        {"templateId": 925, key: json.dumps(TEMPLATE), "createdDatetime": "2018-06-24T16:39:46.683"},
        {"templateId": 926, key: "{report template}"},
        {key: json.dumps(TEMPLATE)},
        {"templateId": 927, key: {**TEMPLATE, "projection": [7]}},
        7,
    ]
    listed = templates_in(json.dumps({"data": rows, "errors": []}).encode(), "it")
    created = datetime(2018, 6, 24, 16, 39, 46, 683_000, UTC)
    assert listed.items == [Template("925", "IHVDriver", ("FailureHash", "EventType"), "Yesterday", created)]
    assert len(listed.odd) == 4
    assert listed.items[0].lacks(("ApplicationId", "failurehash")) == ("ApplicationId",)


def test_one_template_is_read_from_an_object() -> None:
    body = json.dumps({"data": {"templateId": 925, " template": json.dumps(TEMPLATE)}, "errors": []}).encode()
    with LoopbackServer(in_turn(Answer(body), Answer(b'{"data":[]}'))) as server:
        assert dev_center(server.url).template("925").columns == ("FailureHash", "EventType")
        with pytest.raises(BadAnswer, match="report template 926"):
            dev_center(server.url).template("926")
    assert [seen.target for seen in server.seen] == [f"/analytics/driver/reporttemplate/{each}" for each in (925, 926)]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b'{"data":{"reportId":43000},"errors":[]}', 201),
        Answer(b'{"data":{"reportId":"43000"},"errors":null}'),
        Answer(b'{"Data":[{"ReportId":43000.0}]}', 201),
    ],
)
def test_a_schedule_is_made_with_one_request(answer: Answer) -> None:
    with LoopbackServer(in_turn(answer)) as server:
        assert dev_center(server.url).create_schedule(b'{"templateId":925}') == "43000"
    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/analytics/driver/report", b'{"templateId":925}')
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["authorization"] == "Bearer token-1"


@pytest.mark.parametrize(
    ("answer", "kind", "words", "requests"),
    [
        (Answer(b'{"data":1}', 201, sent=5), AgainLater, "look there before you ask again", 1),
        (Answer(b"", 500), AgainLater, "look there before you ask again", 1),
        (Answer(b"{}", 201), BadAnswer, "not what it should be.* look there before you ask again", 1),
        (Answer(b'{"data":{"reportId":null}}', 201), BadAnswer, "look there before you ask again", 1),
        (Answer(b'{"data":[7]}', 201), BadAnswer, "names no id", 1),
        (Answer(b'{"errors":[{"Message":"no such template"}]}', 400), BadInput, "no such template", 1),
        (Answer(b"", 403), NeedsPerson, "Manager role", 1),
        (Answer(b"", 401), NeedsPerson, "Partner Center", 2),
        (Answer(b"", 429, {"Retry-After": "7"}), AgainLater, "scheduling a report", 1),
    ],
)
def test_what_may_have_been_made_is_never_made_again(
    answer: Answer, kind: type[CabferryError], words: str, requests: int
) -> None:
    """A second schedule would be a second report, day by day, that nobody wished for."""
    with LoopbackServer(in_turn(answer)) as server, pytest.raises(kind, match=words):
        dev_center(server.url).create_schedule(b"{}")
    assert len(server.seen) == requests


def test_a_schedule_is_paused_and_resumed_by_its_id() -> None:
    with LoopbackServer(in_turn(Answer(b'{"data":{"reportId":43000},"errors":[]}', 201))) as server:
        for is_active in (False, True):
            dev_center(server.url).set_active("43000", is_active=is_active)
    assert [(each.method, each.target) for each in server.seen] == [
        ("POST", "/analytics/driver/report/pause/43000"),
        ("POST", "/analytics/driver/report/resume/43000"),
    ]

"""A schedule that feeds the app, or words that say why not: nobody opens Partner Center to find out."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.api.requests import asked_in
from shared.api.schedules import ScheduleAsked
from shared.core import clock
from shared.core.errors import BadInput
from shared.reports.reader import _FACTS
from shared.reports.scheduling import NEEDED_COLUMNS, OWN_COLUMNS, NewSchedule, make_schedule, make_template
from tests.support.loopback import Answer, LoopbackServer, Seen
from tests.unit.devcenter.devcenter_client import dev_center

OWN = {"view": "IHVDriver", "projection": list(OWN_COLUMNS), "dateRange": {"reportPeriod": "Last30Days"}}


@contextmanager
def account(templates: dict[int, object], schedules: list[dict[str, Any]]) -> Iterator[LoopbackServer]:
    """Run a Dev Center with these templates and schedules; what is made has the id 7."""

    def answer(seen: Seen) -> Answer:
        rows = [{"templateId": number, "template": json.dumps(each)} for number, each in templates.items()]
        named = [each for each in rows if seen.path.endswith(f"/{each['templateId']}")]
        data: object = {"templateId": 7, "reportId": 7}
        if seen.method == "GET":
            data = schedules if seen.path.endswith("/report") else named or rows
        return Answer(json.dumps({"data": data, "errors": []}).encode(), 200 if seen.method == "GET" else 201)

    with LoopbackServer(answer) as server:
        yield server


def posted(server: LoopbackServer) -> list[tuple[str, Any]]:
    return [(each.path.rpartition("/")[2], json.loads(each.body)) for each in server.seen if each.method == "POST"]


def test_the_apps_template_asks_for_all_that_is_shown_and_for_no_device() -> None:
    assert {*NEEDED_COLUMNS, *_FACTS.values(), "CabIdHash", "CabExpirationTime", "EventCount"} <= set(OWN_COLUMNS)
    assert not {"DeviceId", "HardwareId"} & set(OWN_COLUMNS)
    with account({}, []) as server:
        assert make_template(dev_center(server.url)) == "7"
    assert posted(server) == [("reporttemplate", OWN)]


def test_a_first_schedule_needs_nothing_that_a_person_would_look_up() -> None:
    before = clock.now()
    with account({3: {**OWN, "projection": ["FailureHash"]}}, []) as server:
        assert make_schedule(dev_center(server.url), NewSchedule()) == ("7", "7")
    (_, template), (_, made) = posted(server)
    assert template == OWN
    assert made["templateId"] == 7
    assert (made["schedule"]["recurrenceInterval"], made["schedule"]["recurrence"]) == (24, 365)
    starts_in = datetime.strptime(made["schedule"]["startTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - before
    assert timedelta(minutes=9) < starts_in < timedelta(minutes=11)
    assert "CallbackURL" not in made


def test_the_apps_template_is_made_once_and_scheduled_once() -> None:
    live = {"reportId": 43000, "templateId": 5, "isActive": True}
    ended = {**live, "schedule": {"startTime": "2020-01-01T00:00:00Z", "recurrenceInterval": 12, "recurrence": 2}}
    for schedules in ([], [ended], [{**live, "isActive": False}], [{**live, "templateId": 3}]):
        with account({5: OWN}, schedules) as server:
            assert make_schedule(dev_center(server.url), NewSchedule()) == ("7", "5")
        assert [path for path, _ in posted(server)] == ["report"]
    with account({5: OWN}, [live]) as server, pytest.raises(BadInput, match="report 43000 makes this report already"):
        make_schedule(dev_center(server.url), NewSchedule())
    assert posted(server) == []


@pytest.mark.parametrize("view", ["OEMDriver", "IHVDriver"])
@pytest.mark.parametrize("columns", [["failurehash", "FailureName"], ["FAILUREHASH"]])
def test_a_template_that_cannot_feed_the_app_is_refused_before_it_is_scheduled(view: str, columns: list[str]) -> None:
    asked = {**OWN, "view": view, "projection": columns}
    with account({5: asked}, []) as server, pytest.raises(BadInput, match="does not project ApplicationId, without"):
        make_schedule(dev_center(server.url), NewSchedule(), "5")
    assert posted(server) == []
    with account({5: {**asked, "projection": [*columns, "applicationid"]}}, []) as server:
        assert make_schedule(dev_center(server.url), NewSchedule(), "5") == ("7", "5")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NewSchedule(interval_hours=11), "recurrenceInterval is 11: .* must be 12"),
        (lambda: NewSchedule(interval_hours=8785), "to 8784"),
        (lambda: NewSchedule(recurrence=0), "recurrence is 0: .* no schedule without an end"),
        (lambda: NewSchedule(recurrence=1001), "1 to 1000"),
        (lambda: NewSchedule(datetime(2020, 1, 1, tzinfo=UTC)), "startTime is 2020-01-01T00:00:00Z, which is past"),
        (lambda: NewSchedule(datetime.max.replace(tzinfo=UTC)), "9999-12-31T23:59:59Z, which is more than a year away"),
        (lambda: asked_in(b'{"startTime":"0001-01-01T00:00:00+14:00"}', ScheduleAsked).schedule, "which is past"),
        (lambda: asked_in(b'{"startTime":"tomorrow"}', ScheduleAsked), "A time must be like 2026-12-01T03:00:00Z - at"),
        (lambda: NewSchedule(callback_url="http://app.example/api?code=QZXJKEY"), "callbackUrl is not one"),
        (lambda: NewSchedule(callback_url="https://user:QZXJKEY@app.example/"), "callbackUrl is not one"),
        (lambda: NewSchedule(callback_url=""), "callbackUrl is not one"),
        (lambda: NewSchedule(callback_url="https:///x"), "callbackUrl is not one"),
        (lambda: NewSchedule(callback_url="https://[app/"), "callbackUrl is not one"),
        (lambda: NewSchedule(callback_url="https://a/\r\nx: y"), "callbackUrl is not one"),
        (lambda: make_schedule(dev_center("http://127.0.0.1:9"), NewSchedule(), "../5"), "templateId is '../5'"),
        (lambda: make_template(dev_center("http://127.0.0.1:9"), "Today"), "none of Yesterday, Last3Days"),
    ],
)
def test_what_the_dev_center_would_not_take_is_refused_in_words(make: Callable[[], object], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        make()
    assert "QZXJKEY" not in str(caught.value)


def test_a_callback_is_sent_and_shown_nowhere() -> None:
    new = NewSchedule(callback_url="https://app.example/api/reports/callback?code=QZXJKEY")
    assert json.loads(new.definition("a5"))["CallbackURL"] == "https://app.example/api/reports/callback?code=QZXJKEY"
    assert json.loads(new.definition("a5"))["templateId"] == "a5"
    assert "QZXJKEY" not in repr(new)

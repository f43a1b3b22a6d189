"""The report calls over HTTP, with report files that really are in storage."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from local.simulator.faults import Call
from local.simulator.scenario import Location, ReportForm

from .api_client import TIMEOUT, ApiClient


def test_schedules_are_listed_as_documented(api: ApiClient) -> None:
    report = api.simulator.builder.report([api.simulator.builder.failure(1)])
    api.simulator.builder.report([], active=False)
    body = api.get("/analytics/driver/report").json()
    assert body["errors"] == []
    first, second = body["data"]
    assert set(first) == {
        *("reportId", "templateId", "schedule", "isActive", "createdDatetime", "modifiedDatetime"),
    }
    assert first["reportId"] == report.report_id
    assert (first["isActive"], second["isActive"]) == (True, False)
    assert isinstance(first["schedule"], str)
    assert json.loads(first["schedule"])["recurrenceInterval"] >= 12


@pytest.mark.parametrize("status", ["Completed", "Success"])
def test_a_run_has_a_file_in_storage(api: ApiClient, status: str) -> None:
    failure = api.simulator.builder.failure(3)
    report = api.simulator.builder.report([failure], ReportForm(status=status))
    api.simulator.publish()
    (run,) = api.runs(report.report_id)
    assert run["ReportStatus"] == status
    file = requests.get(run["ReportLocation"], timeout=TIMEOUT)
    assert file.content[:2] == b"\x1f\x8b"
    assert "Content-Encoding" not in file.headers, "the bytes are gzip, whatever HTTP would do with them"
    assert gzip.decompress(file.content).decode().count(failure.key.failure_hash) == 4


@pytest.mark.parametrize("status", ["Pending", "In Progress", "Failed"])
def test_a_run_that_is_not_completed_has_no_file(api: ApiClient, status: str) -> None:
    report = api.simulator.builder.report([], ReportForm(status=status))
    api.simulator.publish()
    assert [(run["ReportStatus"], run["ReportLocation"]) for run in api.runs(report.report_id)] == [(status, "")]


def test_a_location_without_a_signature_wants_a_storage_token(api: ApiClient, access_token: str) -> None:
    report = api.simulator.builder.report([api.simulator.builder.failure(1)], ReportForm(location=Location.BARE))
    api.simulator.publish()
    (run,) = api.runs(report.report_id)
    assert "?" not in run["ReportLocation"]
    authorization = f"Bearer {access_token}"
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong", "x-ms-version": "2021-08-06"}, 401),
        ({"Authorization": authorization}, 403),
        ({"Authorization": authorization, "x-ms-version": "2017-07-29"}, 403),
        ({"Authorization": authorization, "x-ms-version": "2017-11-09"}, 200),
    ):
        answer = requests.get(run["ReportLocation"], headers=headers, timeout=TIMEOUT)
        assert answer.status_code == status, headers
    assert b"ApplicationId" in gzip.decompress(answer.content)


def test_a_signed_location_may_be_the_simulators_own(api: ApiClient) -> None:
    report = api.simulator.builder.report([api.simulator.builder.failure(1)], ReportForm(location=Location.FRONT_SAS))
    api.simulator.publish()
    (run,) = api.runs(report.report_id)
    assert run["ReportLocation"].startswith(api.simulator.url)
    assert requests.get(run["ReportLocation"], timeout=TIMEOUT).content[:2] == b"\x1f\x8b"
    assert requests.get(run["ReportLocation"] + "x", timeout=TIMEOUT).status_code == 403


def test_runs_are_asked_for_by_the_day_they_were_generated(api: ApiClient) -> None:
    now = datetime.now(UTC)
    report = api.simulator.builder.report([], ReportForm(status="Failed"), at=now - timedelta(days=10))
    api.simulator.builder.run(report, [], ReportForm(status="Pending"), at=now - timedelta(days=2))
    api.simulator.publish()
    day = {days: (now - timedelta(days=days)).date().isoformat() for days in range(12)}
    for start, end, statuses in (
        (11, 0, ["Failed", "Pending"]),
        (10, 10, ["Failed"]),
        (9, 0, ["Pending"]),
        (9, 3, []),
        (2, 2, ["Pending"]),
    ):
        runs = api.runs(report.report_id, startDate=day[start], endDate=day[end])
        assert [run["ReportStatus"] for run in runs] == statuses
    assert len(api.runs(report.report_id)) == 2


def test_a_fresh_location_is_signed_for_each_request(api: ApiClient) -> None:
    report = api.simulator.builder.report([])
    api.simulator.publish()
    (run,) = api.runs(report.report_id)
    (expiry,) = parse_qs(urlsplit(run["ReportLocation"]).query)["se"]
    left = datetime.fromisoformat(expiry) - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)


def test_errors_may_be_null(api: ApiClient) -> None:
    report = api.simulator.builder.report([], ReportForm(status="Pending"))
    api.simulator.null_errors = True
    assert api.get("/analytics/driver/report").json()["errors"] is None
    assert api.get(f"/analytics/driver/reportdata/{report.report_id}").json() == {"data": [], "errors": None}


@pytest.mark.parametrize(("path", "status"), [("1", 404), ("x", 404), ("{id}?startDate=20.11.2026", 400)])
def test_a_wrong_request_gets_an_error_item(api: ApiClient, path: str, status: int) -> None:
    report = api.simulator.builder.report([])
    answer = api.get("/analytics/driver/reportdata/" + path.format(id=report.report_id))
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert set(error) == {"Code", "Message", "TrackingId"}
    assert api.simulator.ledger.answers(Call.REPORT_DATA, status) == 1

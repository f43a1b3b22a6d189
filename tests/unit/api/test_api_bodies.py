"""Who asks the HTTP API must get all of it, under the names of the contract."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shared.api.bodies import body_of
from shared.api.cabs import CabBody
from shared.api.checks import CheckBody, OutcomeBody, RunBody
from shared.api.failures import FailureBody
from shared.api.pulls import PullBody
from shared.api.schedules import TemplateBody
from shared.api.state import HealthBody
from shared.core.facts import CabFacts
from shared.devcenter.reports import Template
from shared.preflight.health import Health
from shared.progress.cab_row import CabRow, CabState
from shared.progress.failures import ApplicationCheck
from shared.progress.health import CheckedReports, Reconciled
from shared.progress.outages import Known, Outage
from shared.progress.overview import FailureSeen
from shared.progress.pull_row import CabCounts, PullRow, counted
from shared.progress.reports import ReportRow
from shared.progress.tally import CabTally
from shared.reports.asked_check import AskedCheck
from shared.reports.outcome import RunOutcome
from shared.storage.table_rows import Row
from shared.storage.table_writes import Columns

APPLICATION = "13984104677400476"
HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
DAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
TALLY = CabTally(
    counted_at=DAY - timedelta(days=9),
    held=3,
    missing=4,
    expired=5,
    unavailable=1,
    failed=2,
    skipped=6,
    expiring=3,
    bytes=7_000_000_000,
    next_expiry=DAY + timedelta(days=1),
    first_cab=DAY - timedelta(days=10),
    last_cab=DAY - timedelta(days=1),
    versions=("1.9.0", "1.10.0"),
    failure_name="AV_contoso!Read",
    driver_name="contoso.sys",
)


def told(body: msgspec.Struct) -> dict[str, Any]:
    """Return a body as a caller reads it, once it is seen to be what its own schema says."""
    text = msgspec.json.encode(body)
    msgspec.json.decode(text, type=type(body))
    return dict[str, Any](msgspec.json.decode(text))


def pull(columns: Columns) -> PullRow:
    """Return a pull as its row tells of it."""
    return PullRow.of(Row.written(APPLICATION, HASH, columns, "an etag"))


def test_a_pull_is_told_as_the_contract_says() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
    counts = CabCounts(seen=21, copied=1, already_held=2, expired=3, unavailable=4, failed=5, bytes=6_000_000_000)
    row = pull(
        {
            "state": "Completed",
            "startDate": "2026-10-22",
            "endDate": "2026-11-22",
            "total": 30,
            **counted(counts),
            "attempts": 7,
            "lastError": "5 cabs failed",
            "requestedBy": "report 43000 2026-11-20T05:35:32",
            "askedAt": at + timedelta(seconds=4),
            "askedBy": "POST /api/pulls",
            "nextTryAt": at + timedelta(seconds=9),
            **TALLY.columns(),
            "queuedAt": at,
            "startedAt": at + timedelta(seconds=1),
            "updatedAt": at + timedelta(seconds=2),
            "completedAt": at + timedelta(seconds=3),
        }
    )
    assert told(PullBody.of(row)) == {
        "family": "driver",
        "applicationId": APPLICATION,
        "failureHash": HASH,
        "failureName": "AV_contoso!Read",
        "driverName": "contoso.sys",
        "state": "Completed",
        "window": {"startDate": "2026-10-22", "endDate": "2026-11-22"},
        "total": 30,
        "seen": 21,
        "percent": 100,
        "cabs": {"seen": 21, "copied": 1, "alreadyHeld": 2, "expired": 3, "unavailable": 4, "failed": 5},
        "withoutCab": 0,
        "bytes": 6_000_000_000,
        "rate": 3_000_000_000,
        "held": {"cabs": 3, "bytes": 7_000_000_000},
        "note": None,
        "attempts": 7,
        "lastError": "5 cabs failed",
        "askedAt": "2026-11-21T12:00:04.123Z",
        "askedBy": "POST /api/pulls",
        "queuedAt": "2026-11-21T12:00:00.123Z",
        "startedAt": "2026-11-21T12:00:01.123Z",
        "updatedAt": "2026-11-21T12:00:02.123Z",
        "nextTryAt": None,
        "completedAt": "2026-11-21T12:00:03.123Z",
    }


def test_what_has_not_happened_is_null() -> None:
    """A row of an earlier version tells nothing of what all earlier pulls brought, and must not say that it is 0."""
    queued = told(PullBody.of(pull({"state": "Queued"})))
    times = {"askedAt", "queuedAt", "startedAt", "updatedAt", "nextTryAt", "completedAt"}
    for name in {"window", "lastError", "total", "percent", "rate", "note", "askedBy", *times}:
        assert queued[name] is None
    assert queued["held"] == {"cabs": None, "bytes": None}


@pytest.mark.parametrize(
    ("columns", "percent"),
    [
        ({"state": "Running", "total": 300, "seen": 150}, 50),
        ({"state": "Running", "total": 300, "seen": 100, "withoutCab": 50}, 50),
        ({"state": "Running", "total": 300, "seen": 301}, 99),
        ({"state": "Failed", "total": 300, "seen": 30}, 10),
        ({"state": "Completed"}, 100),
        ({"state": "Running", "seen": 30}, None),
    ],
    ids=str,
)
def test_a_bar_can_be_drawn_of_a_pull(columns: Columns, percent: int | None) -> None:
    assert PullBody.of(pull(columns)).percent == percent


def test_a_pull_that_found_nothing_says_so_in_words() -> None:
    """`seen: 0` alone reads like a pull that did not work."""
    days: Columns = {"state": "Completed", "startDate": "2026-10-22", "endDate": "2026-11-22"}
    note = PullBody.of(pull(days)).note
    assert note is not None
    assert "Microsoft names no cab for these ids from 2026-10-22 to 2026-11-22" in note
    without = PullBody.of(pull({**days, "withoutCab": 7})).note
    assert without is not None
    assert "7 crashes" in without
    assert PullBody.of(pull({**days, "state": "Running"})).note is None


def test_a_failure_is_told_as_the_contract_says() -> None:
    row = Row.written(APPLICATION, HASH, {"state": "Completed", "updatedAt": DAY, **TALLY.columns()}, "an etag")
    assert told(FailureBody.of(FailureSeen.of(row))) == {
        "family": "driver",
        "applicationId": APPLICATION,
        "failureHash": HASH,
        "failureName": "AV_contoso!Read",
        "driverName": "contoso.sys",
        "versions": ["1.9.0", "1.10.0"],
        "state": "Completed",
        "cabs": {"held": 3, "missing": 4, "expired": 5, "unavailable": 1, "failed": 2, "skipped": 6, "expiringSoon": 3},
        "nextExpiry": "2026-11-22T12:00:00.000Z",
        "days": [0] * 30,
        "firstSeen": "2026-11-11",
        "lastSeen": "2026-11-20",
        "bytes": 7_000_000_000,
        "updatedAt": "2026-11-21T12:00:00.000Z",
        "links": {"pull": f"/api/pulls/{APPLICATION}/{HASH}", "cabs": f"/api/pulls/{APPLICATION}/{HASH}/cabs"},
    }


def test_what_an_earlier_version_stored_of_a_failure_is_told_as_unknown() -> None:
    told_of = told(FailureBody.of(FailureSeen.of(Row.written(APPLICATION, HASH, {"state": "Completed"}, "an etag"))))
    assert set(told_of["cabs"].values()) == {None}
    assert (told_of["bytes"], told_of["nextExpiry"], told_of["lastSeen"], told_of["versions"]) == (None, None, None, [])


def test_a_run_is_told_with_what_was_done() -> None:
    outcome = RunOutcome("43000", "2026-11-20T05:35:32", "Completed", "ingested", 3, 7, named=2, held=5)
    assert told(body_of(OutcomeBody, outcome)) == {
        "reportId": "43000",
        "reportDatetime": "2026-11-20T05:35:32",
        "status": "Completed",
        "outcome": "ingested",
        "failures": 3,
        "cabs": 7,
        "named": 2,
        "held": 5,
        "error": None,
    }


def test_a_run_that_was_seen_is_told_with_what_it_named() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
    row = ReportRow("43000", "2026-11-20T05:35:32", "Completed", 3, 7, at, "2 rows cannot be read", "")
    assert told(body_of(RunBody, row)) == {
        "reportId": "43000",
        "reportDatetime": "2026-11-20T05:35:32",
        "status": "Completed",
        "failures": 3,
        "cabs": 7,
        "ingestedAt": "2026-11-21T12:00:00.123Z",
        "error": "2 rows cannot be read",
    }


def test_a_cab_is_told_with_what_became_of_it_and_what_the_report_told() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
    facts = CabFacts("AV_contoso!Read", "contoso.sys", "7.6.1637.7", "10.0.26100.2314", "Arm64", "kernel")
    row = CabRow(CabState.COPIED, "1/a/b.ext.zip", 6_000_000_000, "d768", at, "", facts, at, at + timedelta(days=30))
    assert told(CabBody.of("b", row)) == {
        "cabIdHash": "b",
        "state": "copied",
        "blobName": "1/a/b.ext.zip",
        "length": 6_000_000_000,
        "md5": "d768",
        "date": "2026-11-21T12:00:00.123Z",
        "expires": "2026-12-21T12:00:00.123Z",
        "settledAt": "2026-11-21T12:00:00.123Z",
        "error": None,
        "failureName": "AV_contoso!Read",
        "driverName": "contoso.sys",
        "driverVersion": "7.6.1637.7",
        "osVersion": "10.0.26100.2314",
        "architecture": "Arm64",
        "cabType": "kernel",
        "market": None,
    }


def test_what_is_not_known_of_a_cab_is_null() -> None:
    cab = told(CabBody.of("b", CabRow(CabState.LISTED)))
    assert {name for name, value in cab.items() if value is not None} == {"cabIdHash", "state"}


def test_health_is_told_with_all_that_was_found() -> None:
    health = Health(
        Known(everybody=Outage("401", 3, "renew the secret", since=DAY, probe_at=DAY + timedelta(minutes=1))),
        Reconciled(DAY, missing=4, expiring_within_48_hours=3, lost=2, failed_pulls=1, poison=5, broken=1, error="odd"),
        CheckedReports(DAY, 7, 1, ""),
        checks=(ApplicationCheck("app", "9NBLGGH4R32N", None, DAY, 6, 2, "forbidden"),),
    )
    body = told(HealthBody.of(health))
    at = "2026-11-21T12:00:00.000Z"
    assert (body["status"], body["storage"], len(body["problems"])) == ("degraded", None, 5)
    assert body["circuit"] == {
        "kind": "401",
        "error": "renew the secret",
        "failures": 3,
        "since": at,
        "probeAt": "2026-11-21T12:01:00.000Z",
    }
    assert body["reconcile"] == {
        "at": at,
        "missing": 4,
        "expiringWithin48Hours": 3,
        "lost": 2,
        "failedPulls": 1,
        "poison": 5,
        "error": "odd",
    }
    assert body["reports"] == {"at": at, "runs": 7, "failed": 1, "error": None}
    assert body["applications"] == [
        {
            "family": "app",
            "applicationId": "9NBLGGH4R32N",
            "coveredTo": None,
            "checkedAt": at,
            "failures": 6,
            "queued": 2,
            "error": "forbidden",
            "nextTryAt": None,
        }
    ]


def test_a_circuit_that_only_counts_asks_again_at_no_time() -> None:
    circuit = told(HealthBody.of(Health(Known(everybody=Outage("401", 1, "renew")), None)))["circuit"]
    assert (circuit["since"], circuit["probeAt"]) == (None, None)


def test_a_check_is_told_with_its_runs() -> None:
    run = RunOutcome("43000", "2026-11-20T05:35:32", "Completed", "failed", 0, 0, error="it is cut")
    body = told(CheckBody.of(AskedCheck("Completed", DAY, None, "", None, (run,), 2)))
    assert [each["error"] for each in body.pop("runs")] == ["it is cut"]
    asked = {"state": "Completed", "askedAt": "2026-11-21T12:00:00.000Z", "endedAt": None}
    assert body == {**asked, "error": None, "nextTryAt": None, "leftOut": 2}


def test_a_template_is_told_with_what_it_lacks() -> None:
    body = told(TemplateBody.of(Template("925", "", ("ApplicationId",), "", DAY)))
    assert body.pop("missingColumns")
    known = {"templateId": "925", "view": None, "columns": ["ApplicationId"], "reportPeriod": None}
    assert body == {**known, "createdAt": "2026-11-21T12:00:00.000Z"}

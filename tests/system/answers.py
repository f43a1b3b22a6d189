"""What the HTTP API answers, as the contract has it: a field more or less fails the decoding."""

from datetime import date, datetime
from typing import Literal

import msgspec
import requests

PROBLEM_TYPE = "application/problem+json"


class Window(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The days that a pull asks for."""

    start_date: date
    end_date: date


class Counts(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What became of a pull's cabs."""

    seen: int = 0
    copied: int = 0
    already_held: int = 0
    expired: int = 0
    unavailable: int = 0
    failed: int = 0


class Held(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is held of a failure in all."""

    cabs: int | None
    bytes: int | None


class Pull(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/pulls/{applicationId}/{failureHash}`."""

    family: Literal["driver", "desktop", "app"]
    application_id: str
    failure_hash: str
    failure_name: str | None
    driver_name: str | None
    state: Literal["Queued", "Running", "Completed", "Failed"]
    window: Window | None
    total: int | None
    seen: int
    percent: int | None
    cabs: Counts
    without_cab: int
    bytes: int
    rate: int | None
    held: Held
    note: str | None
    attempts: int
    last_error: str | None
    asked_at: datetime | None
    asked_by: str | None
    queued_at: datetime | None
    started_at: datetime | None
    updated_at: datetime | None
    next_try_at: datetime | None
    completed_at: datetime | None


class Pulls(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/pulls`."""

    pulls: list[Pull]
    continuation: str | None


class Cab(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What became of a cab."""

    cab_id_hash: str
    state: Literal["listed", "copied", "expired", "unavailable", "failed", "retired"]
    blob_name: str | None
    length: int | None
    md5: str | None
    date: datetime | None
    expires: datetime | None
    settled_at: datetime | None
    error: str | None
    failure_name: str | None
    driver_name: str | None
    driver_version: str | None
    os_version: str | None
    architecture: str | None
    cab_type: str | None
    market: str | None


class Cabs(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/pulls/{applicationId}/{failureHash}/cabs`."""

    cabs: list[Cab]
    continuation: str | None


class FailureCabs(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How the cabs of a failure stand."""

    held: int | None
    missing: int | None
    expired: int | None
    unavailable: int | None
    failed: int | None
    skipped: int | None
    expiring_soon: int | None


class SeenFailure(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/failures/{applicationId}/{failureHash}`."""

    family: Literal["driver", "desktop", "app"]
    application_id: str
    failure_hash: str
    failure_name: str | None
    driver_name: str | None
    versions: list[str]
    state: Literal["Queued", "Running", "Completed", "Failed"]
    cabs: FailureCabs
    next_expiry: datetime | None
    days: list[int]
    first_seen: date | None
    last_seen: date | None
    bytes: int | None
    updated_at: datetime
    links: dict[str, str]


class SeenFailures(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/failures`."""

    failures: list[SeenFailure]
    total: int
    continuation: str | None


class SeenRun(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A report run, as it was seen."""

    report_id: str
    report_datetime: str
    status: str
    failures: int
    cabs: int
    ingested_at: datetime | None
    error: str | None


class SeenRuns(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/reports`."""

    runs: list[SeenRun]
    continuation: str | None


class Run(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A report run, as a check tells what it did with it."""

    report_id: str
    report_datetime: str
    status: str
    outcome: str
    failures: int
    cabs: int
    named: int
    held: int
    error: str | None


class ReportCheck(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/reports/check`."""

    state: Literal["Queued", "Running", "Completed", "Failed"]
    asked_at: datetime
    ended_at: datetime | None
    error: str | None
    next_try_at: datetime | None
    runs: list[Run]
    left_out: int


class Application(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How far the failures of an application were looked for."""

    family: Literal["desktop", "app"]
    application_id: str
    covered_to: date | None
    next_try_at: datetime | None
    checked_at: datetime
    failures: int
    queued: int
    error: str | None


class FailureCheck(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/failures/check`."""

    applications: list[Application]


class Check(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One check of a preflight."""

    name: str
    ok: bool
    answered: str
    milliseconds: int
    what_to_do: str | None


class Preflight(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`POST /api/preflight`."""

    ready: bool
    checks: list[Check]


class LastPreflight(Preflight, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`GET /api/preflight`."""

    at: datetime


class Problem(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


def decoded[T](answer: requests.Response, form: type[T]) -> T:
    """Return a good answer's body.

    Args:
        answer: From the app.
        form: What it must be.
    """
    assert answer.status_code == requests.codes.ok, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    return msgspec.json.decode(answer.content, type=form)


def problem(answer: requests.Response, status: int) -> str:
    """Return what a problem says, after checking that it is one.

    Args:
        answer: From the app.
        status: The status that it must have.
    """
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith(PROBLEM_TYPE)
    told = msgspec.json.decode(answer.content, type=Problem)
    assert told.status == status
    assert told.title
    assert told.detail
    return told.detail

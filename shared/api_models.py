"""What the HTTP API takes and tells, decoded and encoded in one place."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import msgspec

from shared.errors import BadInput
from shared.failure import Failure, Window
from shared.json_text import JsonError, decoded
from shared.pull_rows import PullState
from shared.redaction import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.pull_rows import PullRow
    from shared.report_check import RunOutcome

_BODY_BYTES = 1 << 20
_MOST_PULLS = 1_000
_PAGE, _MOST_PAGE = 100, 1_000


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The body of `POST /api/pulls`, decoded.

    Args:
        failures: The distinct failures to pull, in the order of the body.
        window: The days to ask for; None where the body leaves them to the app.
    """

    failures: tuple[Failure, ...]
    window: Window | None

    @classmethod
    def decode(cls, body: bytes) -> PullRequest:
        """Read a body.

        Raises:
            BadInput: It is not what it should be; says what, and where.
        """
        if len(body) > _BODY_BYTES:
            raise BadInput(f"the body has {len(body)} bytes, more than {_BODY_BYTES}")
        try:
            wire = decoded(body, _WireRequest)
        except JsonError as error:
            raise BadInput(f"the body is not a pull request: {excerpt(str(error))}") from None
        if (wire.failure_hash is None) == (wire.failure_hashes is None):
            raise BadInput("the body must have failureHash or failureHashes, and not both")
        hashes = [wire.failure_hash] if wire.failure_hash is not None else wire.failure_hashes or []
        if not 1 <= len(hashes) <= _MOST_PULLS:
            raise BadInput(f"failureHashes has {len(hashes)} items, not 1 to {_MOST_PULLS}")
        if (wire.start_date is None) != (wire.end_date is None):
            raise BadInput("the body must have startDate and endDate, or neither")
        window = Window(wire.start_date, wire.end_date) if wire.start_date and wire.end_date else None
        return cls(tuple(dict.fromkeys(Failure(wire.application_id, each) for each in hashes)), window)


@dataclass(frozen=True, slots=True)
class PullsQuery:
    """The query of `GET /api/pulls`, parsed."""

    state: PullState | None
    limit: int
    after: dict[str, str] | None

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> PullsQuery:
        """Read a query.

        Raises:
            BadInput: A parameter is not what it should be.
        """
        state, limit = query.get("state", ""), query.get("limit", "") or str(_PAGE)
        if state and state not in set(PullState):
            raise BadInput(f"state is {excerpt(state, 40)!r}, not one of {', '.join(PullState)}")
        if not re.fullmatch(r"\d{1,4}", limit, re.ASCII) or not 1 <= int(limit) <= _MOST_PAGE:
            raise BadInput(f"limit is {excerpt(limit, 40)!r}, not a whole number from 1 to {_MOST_PAGE}")
        return cls(PullState(state) if state else None, int(limit), _after(query.get("continuation", "")))


def continuation_text(following: dict[str, str] | None) -> str | None:
    """Return what continues after a page as text for a URL; None where nothing does."""
    return base64.urlsafe_b64encode(msgspec.json.encode(following)).decode() if following else None


def pull_body(row: PullRow) -> dict[str, object]:
    """Return a pull as the API tells it."""
    counts = row.counts
    return {
        "applicationId": row.failure.application_id,
        "failureHash": row.failure.failure_hash,
        "state": row.state.value,
        "window": {"startDate": row.window.start.isoformat(), "endDate": row.window.end.isoformat()}
        if row.window
        else None,
        "cabs": {
            "seen": counts.seen,
            "copied": counts.copied,
            "alreadyHeld": counts.already_held,
            "expired": counts.expired,
            "unavailable": counts.unavailable,
            "failed": counts.failed,
        },
        "bytes": counts.bytes,
        "attempts": row.attempts,
        "lastError": row.last_error or None,
        "queuedAt": _moment(row.queued_at),
        "startedAt": _moment(row.started_at),
        "updatedAt": _moment(row.updated_at),
        "completedAt": _moment(row.completed_at),
    }


def run_body(outcome: RunOutcome) -> dict[str, object]:
    """Return what a check did with a run as the API tells it."""
    return {
        "reportId": outcome.report_id,
        "reportDatetime": outcome.report_datetime,
        "status": outcome.status,
        "outcome": outcome.outcome,
        "failures": outcome.failures,
        "cabs": outcome.cabs,
        "error": outcome.error or None,
    }


class _WireRequest(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    application_id: str
    failure_hash: str | None = None
    failure_hashes: list[str] | None = None
    start_date: date | None = None
    end_date: date | None = None


def _after(text: str) -> dict[str, str] | None:
    if not text:
        return None
    try:
        after = decoded(base64.b64decode(text.encode(), altchars=b"-_", validate=True), dict[str, str])
    except (binascii.Error, JsonError):
        raise BadInput("continuation is not one that an earlier page returned") from None
    if set(after) != {"PartitionKey", "RowKey"}:
        raise BadInput("continuation is not one that an earlier page returned")
    return after


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None

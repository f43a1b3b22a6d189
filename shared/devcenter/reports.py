"""What the Dev Center answers about reports: its schedules, and the runs of one.

Every fact about it stands in docs/api.md with its source. The service was last documented in 2020, so decoding is
tolerant, and what cannot be decoded is quoted.
"""

from dataclasses import dataclass, field

import msgspec

from shared.core.errors import BadAnswer
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.shape import said_in, shape_of


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule of a failure report."""

    report_id: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class ReportRun:
    """One run of a schedule.

    Args:
        report_id: The schedule's id.
        report_datetime: When the run was made, as the API spells it: the run's identity within its schedule.
        status: `Completed` (documented) and `Success` (seen) are finished; `Pending`, `In Progress`, `Failed`.
        location: Where the file is; empty until it is finished. A SAS in it lives 12 hours.
    """

    report_id: str
    report_datetime: str
    status: str
    location: str = field(repr=False)

    def __str__(self) -> str:
        return f"run {self.report_datetime} of report {self.report_id}"

    @property
    def is_finished(self) -> bool:
        """Tell whether the file can be read."""
        return self.status.lower() in {"completed", "success"} and bool(self.location)


def schedules_in(body: bytes, what: str) -> list[Schedule]:
    """Read the answer with the schedules.

    Args:
        body: The answer.
        what: Names it in errors.

    Raises:
        BadAnswer: It is not what it should be, or holds an error.
    """
    rows = (_converted(row, _WireSchedule, what) for row in _rows(body, what))
    return [Schedule(str(row.report_id), row.is_active is not False) for row in rows]


def runs_in(body: bytes, report_id: str, what: str) -> list[ReportRun]:
    """Read the answer with a schedule's runs.

    Args:
        body: The answer.
        report_id: The schedule's id.
        what: Names it in errors.

    Raises:
        BadAnswer: It is not what it should be, or holds an error.
    """
    rows = (_converted(row, _WireRun, what) for row in _rows(body, what))
    return [
        ReportRun(report_id, _told(row.ReportDatetime), _told(row.ReportStatus), row.ReportLocation or "")
        for row in rows
    ]


def _told(text: str) -> str:
    """Return what the API named, as it goes into tables, answers and logs."""
    return excerpt(text, 100)


def _rows(body: bytes, what: str) -> list[msgspec.Raw]:
    envelope = _decoded(body, _Envelope, what)
    for error in envelope.errors or ():
        raise BadAnswer(f"{what}: the answer holds an error: {said_in(bytes(error))}")
    return envelope.data or []


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw] | None
    errors: list[msgspec.Raw] | None = None


class _WireSchedule(msgspec.Struct, rename="camel"):
    report_id: int | str
    is_active: bool | None = None


class _WireRun(msgspec.Struct):
    # Named as the API names them.
    ReportDatetime: str
    ReportStatus: str
    ReportLocation: str | None = None


def _converted[T](raw: msgspec.Raw, wanted: type[T], what: str) -> T:
    return _decoded(bytes(raw), wanted, what)


def _decoded[T](body: bytes, wanted: type[T], what: str) -> T:
    try:
        return decoded(body, wanted)
    except JsonError as error:
        raise BadAnswer(
            f"{what}: the answer is not what it should be ({excerpt(str(error))}); its shape: {shape_of(body)}"
        ) from None

"""What the Dev Center answers about reports: its schedules, and the runs of one.

Every fact about it stands in docs/api.md with its source. The service was last documented in 2020, so decoding is
tolerant, each item is read alone, and what cannot be read is told by its shape.
"""

import re
from dataclasses import dataclass, field

import msgspec

from shared.core.errors import BadAnswer
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.shape import said_in, shape_of
from shared.devcenter.fields import Fields

# A number in every sample. It becomes a table's key and a part of a URL, and stands in every line of the log.
_REPORT_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_FINISHED = {"completed", "complete", "success", "succeeded"}
_ACTIVE = {"", "true", "yes", "1", "active", "enabled"}
_PAUSED = {"false", "no", "0", "inactive", "paused", "disabled"}


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
        report_datetime: When the run was made, as the API spells it; empty where it names no time. With the path of its
            file it is the run's identity within its schedule.
        status: `Completed` (documented) and `Success` (seen) are finished; `Pending`, `In Progress`, `Failed`.
        location: Where the file is; empty until it is finished. A SAS in it lives 12 hours.
    """

    report_id: str
    report_datetime: str
    status: str
    location: str = field(repr=False)

    def __str__(self) -> str:
        return f"run {self.report_datetime or 'of no time'} of report {self.report_id}"

    @property
    def is_finished(self) -> bool:
        """Tell whether the file can be read."""
        return self.status.lower() in _FINISHED and bool(self.location)


@dataclass(frozen=True, slots=True)
class Listed[T]:
    """What a list holds.

    Args:
        items: Those that can be read.
        odd: What is wrong with each other, or with a part of one; and each error that stood beside them.
    """

    items: list[T]
    odd: list[str]


def schedules_in(body: bytes, what: str) -> Listed[Schedule]:
    """Read the answer with the schedules.

    Args:
        body: The answer.
        what: Names it in errors.

    Raises:
        BadAnswer: It is not what it should be, or holds nothing but errors.
    """
    rows, odd = _rows(body, what)
    schedules = []
    for row in rows:
        try:
            told = Fields(row)
        except JsonError:
            odd.append(f"{what}: a schedule cannot be read; its shape: {shape_of(row)}")
            continue
        report_id = told.text("reportid").strip().removesuffix(".0")
        if not _REPORT_ID.fullmatch(report_id):
            odd.append(f"{what}: the reportId of a schedule is missing or not one; its shape: {shape_of(row)}")
            continue
        active = told.text("isactive").strip().lower()
        if active not in _ACTIVE | _PAUSED:
            odd.append(f"{what}: isActive of report {report_id} is {excerpt(active, 40)!r}: it is taken as active")
        schedules.append(Schedule(report_id, active not in _PAUSED))
    return Listed(schedules, odd)


def runs_in(body: bytes, report_id: str, what: str) -> Listed[ReportRun]:
    """Read the answer with a schedule's runs.

    Args:
        body: The answer.
        report_id: The schedule's id.
        what: Names it in errors.

    Raises:
        BadAnswer: It is not what it should be, or holds nothing but errors.
    """
    rows, odd = _rows(body, what)
    runs = []
    for row in rows:
        try:
            told = Fields(row)
        except JsonError:
            odd.append(f"{what}: a run cannot be read; its shape: {shape_of(row)}")
            continue
        when, status = _shown(told.text("reportdatetime")), _shown(told.text("reportstatus"))
        run = ReportRun(report_id, when, status, told.quoted("reportlocation").strip())
        if not status or not (when or run.location):
            odd.append(f"{what}: a run has no status, or neither time nor file; its shape: {shape_of(row)}")
        else:
            runs.append(run)
    return Listed(runs, odd)


def _shown(text: str) -> str:
    """Return what the API named, as it goes into tables, answers and logs: on one line."""
    return excerpt(text, 100)


def _rows(body: bytes, what: str) -> tuple[list[bytes], list[str]]:
    """Return the items of an answer, and the errors beside them."""
    try:
        envelope = Fields(body)
        said = [said_in(each) for raw in envelope.values("errors", "error") for each in _each(raw)]
        has_data = envelope.has("data", "value")
        rows = [each for raw in envelope.values("data", "value")[:1] for each in _each(raw, must_be_list=True)]
    except JsonError as error:
        raise BadAnswer(
            f"{what}: the answer is not what it should be ({excerpt(str(error))}); its shape: {shape_of(body)}"
        ) from None
    errors = [f"{what}: the answer holds an error: {each}" for each in said]
    if errors and not rows:
        raise BadAnswer(errors[0])
    if not has_data:
        raise BadAnswer(f"{what}: the answer is not what it should be, a list; its shape: {shape_of(body)}")
    return rows, errors


def _each(raw: bytes, *, must_be_list: bool = False) -> list[bytes]:
    """Return the items of a list; one that stands alone may be no list."""
    if raw.startswith(b"{"):
        return [raw] if Fields(raw).is_any_there else []
    if raw.startswith(b"[") or must_be_list:
        return [bytes(each) for each in decoded(raw, list[msgspec.Raw])]
    return [raw] if raw not in {b'""', b"false", b"0"} else []

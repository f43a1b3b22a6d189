"""Read what the Dev Center answers about reports: its templates, its schedules, and the runs of one.

The service was last documented in 2020 (docs/api.md), so decoding is tolerant, each item is read alone, and what cannot
be read is told by its shape.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from shared.core import clock
from shared.core.errors import BadAnswer
from shared.core.ids import REPORT_ID
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.shape import said_in, shape_of
from shared.devcenter.fields import Fields
from shared.devcenter.reports import Listed, ReportRun, Schedule, Template

LOOK_FIRST = "the lists tell whether it came about all the same: look there before you ask again"
_ACTIVE = {"", "true", "yes", "1", "active", "enabled"}
_PAUSED = {"false", "no", "0", "inactive", "paused", "disabled"}
# More than a schedule may tell.
_MOST_HOURS, _MOST_RUNS = 100_000, 100_000


def schedules_in(body: bytes, what: str) -> Listed[Schedule]:
    """Read the answer with the schedules.

    Raises:
        BadAnswer: It is not what it should be, or holds nothing but errors.
    """

    def read(told: Fields, odd: list[str]) -> Schedule | str:
        if not (report_id := _id(told, "reportid")):
            return "the reportId of a schedule is missing or not one"
        active = told.text("isactive").strip().lower()
        if active not in _ACTIVE | _PAUSED:
            odd.append(f"{what}: isActive of report {report_id} is {excerpt(active, 40)!r}: it is taken as active")
        changed_at = clock.moment_of(told.text("modifieddatetime"))
        return Schedule(report_id, active not in _PAUSED, _id(told, "templateid"), *_recurring(told), changed_at)

    return _listed(body, what, "a schedule", read)


def templates_in(body: bytes, what: str) -> Listed[Template]:
    """Read the answer with the templates, or with one.

    Raises:
        BadAnswer: It is not what it should be, or holds nothing but errors.
    """

    def read(told: Fields, _: list[str]) -> Template | str:
        asked = _within(told, "template") or told
        days = next((Fields(raw) for raw in asked.values("daterange")), None)
        columns = [_shown(each) for raw in asked.values("projection")[:1] for each in decoded(raw, list[str])]
        if not (template_id := _id(told, "templateid")):
            return "the templateId of a template is missing or not one"
        period = _shown(days.text("reportperiod")) if days else ""
        view, created_at = _shown(asked.text("view").strip()), clock.moment_of(told.text("createddatetime"))
        return Template(template_id, view, tuple(columns), period, created_at)

    return _listed(body, what, "a template", read)


def runs_in(body: bytes, report_id: str, what: str) -> Listed[ReportRun]:
    """Read the answer with a schedule's runs.

    Raises:
        BadAnswer: It is not what it should be, or holds nothing but errors.
    """

    def read(told: Fields, _: list[str]) -> ReportRun | str:
        when, status = _shown(told.text("reportdatetime")), _shown(told.text("reportstatus"))
        run = ReportRun(report_id, when, status, told.quoted("reportlocation").strip())
        return run if status and (when or run.location) else "a run has no status, or neither time nor file"

    return _listed(body, what, "a run", read)


def made_in(body: bytes, key: str, what: str) -> str:
    """Read the answer to the wish for a template or a schedule: its id.

    Args:
        body: The answer.
        key: In lower case: `templateid`, `reportid`.
        what: Names it in errors.

    Raises:
        BadAnswer: It holds no id. Nobody knows whether what was wished for is there now.
    """
    try:
        rows, _ = _rows(body, what)
        found = next((named for row in rows if (named := _id(Fields(row), key))), "")
    except BadAnswer as error:
        raise BadAnswer(f"{error}; {LOOK_FIRST}") from None
    except JsonError:
        found = ""
    if not found:
        raise BadAnswer(f"{what}: the answer names no id; its shape: {shape_of(body)}; {LOOK_FIRST}")
    return found


def _id(told: Fields, key: str) -> str:
    """Return an id; empty where there is none."""
    named = told.text(key).strip().removesuffix(".0")
    return named if REPORT_ID.fullmatch(named) else ""


def _recurring(told: Fields) -> tuple[datetime | None, int, int]:
    """Return when a schedule begins, its interval in hours, and its runs; what cannot be read is not known."""
    try:
        schedule = _within(told, "schedule")
    except JsonError:
        schedule = None
    if schedule is None:
        return None, 0, 0
    hours, runs = schedule.number("recurrenceinterval"), schedule.number("recurrence")
    if not (0 < hours <= _MOST_HOURS and 0 < runs <= _MOST_RUNS):
        return None, 0, 0
    return clock.moment_of(schedule.text("starttime")), int(hours), int(runs)


def _within(told: Fields, key: str) -> Fields | None:
    """Return an object that stands in a field, as it is or as JSON within a text; None where there is none."""
    raw = next(iter(told.values(key)), b"")
    text = raw if raw.startswith(b"{") else told.quoted(key).encode()
    return Fields(text) if text else None


def _listed[T](body: bytes, what: str, kind: str, read: Callable[[Fields, list[str]], T | str]) -> Listed[T]:
    """Read each item of an answer alone.

    Args:
        body: The answer.
        what: Names it in errors.
        kind: What an item is.
        read: Returns one, or what is wrong with it; adds what else is odd about it to the list.

    Raises:
        BadAnswer: It is not what it should be, or holds nothing but errors.
    """
    rows, odd = _rows(body, what)
    items = list[T]()
    for row in rows:
        try:
            item = read(Fields(row), odd)
        except JsonError:
            item = f"{kind} cannot be read"
        if isinstance(item, str):
            odd.append(f"{what}: {item}; its shape: {shape_of(row)}")
        else:
            items.append(item)
    return Listed(items, odd)


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

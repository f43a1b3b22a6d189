"""Let the Dev Center make reports that feed the app: a template with the columns that it needs, and a schedule.

Facts: docs/api.md (Templates and schedules). What the Dev Center would refuse in its own way is refused here in words.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from shared.core import clock
from shared.core.errors import BadInput
from shared.core.ids import REPORT_ID
from shared.core.redaction import excerpt
from shared.core.values import Immutable, hiding

if TYPE_CHECKING:
    from datetime import datetime

    from shared.devcenter.client import DevCenter
    from shared.devcenter.reports import Template

# Without these a row names no failure.
NEEDED_COLUMNS = ("ApplicationId", "FailureHash")
# All that the app shows, ranks or keeps by. Never DeviceId or HardwareId: what is not in the file cannot be leaked.
OWN_COLUMNS = (
    *("FailureDate", "FailureDateTime", *NEEDED_COLUMNS[:1], "SubmissionId", "FailureName", *NEEDED_COLUMNS[1:]),
    *("OSVersion", "DriverName", "DriverVersion", "Architecture", "CabType", "CabIdHash", "CabExpirationTime"),
    *("CabCollectionTime", "EventCount"),
)
PERIODS = ("Yesterday", *(f"Last{days}Days" for days in (3, 7, 10, 15, 30, 60, 90)))
# As long as Microsoft keeps most cabs: a run that fails, or a day on which nobody looked, costs none.
OWN_PERIOD = "Last30Days"
_VIEW = "IHVDriver"
LEAST_HOURS, MOST_HOURS, MOST_RUNS = 12, 8_784, 1_000
_SOON, _FAR = timedelta(minutes=10), timedelta(days=366)
CALLBACK_URL = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:[/?][!-~]{0,2000})?")


class NewSchedule(Immutable, frozen=True):
    """A schedule that somebody wishes for.

    Args:
        starts_at: When its first run is due; None means in ten minutes.
        interval_hours: Hours from run to run, 12 or more.
        recurrence: How many runs it makes in all; there is none without an end.
        callback_url: What the Dev Center tells of each run; None for nothing. It may hold a key.

    Raises:
        BadInput: One of these is not what the Dev Center takes.
    """

    starts_at: datetime | None = None
    interval_hours: int = 24
    recurrence: int = 365
    callback_url: str | None = None

    __repr__ = hiding("callback_url")

    def __post_init__(self) -> None:
        if not LEAST_HOURS <= self.interval_hours <= MOST_HOURS:
            raise BadInput(
                f"recurrenceInterval is {self.interval_hours}: the hours from run to run must be {LEAST_HOURS} "
                f"(the Dev Center makes a report no more often) to {MOST_HOURS}"
            )
        if not 1 <= self.recurrence <= MOST_RUNS:
            raise BadInput(
                f"recurrence is {self.recurrence}: the number of runs must be 1 to {MOST_RUNS}; "
                "the Dev Center knows no schedule without an end"
            )
        ahead = self.starts_at - clock.now() if self.starts_at else timedelta()
        if not timedelta() <= ahead <= _FAR:
            how = "which is past" if ahead < timedelta() else "which is more than a year away"
            raise BadInput(f"startTime is {self.starts_at:%Y-%m-%dT%H:%M:%SZ}, {how}")
        if self.callback_url is not None and not CALLBACK_URL.fullmatch(self.callback_url):
            # It is not quoted, since it may hold a key.
            raise BadInput("callbackUrl is not one: it must be https:// with a host, and of plain characters")

    def definition(self, template_id: str) -> bytes:
        """Return what the Dev Center is sent.

        Args:
            template_id: What the schedule makes.
        """
        told: dict[str, Any] = {
            "templateId": int(template_id) if template_id.isdecimal() else template_id,
            "schedule": {
                "startTime": f"{self.starts_at or clock.now() + _SOON:%Y-%m-%dT%H:%M:%SZ}",
                "recurrenceInterval": self.interval_hours,
                "recurrence": self.recurrence,
            },
        }
        return msgspec.json.encode({**told, "CallbackURL": self.callback_url} if self.callback_url else told)


def make_template(devcenter: DevCenter, period: str = "") -> str:
    """Make a template that asks for all that the app shows, and return its id.

    Args:
        devcenter: Where to.
        period: Which days a run looks back on; empty for the app's own choice.

    Raises:
        BadInput: There is no such period, or the Dev Center refuses the template.
        CabferryError: Sorted by what helps.
    """
    if period and period not in PERIODS:
        raise BadInput(f"reportPeriod is {excerpt(period, 40)!r}, which is none of {', '.join(PERIODS)}")
    asked = {"view": _VIEW, "projection": OWN_COLUMNS, "dateRange": {"reportPeriod": period or OWN_PERIOD}}
    return devcenter.create_template(msgspec.json.encode(asked))


def make_schedule(devcenter: DevCenter, new: NewSchedule, template_id: str = "") -> tuple[str, str]:
    """Make a schedule, and return its reportId and its templateId.

    Args:
        devcenter: Where to.
        new: What is wished for.
        template_id: What it shall make; empty for the app's own template, which is made where there is none.

    Raises:
        BadInput: The template lacks a column that the app needs, a live schedule makes the app's own template already,
            or the Dev Center refuses it.
        CabferryError: Sorted by what helps.
    """
    if template_id:
        if not REPORT_ID.fullmatch(template_id):
            raise BadInput(f"templateId is {excerpt(template_id, 40)!r}, which is not one")
        _check_columns(devcenter.template(template_id))
    else:
        template_id = _own_template(devcenter)
    return devcenter.create_schedule(new.definition(template_id)), template_id


def missing_columns(template: Template) -> tuple[str, ...]:
    """Return the columns that the app cannot do without and a template lacks."""
    return template.lacks(NEEDED_COLUMNS)


def _check_columns(template: Template) -> None:
    if missing := missing_columns(template):
        raise BadInput(
            f"template {template.template_id} (view {template.view or 'unknown'}) does not project "
            f"{' and '.join(missing)}, without which no failure can be named: take one that does, or leave out "
            "templateId"
        )


def _own_template(devcenter: DevCenter) -> str:
    """Return the app's own template, which is made where there is none."""
    own = [each.template_id for each in devcenter.templates().items if _is_own(each)]
    if not own:
        return make_template(devcenter)
    now = clock.now()
    for each in devcenter.schedules().items:
        if each.template_id in own and each.is_live(now):
            raise BadInput(
                f"report {each.report_id} makes this report already; name its templateId, {each.template_id}, to have "
                "it made twice"
            )
    return own[-1]


def _is_own(template: Template) -> bool:
    # Its columns are as good as a name: nobody else asks for exactly these.
    return template.view.lower() == _VIEW.lower() and sorted(template.columns) == sorted(OWN_COLUMNS)

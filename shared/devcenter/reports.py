"""What there is of reports at the Dev Center: schedules, which make runs of templates.

Every fact about it stands in docs/api.md with its source.
"""

from datetime import datetime, timedelta

from shared.core import clock
from shared.core.values import Immutable, hiding

_FINISHED = {"completed", "complete", "success", "succeeded"}
# One that begins in a year, or makes a run a year, would let the cabs of months go: each lives for thirty days.
_SOON = timedelta(days=7)


class Schedule(Immutable, frozen=True):
    """One schedule of a failure report.

    Args:
        report_id: Its id.
        is_active: False where it is paused.
        template_id: What it makes; empty where it names none.
        starts_at: When its first run is due; None, and 0 in the next two, where it does not tell.
        interval_hours: How long after a run the next is due.
        recurrence: How many runs it makes in all.
        changed_at: When it was made, paused, resumed or edited last; None where it does not tell.
    """

    report_id: str
    is_active: bool
    template_id: str = ""
    starts_at: datetime | None = None
    interval_hours: int = 0
    recurrence: int = 0
    changed_at: datetime | None = None

    def due(self, number: int) -> datetime | None:
        """Return when a run is due.

        Args:
            number: Which: 0 is the first, -1 the last.

        Returns:
            The moment; None where there is no such run, none in a year of four digits, or the schedule does not tell.
        """
        if self.starts_at is None or not self.interval_hours or not -1 <= number < self.recurrence:
            return None
        try:
            return self.starts_at + (self.recurrence + number if number < 0 else number) * self._interval
        except OverflowError:
            return None

    def runs_left(self, now: datetime) -> int | None:
        """Return how many runs are not due yet; None where the schedule does not tell."""
        if (first := self.due(0)) is None:
            return None
        passed = (now - first) // self._interval + 1
        return self.recurrence - max(0, min(self.recurrence, passed))

    def is_live(self, now: datetime) -> bool:
        """Tell whether it makes further runs."""
        return self.is_active and self.runs_left(now) != 0

    def next_due(self, now: datetime) -> datetime | None:
        """Return when the next run is due; None where none is, or the schedule does not tell."""
        left = self.runs_left(now) if self.is_active else 0
        return self.due(self.recurrence - left) if left else None

    def stands_in(self, now: datetime) -> bool:
        """Tell whether it can take the place of another: it makes a run soon, or does not tell when."""
        return self.is_live(now) and (self.next_due(now) or now) <= now + _SOON

    def last_due(self, moment: datetime) -> datetime | None:
        """Return which run was due last at a moment; None where none was since the schedule was changed."""
        if (left := self.runs_left(moment)) is None or (due := self.due(self.recurrence - left - 1)) is None:
            return None
        return due if left < self.recurrence and (self.changed_at is None or self.changed_at < due) else None

    @property
    def _interval(self) -> timedelta:
        return timedelta(hours=self.interval_hours)


class Template(Immutable, frozen=True):
    """What a report is made of.

    Args:
        template_id: Its id.
        view: `IHVDriver`, or `OEMDriver` whose rows name no application; empty where it tells none.
        columns: Those that it projects, as it spells them.
        period: Which days it looks back on, for example `Last30Days`; empty where it tells none.
        created_at: When it was made; None where it tells no time.
    """

    template_id: str
    view: str
    columns: tuple[str, ...]
    period: str
    created_at: datetime | None

    def lacks(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of these columns it does not project, in any case."""
        projected = {each.lower() for each in self.columns}
        return tuple(each for each in columns if each.lower() not in projected)


class ReportRun(Immutable, frozen=True):
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
    location: str

    __repr__ = hiding("location")

    def __str__(self) -> str:
        return f"run {self.report_datetime or 'of no time'} of report {self.report_id}"

    @property
    def is_finished(self) -> bool:
        """Tell whether the file can be read."""
        return self.status.lower() in _FINISHED and bool(self.location)

    @property
    def has_failed(self) -> bool:
        """Tell whether the Dev Center could not make it."""
        return self.status.lower() == "failed"

    @property
    def made_at(self) -> datetime | None:
        """Return when it was made; None where that cannot be read."""
        return clock.moment_of(self.report_datetime)


class Listed[T](Immutable, frozen=True):
    """What a list holds.

    Args:
        items: Those that can be read.
        odd: What is wrong with each other, or with a part of one; and each error that stood beside them.
    """

    items: list[T]
    odd: list[str]

"""Every named event: what an alert or a query of the log finds by its name. docs/telemetry.md has their table.

An event is one line of the log, `name: attribute=value ...`, and, where the app runs in Azure, one row of AppEvents
with the attributes as its properties. Whoever wants to be told of something new adds it here.
"""

import logging
from dataclasses import dataclass

from shared.core import telemetry
from shared.core.redaction import one_line, redact

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens, and has a name.

    Args:
        name: What alerts and queries look for.
        level: How loudly the log tells it.
        means: When it is told, for the table in the docs.
        attributes: What is told of it, in this order.
    """

    name: str
    level: int
    means: str
    attributes: tuple[str, ...]

    def tell(self, **attributes: object) -> None:
        """Tell that it happened.

        Args:
            attributes: A value for each of its attributes; secrets in them are redacted.

        Raises:
            ValueError: They are not those that are declared: a mistake in the code, which a test of it finds.
        """
        if attributes.keys() != set(self.attributes):
            raise ValueError(f"the event {self.name} has {self.attributes}, not {tuple(attributes)}")
        told = {name: one_line(redact(str(attributes[name]))) for name in self.attributes}
        _log.log(self.level, "%s: %s", self.name, " ".join(f"{name}={value}" for name, value in told.items()))
        telemetry.tell(self.name, self.level, told)


PULL_FAILED = Event(
    "pull-failed",
    logging.ERROR,
    "a pull has become Failed, after its tries or for good; once for each time. `kind` is the row's `lastErrorKind`",
    ("applicationId", "failureHash", "pull", "kind", "reason"),
)
MESSAGE_KEPT = Event(
    "message-kept",
    logging.ERROR,
    "a message of which no pull can be made was put aside; the table `health` has it",
    ("reason",),
)
WORK_STOPPED = Event(
    "work-stopped",
    logging.ERROR,
    "messages are kept, and none is worked on: a setting is bad, or storage does not answer. Once a minute and worker",
    ("reason",),
)
CABS_LOST = Event(
    "cabs-lost",
    logging.ERROR,
    "Microsoft has deleted cabs of a failure that nobody could copy before; their rows say why",
    ("applicationId", "failureHash", "cabs"),
)
CIRCUIT_OPENED = Event(
    "circuit-opened",
    logging.ERROR,
    "a service is not asked any more, after failures in a row. `application` is empty where it is so for all",
    ("service", "application", "kind", "failures", "reason"),
)
CIRCUIT_CLOSED = Event("circuit-closed", logging.INFO, "a service works again, and is asked", ("service",))
FUNCTION_FAILED = Event(
    "function-failed",
    logging.ERROR,
    "a function failed: a check that was not complete, a reconcile that left something, or what nobody foresaw",
    ("function", "reason"),
)
REPORTS_CHECKED = Event(
    "reports-checked",
    logging.INFO,
    "a check of the reports came to its end; `failed` of the `runs` could not be read",
    ("runs", "failed"),
)
FAILURES_CHECKED = Event(
    "failures-checked",
    logging.INFO,
    "a check of the failures of applications came to its end, for one of them at least; `failed` of the `applications` "
    "could not be asked",
    ("applications", "failed"),
)
RECONCILED = Event(
    "reconciled",
    logging.INFO,
    "a reconcile came to its end; what it found ([operate.md](operate.md#what-heals-itself))",
    (
        *("failures", "underWay", "failedPulls", "missing", "expiringWithin48Hours", "lost", "messagesSent"),
        *("queuedAgain", "rowsMended", "rowsRemoved", "poison", "broken"),
    ),
)
REPORT_RUN_FAILED = Event(
    "report-run-failed",
    logging.ERROR,
    "the Dev Center could not make a run of a report; once for each",
    ("reportId", "reportDatetime", "reason"),
)
REPORT_RUN_LATE = Event(
    "report-run-late",
    logging.WARNING,
    "a run of a report is overdue by its schedule, or not made for `REPORT_LATE_HOURS`; once for each",
    ("reportId", "due", "reason"),
)
SCHEDULE_ENDED = Event(
    "schedule-ended",
    logging.ERROR,
    "a report schedule makes no further runs: nothing new is listed by it; once",
    ("reportId", "reason"),
)
ASKED = Event(
    "asked", logging.INFO, "a person asked for something on the dashboard: who asked for what", ("by", "method", "path")
)
CAB_FETCHED = Event(
    "cab-fetched", logging.INFO, "a cab was downloaded, or a link to it was made: who has it", ("blob", "by", "how")
)

# Whatever is declared above.
EVENTS = tuple(each for each in list(globals().values()) if isinstance(each, Event))

"""Every metric: name, unit, kind and meaning. docs/telemetry.md has their table.

Whoever wants to count something new adds it here. Units are those of UCUM, as OpenTelemetry has them.
"""

import logging
from typing import Literal

from shared.core import telemetry
from shared.core.values import Immutable

_log = logging.getLogger(__name__)


class Metric(Immutable, frozen=True):
    """Something that is measured, and has a name.

    Args:
        name: What alerts and queries look for.
        unit: What one is.
        kind: `counter` (recorded values are added up), `gauge` (the last holds) or `histogram` (how they spread).
        means: What is measured and when, for the table in the docs.
        attributes: What tells its values apart; each has few different values.
    """

    name: str
    unit: str
    kind: Literal["counter", "gauge", "histogram"]
    means: str
    attributes: tuple[str, ...] = ()

    def record(self, value: float, **attributes: str) -> None:
        """Record a value.

        Args:
            value: In the unit of the metric; of a counter, what is added, and nothing where it is 0.
            attributes: A value for each of its attributes.

        Raises:
            ValueError: They are not those that are declared: a mistake in the code, which a test of it finds.
        """
        if attributes.keys() != set(self.attributes):
            raise ValueError(f"the metric {self.name} has {self.attributes}, not {tuple(attributes)}")
        if value or self.kind != "counter":
            _log.debug("%s %s %s %s", self.name, value, self.unit, attributes)
            telemetry.record(self, value, attributes)


CABS_COPIED = Metric("cabferry.cabs.copied", "{cab}", "counter", "cabs that a run of a pull brought", ("family",))
CAB_BYTES = Metric(
    "cabferry.cabs.bytes",
    "By",
    "counter",
    "their length together, known when the pull has read the container back",
    ("family",),
)
CABS_EXPIRED = Metric(
    "cabferry.cabs.expired", "{cab}", "counter", "cabs that a pull met too late: their time was over", ("family",)
)
CABS_FAILED = Metric(
    "cabferry.cabs.failed", "{cab}", "counter", "cabs that a pull could not copy, and will try again", ("family",)
)
CABS_MISSING = Metric(
    "cabferry.cabs.missing",
    "{cab}",
    "gauge",
    "cabs that could still be had and are not held, as a reconcile found them",
)
CABS_EXPIRING = Metric(
    "cabferry.cabs.expiring", "{cab}", "gauge", "those of them that Microsoft deletes within 48 hours"
)
CABS_LOST = Metric(
    "cabferry.cabs.lost", "{cab}", "counter", "cabs that Microsoft has deleted uncopied, as a reconcile noticed them"
)
COPIES = Metric(
    "cabferry.copies",
    "{copy}",
    "counter",
    "copies by their way: `direct` (storage copies by itself), `blocks` (likewise, in parts), `streamed` (by the app)",
    ("way",),
)
PULLS = Metric("cabferry.pulls", "{pull}", "gauge", "pulls by their state, as a reconcile found them", ("state",))
PULLS_ENDED = Metric(
    "cabferry.pulls.ended",
    "{run}",
    "counter",
    "runs of a pull by what it was afterwards; Queued is one that goes on by another message",
    ("family", "state"),
)
PULL_DURATION = Metric("cabferry.pull.duration", "s", "histogram", "how long a run of a pull took", ("family", "state"))
OLDEST_QUEUED = Metric(
    "cabferry.pulls.oldest_queued", "s", "gauge", "how long the oldest Queued pull has waited, as a reconcile found it"
)
POISON = Metric("cabferry.messages.kept", "{message}", "gauge", "messages of which no pull can be made, likewise")
REPORT_AGE = Metric(
    "cabferry.report.age", "s", "gauge", "the age of a report's newest finished run, at each check", ("report",)
)
CHECK_DURATION = Metric(
    "cabferry.check.duration",
    "s",
    "histogram",
    "how long a check took: of `reports`, of `failures`, or the `reconcile`",
    ("check",),
)
API_CALLS = Metric(
    "cabferry.api.calls",
    "{call}",
    "counter",
    "requests to the Dev Center by the status of the answer; `none` where none came",
    ("status",),
)
API_DURATION = Metric("cabferry.api.duration", "s", "histogram", "how long they took, with the answer's body")
API_THROTTLED = Metric(
    "cabferry.api.throttled", "s", "counter", "for how long the Dev Center was left alone, since it asked for it"
)

# Whatever is declared above.
METRICS = tuple(each for each in list(globals().values()) if isinstance(each, Metric))

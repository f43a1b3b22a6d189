"""What the next run would take under the rules of the settings file, or under others that somebody thinks of.

It is made of how each failure's cabs were last counted, so it reads no cab's row. What a report will list that nobody
knows yet is in no number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.failure_list import failures_seen
from shared.api.scalars import Bytes, Count, Moment
from shared.core import clock
from shared.core.facts import CabFacts
from shared.core.failure import DRIVER
from shared.core.keep import Candidate, Rules, Subject
from shared.core.keep_text import MOST_BYTES
from shared.core.schedule import next_after
from shared.devcenter.families import FAMILIES
from shared.progress.day_bytes import USUAL_BYTES
from shared.services import services

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.core.settings import Settings
    from shared.progress.overview import FailureSeen
    from shared.progress.tally import CabTally

# docs/scaling.md, *What a million cabs cost*.
_STORAGE_A_CAB, _STORAGE_A_FAILURE, _QUEUE_A_FAILURE = 1.02, 5, 3
_MONTH = timedelta(days=30)


class PlanAsked(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Rules to plan with, in the place of those of the settings file."""

    keep: Annotated[str, Meta(max_length=MOST_BYTES, description="What the settings file would hold, as TOML.")]


class PlannedRule(Struct, frozen=True, rename="camel"):
    """What a rule skips."""

    reason: Annotated[str, Meta(description="The rule, as the cabs' rows will name it.")]
    failures: Count
    cabs: Count


class PlannedCost(Struct, frozen=True, rename="camel"):
    """What that costs, as docs/scaling.md counts."""

    dev_center_calls: Count
    storage_requests: Count
    queue_requests: Count
    gigabyte_months: Annotated[float, Meta(description="Of the new cabs, until the retention rule removes them.")]


class PlanBody(Struct, frozen=True, rename="camel"):
    """What the next run would take."""

    at: Annotated[Moment, Meta(description="When the numbers were as they are told.")]
    next_run_at: Annotated[Moment | None, Meta(description="When the reports, or the applications, are checked next.")]
    rules: Annotated[Count, Meta(description="How many rules hold, MAX_CABS_PER_FAILURE among them.")]
    problem: Annotated[str | None, Meta(description="What is wrong with the settings file; then all is kept.")]
    failures: Annotated[Count, Meta(description="Of which a pull would take cabs.")]
    cabs: Annotated[Count, Meta(description="That it would take.")]
    bytes: Annotated[Bytes, Meta(description="An estimate: the mean of the failure's, its file's, or all held cabs.")]
    bytes_a_day: Annotated[Bytes | None, Meta(description="The most that is copied within a day; null for any number.")]
    days: Annotated[Count, Meta(description="How many days that takes; 0 where there is nothing to take.")]
    skipped_failures: Annotated[Count, Meta(description="Of which a rule skips every cab that could be had.")]
    skipped_cabs: Annotated[Count, Meta(description="Left to Microsoft, which deletes them.")]
    skipped_by: Annotated[list[PlannedRule], Meta(description="The same by rule, those first that skip the most.")]
    expiring_soon: Annotated[Count, Meta(description="Missing cabs that Microsoft deletes within 48 hours.")]
    expiring_before: Annotated[Count, Meta(description="Failures of which a cab expires before the next run.")]
    too_late: Annotated[
        Count, Meta(description="Failures of which a cab expires before bytesADay lets its day come; raise it then.")
    ]
    cost: PlannedCost
    unknown: Annotated[list[str], Meta(description="What the numbers leave out.")]


@dataclass(slots=True)
class _Sums:
    """What is added up over the failures."""

    failures: int = 0
    cabs: int = 0
    calls: int = 0
    uncounted: int = 0
    skipped_failures: int = 0
    expiring_soon: int = 0
    expiring_before: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    failures_by_reason: Counter[str] = field(default_factory=Counter)
    takes: list[tuple[datetime, int]] = field(default_factory=list)
    bytes: int = 0


def plan_now(others: str | None = None) -> PlanBody:
    """Return what the next run would take.

    Args:
        others: A settings file to plan with; None plans with the one that holds.

    Raises:
        BadInput: That is not what a settings file should be.
        CabferryError: Storage does not answer.
    """
    parts = services()
    rules = parts.pull_tools.keep.current() if others is None else parts.pull_tools.keep.parsed(others.encode())
    seen = failures_seen()
    unknown = [f"what changed since the numbers were read: {seen.error}"] if seen.error else []
    return plan_of(seen.failures.values(), rules, parts.settings, seen.at, unknown)


def plan_of(
    failures: Iterable[FailureSeen], rules: Rules, settings: Settings, at: datetime, unknown: Iterable[str] = ()
) -> PlanBody:
    """Return what a run would take of failures.

    Args:
        failures: All that are known.
        rules: What is worth keeping.
        settings: When it runs, and how long cabs are stored.
        at: When the failures were as they are.
        unknown: What they leave out.
    """
    all_of_them = list(failures)
    means, sums = _Means(all_of_them), _Sums()
    next_run = _next_run(settings)
    for each in all_of_them:
        if each.tally is None:
            sums.uncounted += 1
        else:
            _add(sums, each, each.tally, rules, means, next_run)
    days, too_late = _days(sums, rules.bytes_a_day)
    left_out = ["cabs that a report or Microsoft has not named yet"]
    if sums.uncounted:
        left_out.append(f"the cabs of {sums.uncounted} failures, which nobody has counted yet")
    if any(rule.os != "*" for rule in rules.rules):
        left_out.append("rules that name a version of Windows: they may skip more")
    by_rule = [
        PlannedRule(reason, sums.failures_by_reason[reason], cabs) for reason, cabs in sums.by_reason.most_common()
    ]
    return body_of(
        PlanBody,
        sums,
        rules,
        at=at,
        next_run_at=next_run,
        rules=len(rules.rules),
        bytes_a_day=rules.bytes_a_day or None,
        days=days,
        skipped_cabs=sums.by_reason.total(),
        skipped_by=by_rule,
        too_late=too_late,
        cost=PlannedCost(
            dev_center_calls=sums.calls,
            storage_requests=ceil(_STORAGE_A_CAB * sums.cabs + _STORAGE_A_FAILURE * sums.failures),
            queue_requests=_QUEUE_A_FAILURE * sums.failures,
            gigabyte_months=round(sums.bytes / 1e9 * (settings.retention / _MONTH), 3),
        ),
        unknown=[*left_out, *unknown],
    )


def _add(
    sums: _Sums, failure: FailureSeen, tally: CabTally, rules: Rules, means: _Means, next_run: datetime | None
) -> None:
    subject = Subject(failure.application_id, failure.failure_name, failure.driver_name, failure.hits)
    skipped = _skipped(subject, tally, rules)
    could = tally.missing + tally.skipped
    taken = could - skipped.total()
    for reason, cabs in skipped.items():
        sums.by_reason[reason] += cabs
        sums.failures_by_reason[reason] += 1
    if not taken:
        sums.skipped_failures += could > 0
        return
    length = taken * means.of(failure)
    sums.failures, sums.cabs, sums.bytes = sums.failures + 1, sums.cabs + taken, sums.bytes + length
    # A page tells of held cabs too, a limit is decided by all of them before the first is copied, and an application's
    # cabs cost a call each.
    family = FAMILIES.get(failure.family, FAMILIES[DRIVER])
    pages = ceil((tally.held + could) / family.page_rows) * (2 if rules.may_limit(subject) else 1)
    sums.calls += pages if family.name == DRIVER else pages + taken
    sums.expiring_soon += tally.expiring
    expires = tally.next_expiry or clock.now() + _MONTH
    sums.expiring_before += next_run is not None and expires < next_run
    sums.takes.append((expires, length))


def _skipped(subject: Subject, tally: CabTally, rules: Rules) -> Counter[str]:
    """Return how many cabs the rules would skip, by reason: as if held and others were of the same versions alike."""
    could = tally.missing + tally.skipped
    if reason := rules.skips_whole(subject):
        return Counter({reason: could} if could else {})
    if not rules.may_skip(subject):
        return Counter()
    counts = tally.of_version or (1,) * len(tally.versions)
    # Laid out evenly, so that the first of them, which are the held ones, are a fair sample.
    told = [(place / count, each) for each, count in zip(tally.versions, counts, strict=True) for place in range(count)]
    facts = [CabFacts(driver_version=each) for _, each in sorted(told)] or [CabFacts()]
    cabs = {
        str(place): Candidate(facts[place % len(facts)], is_held=place < tally.held)
        for place in range(tally.held + could)
    }
    return Counter(rules.skipped(subject, cabs).values())


def _days(sums: _Sums, bytes_a_day: int) -> tuple[int, int]:
    """Return how many days all of it takes, and of how many failures a cab expires before its day comes."""
    if not bytes_a_day:
        return int(sums.cabs > 0), 0
    now, done, too_late = clock.now(), 0, 0
    for expires, length in sorted(sums.takes):
        done += length
        too_late += expires < now + timedelta(days=(done - 1) // bytes_a_day)
    return ceil(done / bytes_a_day), too_late


def _next_run(settings: Settings) -> datetime | None:
    schedules = [settings.report_schedule] if settings.checks_reports else []
    schedules += [settings.failure_schedule] if settings.applications else []
    moments = [moment for each in schedules if (moment := next_after(each, clock.now()))]
    return min(moments, default=None)


class _Means:
    """How long a cab of a failure is likely to be: as those of it that are held, of its file, or of all."""

    def __init__(self, failures: Iterable[FailureSeen]) -> None:
        self._bytes, self._cabs = Counter[str](), Counter[str]()
        for each in failures:
            if each.tally:
                for key in {"", each.driver_name}:
                    self._bytes[key] += each.tally.bytes
                    self._cabs[key] += each.tally.held

    def of(self, failure: FailureSeen) -> int:
        """Return the mean in bytes."""
        tally = failure.tally
        if tally and tally.held and tally.bytes:
            return tally.bytes // tally.held
        for key in (failure.driver_name, ""):
            if self._cabs[key] and self._bytes[key]:
                return self._bytes[key] // self._cabs[key]
        return USUAL_BYTES

"""How all of it stands, in one cheap call that answers within seconds, with what is known."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.failure_list import begin_look
from shared.api.scalars import Bytes, Count, Moment, moment_text
from shared.core import clock
from shared.core.errors import CabferryError
from shared.core.schedule import next_after
from shared.core.settings import Settings
from shared.preflight.health import found_by, look
from shared.progress.pull_row import PullState
from shared.services import services

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.preflight.health import Health
    from shared.progress.overview import Seen
    from shared.progress.tally import CabTally


class PullsByState(Struct, frozen=True):
    """How many pulls are in each state."""

    Queued: Count | None = None
    Running: Count | None = None
    Completed: Count | None = None
    Failed: Count | None = None


class CabsInAll(Struct, frozen=True, rename="camel"):
    """How the cabs of all failures stand together."""

    copied_today: Annotated[Count | None, Meta(description="Copied since midnight in UTC.")] = None
    held: Annotated[Count | None, Meta(description="In the container.")] = None
    missing: Annotated[Count | None, Meta(description="Not in the container, though they could still be had.")] = None
    skipped: Annotated[Count | None, Meta(description="Left out by a rule, though they could still be had.")] = None
    expiring_soon: Annotated[
        Count | None, Meta(description="Those of the missing that Microsoft deletes within 48 hours.")
    ] = None
    bytes: Annotated[Bytes | None, Meta(description="Length of those in the container together.")] = None

    @classmethod
    def of(cls, tallies: Iterable[CabTally]) -> CabsInAll:
        """Return the sums."""
        today = held = missing = skipped = expiring = length = 0
        for each in tallies:
            today, held, missing = today + each.copied_today(), held + each.held, missing + each.missing
            skipped += each.skipped
            expiring, length = expiring + each.expiring, length + each.bytes
        return cls(today, held, missing, skipped, expiring, length)


class TimerBody(Struct, frozen=True, rename="camel"):
    """When something runs by its schedule."""

    last_at: Annotated[Moment | None, Meta(description="When it last ran; null where it never did.")]
    next_at: Annotated[Moment | None, Meta(description="When it runs next; null where it has nothing to do.")]
    error: Annotated[str | None, Meta(description="What was wrong the last time.")]


class ChecksBody(Struct, frozen=True):
    """The checks that find what is to be pulled."""

    reports: TimerBody
    failures: TimerBody


class CircuitState(Struct, frozen=True, rename="camel"):
    """Whether the Dev Center is asked."""

    state: Annotated[
        Literal["closed", "throttled", "open", "unknown"],
        Meta(description="closed: it is. throttled: it asked to be left alone. open: it refuses everybody or is away."),
    ]
    reason: Annotated[str | None, Meta(description="Why not, and what to do; null where it is.")]
    asks_again_at: Annotated[Moment | None, Meta(description="When it is asked again.")]


class SummaryBody(Struct, frozen=True, rename="camel"):
    """How all of it stands; a number that is not known is null."""

    state: Annotated[
        Literal["ok", "degraded", "down"],
        Meta(description="degraded: a person should look. down: nothing can be pulled."),
    ]
    problems: Annotated[list[str], Meta(description="What at, a sentence each; empty where all is well.")]
    at: Annotated[Moment, Meta(description="When the numbers were as they are told.")]
    pulls: PullsByState
    oldest_queued_at: Annotated[Moment | None, Meta(description="Since when the oldest Queued pull waits.")]
    cabs: CabsInAll
    failures: Annotated[Count | None, Meta(description="How many failures were ever asked for.")]
    checks: ChecksBody
    reconcile: TimerBody
    circuit: CircuitState
    poison: Annotated[Count | None, Meta(description="Messages kept because no pull could be made of them.")]
    container: Annotated[str | None, Meta(description="The address of the container that holds the cabs.")]
    unknown: Annotated[list[str], Meta(description="What could not be looked at, and why.")]


def summary_now() -> SummaryBody:
    """Return how all of it stands.

    Raises:
        SettingsError: Names every setting that is missing or malformed.
    """
    settings, unknown, seen = Settings.from_environment(), list[str](), None
    looking = begin_look()
    health = look()
    if health.storage:
        unknown.append(f"the checks, the reconcile, the circuit and the kept messages: {health.storage}")
    try:
        seen = found_by(looking)
        uncounted = sum(each.tally is None for each in seen.failures.values())
        if uncounted:
            what = "1 failure" if uncounted == 1 else f"{uncounted} failures"
            unknown.append(f"the cabs of {what}, which a pull or the next reconcile counts")
        if seen.error:
            unknown.append(f"what changed since the numbers were read: {seen.error}")
    except CabferryError as error:
        unknown.append(f"the pulls and the cabs: {error}")
    return _told(settings, health, seen, unknown)


def _told(settings: Settings, health: Health, seen: Seen | None, unknown: list[str]) -> SummaryBody:
    failures = list(seen.failures.values()) if seen else []
    states = Counter(each.state for each in failures)
    waiting = [each.queued_at for each in failures if each.state is PullState.QUEUED and each.queued_at]
    found, checked = health.reconciled, health.checked
    checks = [each.checked_at for each in health.checks if each.checked_at]
    problem = next((each.error for each in health.unchecked), "")
    return body_of(
        SummaryBody,
        health,
        state="down" if health.is_down else "degraded" if health.problems else "ok",
        at=seen.at if seen else clock.now(),
        pulls=PullsByState(**{state.value: states[state] for state in PullState}) if seen else PullsByState(),
        oldest_queued_at=min(waiting, default=None),
        cabs=CabsInAll.of(each.tally for each in failures if each.tally) if seen else CabsInAll(),
        failures=len(failures) if seen else None,
        checks=ChecksBody(
            reports=_timer(
                checked.at if checked else None,
                settings.report_schedule if settings.checks_reports else "",
                checked.error if checked else "",
            ),
            failures=_timer(
                max(checks, default=None), settings.failure_schedule if settings.applications else "", problem
            ),
        ),
        reconcile=_timer(found.at if found else None, settings.reconcile_schedule, found.error if found else ""),
        circuit=_circuit(health),
        poison=None if health.storage else health.poison,
        container=services().pull_tools.container.url if seen else None,
        unknown=unknown,
    )


def _timer(last: datetime | None, schedule: str, error: str) -> TimerBody:
    following = next_after(schedule, clock.now()) if schedule else None
    return TimerBody(moment_text(last), moment_text(following), error or None)


def _circuit(health: Health) -> CircuitState:
    if health.circuit is None:
        return CircuitState("unknown", None, None)
    outage = health.outage
    if outage and outage.since:
        return CircuitState("open", outage.error, moment_text(outage.probe_at))
    if health.circuit.throttled_until > clock.now():
        return CircuitState(
            "throttled", "the Dev Center asked to be left alone", moment_text(health.circuit.throttled_until)
        )
    return CircuitState("closed", None, None)

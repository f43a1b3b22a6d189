"""What the HTTP API tells of the app itself: its health, and what the preflight found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from shared.api.bodies import body_of
from shared.api.checks import ApplicationBody
from shared.api.scalars import Count, Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.preflight.health import Health
    from shared.preflight.probing import ProbeResult
    from shared.progress.outages import Outage


class ProbeBody(Struct, frozen=True, rename="camel"):
    """What one check of the preflight found."""

    name: Annotated[str, Meta(description="settings, token, reportdata, cabdownloadbatch, container, tables, ..")]
    ok: bool
    answered: Annotated[str, Meta(description="What the other side answered, without secrets.")]
    milliseconds: Annotated[Count, Meta(description="How long that took.")]
    what_to_do: Annotated[str | None, Meta(description="What a person should do; null where it is ok.")]


class PreflightBody(Struct, frozen=True):
    """Whether everything that a pull needs answers."""

    ready: Annotated[bool, Meta(description="Whether every check is ok.")]
    checks: list[ProbeBody]

    @classmethod
    def of(cls, results: Sequence[ProbeResult]) -> PreflightBody:
        """Return what the preflight found as the API tells it."""
        checks = [body_of(ProbeBody, each, ok=each.is_ok) for each in results]
        return cls(all(each.ok for each in checks), checks)


class LastPreflightBody(PreflightBody, frozen=True):
    """What the last preflight found."""

    at: Annotated[Moment | None, Meta(description="When it had ended.")]


class CircuitBody(Struct, frozen=True, rename="camel"):
    """Calls of the Dev Center that fail in a row."""

    kind: Annotated[str, Meta(description="401, 403, token or unreachable.")]
    error: Annotated[str, Meta(description="The last of them, and what to do.")]
    failures: Annotated[Count, Meta(description="How many, over all instances.")]
    since: Annotated[Moment | None, Meta(description="When the app stopped asking; null while it still asks.")]
    probe_at: Annotated[Moment | None, Meta(description="When it asks again, to see whether it works.")]

    @classmethod
    def of(cls, outage: Outage) -> CircuitBody:
        """Return an outage as the API tells it."""
        return body_of(cls, outage, probe_at=outage.probe_at if outage.since else None)


class ReconcileBody(Struct, frozen=True, rename="camel"):
    """What the last run of the reconcile found."""

    at: Annotated[Moment | None, Meta(description="When it began.")]
    missing: Annotated[Count, Meta(description="Cabs that could still be had and are not in the container.")]
    expiring_within_48_hours: Annotated[
        Count, Meta(description="Those of them that Microsoft deletes within 48 hours.")
    ]
    lost: Annotated[
        Count, Meta(description="Cabs that Microsoft deleted before they could be copied, new in this run.")
    ]
    failed_pulls: Annotated[Count, Meta(description="Pulls that stand as Failed.")]
    poison: Annotated[Count, Meta(description="Messages kept because no pull could be made of them.")]
    error: Annotated[str | None, Meta(description="What kept it from looking everywhere.")]


class ReportsBody(Struct, frozen=True):
    """How the last check of the reports went."""

    at: Annotated[Moment | None, Meta(description="When it ended.")]
    runs: Annotated[Count, Meta(description="How many runs it looked at.")]
    failed: Annotated[Count, Meta(description="How many of them failed.")]
    error: Annotated[str | None, Meta(description="Why the first of them did, or what ended the check.")]


class HealthBody(Struct, frozen=True):
    """Whether the app is well."""

    status: Annotated[Literal["ok", "degraded"], Meta(description="degraded: a person should look.")]
    problems: Annotated[list[str], Meta(description="What at, a sentence each; empty where all is well.")]
    circuit: Annotated[CircuitBody | None, Meta(description="What fails at the Dev Center; null where nothing does.")]
    reconcile: Annotated[ReconcileBody | None, Meta(description="null before its first run.")]
    reports: Annotated[ReportsBody | None, Meta(description="null before the first check.")]
    storage: Annotated[str | None, Meta(description="Why the cab storage could not be asked for these.")]
    applications: Annotated[
        list[ApplicationBody],
        Meta(description="Configured applications whose failures were not looked for as a whole, and why."),
    ]

    @classmethod
    def of(cls, health: Health) -> HealthBody:
        """Return how the app stands as the API tells it."""
        return body_of(
            cls,
            health,
            status="degraded" if health.problems else "ok",
            circuit=CircuitBody.of(health.outage) if health.outage else None,
            reconcile=body_of(ReconcileBody, health.reconciled) if health.reconciled else None,
            reports=body_of(ReportsBody, health.checked) if health.checked else None,
            applications=[body_of(ApplicationBody, each) for each in health.unchecked],
        )

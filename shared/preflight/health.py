"""Tell how the app stands, within seconds whatever is broken: its liveness must not hang on its storage."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, CabferryError
from shared.core.failure import Failure
from shared.core.schedule import is_overdue
from shared.core.settings import Settings
from shared.core.threads import OneLook
from shared.core.values import Immutable
from shared.progress.pull_row import ErrorKind, PullState
from shared.services import services

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

    from shared.core.threads import Look
    from shared.progress.failures import ApplicationCheck
    from shared.progress.health import CheckedReports, Reconciled
    from shared.progress.outages import Known, Outage
    from shared.progress.overview import FailureSeen
    from shared.services import Services

SECONDS = 5.0
# What no reconcile brings back by itself, or not before a person has done something.
_FOR_GOOD = {ErrorKind.NEVER, ErrorKind.PERSON}


class Health(Immutable, frozen=True):
    """How the app stands.

    Args:
        circuit: What is known of the Dev Center's circuit; None where storage could not tell.
        reconciled: What the last run of the reconcile found; None before the first.
        checked: How the last check of the reports went; None before the first.
        storage: Why the cab storage could not tell these; empty where it could.
        checks: How far the failures of each configured application were looked for.
        overdue: What should have run again by now, and when it last did.
        pulls: What keeps pulls from bringing their cabs, a sentence each.
        poison: How many messages are kept because no pull could be made of them.
        rules: What is wrong with the file that says what is worth keeping; empty where nothing is.
    """

    circuit: Known | None
    reconciled: Reconciled | None
    checked: CheckedReports | None = None
    storage: str = ""
    checks: tuple[ApplicationCheck, ...] = ()
    overdue: tuple[str, ...] = ()
    pulls: tuple[str, ...] = ()
    poison: int = 0
    rules: str = ""

    @property
    def outage(self) -> Outage | None:
        """Return what keeps the circuit open, or counts towards it; None where all is well."""
        return self.circuit.worst if self.circuit else None

    @property
    def unchecked(self) -> tuple[ApplicationCheck, ...]:
        """Return the applications whose last check was not complete, and does not wait to be tried again."""
        return tuple(each for each in self.checks if each.error and each.next_try_at is None)

    @property
    def is_down(self) -> bool:
        """Tell whether nothing at all can be pulled."""
        return bool(self.storage) or (self.outage is not None and self.outage.since is not None)

    @property
    def problems(self) -> list[str]:
        """Return what a person should look at, a sentence each; none where all is well."""
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        if self.storage:
            yield f"The cab storage cannot be asked: {self.storage}"
        if self.outage and self.outage.since:
            yield f"The Dev Center is not asked any more: {self.outage.error}"
        if self.rules:
            yield f"The rules of what is worth keeping do not hold: {self.rules}"
        yield from self.overdue
        if self.checked and self.checked.error:
            yield f"The last check of the reports: {self.checked.error}"
        yield from (self.checked.problems if self.checked else None) or ()
        for each in self.unchecked:
            yield f"The last check of {each.family} application {each.application_id}: {each.error}"
        yield from self.pulls
        found = self.reconciled
        if found and found.expiring_within_48_hours:
            yield f"Missing cabs that Microsoft deletes within 48 hours: {found.expiring_within_48_hours}"
        if found and found.lost:
            yield f"Cabs that Microsoft deleted before they could be copied: {found.lost}; their rows say why"
        if found and found.broken:
            yield f"The last reconcile could not look after {found.broken} failures; the first: {found.error}"


def look() -> Health:
    """Look at what all instances know.

    Raises:
        SettingsError: Names every setting that is missing or malformed.
    """
    Settings.from_environment()
    try:
        return found_by(_looks.start())
    except CabferryError as error:
        return Health(None, None, storage=str(error))


def found_by[T](look: Look[T]) -> T:
    """Return what a look at the cab storage finds within `SECONDS` of its beginning.

    Raises:
        CabferryError: Storage refused it, or has not answered by then.
    """
    try:
        return look.result(SECONDS)
    except TimeoutError:
        raise AgainLater(f"the cab storage has not answered within {SECONDS:.0f} seconds") from None


def _read() -> Health:
    parts = services()
    applications = parts.settings.applications
    checks = parts.failure_tools.failures.checks() if applications else ()
    seen = Health(
        circuit=parts.circuit.known(),
        reconciled=parts.health.reconciled(),
        checked=parts.health.checked(),
        checks=tuple(each for each in checks if (each.family, each.application_id) in applications),
        pulls=tuple(_troubles(parts)),
        poison=sum(1 for _ in parts.health.poison()),
        rules=parts.pull_tools.keep.current().problem,
    )
    return replace(seen, overdue=tuple(_overdue(parts, seen)))


def _troubles(parts: Services) -> Iterator[str]:
    try:
        seen = parts.overview.look()
    except AgainLater as error:
        # Storage answers: of very many pulls the first look takes longer than anybody waits here.
        yield f"How the pulls stand is not known yet: {error}"
        return
    yield from trouble_of(seen.failures.values(), parts.settings.retention)


def trouble_of(failures: Iterable[FailureSeen], retention: timedelta) -> Iterator[str]:
    """Yield what a person should know of pulls in trouble, a sentence each.

    Args:
        failures: All of them.
        retention: For how long the reconcile brings back a pull whose reason can pass.
    """
    again: list[FailureSeen] = []
    behind: list[FailureSeen] = []
    for_good = 0
    for each in (failure for failure in failures if failure.is_troubled):
        match each.state:
            case PullState.FAILED:
                for_good += _is_for_good(each, retention)
            case PullState.COMPLETED:
                behind.append(each)
            case _:
                again.append(each)
    if for_good:
        what = "pull is" if for_good == 1 else "pulls are"
        yield f"{for_good} {what} Failed until a person acts: GET /api/pulls?state=Failed tells why"
    if again:
        what = "pull fails" if len(again) == 1 else "pulls fail"
        why = again[0].last_error or f"a host ended each time it worked on {Failure(*again[0].key)}"
        yield f"{len(again)} {what} again and again, and will be tried on; the first: {why}"
    if behind:
        cabs = sum(each.tally.failed for each in behind if each.tally)
        what = "cab was" if cabs == 1 else "cabs were"
        why = next((each.last_error for each in behind if each.last_error), "the rows of these cabs say why")
        yield f"{cabs} {what} not copied, and will be tried again once a day: {why}"


def _is_for_good(failed: FailureSeen, retention: timedelta) -> bool:
    since = failed.queued_at or failed.updated_at
    is_old = since is not None and since + retention < clock.now()
    return failed.last_error_kind in _FOR_GOOD or is_old


def _overdue(parts: Services, seen: Health) -> Iterator[str]:
    settings, now = parts.settings, clock.now()
    last: list[tuple[str, str, datetime | None]] = [
        ("reconcile", settings.reconcile_schedule, seen.reconciled.at if seen.reconciled else None)
    ]
    if settings.checks_reports:
        last += [("check of the reports", settings.report_schedule, seen.checked.at if seen.checked else None)]
    for each in seen.checks:
        what = f"check of {each.family} application {each.application_id}"
        last += [(what, settings.failure_schedule, each.checked_at)]
    for what, schedule, at in last:
        if at and is_overdue(schedule, at, now):
            yield f"The {what} is overdue: it last ran at {at:%Y-%m-%d %H:%M} UTC, and its schedule is {schedule}"


_looks = OneLook(_read, "health")

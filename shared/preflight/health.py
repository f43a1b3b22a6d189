"""Tell how the app stands, within seconds whatever is broken: its liveness must not hang on its storage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from shared.core.errors import CabferryError
from shared.core.settings import Settings
from shared.core.threads import Pool
from shared.services import services

if TYPE_CHECKING:
    from shared.progress.circuit import Outage
    from shared.progress.failures import ApplicationCheck
    from shared.progress.health import CheckedReports, Reconciled

_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """How the app stands.

    Args:
        outage: What keeps the Dev Center's circuit open, or counts towards it; None where all is well.
        reconciled: What the last run of the reconcile found; None before the first.
        checked: How the last check of the reports went; None before the first.
        storage: Why the cab storage could not tell these; empty where it could.
        unchecked: Configured applications whose last check was not complete.
    """

    outage: Outage | None
    reconciled: Reconciled | None
    checked: CheckedReports | None = None
    storage: str = ""
    unchecked: tuple[ApplicationCheck, ...] = ()

    @property
    def is_degraded(self) -> bool:
        """Tell whether a person should look: nothing can be pulled, a check fails, or cabs are or will be lost."""
        is_open = self.outage is not None and self.outage.since is not None
        found = self.reconciled
        loses = found is not None and bool(found.expiring_within_48_hours or found.lost)
        fails = bool(self.unchecked) or (self.checked is not None and bool(self.checked.error))
        return is_open or loses or fails or bool(self.storage)


def look() -> Health:
    """Look at what all instances know.

    Raises:
        SettingsError: Names every setting that is missing or malformed.
    """
    Settings.from_environment()
    try:
        return _looker().submit(_read).result(_SECONDS)
    except TimeoutError:
        return Health(None, None, storage=f"the cab storage has not answered within {_SECONDS:.0f} seconds")
    except CabferryError as error:
        return Health(None, None, storage=str(error))


def _read() -> Health:
    parts = services()
    applications = parts.settings.applications
    checks = parts.failure_tools.failures.checks() if applications else ()
    unchecked = tuple(each for each in checks if each.error and (each.family, each.application_id) in applications)
    return Health(parts.circuit.known().worst, parts.health.reconciled(), parts.health.checked(), unchecked=unchecked)


@cache
def _looker() -> Pool:
    # One thread: looks that hang wait behind each other instead of taking up threads.
    return Pool(1, thread_name_prefix="health")

"""The settings of the app, parsed (shared/core/settings_table.py declares each).

Imports nothing but the standard library and modules of which the same is true. A setting that is missing or malformed
is an error of the call that needs it, and names the setting; it never keeps the app from indexing.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Self

from shared.core.ids import APPLICATION_ID, APPLICATION_RULE, REPORT_ID
from shared.core.settings_reader import SettingsReader, parsed
from shared.core.storage_settings import CabPlaces, CabStorage

# https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values
_TIMEOUT_NAME = "AzureFunctionsJobHost__functionTimeout"
_TIMEOUT = re.compile(r"(?:(\d{1,5})\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,7})?)?")


@dataclass(frozen=True, slots=True)
class DevCenterAccess:
    """How the app signs in to the Dev Center: exactly one of secret, managed identity and fixed token is set."""

    base_url: str
    tenant_id: str
    client_id: str
    client_secret: str | None = field(repr=False)
    managed_identity_client_id: str | None
    access_token: str | None = field(repr=False)
    storage_tenant_id: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the work needs to know from its environment, parsed.

    `applications` are pairs of a family and an id.
    """

    devcenter: DevCenterAccess
    storage: CabStorage
    container: str
    queue: str
    source_hosts: tuple[str, ...]
    report_ids: tuple[str, ...]
    checks_reports: bool
    applications: tuple[tuple[str, str], ...]
    calls_in_flight: int
    report_lookback: timedelta
    report_late: timedelta
    cab_lookback: timedelta
    pull_concurrency: int
    pull_time_budget: timedelta
    pull_lease: timedelta
    pull_max_attempts: int
    max_cabs_per_failure: int
    retention: timedelta
    report_schedule: str
    failure_schedule: str
    reconcile_schedule: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Parse every setting.

        Args:
            environment: Names and values, as the Functions host hands app settings to the worker.

        Raises:
            SettingsError: Names every setting that is missing or malformed, all at once, and shows no secret.
        """
        return parsed(environment, cls._read)

    @classmethod
    def _read(cls, read: SettingsReader) -> Self:
        read.text("DASHBOARD_SIGN_IN")  # the dashboard tells what is wrong with it: that must not stop the pulls
        devcenter, places = _devcenter(read), CabPlaces.read(read)
        return cls(
            devcenter=devcenter,
            storage=places.storage,
            container=places.container,
            queue=places.queue,
            source_hosts=_source_hosts(read),
            report_ids=_report_ids(read),
            checks_reports=read.text("REPORT_IDS").lower() != "none",
            applications=_applications(read),
            calls_in_flight=read.whole("DEVCENTER_CALLS_IN_FLIGHT", 1, 256),
            report_lookback=timedelta(days=read.whole("REPORT_LOOKBACK_DAYS", 1, 90)),
            report_late=timedelta(hours=read.whole("REPORT_LATE_HOURS", 1, 720)),
            cab_lookback=timedelta(days=read.whole("CAB_LOOKBACK_DAYS", 1, 365)),
            pull_concurrency=read.whole("PULL_CONCURRENCY", 1, 256),
            pull_time_budget=_time_budget(read),
            pull_lease=timedelta(seconds=read.whole("PULL_LEASE_SECONDS", 1, 3_600)),
            pull_max_attempts=read.whole("PULL_MAX_ATTEMPTS", 1, 1_000),
            max_cabs_per_failure=read.whole("MAX_CABS_PER_FAILURE", 0, 1_000_000),
            retention=_retention(read),
            report_schedule=read.text("REPORT_POLL_SCHEDULE"),
            failure_schedule=read.text("FAILURE_POLL_SCHEDULE"),
            reconcile_schedule=read.text("RECONCILE_SCHEDULE"),
        )

    def family_of(self, application_id: str) -> str:
        """Return the family of an application that is configured; empty for any other."""
        return next((family for family, each in self.applications if each == application_id), "")


def devcenter_access(environment: Mapping[str, str] = os.environ) -> DevCenterAccess:
    """Parse the settings of the sign-in alone.

    Raises:
        SettingsError: Names those that are missing or malformed.
    """
    return parsed(environment, _devcenter)


def retention() -> timedelta:
    """Parse RETENTION_DAYS alone.

    Raises:
        SettingsError: It is malformed.
    """
    return parsed(os.environ, _retention)


def people_sign_in() -> bool:
    """Tell whether App Service signs in whoever opens the dashboard; else a function key does.

    The platform sets WEBSITE_AUTH_ENABLED where it authenticates. Elsewhere anyone can send the header of a person:
    https://learn.microsoft.com/azure/app-service/reference-app-settings#authentication--authorization

    Raises:
        SettingsError: The setting is malformed, or names a sign-in that is not there.
    """
    return parsed(os.environ, _people_sign_in)


def _devcenter(read: SettingsReader) -> DevCenterAccess:
    secret, identity, token = (
        read.text(name) or None
        for name in (
            "DEVCENTER_CLIENT_SECRET",
            "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID",
            "DEVCENTER_ACCESS_TOKEN",
        )
    )
    if not token:
        for name in ("DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID"):
            read.check(name, bool(read.text(name)), f"{name} is missing")
        read.check(
            "DEVCENTER_CLIENT_SECRET",
            bool(secret or identity),
            "DEVCENTER_CLIENT_SECRET is missing (or DEVCENTER_MANAGED_IDENTITY_CLIENT_ID in its place)",
        )
    read.check(
        "DEVCENTER_CLIENT_SECRET",
        not (secret and identity),
        "DEVCENTER_CLIENT_SECRET and DEVCENTER_MANAGED_IDENTITY_CLIENT_ID are both set; keep one",
    )
    return DevCenterAccess(
        base_url=read.url("DEVCENTER_BASE_URL", read.text("DEVCENTER_BASE_URL")),
        tenant_id=read.text("DEVCENTER_TENANT_ID"),
        client_id=read.text("DEVCENTER_CLIENT_ID"),
        client_secret=secret,
        managed_identity_client_id=identity,
        access_token=token,
        storage_tenant_id=read.text("DEVCENTER_STORAGE_TENANT_ID") or read.text("DEVCENTER_TENANT_ID"),
    )


def _retention(read: SettingsReader) -> timedelta:
    return timedelta(days=read.whole("RETENTION_DAYS", 1, 3_650))


def _time_budget(read: SettingsReader) -> timedelta:
    """Read PULL_TIME_BUDGET, which must end a pull before the host ends its function, and the worker with it."""
    name = "PULL_TIME_BUDGET"
    budget, text = timedelta(seconds=read.whole(name, 1, 86_400)), read.raw(_TIMEOUT_NAME)
    where, timeout = (_TIMEOUT_NAME, _time_span(text)) if text else ("host.json", _host_timeout())
    read.check(
        name,
        timeout is None or budget < timeout,
        f"{name} is {budget.total_seconds():.0f} seconds, which is not below the functionTimeout of {timeout} "
        f"({where}): the host would end the worker in the middle of its pulls",
    )
    return budget


def _report_ids(read: SettingsReader) -> tuple[str, ...]:
    ids = read.listed("REPORT_IDS")
    for report_id in ids:
        read.check(
            "REPORT_IDS",
            REPORT_ID.fullmatch(report_id) is not None,
            f"REPORT_IDS holds {report_id!r}, which is not a report id",
        )
    return ids


def _applications(read: SettingsReader) -> tuple[tuple[str, str], ...]:
    """Return family and id of each application whose failures are looked for."""
    names = {"desktop": "DESKTOP_APPLICATION_IDS", "app": "STORE_APPLICATION_IDS"}
    found = dict.fromkeys((family, each) for family, name in names.items() for each in read.listed(name))
    for family, each in found:
        read.check(
            names[family],
            APPLICATION_ID.fullmatch(each) is not None,
            f"{names[family]} holds {each!r}, which is not an application id: {APPLICATION_RULE}",
        )
        read.check(
            "STORE_APPLICATION_IDS",
            family == "desktop" or ("desktop", each) not in found,
            f"{each} is in DESKTOP_APPLICATION_IDS and in STORE_APPLICATION_IDS; keep one",
        )
    return tuple(found)


def _people_sign_in(read: SettingsReader) -> bool:
    name = "DASHBOARD_SIGN_IN"
    is_entra = read.matching(name, "key|entra", "key or entra") == "entra"
    is_there = read.raw("WEBSITE_AUTH_ENABLED").lower() == "true"
    read.check(name, is_there or not is_entra, f"{name} is entra, and App Service authentication is not switched on")
    return is_entra


def _source_hosts(read: SettingsReader) -> tuple[str, ...]:
    hosts = read.listed("CAB_SOURCE_HOSTS")
    for host in hosts:
        read.check(
            "CAB_SOURCE_HOSTS",
            re.fullmatch(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|::1", host) is not None,
            f"CAB_SOURCE_HOSTS holds {host!r}, which is not a host or a suffix of one",
        )
    return tuple(host.lower() for host in hosts)


def _time_span(text: str) -> timedelta | None:
    """Read a length of time as .NET writes it; None for no limit, and where it is none, which the host refuses."""
    if not (parts := _TIMEOUT.fullmatch(text)):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


@cache
def _host_timeout() -> timedelta | None:
    """Return the functionTimeout of host.json."""
    from pathlib import Path  # costs more than all else that indexing needs of this file

    try:
        host_json = Path(__file__).parents[2] / "host.json"
        timeout = json.loads(host_json.read_text(encoding="utf-8-sig")).get("functionTimeout")
    except (OSError, ValueError, AttributeError):
        return None
    return _time_span(timeout) if isinstance(timeout, str) else None

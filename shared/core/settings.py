"""Every setting of the app: its name, default, parser and meaning, in one place.

Imports nothing but the standard library, so that indexing the functions costs nothing and cannot fail here. A setting
that is missing or malformed is an error of the call that needs it, and names the setting; it never keeps the app from
indexing.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Self
from urllib.parse import urlsplit

from shared.core.errors import SettingsError
from shared.core.redaction import never_show
from shared.core.urls import is_loopback


@dataclass(frozen=True, slots=True)
class Setting:
    """Declare one setting.

    Args:
        name: The name of the environment variable, which is also the app setting in Azure.
        default: What is used when it is not set; None where nothing can be assumed.
        meaning: One line for the table in the docs.
        secret: Whether its value must never be shown.
    """

    name: str
    default: str | None
    meaning: str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "DEVCENTER_BASE_URL",
        "https://manage.devcenter.microsoft.com",
        "where the Hardware Dev Center API answers",
    ),
    Setting("DEVCENTER_TENANT_ID", None, "tenant of the Entra application that was added to Partner Center"),
    Setting("DEVCENTER_CLIENT_ID", None, "client id of that application"),
    Setting("DEVCENTER_CLIENT_SECRET", None, "its secret; in Azure a Key Vault reference", secret=True),
    Setting(
        "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID",
        None,
        "instead of a secret: this identity's token is the application's federated assertion",
    ),
    Setting("DEVCENTER_ACCESS_TOKEN", None, "a fixed token, for local use", secret=True),
    Setting(
        "DEVCENTER_STORAGE_TENANT_ID",
        None,
        "tenant for reports that need a storage token; DEVCENTER_TENANT_ID where it is not set",
    ),
    Setting(
        "REPORT_IDS",
        "",
        "comma-separated report ids; empty means every active schedule that the API lists, `none` that no report is "
        "checked",
    ),
    Setting("REPORT_POLL_SCHEDULE", "0 */30 * * * *", "when reports are checked (NCRONTAB, UTC)"),
    Setting(
        "DESKTOP_APPLICATION_IDS",
        "",
        "comma-separated ids of desktop applications whose failures are looked for",
    ),
    Setting("STORE_APPLICATION_IDS", "", "comma-separated Store ids of apps whose failures are looked for"),
    Setting("FAILURE_POLL_SCHEDULE", "0 10 */2 * * *", "when their failures are looked for (NCRONTAB, UTC)"),
    Setting("DEVCENTER_CALLS_IN_FLIGHT", "4", "calls of the Dev Center at once, within one process"),
    Setting("RECONCILE_SCHEDULE", "0 20 */6 * * *", "when what is stuck or missing is put right (NCRONTAB, UTC)"),
    Setting("REPORT_LOOKBACK_DAYS", "5", "how far back report runs are asked for, in days"),
    Setting("REPORT_LATE_HOURS", "12", "hours after which a run that is due, or not yet finished, is called late"),
    Setting("CAB_LOOKBACK_DAYS", "30", "how far back a pull asks for cabs, in days"),
    Setting(
        "CAB_STORAGE",
        None,
        "connection string of the cab storage, or CAB_STORAGE__blobServiceUri, __queueServiceUri, __tableServiceUri "
        "(and __credential, __clientId) for an identity",
        secret=True,
    ),
    Setting("CAB_CONTAINER", "failure-cabs", "the container that receives the cabs"),
    Setting("CAB_QUEUE", "cab-pulls", "the queue of pulls; -poison and -checks are appended for those beside it"),
    Setting(
        "CAB_SOURCE_HOSTS",
        ".blob.core.windows.net",
        "comma-separated host suffixes that a cabUrl or report location may have; https only, but for a loopback host",
    ),
    Setting("PULL_CONCURRENCY", "32", "copies in flight within one pull, and at most within one worker"),
    Setting(
        "PULL_TIME_BUDGET",
        "1200",
        "seconds after which a pull hands on to a new message; below functionTimeout",
    ),
    Setting("PULL_LEASE_SECONDS", "60", "how long a row stays its owner's without a renewal"),
    Setting("PULL_MAX_ATTEMPTS", "10", "again-later tries without progress before a pull is Failed"),
    Setting("MAX_CABS_PER_FAILURE", "0", "newest cabs to keep of each failure; 0 means all"),
    Setting(
        "DASHBOARD_SIGN_IN",
        "key",
        "how people open the dashboard: `key`, with the function key, or `entra`, where App Service signs them in",
    ),
    Setting("RETENTION_DAYS", "28", "age in days at which the container's lifecycle rule removes a cab"),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}
# What is secret within a connection string.
_KEYS = re.compile(r"(?:AccountKey|SharedAccessSignature)=([^;]+)", re.IGNORECASE)
# What the platform hands over in place of a value that it could not fetch.
# https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshooting-key-vault-references
_UNRESOLVED = re.compile(r"@Microsoft\.(KeyVault|AppConfiguration)\(", re.IGNORECASE)
# https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values
_TIMEOUT_NAME = "AzureFunctionsJobHost__functionTimeout"
_TIMEOUT = re.compile(r"(?:(\d{1,5})\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,7})?)?")


@dataclass(frozen=True, slots=True)
class CabStorage:
    """Where the cabs, the queue and the tables live: a connection string, or service URIs with an identity.

    Args:
        connection_string: All of it; None with an identity.
        blob_uri: The blob service.
        queue_uri: The queue service.
        table_uri: The table service.
        client_id: Which user-assigned identity; None for the app's own, or whatever a developer's machine has.
        managed_identity: Whether nothing but a managed identity is tried.
    """

    connection_string: str | None = field(repr=False)
    blob_uri: str
    queue_uri: str
    table_uri: str
    client_id: str | None
    managed_identity: bool = False


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
        read = _Reader(environment)
        settings = cls(
            devcenter=read.devcenter(),
            storage=read.storage(),
            container=read.container(),
            queue=read.queue(),
            source_hosts=read.source_hosts(),
            report_ids=read.report_ids(),
            checks_reports=read.text("REPORT_IDS").lower() != "none",
            applications=read.applications(),
            calls_in_flight=read.whole("DEVCENTER_CALLS_IN_FLIGHT", 1, 256),
            report_lookback=timedelta(days=read.whole("REPORT_LOOKBACK_DAYS", 1, 90)),
            report_late=timedelta(hours=read.whole("REPORT_LATE_HOURS", 1, 720)),
            cab_lookback=timedelta(days=read.whole("CAB_LOOKBACK_DAYS", 1, 365)),
            pull_concurrency=read.whole("PULL_CONCURRENCY", 1, 256),
            pull_time_budget=read.time_budget(),
            pull_lease=timedelta(seconds=read.whole("PULL_LEASE_SECONDS", 1, 3_600)),
            pull_max_attempts=read.whole("PULL_MAX_ATTEMPTS", 1, 1_000),
            max_cabs_per_failure=read.whole("MAX_CABS_PER_FAILURE", 0, 1_000_000),
            retention=read.retention(),
            report_schedule=read.text("REPORT_POLL_SCHEDULE"),
            failure_schedule=read.text("FAILURE_POLL_SCHEDULE"),
            reconcile_schedule=read.text("RECONCILE_SCHEDULE"),
        )
        read.text("DASHBOARD_SIGN_IN")  # the dashboard tells what is wrong with it: that must not stop the pulls
        read.raise_problems()
        return settings

    def family_of(self, application_id: str) -> str:
        """Return the family of an application that is configured; empty for any other."""
        return next((family for family, each in self.applications if each == application_id), "")


@dataclass(frozen=True, slots=True)
class CabPlaces:
    """Where the cabs and the pulls of this app are."""

    storage: CabStorage
    container: str
    queue: str


def devcenter_access(environment: Mapping[str, str] = os.environ) -> DevCenterAccess:
    """Parse the settings of the sign-in alone.

    Raises:
        SettingsError: Names those that are missing or malformed.
    """
    read = _Reader(environment)
    access = read.devcenter()
    read.raise_problems()
    return access


def cab_places(environment: Mapping[str, str] = os.environ) -> CabPlaces:
    """Parse the settings of the cab storage alone.

    Raises:
        SettingsError: Names those that are missing or malformed.
    """
    read = _Reader(environment)
    places = CabPlaces(read.storage(), read.container(), read.queue())
    read.raise_problems()
    return places


def retention(environment: Mapping[str, str] = os.environ) -> timedelta:
    """Parse RETENTION_DAYS alone.

    Raises:
        SettingsError: It is malformed.
    """
    read = _Reader(environment)
    age = read.retention()
    read.raise_problems()
    return age


def queue_place(environment: Mapping[str, str] = os.environ) -> CabPlaces:
    """Parse what reaches the queue, which the host has reached by the same settings, though all others are wrong.

    Raises:
        SettingsError: Names those that are missing or malformed.
    """
    uri = environment.get("CAB_STORAGE__queueServiceUri", "")
    others = {"CAB_STORAGE__blobServiceUri": uri, "CAB_STORAGE__tableServiceUri": uri, "CAB_CONTAINER": ""}
    return cab_places({**environment, **others})


def people_sign_in(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether App Service signs in whoever opens the dashboard; else a function key does.

    The platform sets WEBSITE_AUTH_ENABLED where it authenticates. Elsewhere anyone can send the header of a person:
    https://learn.microsoft.com/azure/app-service/reference-app-settings#authentication--authorization

    Raises:
        SettingsError: The setting is malformed, or names a sign-in that is not there.
    """
    read = _Reader(environment)
    signs_in = read.people_sign_in()
    read.raise_problems()
    return signs_in


def binding_expression(name: str) -> str:
    """Return what a trigger's binding says for a setting: `%NAME%` where it is set, else its default.

    The host refuses to index a function whose `%NAME%` it cannot resolve, and a default of ours is unknown to the host.
    With this the app indexes, whatever is missing or could not be fetched.

    Args:
        name: The setting's name.
    """
    value = os.environ.get(name)
    return f"%{name}%" if value and not _UNRESOLVED.match(value) else default_of(name)


def default_of(name: str) -> str:
    """Return a setting's default, or an empty string where it has none."""
    return _BY_NAME[name].default or ""


class _Reader:
    """Read settings one by one and keep what is wrong with them, so that one error can name them all."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._problems: dict[str, str] = {}

    def raise_problems(self) -> None:
        if self._problems:
            raise SettingsError("; ".join(self._problems.values()) + ". docs/operate.md lists every setting.")

    def text(self, name: str) -> str:
        value = self.set(name) or default_of(name)
        if _BY_NAME[name].secret:
            never_show(value, *_KEYS.findall(value))
        return value

    def set(self, name: str) -> str:
        """Return what is set, and nothing in place of a reference to a value that could not be fetched."""
        value = self._environment.get(name, "").strip()
        if not (reference := _UNRESOLVED.match(value)):
            return value
        where = "Key Vault" if reference[1].lower() == "keyvault" else "App Configuration"
        self._problems[name] = (
            f"{name} is a reference to {where} that the platform could not resolve: check that the secret is there and "
            f"not disabled, and that the app's identity may read it (the app setting in the portal says why)"
        )
        return ""

    def matching(self, name: str, pattern: str, meaning: str) -> str:
        value = self.text(name)
        self._check(name, re.fullmatch(pattern, value) is not None, f"{name} is {value!r}, which is not {meaning}")
        return value

    def container(self) -> str:
        return self.matching("CAB_CONTAINER", r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*", "a container name")

    def queue(self) -> str:
        pattern = r"(?=.{3,56}$)[a-z0-9]+(?:-[a-z0-9]+)*"
        return self.matching("CAB_QUEUE", pattern, "a queue name of at most 56 characters")

    def whole(self, name: str, least: int, most: int) -> int:
        value = self.text(name)
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            self._problem(name, f"{name} is {value!r}, which is not a whole number from {least} to {most}")
            return least
        return int(value)

    def retention(self) -> timedelta:
        return timedelta(days=self.whole("RETENTION_DAYS", 1, 3_650))

    def time_budget(self) -> timedelta:
        """Read PULL_TIME_BUDGET, which must end a pull before the host ends its function, and the worker with it."""
        name = "PULL_TIME_BUDGET"
        budget, text = timedelta(seconds=self.whole(name, 1, 86_400)), self._environment.get(_TIMEOUT_NAME, "").strip()
        where, timeout = (_TIMEOUT_NAME, _time_span(text)) if text else ("host.json", _host_timeout())
        self._check(
            name,
            timeout is None or budget < timeout,
            f"{name} is {budget.total_seconds():.0f} seconds, which is not below the functionTimeout of {timeout} "
            f"({where}): the host would end the worker in the middle of its pulls",
        )
        return budget

    def listed(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())

    def report_ids(self) -> tuple[str, ...]:
        ids = self.listed("REPORT_IDS")
        for report_id in ids:
            self._check(
                "REPORT_IDS",
                re.fullmatch(r"[A-Za-z0-9-]{1,64}", report_id) is not None,
                f"REPORT_IDS holds {report_id!r}, which is not a report id",
            )
        return ids

    def applications(self) -> tuple[tuple[str, str], ...]:
        """Return family and id of each application whose failures are looked for."""
        names = {"desktop": "DESKTOP_APPLICATION_IDS", "app": "STORE_APPLICATION_IDS"}
        found = dict.fromkeys((family, each) for family, name in names.items() for each in self.listed(name))
        for family, each in found:
            self._check(
                names[family],
                re.fullmatch(r"[0-9A-Za-z-]{1,64}", each) is not None,
                f"{names[family]} holds {each!r}, which is not an application id",
            )
            self._check(
                "STORE_APPLICATION_IDS",
                family == "desktop" or ("desktop", each) not in found,
                f"{each} is in DESKTOP_APPLICATION_IDS and in STORE_APPLICATION_IDS; keep one",
            )
        return tuple(found)

    def people_sign_in(self) -> bool:
        name = "DASHBOARD_SIGN_IN"
        is_entra = self.matching(name, "key|entra", "key or entra") == "entra"
        is_there = self._environment.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
        self._check(
            name, is_there or not is_entra, f"{name} is entra, and App Service authentication is not switched on"
        )
        return is_entra

    def source_hosts(self) -> tuple[str, ...]:
        hosts = self.listed("CAB_SOURCE_HOSTS")
        for host in hosts:
            self._check(
                "CAB_SOURCE_HOSTS",
                re.fullmatch(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|::1", host) is not None,
                f"CAB_SOURCE_HOSTS holds {host!r}, which is not a host or a suffix of one",
            )
        return tuple(host.lower() for host in hosts)

    def devcenter(self) -> DevCenterAccess:
        secret, identity, token = (
            self.text(name) or None
            for name in (
                "DEVCENTER_CLIENT_SECRET",
                "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID",
                "DEVCENTER_ACCESS_TOKEN",
            )
        )
        if not token:
            for name in ("DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID"):
                self._check(name, bool(self.text(name)), f"{name} is missing")
            self._check(
                "DEVCENTER_CLIENT_SECRET",
                bool(secret or identity),
                "DEVCENTER_CLIENT_SECRET is missing (or DEVCENTER_MANAGED_IDENTITY_CLIENT_ID in its place)",
            )
        self._check(
            "DEVCENTER_CLIENT_SECRET",
            not (secret and identity),
            "DEVCENTER_CLIENT_SECRET and DEVCENTER_MANAGED_IDENTITY_CLIENT_ID are both set; keep one",
        )
        return DevCenterAccess(
            base_url=self._url("DEVCENTER_BASE_URL", self.text("DEVCENTER_BASE_URL")),
            tenant_id=self.text("DEVCENTER_TENANT_ID"),
            client_id=self.text("DEVCENTER_CLIENT_ID"),
            client_secret=secret,
            managed_identity_client_id=identity,
            access_token=token,
            storage_tenant_id=self.text("DEVCENTER_STORAGE_TENANT_ID") or self.text("DEVCENTER_TENANT_ID"),
        )

    def storage(self) -> CabStorage:
        connection_string = self.text("CAB_STORAGE") or None
        client_id, credential = (self.set(f"CAB_STORAGE__{name}") for name in ("clientId", "credential"))
        self._check(
            "CAB_STORAGE__credential",
            credential.lower() in {"", "managedidentity"},
            f"CAB_STORAGE__credential is {credential!r}, which is not managedidentity",
        )
        uris = {kind: self.set(f"CAB_STORAGE__{kind}ServiceUri") for kind in ("blob", "queue", "table")}
        if connection_string is None and not any(uris.values()):
            self._problem(
                "CAB_STORAGE",
                "CAB_STORAGE is missing (or CAB_STORAGE__blobServiceUri, CAB_STORAGE__queueServiceUri and "
                "CAB_STORAGE__tableServiceUri in its place)",
            )
        elif connection_string is not None:
            wrong = _wrong_in(connection_string)
            self._check(
                "CAB_STORAGE", not wrong, f"CAB_STORAGE is not the connection string of a storage account: {wrong}"
            )
        else:
            for kind, uri in uris.items():
                self._url(f"CAB_STORAGE__{kind}ServiceUri", uri)
        return CabStorage(
            connection_string=connection_string,
            blob_uri=uris["blob"],
            queue_uri=uris["queue"],
            table_uri=uris["table"],
            client_id=client_id or None,
            managed_identity=bool(client_id) or credential.lower() == "managedidentity",
        )

    def _url(self, name: str, value: str) -> str:
        """Take a service's URL without its trailing slash: https (http on loopback), no part that could be secret."""
        try:
            parts = urlsplit(value)
            _ = parts.port  # raises where it is no number
            good = (
                parts.hostname is not None
                and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)))
                and not (parts.query or parts.fragment or "@" in parts.netloc)
            )
        except ValueError:
            good = False
        self._check(name, good, f"{name} is {'missing' if not value else 'not an https URL without a query or a user'}")
        return value.rstrip("/")

    def _check(self, name: str, good: bool, problem: str) -> None:
        if not good:
            self._problem(name, problem)

    def _problem(self, name: str, problem: str) -> None:
        """Keep the first problem of each setting: what follows from it needs no mending of its own."""
        self._problems.setdefault(name, problem)


def _wrong_in(connection_string: str) -> str:
    """Return what is wrong with a connection string, empty where nothing is; it may be secret, and is not quoted."""
    if connection_string.lower() == "usedevelopmentstorage=true":
        return ""
    pairs = [part.partition("=") for part in connection_string.split(";") if part.strip()]
    if not all(name.strip() and is_there for name, is_there, _ in pairs):
        return "it is no list of Name=value, with a semicolon after each"
    parts = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if not (parts.get("accountname") or parts.get("blobendpoint")):
        return "it names no AccountName"
    if not (parts.get("accountkey") or parts.get("sharedaccesssignature")):
        return "it has neither an AccountKey nor a SharedAccessSignature"
    try:
        base64.b64decode(parts.get("accountkey", ""), validate=True)
    except binascii.Error:
        return "its AccountKey is not base64, so it is cut or mistyped"
    return ""


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

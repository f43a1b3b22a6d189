"""A setting that is wrong must be named in one error, whole and without its secret; what is not set has its default."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from shared.core.errors import SettingsError
from shared.core.settings import Settings, devcenter_access
from shared.core.settings_table import SETTINGS, binding_expression
from shared.core.storage_settings import cab_places
from shared.core.urls import is_loopback

SECRET = "Kn0wnOnlyToTheOwner"
LEAST = {"CAB_STORAGE": "AccountName=a;AccountKey=a2V5", "DEVCENTER_ACCESS_TOKEN": "token"}
URIS = {
    "CAB_STORAGE__blobServiceUri": "https://cabs.blob.core.windows.net",
    "CAB_STORAGE__queueServiceUri": "https://cabs.queue.core.windows.net/",
    "CAB_STORAGE__tableServiceUri": "https://cabs.table.core.windows.net",
}
SIGNED_IN = {"DEVCENTER_TENANT_ID": "tenant", "DEVCENTER_CLIENT_ID": "client", "DEVCENTER_CLIENT_SECRET": SECRET}


def problems(environment: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(environment)
    return str(refused.value)


def test_what_is_not_set_has_the_documented_default() -> None:
    settings = Settings.from_environment(LEAST)
    assert settings.devcenter.base_url == "https://manage.devcenter.microsoft.com"
    assert settings.report_ids == ()
    assert settings.report_lookback == timedelta(days=5)
    assert settings.cab_lookback == timedelta(days=30)
    assert settings.container == "failure-cabs"
    assert settings.queue == "cab-pulls"
    assert settings.source_hosts == (".blob.core.windows.net",)
    assert settings.pull_time_budget < timedelta(minutes=30), "above the functionTimeout of host.json"
    assert settings.pull_lease == timedelta(seconds=60)
    assert settings.pull_max_attempts == 10
    assert settings.max_cabs_per_failure == 0
    assert settings.retention == timedelta(days=28)


def test_a_blank_value_counts_as_not_set() -> None:
    """Azure shows an app setting without a value as an empty string."""
    blank = {setting.name: "  " for setting in SETTINGS}
    assert Settings.from_environment({**blank, **LEAST}) == Settings.from_environment(LEAST)


def test_values_are_taken_as_they_are_set() -> None:
    settings = Settings.from_environment(
        {
            **LEAST,
            "REPORT_IDS": "43000, 43007.a_b,",
            "CAB_SOURCE_HOSTS": ".Blob.Core.Windows.Net , 127.0.0.1",
            "CAB_CONTAINER": " cabs-2 ",
            "CAB_QUEUE": "pulls",
            "PULL_CONCURRENCY": "8",
            "PULL_TIME_BUDGET": "5",
            "PULL_LEASE_SECONDS": "2",
            "PULL_MAX_ATTEMPTS": "3",
            "MAX_CABS_PER_FAILURE": "100",
            "RETENTION_DAYS": "7",
            "REPORT_LOOKBACK_DAYS": "90",
            "REPORT_LATE_HOURS": "24",
            "CAB_LOOKBACK_DAYS": "60",
        }
    )
    assert settings.report_ids == ("43000", "43007.a_b")
    assert settings.source_hosts == (".blob.core.windows.net", "127.0.0.1")
    assert (settings.container, settings.queue) == ("cabs-2", "pulls")
    assert (settings.pull_concurrency, settings.pull_max_attempts, settings.max_cabs_per_failure) == (8, 3, 100)
    assert (settings.pull_time_budget, settings.pull_lease) == (timedelta(seconds=5), timedelta(seconds=2))
    assert (settings.retention, settings.report_lookback) == (timedelta(days=7), timedelta(days=90))
    assert settings.report_late == timedelta(days=1)
    assert settings.cab_lookback == timedelta(days=60)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVCENTER_BASE_URL", "manage.devcenter.microsoft.com"),
        ("DEVCENTER_BASE_URL", "http://manage.devcenter.microsoft.com"),
        ("DEVCENTER_BASE_URL", "https://user@manage.devcenter.microsoft.com"),
        ("DEVCENTER_BASE_URL", "https://:secret@manage.devcenter.microsoft.com"),
        ("DEVCENTER_BASE_URL", "https://@manage.devcenter.microsoft.com"),
        ("DEVCENTER_BASE_URL", "https://manage.devcenter.microsoft.com?x=1"),
        ("DEVCENTER_BASE_URL", "https://manage.devcenter.microsoft.com#x"),
        ("DEVCENTER_BASE_URL", "https://[::1"),
        ("DEVCENTER_BASE_URL", "https://manage.devcenter.microsoft.com:https"),
        ("DEVCENTER_BASE_URL", "ftp://127.0.0.1"),
        ("REPORT_IDS", "43000,../43001"),
        ("REPORT_IDS", "43000 43001"),
        ("REPORT_LOOKBACK_DAYS", "0"),
        ("REPORT_LOOKBACK_DAYS", "soon"),
        ("CAB_LOOKBACK_DAYS", "-1"),
        ("CAB_LOOKBACK_DAYS", "30.5"),
        ("CAB_CONTAINER", "Failure-Cabs"),
        ("CAB_CONTAINER", "ab"),
        ("CAB_CONTAINER", "failure--cabs"),
        ("CAB_CONTAINER", "a" * 64),
        ("CAB_CONTAINER", "a" + "-a" * 32),
        ("CAB_QUEUE", "cab_pulls"),
        ("CAB_QUEUE", "a" * 57),
        ("CAB_QUEUE", "a" + "-a" * 28),
        ("CAB_SOURCE_HOSTS", "*.blob.core.windows.net"),
        ("CAB_SOURCE_HOSTS", "https://cabs.blob.core.windows.net"),
        ("CAB_SOURCE_HOSTS", "127.0.0.1:10000"),
        ("PULL_CONCURRENCY", "0"),
        ("PULL_CONCURRENCY", "1e3"),
        ("PULL_TIME_BUDGET", "0"),
        ("PULL_TIME_BUDGET", "99999999999"),
        ("PULL_LEASE_SECONDS", "none"),
        ("PULL_MAX_ATTEMPTS", "0"),
        ("MAX_CABS_PER_FAILURE", "all"),
        ("RETENTION_DAYS", "0"),
        ("DEVCENTER_CALLS_IN_FLIGHT", "0"),
        ("DEVCENTER_CALLS_IN_FLIGHT", "257"),
        ("DESKTOP_APPLICATION_IDS", "10238467886765136388, a/b"),
        ("STORE_APPLICATION_IDS", "9NBLGGGZ5QDR 9WZDNCRFJ3Q8"),
        ("STORE_APPLICATION_IDS", "9NBLGGGZ5QDR_x"),
    ],
)
def test_a_malformed_value_is_named(name: str, value: str) -> None:
    assert name in problems({**LEAST, name: value})


def test_applications_are_of_the_family_whose_setting_names_them() -> None:
    settings = Settings.from_environment(
        {
            **LEAST,
            "DESKTOP_APPLICATION_IDS": " 10238467886765136388 ,,10238467886765136388",
            "STORE_APPLICATION_IDS": "9NBLGGGZ5QDR,9WZDNCRFJ3Q8,",
        }
    )
    assert settings.applications == (
        ("desktop", "10238467886765136388"),
        ("app", "9NBLGGGZ5QDR"),
        ("app", "9WZDNCRFJ3Q8"),
    )
    assert [settings.family_of(each) for each in ("10238467886765136388", "9WZDNCRFJ3Q8", "1")] == [
        "desktop",
        "app",
        "",
    ]
    assert (settings.calls_in_flight, settings.checks_reports) == (4, True)
    assert Settings.from_environment(LEAST).applications == ()
    both = {"DESKTOP_APPLICATION_IDS": "1,2", "STORE_APPLICATION_IDS": "2"}
    assert "2 is in DESKTOP_APPLICATION_IDS and in STORE_APPLICATION_IDS" in problems({**LEAST, **both})


@pytest.mark.parametrize(("value", "checks"), [("none", False), (" NONE ", False), ("", True), ("43000", True)])
def test_a_vendor_without_drivers_checks_no_report(value: str, checks: bool) -> None:
    assert Settings.from_environment({**LEAST, "REPORT_IDS": value}).checks_reports is checks


def test_the_poison_queue_fits_too() -> None:
    """A queue's name has at most 63 characters, and the host appends -poison."""
    settings = Settings.from_environment({**LEAST, "CAB_QUEUE": "a" * 56})
    assert len(settings.queue + "-poison") == 63


def test_every_problem_is_told_at_once() -> None:
    """Mending one setting only to hear of the next costs a deployment each."""
    told = problems({"CAB_QUEUE": "!", "PULL_CONCURRENCY": "many", "DEVCENTER_BASE_URL": "x", "REPORT_IDS": "a/b"})
    for name in (
        *("CAB_QUEUE", "PULL_CONCURRENCY", "DEVCENTER_BASE_URL", "REPORT_IDS"),
        *("CAB_STORAGE", "DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID", "DEVCENTER_CLIENT_SECRET"),
    ):
        assert name in told


REFERENCES = [
    "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/devcenter)",
    "@microsoft.keyvault(VaultName=kv;SecretName=devcenter)",
    "@Microsoft.AppConfiguration(Endpoint=https://a.azconfig.io; Key=x)",
]


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("name", [*(setting.name for setting in SETTINGS), *URIS, "CAB_STORAGE__clientId"])
def test_a_reference_that_the_platform_could_not_resolve_is_told_as_that(name: str, reference: str) -> None:
    """As a secret it is refused by Entra in words that send a person to the wrong place."""
    told = problems({**LEAST, **SIGNED_IN, **URIS, name: reference})
    where = "App Configuration" if "AppConfig" in reference else "Key Vault"
    assert told.startswith(f"{name} is a reference to {where} that the platform could not resolve")
    assert told.count(name) == 1, "what follows from it needs no mending"
    assert reference not in told


@pytest.mark.parametrize(
    ("budget", "timeout", "is_refused"),
    [
        ("1799", None, False),
        ("1800", None, True),
        ("1200", "00:10:00", True),
        ("599", "00:10:00", False),
        ("3000", "01:00:00", False),
        ("80000", "1.00:00:00", False),
        ("86400", "1.00:00:00.000", True),
        ("86400", "-1", False),
        ("1801", " ", True),
    ],
)
def test_a_pull_must_hand_on_before_the_host_ends_it(budget: str, timeout: str | None, is_refused: bool) -> None:
    """The host ends the worker with a function that overruns, and every other pull with it."""
    set_by_hand = {} if timeout is None else {"AzureFunctionsJobHost__functionTimeout": timeout}
    environment = {**LEAST, "PULL_TIME_BUDGET": budget, **set_by_hand}
    if is_refused:
        told = problems(environment)
        assert f"PULL_TIME_BUDGET is {budget} seconds, which is not below the functionTimeout" in told
        assert ("AzureFunctionsJobHost__functionTimeout" if (timeout or "").strip() else "host.json") in told
    else:
        assert Settings.from_environment(environment).pull_time_budget == timedelta(seconds=int(budget))


def test_each_bad_setting_is_told_once() -> None:
    told = problems({"CAB_SOURCE_HOSTS": "a b,c d,e f", "REPORT_IDS": "../1,../2", "DEVCENTER_TENANT_ID": ""})
    for name in ("CAB_SOURCE_HOSTS", "REPORT_IDS", "DEVCENTER_TENANT_ID"):
        assert told.count(name) == 1, told


@pytest.mark.parametrize("missing", SIGNED_IN)
def test_an_incomplete_sign_in_names_what_is_missing(missing: str) -> None:
    told = problems({**LEAST, **SIGNED_IN, "DEVCENTER_ACCESS_TOKEN": "", missing: ""})
    assert f"{missing} is missing" in told
    assert told.count("is missing") == 1


def test_a_managed_identity_stands_in_for_a_secret_but_not_beside_one() -> None:
    identity = {
        **LEAST,
        **SIGNED_IN,
        "DEVCENTER_ACCESS_TOKEN": "",
        "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID": "identity",
    }
    told = problems(identity)
    assert "DEVCENTER_CLIENT_SECRET" in told
    assert "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID" in told
    access = Settings.from_environment({**identity, "DEVCENTER_CLIENT_SECRET": ""}).devcenter
    assert (access.client_secret, access.managed_identity_client_id) == (None, "identity")


def test_reports_are_fetched_in_the_same_tenant_unless_another_is_named() -> None:
    other = "DEVCENTER_STORAGE_TENANT_ID"
    assert Settings.from_environment({**LEAST, **SIGNED_IN}).devcenter.storage_tenant_id == "tenant"
    assert Settings.from_environment({**LEAST, **SIGNED_IN, other: "b"}).devcenter.storage_tenant_id == "b"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVCENTER_BASE_URL", f"https://user:{SECRET}@host"),
        ("DEVCENTER_BASE_URL", f"https://:{SECRET}@host"),
        ("DEVCENTER_BASE_URL", f"https://host/?sig={SECRET}"),
        ("REPORT_IDS", f"DeviceId\\u003d{SECRET}"),
        ("CAB_QUEUE", f"%73ig%3D{SECRET}"),
        ("CAB_STORAGE__blobServiceUri", f"https://cabs.blob.core.windows.net/?sv=1&sig={SECRET}"),
        ("CAB_SOURCE_HOSTS", f"https://cabs.blob.core.windows.net/?sv=1&sig={SECRET}"),
        ("REPORT_IDS", f"https://cabs.blob.core.windows.net/?sv=1&sig={SECRET}"),
        ("DEVCENTER_CLIENT_SECRET", SECRET),
        ("DEVCENTER_ACCESS_TOKEN", SECRET),
        ("CAB_STORAGE", f"AccountName=a;AccountKey={SECRET}"),
    ],
)
def test_an_error_shows_no_secret(name: str, value: str) -> None:
    told = problems({**URIS, "PULL_CONCURRENCY": "many", name: value})
    assert "PULL_CONCURRENCY" in told
    assert SECRET not in told


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000", "https://x.y"])
def test_plain_http_is_for_loopback_alone(url: str) -> None:
    assert Settings.from_environment({**LEAST, "DEVCENTER_BASE_URL": url + "/"}).devcenter.base_url == url


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("127.0.0.1.evil.com", False),
        ("localhost.evil.com", False),
        ("128.0.0.1", False),
        ("127.0.0.1\n", False),
        ("", False),
    ],
)
def test_loopback_is_told_by_its_spelling(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_an_identity_needs_all_three_addresses() -> None:
    environment = {"DEVCENTER_ACCESS_TOKEN": "token", **URIS}
    storage = Settings.from_environment({**environment, "CAB_STORAGE__clientId": "identity"}).storage
    assert (storage.connection_string, storage.client_id) == (None, "identity")
    assert storage.queue_uri == "https://cabs.queue.core.windows.net/"
    for missing in URIS:
        assert f"{missing} is missing" in problems({**environment, missing: ""})
        assert missing in problems({**environment, missing: "http://cabs.example.com"})


@pytest.mark.parametrize(
    ("settings", "client_id", "managed"),
    [
        ({}, None, False),
        ({"CAB_STORAGE__credential": "managedidentity"}, None, True),
        ({"CAB_STORAGE__credential": "ManagedIdentity", "CAB_STORAGE__clientId": "identity"}, "identity", True),
        ({"CAB_STORAGE__clientId": "identity"}, "identity", True),
    ],
)
def test_an_identity_is_the_one_that_the_host_takes_for_its_queue(
    settings: dict[str, str], client_id: str | None, managed: bool
) -> None:
    """One connection must not be two identities, one of which has no role."""
    storage = cab_places({**URIS, **settings}).storage
    assert (storage.client_id, storage.managed_identity) == (client_id, managed)


def test_a_kind_of_identity_that_is_none_is_told() -> None:
    told = problems({"DEVCENTER_ACCESS_TOKEN": "token", **URIS, "CAB_STORAGE__credential": "certificate"})
    assert "CAB_STORAGE__credential is 'certificate'" in told


def test_the_halves_of_the_settings_are_read_each_by_itself() -> None:
    """A preflight asks what is set, whatever is missing elsewhere."""
    assert devcenter_access({"DEVCENTER_ACCESS_TOKEN": "token"}).access_token == "token"
    assert cab_places({"CAB_STORAGE": "AccountName=a;AccountKey=a2V5", "CAB_QUEUE": "other"}).queue == "other"
    with pytest.raises(SettingsError, match="DEVCENTER_TENANT_ID"):
        devcenter_access({"CAB_STORAGE": "AccountName=a;AccountKey=a2V5"})
    with pytest.raises(SettingsError, match="CAB_STORAGE"):
        cab_places({"DEVCENTER_ACCESS_TOKEN": "token"})


def test_a_binding_names_a_setting_only_where_the_host_can_resolve_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `%NAME%` that the host cannot resolve leaves an app without functions."""
    monkeypatch.delenv("CAB_QUEUE", raising=False)
    assert binding_expression("CAB_QUEUE") == "cab-pulls"
    monkeypatch.setenv("CAB_QUEUE", "")
    assert binding_expression("CAB_QUEUE") == "cab-pulls"
    monkeypatch.setenv("CAB_QUEUE", "@Microsoft.KeyVault(VaultName=kv;SecretName=queue)")
    assert binding_expression("CAB_QUEUE") == "cab-pulls"
    monkeypatch.setenv("CAB_QUEUE", "other")
    assert binding_expression("CAB_QUEUE") == "%CAB_QUEUE%"

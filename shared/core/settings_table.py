"""Every setting of the app: its name, default and meaning, in one place.

Imports nothing but the standard library, so that indexing the functions costs nothing and cannot fail here.
"""

import os
import re
from dataclasses import dataclass


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
    Setting("DESKTOP_APPLICATION_IDS", "", "comma-separated ids of desktop applications whose failures are looked for"),
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
    Setting("PULL_TIME_BUDGET", "1200", "seconds after which a pull hands on to a new message; below functionTimeout"),
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
BY_NAME = {setting.name: setting for setting in SETTINGS}
# What the platform hands over in place of a value that it could not fetch.
# https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshooting-key-vault-references
UNRESOLVED = re.compile(r"@Microsoft\.(KeyVault|AppConfiguration)\(", re.IGNORECASE)


def binding_expression(name: str) -> str:
    """Return what a trigger's binding says for a setting: `%NAME%` where it is set, else its default.

    The host refuses to index a function whose `%NAME%` it cannot resolve, and a default of ours is unknown to the host.
    With this the app indexes, whatever is missing or could not be fetched.
    """
    value = os.environ.get(name)
    return f"%{name}%" if value and not UNRESOLVED.match(value) else default_of(name)


def default_of(name: str) -> str:
    """Return a setting's default, or an empty string where it has none."""
    return BY_NAME[name].default or ""

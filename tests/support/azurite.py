"""The Azurite that a test process shares, and the accounts it hands out."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from local.azurite.server import account_key
from local.simulator.builder import CAB_ACCOUNTS, REPORT_ACCOUNT

# Accounts are fixed when Azurite starts, and cost nothing. One of two processes that ran all tests used more than 350;
# the keys of so many still fit into one variable of the environment (128 KiB on Linux).
DESTINATIONS = tuple(f"cabferry{number:04}" for number in range(1_200))
SOURCES = (*CAB_ACCOUNTS, REPORT_ACCOUNT)


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account that one test has for itself.

    Args:
        name: Its name.
        key: Its key.
        connection_string: For blobs, queues and tables.
    """

    name: str
    key: str = field(repr=False)
    connection_string: str = field(repr=False)


ALL_RIGHTS = AccountSasPermissions(
    read=True, write=True, delete=True, list=True, add=True, create=True, update=True, process=True, tag=True
)


def new_accounts() -> dict[str, str]:
    """Return every account that tests need, each with a key that nothing else knows."""
    return {name: account_key() for name in (*SOURCES, *DESTINATIONS)}


def with_sas(
    storage: StorageAccount, types: ResourceTypes, permission: AccountSasPermissions, services: str = "bqt"
) -> str:
    """Return a connection string with a SAS of an hour in the place of the key."""
    until = datetime.now(UTC) + timedelta(hours=1)
    sas = generate_account_sas(storage.name, storage.key, types, permission, until, services=services)
    endpoints = [part for part in storage.connection_string.split(";") if "Endpoint=" in part]
    return ";".join([*endpoints, f"SharedAccessSignature={sas}"])

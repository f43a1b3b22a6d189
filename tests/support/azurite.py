"""The Azurite that a test process shares, and the accounts it hands out."""

from dataclasses import dataclass, field

from local.azurite.server import account_key
from local.simulator.builder import CAB_ACCOUNTS, REPORT_ACCOUNT

# Accounts are fixed when Azurite starts, and cost nothing: 350 of them start as fast as 3, in the same memory.
DESTINATIONS = tuple(f"cabferry{number:03}" for number in range(350))
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


def new_accounts() -> dict[str, str]:
    """Return every account that tests need, each with a key that nothing else knows."""
    return {name: account_key() for name in (*SOURCES, *DESTINATIONS)}

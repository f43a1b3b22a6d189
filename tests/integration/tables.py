"""A table of the test's own account, as the app makes its own."""

from shared.core.storage_settings import CabStorage
from shared.storage.clients import StorageClients
from shared.storage.table_rows import TableRows
from tests.support.azurite import StorageAccount


def table_of(storage: StorageAccount, name: str, *, created: bool = True) -> TableRows:
    """Return a table, which is made first unless it should be missing."""
    clients = StorageClients(CabStorage(storage.connection_string, "", "", "", None), 4)
    if created:
        clients.tables.create_table(name)
    return clients.table(name)

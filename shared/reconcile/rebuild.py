"""`python3 dev.py catalog rebuild`: make the catalog anew, with nothing but the container and the tables.

It runs wherever CAB_STORAGE (or CAB_STORAGE__blobServiceUri and its like, after `az login`) names the cab storage, and
asks neither the Dev Center nor a running app, beside which it does no harm.
"""

import logging
import sys

from shared.cabs.container import CabContainer
from shared.catalog.files import CatalogFiles
from shared.core.errors import CabferryError
from shared.core.settings import retention
from shared.core.storage_settings import cab_places
from shared.progress.cabs import CabRows
from shared.progress.pulls import PullRows
from shared.reconcile.catalog import rebuild_catalog
from shared.reconcile.walk import FailureWalk
from shared.storage.clients import StorageClients

_CONNECTIONS = 8


def main(arguments: list[str]) -> int:
    """Make the catalog anew and tell what was done; return the exit code."""
    if arguments != ["rebuild"]:
        print("catalog: say `rebuild`, the one thing that can be done to it", file=sys.stderr)
        return 2
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        places, age = cab_places(), retention()
        clients = StorageClients(places.storage, _CONNECTIONS)
        container = CabContainer(clients.blobs.get_container_client(places.container), clients.blob_service)
        pulls, cabs = PullRows(clients.table("pulls")), CabRows(clients.table("cabs"))
        print(rebuild_catalog(CatalogFiles(container), FailureWalk(pulls, cabs, container).rows(), age))
    except CabferryError as error:
        print(f"catalog: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

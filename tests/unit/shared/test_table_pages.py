"""A page of a table is asked for with what a caller of the HTTP API sent: storage may not know it."""

import json

import pytest

from shared.core.errors import BadInput, Never
from shared.core.settings import CabStorage
from shared.storage.clients import StorageClients
from shared.storage.table_rows import TableRows
from tests.support.loopback import Answer, LoopbackServer

# What Azure answers to a continuation that it never gave; Azurite shows an empty page.
REFUSED = Answer(
    json.dumps({"odata.error": {"code": "InvalidInput", "message": {"lang": "en-US", "value": "no"}}}).encode(),
    400,
    {"Content-Type": "application/json"},
)


def table_at(url: str) -> TableRows:
    """Return a table of an account at an address."""
    places = ";".join(f"{kind}Endpoint={url}/account" for kind in ("Blob", "Queue", "Table"))
    storage = CabStorage(f"AccountName=account;AccountKey=a2V5a2V5a2V5;{places}", "", "", "", None)
    return StorageClients(storage, 4).table("pulls")


def test_a_continuation_that_storage_does_not_know_is_the_fault_of_the_caller() -> None:
    with LoopbackServer(lambda _: REFUSED) as server, pytest.raises(BadInput, match="continuation"):
        table_at(server.url).page("", {}, 10, {"PartitionKey": "x", "RowKey": "y"})


def test_another_refusal_is_not() -> None:
    with LoopbackServer(lambda _: REFUSED) as server, pytest.raises(Never, match="InvalidInput") as refused:
        table_at(server.url).page("", {}, 10, None)
    assert not isinstance(refused.value, BadInput)

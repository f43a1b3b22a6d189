"""A table may not know what it is asked, and may answer without the etag that the next write needs."""

import json

import pytest

from shared.core.errors import BadAnswer, BadInput, Never
from shared.core.storage_settings import CabStorage
from shared.storage.clients import StorageClients
from shared.storage.table_rows import Row, TableRows
from shared.storage.table_writes import Write
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


JSON = {"Content-Type": "application/json;odata=minimalmetadata", "x-ms-request-id": "9f-1"}
ROW = {"PartitionKey": "x", "RowKey": "y", "state": "Queued"}


@pytest.mark.parametrize(
    ("body", "etag"),
    [(ROW, {}), (ROW, {"ETag": "*"}), ({**ROW, "odata.etag": ""}, {}), ({**ROW, "odata.etag": "*"}, {})],
)
def test_a_row_that_is_told_without_its_version_is_never_worked_on(body: dict[str, str], etag: dict[str, str]) -> None:
    """A write without one goes over whatever is there, and takes a row from its owner."""
    told, page = json.dumps(body).encode(), json.dumps({"value": [body]}).encode()
    no_etag = pytest.raises(BadAnswer, match="no etag")
    with LoopbackServer(lambda _: Answer(told, 200, JSON | etag)) as server, no_etag:
        table_at(server.url).get("x", "y")
    with LoopbackServer(lambda _: Answer(page, 200, JSON)) as server, no_etag:
        list(table_at(server.url).query("", {}))
    with LoopbackServer(lambda _: Answer(b"", 204, JSON | etag)) as server, no_etag:
        table_at(server.url).insert("x", "y", {})


def test_no_row_is_written_to_without_a_version() -> None:
    with LoopbackServer(lambda _: Answer(b"", 204, JSON)) as server:
        for etag in ("", "*"):
            with pytest.raises(BadAnswer, match="no etag"):
                table_at(server.url).merge(Row("x", "y", {}, etag), {"state": "Running"})
            for how in ("merge", "delete"):
                with pytest.raises(BadAnswer, match="no etag"):
                    table_at(server.url).write_together("x", [Write("y", {}, how, etag)])
        assert not server.seen
        with pytest.raises(BadAnswer, match="no etag"):
            table_at(server.url).merge(Row("x", "y", {}, 'W/"1"'), {"state": "Running"})


def test_a_page_that_is_none_is_told_with_the_id_of_the_request() -> None:
    with (
        LoopbackServer(lambda _: Answer(b"<html>", 200, JSON)) as server,
        pytest.raises(BadAnswer, match="x-ms-request-id 9f-1"),
    ):
        list(table_at(server.url).query("", {}))

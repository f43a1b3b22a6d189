"""Whatever goes wrong, and however much of a request an error quotes, no secret gets to where people can read it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.azurite.server import Azurite
from tests.support.azure_monitor import Insights, insights_settings
from tests.support.azurite import StorageAccount
from tests.support.loopback import LoopbackServer
from tests.support.waiting import wait_until
from tests.system import telltale
from tests.system.app import App
from tests.system.playground import NEVER
from tests.system.telltale import APPLICATION, BATCH_ENDINGS, BYTES, REFUSALS, TOKEN, WORD, Telltale, TelltaleStorage

STORAGE_ENDINGS = ("storage-400", "storage-403", "storage-409", "storage-412", "storage-500")
ENDED = {"Completed", "Failed"}


@pytest.fixture
def azure() -> Insights:
    """An Application Insights."""
    return Insights()


@pytest.fixture
def settings(azurite: Azurite, storage: StorageAccount, azure: Insights, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of an app whose every counterpart tells back what it is told."""
    with ExitStack() as servers:
        center = Telltale()
        center.url = servers.enter_context(LoopbackServer(center.answer)).url
        connection = storage.connection_string
        parts = dict(part.split("=", 1) for part in connection.split(";") if "=" in part)
        for service in ("Blob", "Queue", "Table"):
            endpoint = urlsplit(parts[f"{service}Endpoint"])
            before = TelltaleStorage(parts[f"{service}Endpoint"], storage.key)
            url = servers.enter_context(LoopbackServer(before.answer)).url
            connection = connection.replace(f"{endpoint.scheme}://{endpoint.netloc}", url)
        yield {
            **insights_settings(servers.enter_context(LoopbackServer(azure.answer)).url, tmp_path),
            "CAB_STORAGE": connection,
            "CAB_SOURCE_HOSTS": "127.0.0.1",
            "DEVCENTER_BASE_URL": center.url,
            "DEVCENTER_ACCESS_TOKEN": TOKEN,
            "LOCAL_MESSAGE_LEASE_SECONDS": "10",
            "PULL_MAX_ATTEMPTS": "1",
            "RECONCILE_SCHEDULE": NEVER,
            "FAILURE_POLL_SCHEDULE": NEVER,
            "REPORT_POLL_SCHEDULE": NEVER,
        }


@pytest.fixture
def app(settings: dict[str, str], tmp_path: Path) -> Iterator[App]:
    """That app, which prints all that it and its libraries have to say."""
    running = App(settings, tmp_path / "app.log", log_level="DEBUG")
    yield running
    running.close()


def test_no_error_tells_a_secret_though_every_answer_does(app: App, storage: StorageAccount, azure: Insights) -> None:
    """A log is read by more people than a vault, and a signature in it opens a dump of somebody's memory."""
    seen = {f"the answer of {path}": text for path, text in _answers(app)}
    for ending in (*BATCH_ENDINGS, "cabs", *STORAGE_ENDINGS):
        _pull(app, ending)
    _wait_until_all_ended(storage, len(BATCH_ENDINGS) + 1 + len(STORAGE_ENDINGS))
    _send_odd_messages(storage)
    # These may open a circuit, so that nothing ends any more.
    for ending in REFUSALS:
        _pull(app, ending)
        _wait_for_error(app, storage, ending)
    seen |= {f"the later answer of {path}": text for path, text in _answers(app)}
    seen |= dict(_stored(storage))
    told = {"pull-failed", "message-kept"}  # while others ran, so they follow within some seconds
    wait_until(lambda: told <= {row["Name"] for row in azure.rows["AppEvents"]}, f"the events {told}")
    app.close()
    seen["the log"] = app.log
    seen["the telemetry"] = json.dumps(azure.sent)
    assert _leaks(seen, storage) == app.leaked() == []
    assert "redacted" in seen["the log"], "something must have been there to be hidden"
    assert sum(BYTES in seen_blob for seen_blob in _contents(storage)) >= 2, "what is no error must have gone well"


@pytest.mark.parametrize(
    "wrong",
    [
        {"CAB_STORAGE": "{connection_string};BlobEndpoint=nonsense{key}"},
        {
            "CAB_CONTAINER": "{connection_string}",
            "CAB_QUEUE": "SharedAccessSignature=sv=2020&sig={word}",
            "CAB_SOURCE_HOSTS": "a.b?sig={word}",
            "DEVCENTER_ACCESS_TOKEN": "",
            "DEVCENTER_BASE_URL": "https://user:{word}@127.0.0.1/?token={word}",
            "DEVCENTER_CLIENT_SECRET": "{word}-secret-of-{word}",
            "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID": "{word}-secret-of-{word}",
            "PULL_CONCURRENCY": "Bearer {word}",
            "REPORT_IDS": "1,https://a.blob.core.windows.net/x?sig={word}",
        },
    ],
    ids=["a broken endpoint", "all others"],
)
def test_a_setting_that_is_wrong_is_named_and_not_shown(
    wrong: dict[str, str], settings: dict[str, str], storage: StorageAccount, tmp_path: Path
) -> None:
    values = {"key": storage.key, "connection_string": storage.connection_string, "word": WORD}
    broken = {name: value.format(**values) for name, value in wrong.items()}
    app = App({**settings, **broken}, tmp_path / "broken.log", log_level="DEBUG")
    try:
        seen = {path: app.get(path).text for path in ("/api/health", "/api/pulls", f"/api/pulls/{APPLICATION}/x")}
        seen["a check"] = app.post("/api/reports/check").text
        seen["the log"] = app.log
    finally:
        app.close()
    unnamed = {name for name in wrong if name not in "".join(seen.values())}
    assert unnamed <= {"DEVCENTER_ACCESS_TOKEN"}, "which is right as it is"
    assert _leaks(seen, storage) == app.leaked() == []


def _pull(app: App, failure_hash: str) -> None:
    answer = app.post("/api/pulls", {"applicationId": APPLICATION, "failureHash": failure_hash})
    assert answer.status_code in {202, 500, 502, 503}, answer.text
    assert WORD not in answer.text + str(answer.headers)


def _answers(app: App) -> Iterator[tuple[str, str]]:
    """Yield everything that can be read, and what is answered to those who paste secrets where they do not belong."""
    pasted = f"https://uswewatcab09.blob.core.windows.net/k/c.zip?sp=r&sig={WORD}%2F{WORD}"
    asked = [
        *((f"POST {path}", app.post(path)) for path in ("/api/reports/check", "/api/preflight", "/api/pulls")),
        *((f"GET {path}", app.get(path)) for path in ("/api/pulls", "/api/reports", "/api/health", "/api/preflight")),
        ("GET the check", app.get("/api/reports/check")),
        ("GET a pull", app.get(f"/api/pulls/{APPLICATION}/cabs")),
        ("GET its cabs", app.get(f"/api/pulls/{APPLICATION}/cabs/cabs")),
        ("GET a URL as a pull", app.get(f"/api/pulls/{APPLICATION}/{quote(pasted, safe='')}")),
        ("GET a URL as state", app.get("/api/pulls", state=pasted, limit=pasted, continuation=pasted)),
        ("GET the token as a pull", app.get(f"/api/pulls/{APPLICATION}/{TOKEN}")),
    ]
    bodies: list[object] = [
        {"applicationId": APPLICATION, "failureHash": pasted},
        {"applicationId": TOKEN, "failureHash": f"Bearer {TOKEN}"},
        {"applicationId": APPLICATION, "failureHash": "x", "startDate": pasted, "endDate": TOKEN},
        {pasted: TOKEN},
        [pasted],
    ]
    asked += [(f"POST {number}", app.post("/api/pulls", body)) for number, body in enumerate(bodies)]
    for what, answer in asked:
        yield what, f"{answer.status_code} {dict(answer.headers)} {answer.text}"


def _send_odd_messages(storage: StorageAccount) -> None:
    """Put messages into the queue that no pull can be made of, as somebody might who mends things by hand."""
    with QueueServiceClient.from_connection_string(storage.connection_string, api_version="2025-05-05") as queues:
        queue = queues.get_queue_client("cab-pulls")
        for number in range(2):
            queue.send_message(f"no base64 {number} sig={WORD}")


def _wait_for_error(app: App, storage: StorageAccount, failure_hash: str) -> None:
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        pulls = tables.get_table_client("pulls")
        wait_until(
            lambda: pulls.get_entity(APPLICATION, failure_hash)["lastError"],
            f"the error of {failure_hash}",
            hint=lambda: app.log,
        )


def _wait_until_all_ended(storage: StorageAccount, pulls: int) -> None:
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        table = tables.get_table_client("pulls")
        wait_until(
            lambda: (
                len([row for row in table.query_entities(f"PartitionKey eq '{APPLICATION}'") if row["state"] in ENDED])
                >= pulls
            ),
            f"the end of {pulls} pulls",
            hint=lambda: "\n".join(f"{row['RowKey']} {row['state']}" for row in table.list_entities()),
        )


def _stored(storage: StorageAccount) -> Iterator[tuple[str, str]]:
    """Yield all that the account holds but the bytes of its blobs: every table, queue, name, metadata and tag."""
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        for table in tables.list_tables():
            for row in tables.get_table_client(table.name).list_entities():
                yield f"table {table.name}, {row['PartitionKey']} {row['RowKey']}", str(dict(row))
    with BlobServiceClient.from_connection_string(storage.connection_string, api_version="2025-05-05") as blobs:
        for container in blobs.list_containers(include_metadata=True):
            listed = blobs.get_container_client(container.name).list_blobs(include=["metadata", "tags"])
            yield f"container {container.name}", " ".join(f"{blob.name} {blob.metadata} {blob.tags}" for blob in listed)
    with QueueServiceClient.from_connection_string(storage.connection_string, api_version="2025-05-05") as queues:
        for found in queues.list_queues(include_metadata=True):
            for message in queues.get_queue_client(found.name).peek_messages(32):
                if not str(message.content).startswith("no base64"):  # the test's own
                    yield f"queue {found.name}, {message.id}", str(message.content)


def _contents(storage: StorageAccount) -> Iterator[bytes]:
    with BlobServiceClient.from_connection_string(storage.connection_string, api_version="2025-05-05") as blobs:
        container = blobs.get_container_client("failure-cabs")
        for blob in container.list_blobs():
            yield container.download_blob(blob.name).readall()


def _leaks(seen: dict[str, str], storage: StorageAccount) -> list[str]:
    """Return where a piece of a secret is to be read, with what stands around it."""
    secrets = (WORD, telltale.DEVICE[2:8], storage.key, quote(storage.key, safe=""), json.dumps(storage.key)[1:-1])
    return [
        f"{where}: …{text[max(0, place - 150) : place + 60]}…"
        for where, text in seen.items()
        for secret in secrets
        if (place := text.find(secret)) >= 0
    ]

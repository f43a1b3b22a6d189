"""A connection string that is wrong must be told as the setting that it is, without the key in it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import services as module
from shared.core.errors import AgainLater, SettingsError
from shared.core.settings import Settings
from shared.core.threads import Look
from shared.services import Services, services
from tests.support.loopback import Answer, LoopbackServer, Seen

KEY = "QZXJQZXJ"


@pytest.mark.parametrize(
    "connection_string",
    [
        "failure-cabs",
        "UseDevelopmentStorage",
        f"AccountKey={KEY};EndpointSuffix=core.windows.net",
        f"DefaultEndpointsProtocol=https;AccountName=cabs;AccountKey={KEY}x;EndpointSuffix=core.windows.net",
        "DefaultEndpointsProtocol=https;AccountName=cabs;EndpointSuffix=core.windows.net",
    ],
)
def test_a_malformed_connection_string_is_named_and_not_shown(connection_string: str) -> None:
    """By health and by the preflight too, which look at the settings and not at the clients."""
    with pytest.raises(SettingsError, match="CAB_STORAGE is not the connection string") as refused:
        Settings.from_environment({"CAB_STORAGE": connection_string, "DEVCENTER_ACCESS_TOKEN": "token"})
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "connection_string",
    [
        f"DefaultEndpointsProtocol=https;AccountName=cabs;AccountKey={KEY};EndpointSuffix=core.windows.net",
        f"BlobEndpoint=https://cabs.blob.core.windows.net/;QueueEndpoint=https://cabs.queue.core.windows.net/;"
        f"TableEndpoint=https://cabs.table.core.windows.net/;SharedAccessSignature=sv=2020&ss=bqt&sig={KEY}",
        "UseDevelopmentStorage=true",
    ],
)
def test_every_kind_of_connection_string_is_taken(connection_string: str) -> None:
    """Nothing is asked of storage here: where it cannot be reached is for the first request to tell."""
    Services(Settings.from_environment({"CAB_STORAGE": connection_string, "DEVCENTER_ACCESS_TOKEN": "token"}))


def test_an_identity_is_taken() -> None:
    Services(
        Settings.from_environment(
            {
                "CAB_STORAGE__blobServiceUri": "https://cabs.blob.core.windows.net",
                "CAB_STORAGE__queueServiceUri": "https://cabs.queue.core.windows.net",
                "CAB_STORAGE__tableServiceUri": "https://cabs.table.core.windows.net/",
                "CAB_STORAGE__credential": "managedidentity",
                "CAB_STORAGE__clientId": "00000000-0000-0000-0000-000000000000",
                "DEVCENTER_ACCESS_TOKEN": "token",
            }
        )
    )


def test_a_storage_that_hangs_is_told_while_somebody_still_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In front of the app a gateway gives up, and says nothing of what hangs."""
    monkeypatch.setattr(module, "_CREATE_SECONDS", 0.1)
    is_over = threading.Event()

    def hanging(_: Seen) -> Answer:
        is_over.wait(30)
        return Answer(status=503)

    with LoopbackServer(hanging) as server:
        endpoints = "".join(f"{service}Endpoint={server.url}/cabs;" for service in ("Blob", "Queue", "Table"))
        connection = f"AccountName=cabs;AccountKey={KEY};{endpoints}"
        settings = {"CAB_STORAGE": connection, "DEVCENTER_ACCESS_TOKEN": "token"}
        start = time.monotonic()
        try:
            with pytest.raises(AgainLater, match="creating the container failure-cabs: storage does not answer"):
                Services(Settings.from_environment(settings)).create_missing()
            assert time.monotonic() - start < 10
        finally:
            is_over.set()


def test_who_comes_while_the_parts_are_made_waits_no_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, the last of a worker's threads would wait for minutes where storage hangs."""
    asked, go_on, tries = threading.Semaphore(0), threading.Event(), list[Services]()
    start = module._making.start

    def started() -> Look[Services]:
        look = start()
        asked.release()
        return look

    def refused(parts: Services) -> None:
        tries.append(parts)
        go_on.wait(10)
        raise AgainLater("storage does not answer")

    monkeypatch.setattr(module._making, "start", started)
    monkeypatch.setattr(Services, "create_missing", refused)
    monkeypatch.setenv("CAB_STORAGE", "UseDevelopmentStorage=true")
    monkeypatch.setenv("DEVCENTER_ACCESS_TOKEN", "token")
    module._made.cache_clear()
    with ThreadPoolExecutor(4) as callers:
        waiting = [callers.submit(services) for _ in range(4)]
        for _ in waiting:
            assert asked.acquire(timeout=10)
        go_on.set()
        for each in waiting:
            with pytest.raises(AgainLater, match="does not answer"):
                each.result(10)
    assert len(tries) == 1

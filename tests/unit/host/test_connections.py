"""Bindings find their settings as in Azure, and one that is missing is named without showing a value."""

import asyncio
import ssl

import pytest
from azure.core.exceptions import AzureError

from local.host.connections import QueueConnection
from local.host.errors import BindingError

CONNECTION_STRING = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;"
    "QueueEndpoint=http://127.0.0.1:9/devstoreaccount1;"
)


def test_the_certificates_that_the_app_trusts_are_trusted_by_its_host() -> None:
    """The SDK's asynchronous clients stand on aiohttp, which does not look where requests does."""
    found = QueueConnection.from_environment(
        "CAB_STORAGE", {"CAB_STORAGE": CONNECTION_STRING, "REQUESTS_CA_BUNDLE": "authority.pem"}
    )
    assert found.authority == "authority.pem"
    assert QueueConnection.from_environment("CAB_STORAGE", {"CAB_STORAGE": CONNECTION_STRING}).authority == ""


def test_the_certificates_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that reads them for each look into the queue holds 100 MB more, and is busy with nothing else."""
    read: list[str] = []
    create = ssl.create_default_context

    def counted(*, cafile: str) -> ssl.SSLContext:
        read.append(cafile)
        return create()

    async def look() -> None:
        connection = QueueConnection.from_environment(
            "CAB_STORAGE", {"CAB_STORAGE": CONNECTION_STRING, "REQUESTS_CA_BUNDLE": "authority.pem"}
        )
        async with connection.queue("jobs") as queue:
            for _ in range(3):
                with pytest.raises(AzureError):
                    await queue.peek_messages(retry_total=0)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    asyncio.run(look())
    assert read == ["authority.pem"]


@pytest.mark.parametrize("credential", [{}, {"CAB_STORAGE__credential": "managedidentity"}])
def test_an_identity_is_used_where_only_a_service_uri_is_set(credential: dict[str, str]) -> None:
    environment = {"CAB_STORAGE__queueServiceUri": "https://account.queue.core.windows.net", **credential}

    async def queue_url() -> str:
        connection = QueueConnection.from_environment("CAB_STORAGE", environment)
        assert type(connection.credential).__name__.startswith("ManagedIdentity" if credential else "Default")
        async with connection.queue("jobs") as queue:
            await connection.close()
            return queue.url

    assert asyncio.run(queue_url()) == "https://account.queue.core.windows.net/jobs"


def test_a_malformed_connection_string_is_not_shown() -> None:
    connection = QueueConnection.from_environment("CAB_STORAGE", {"CAB_STORAGE": "AccountKey=c2VjcmV0"})
    with pytest.raises(BindingError) as raised:
        connection.queue("jobs")
    assert "c2VjcmV0" not in str(raised.value)

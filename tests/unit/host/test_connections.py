"""Bindings find their settings as in Azure, and one that is missing is named without showing a value."""

import asyncio

import pytest

from local.host.connections import QueueConnection, resolve
from local.host.errors import BindingError

CONNECTION_STRING = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
)


def test_settings_are_put_in_wherever_they_stand() -> None:
    environment = {"QUEUE": "pulls", "SUFFIX": "poison"}
    assert resolve("cab-%QUEUE%-%SUFFIX%", environment) == "cab-pulls-poison"
    assert resolve("0 */30 * * * *", environment) == "0 */30 * * * *"
    assert resolve("", environment) == ""


@pytest.mark.parametrize("environment", [{}, {"QUEUE": ""}])
def test_a_missing_setting_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(BindingError, match="'%QUEUE%' does not resolve to a value"):
        resolve("cab-%QUEUE%", environment)


@pytest.mark.parametrize(("name", "setting"), [("CAB_STORAGE", "CAB_STORAGE"), ("", "AzureWebJobsStorage")])
def test_a_connection_string_is_found_by_its_setting(name: str, setting: str) -> None:
    async def queue_url() -> str:
        async with QueueConnection.from_environment(name, {setting: CONNECTION_STRING}).queue("jobs") as queue:
            return queue.url

    assert asyncio.run(queue_url()) == "http://127.0.0.1:10001/devstoreaccount1/jobs"


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


def test_a_missing_connection_is_named() -> None:
    with pytest.raises(BindingError, match="neither CAB_STORAGE nor CAB_STORAGE__queueServiceUri is set"):
        QueueConnection.from_environment("CAB_STORAGE", {})


def test_a_malformed_connection_string_is_not_shown() -> None:
    connection = QueueConnection.from_environment("CAB_STORAGE", {"CAB_STORAGE": "AccountKey=c2VjcmV0"})
    with pytest.raises(BindingError) as raised:
        connection.queue("jobs")
    assert "c2VjcmV0" not in str(raised.value)

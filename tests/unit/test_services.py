"""A connection string that is wrong must be told as the setting that it is, without the key in it."""

import pytest

from shared.core.errors import SettingsError
from shared.core.settings import Settings
from shared.services import Services

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

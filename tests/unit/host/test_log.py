"""A log line never carries a credential, whatever the app or a library put into it."""

import pytest

from local.host.log import hide_credentials


@pytest.mark.parametrize(
    "text",
    [
        "GET https://a.blob.core.windows.net/c/b?sv=2026-01-01&sig=SECRET%3D&sp=r failed",
        "Max retries exceeded with url: /c/b?sig=SECRET (Caused by ...)",
        "http://localhost:7071/api/pulls?code=SECRET",
        "AccountName=a;AccountKey=SECRET;EndpointSuffix=core.windows.net",
        "BlobEndpoint=https://a;SharedAccessSignature=SECRET",
        "{'Authorization': 'Bearer SECRET'}",
        "client_id=x&client_secret=SECRET&grant_type=client_credentials",
    ],
)
def test_credentials_are_hidden(text: str) -> None:
    assert "SECRET" not in hide_credentials(text)


def test_the_rest_is_kept() -> None:
    text = "Executed 'Functions.pull_failure' (Succeeded, Id=0d820a3c, Duration=12ms) at /api/pulls/1?limit=5"
    assert hide_credentials(text) == text

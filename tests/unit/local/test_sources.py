"""The source accounts' connection strings, and what must never be shown of them."""

import pytest

from local.simulator.sources import SourceAccount

WHOLE = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0==;BlobEndpoint=http://127.0.0.1:1/a/;"


def test_an_account_is_read_from_its_connection_string() -> None:
    account = SourceAccount.from_connection_string(WHOLE)
    assert (account.name, account.key, account.url) == ("a", "c2VjcmV0==", "http://127.0.0.1:1/a")
    assert "c2VjcmV0" not in repr(account)


@pytest.mark.parametrize("part", ["AccountName", "AccountKey", "BlobEndpoint"])
def test_what_is_missing_is_named_and_the_key_is_not_shown(part: str) -> None:
    with pytest.raises(ValueError, match=f"has no {part}$") as refused:
        SourceAccount.from_connection_string(WHOLE.replace(part, "Other"))
    assert "c2VjcmV0" not in str(refused.value)

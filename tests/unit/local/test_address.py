"""What a person types: a mistake ends in one line, and an address may be as short as people write it."""

import pytest

from local.address import address


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("127.0.0.1:7071", "http://127.0.0.1:7071"),
        ("localhost:7071/", "http://localhost:7071"),
        ("func-cabferry.azurewebsites.net", "https://func-cabferry.azurewebsites.net"),
        ("http://10.0.0.4:80/", "http://10.0.0.4:80"),
        ("localhost.example.com", "https://localhost.example.com"),
    ],
)
def test_an_address_needs_no_scheme(typed: str, meant: str) -> None:
    assert address(typed) == meant

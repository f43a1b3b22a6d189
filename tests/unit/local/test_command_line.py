"""What a person types as an address may be as short as people write it, and no secret of it is shown."""

import sys

import pytest

from local import __main__ as command_line
from local.commands.address import address


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


@pytest.mark.parametrize(
    "typed", ["https://ada:QZXJ@app", "ada:QZXJ@localhost:1", "https://app/?code=QZXJ", "https://QZXJ@["]
)
def test_no_secret_of_an_address_is_shown(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is typed stands in every line about the app after that, and in logs of pipelines."""
    monkeypatch.setattr(sys, "argv", ["local", "redrive", "--url", typed])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    said = capsys.readouterr()
    assert (ended.value.code, "QZXJ" in said.out + said.err, said.err.count("\n")) == (2, False, 1)

"""What a person types: a mistake ends in one line, an address may be short, and no secret of it is shown."""

import sys
from pathlib import Path

import pytest

from local import __main__ as command_line
from local.commands import running, start
from local.commands.address import address


@pytest.mark.parametrize("port", ["99999", "-1", "http", "7071.0", "٣"])
def test_a_bad_port_is_told_in_one_line(
    port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["local", "start", f"--port={port}"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert (capsys.readouterr().err.count("\n"), port) == (1, port)


def test_ctrl_c_in_any_phase_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["local", "start", "--port=0"])
    monkeypatch.setattr(start, "surroundings", interrupted)
    monkeypatch.setattr(running, "FOLDER", tmp_path)
    assert command_line.main() == 130
    assert capsys.readouterr().err.strip() == "start: stopped"


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

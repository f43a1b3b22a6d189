"""A container with cabs and their catalog, and the command as an engineer calls it."""

import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient, ContentSettings
from cabferry.__main__ import main

from tests.support.azurite import StorageAccount
from tests.support.catalog import upload_catalog
from tests.support.dumps import kernel_dump

CONTAINER = "failure-cabs"


def archive(dump: bytes) -> bytes:
    """Return a ZIP archive, named like none: only its bytes tell."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("notes.txt", "x" * 100)
        opened.writestr("memory.dmp", dump)
    return file.getvalue()


class Cabs:
    """The container of one test.

    Args:
        client: The container.
    """

    def __init__(self, client: ContainerClient) -> None:
        self.client = client
        self.rows: list[dict[str, object]] = []

    def add(self, number: int, data: bytes | None = None, **more: object) -> dict[str, object]:
        """Copy a cab in as the app does, and return its row; `publish` writes the rows."""
        data = archive(kernel_dump()) if data is None else data
        failure = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
        cab = f"{number:08x}-1111-4222-8333-{number:012}"
        row: dict[str, object] = {
            "applicationId": "13984104677400476",
            "family": "driver",
            "failureHash": failure,
            "failureName": "0x9F_3_acme!DrvPower",
            "driverName": "acme.sys",
            "driverVersion": "1.2.3.4",
            "osVersion": "10.0.26100.2314",
            "architecture": "X64",
            "cabType": "kernel",
            "cabIdHash": cab,
            "state": "copied",
            "date": f"2026-11-{number:02}T10:00:00Z",
            "expiresAt": "2026-12-20T00:00:00Z",
            "retiresAt": f"2126-12-{number:02}T00:00:00Z",
            "length": len(data),
            "md5": hashlib.md5(data).hexdigest(),  # noqa: S324 - storage's, no secret
            "blobName": f"13984104677400476/{failure}/{cab}.ext.zip",
            "copiedAt": "2026-11-21T00:00:00Z",
            **more,
        }
        if row["state"] == "copied":
            settings = ContentSettings(content_md5=bytearray(hashlib.md5(data).digest()))  # noqa: S324
            metadata = {"applicationId": "13984104677400476", "failureHash": failure, "cabIdHash": cab}
            self.client.upload_blob(str(row["blobName"]), data, metadata=metadata, content_settings=settings)
        self.rows.append(row)
        return row

    def publish(self, name: str = "1") -> None:
        """Write the catalog."""
        upload_catalog(self.client, name, self.rows)


@pytest.fixture
def cabs(storage: StorageAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cabs]:
    """An empty container, which the command is told of."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", storage.connection_string)
    monkeypatch.setenv("CABFERRY_CONTAINER", CONTAINER)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    with ContainerClient.from_connection_string(storage.connection_string, CONTAINER) as client:
        client.create_container()
        yield Cabs(client)


@dataclass(frozen=True, slots=True)
class Said:
    """What a call of the command came to.

    Args:
        code: Its exit code.
        out: Its stdout.
        error: Its stderr.
    """

    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        """The answer of a call with --json."""
        return json.loads(self.out)


Cabferry = Callable[..., Said]


@pytest.fixture
def cabferry(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cabferry:
    """Calls the command in this process: what it sets for its own process is put back."""
    monkeypatch.setattr(os, "umask", lambda _mask: 0)
    monkeypatch.setattr(logging, "basicConfig", lambda **_more: None)

    def call(*arguments: object) -> Said:
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call

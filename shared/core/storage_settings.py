"""Where the cabs, the queue and the tables are: the settings of the cab storage."""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from shared.core.settings_reader import SettingsReader, parsed


@dataclass(frozen=True, slots=True)
class CabStorage:
    """Where the cabs, the queue and the tables live: a connection string, or service URIs with an identity.

    Args:
        connection_string: All of it; None with an identity.
        blob_uri: The blob service.
        queue_uri: The queue service.
        table_uri: The table service.
        client_id: Which user-assigned identity; None for the app's own, or whatever a developer's machine has.
        managed_identity: Whether nothing but a managed identity is tried.
    """

    connection_string: str | None = field(repr=False)
    blob_uri: str
    queue_uri: str
    table_uri: str
    client_id: str | None
    managed_identity: bool = False


@dataclass(frozen=True, slots=True)
class CabPlaces:
    """Where the cabs and the pulls of this app are."""

    storage: CabStorage
    container: str
    queue: str

    @classmethod
    def read(cls, read: SettingsReader) -> Self:
        """Read them one by one."""
        container, queue = r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*", r"(?=.{3,56}$)[a-z0-9]+(?:-[a-z0-9]+)*"
        return cls(
            _storage(read),
            read.matching("CAB_CONTAINER", container, "a container name"),
            read.matching("CAB_QUEUE", queue, "a queue name of at most 56 characters"),
        )


def cab_places(environment: Mapping[str, str] = os.environ) -> CabPlaces:
    """Parse the settings of the cab storage alone.

    Raises:
        SettingsError: Names those that are missing or malformed.
    """
    return parsed(environment, CabPlaces.read)


def queue_place() -> CabPlaces:
    """Parse what reaches the queue, which the host has reached by the same settings, though all others are wrong.

    Raises:
        SettingsError: Names those that are missing or malformed.
    """
    environment = {**os.environ}
    uri = environment.get("CAB_STORAGE__queueServiceUri", "")
    others = {"CAB_STORAGE__blobServiceUri": uri, "CAB_STORAGE__tableServiceUri": uri, "CAB_CONTAINER": ""}
    return cab_places({**environment, **others})


def _storage(read: SettingsReader) -> CabStorage:
    connection_string = read.text("CAB_STORAGE") or None
    client_id, credential = (read.set(f"CAB_STORAGE__{name}") for name in ("clientId", "credential"))
    read.check(
        "CAB_STORAGE__credential",
        credential.lower() in {"", "managedidentity"},
        f"CAB_STORAGE__credential is {credential!r}, which is not managedidentity",
    )
    uris = {kind: read.set(f"CAB_STORAGE__{kind}ServiceUri") for kind in ("blob", "queue", "table")}
    if connection_string is None and not any(uris.values()):
        read.problem(
            "CAB_STORAGE",
            "CAB_STORAGE is missing (or CAB_STORAGE__blobServiceUri, CAB_STORAGE__queueServiceUri and "
            "CAB_STORAGE__tableServiceUri in its place)",
        )
    elif connection_string is not None:
        wrong = _wrong_in(connection_string)
        read.check("CAB_STORAGE", not wrong, f"CAB_STORAGE is not the connection string of a storage account: {wrong}")
    else:
        for kind, uri in uris.items():
            read.url(f"CAB_STORAGE__{kind}ServiceUri", uri)
    return CabStorage(
        connection_string=connection_string,
        blob_uri=uris["blob"],
        queue_uri=uris["queue"],
        table_uri=uris["table"],
        client_id=client_id or None,
        managed_identity=bool(client_id) or credential.lower() == "managedidentity",
    )


def _wrong_in(connection_string: str) -> str:
    """Return what is wrong with a connection string, empty where nothing is; it may be secret, and is not quoted."""
    if connection_string.lower() == "usedevelopmentstorage=true":
        return ""
    pairs = [part.partition("=") for part in connection_string.split(";") if part.strip()]
    if not all(name.strip() and is_there for name, is_there, _ in pairs):
        return "it is no list of Name=value, with a semicolon after each"
    parts = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if not (parts.get("accountname") or parts.get("blobendpoint")):
        return "it names no AccountName"
    if not (parts.get("accountkey") or parts.get("sharedaccesssignature")):
        return "it has neither an AccountKey nor a SharedAccessSignature"
    try:
        base64.b64decode(parts.get("accountkey", ""), validate=True)
    except binascii.Error:
        return "its AccountKey is not base64, so it is cut or mistyped"
    return ""

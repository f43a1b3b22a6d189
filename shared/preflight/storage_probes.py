"""Use each part of the cab storage once, as a pull does, and leave nothing behind."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from shared.cabs.container import CabContainer
from shared.cabs.direct_copy import DirectCopy
from shared.cabs.labels import CabLabels
from shared.core.errors import AgainLater, BadInput, NeedsPerson
from shared.core.keep_text import rules_in
from shared.core.redaction import excerpt
from shared.core.refusals import Meaning, Refusal, Where
from shared.preflight.probing import ProbeFailed, unreachable
from shared.preflight.storage_advice import BLOBS, QUEUES, ROWS, advice
from shared.progress import TABLES
from shared.pull.keep_file import KEEP_FILE, read_keep_file
from shared.storage.clients import StorageClients
from shared.storage.refusals import RefusedError, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.data.tables import TableClient
    from azure.storage.blob import BlobClient

    from shared.core.storage_settings import CabPlaces
    from shared.preflight.storage_advice import Part

# No cab's: an applicationId has no underscore (shared/core/failure.py).
PROBES = "_preflight"
_TABLE = "health"
_BYTES = b"Written by the preflight of Cabferry; it may be deleted.\n"
_SAS_MINUTES = 5
_NO_TAGS_AT_ALL = "FeatureNotYetSupportedForHierarchicalNamespaceAccounts"


class StorageProbes:
    """Ask the cab storage with clients of its own, which do not try again.

    Args:
        places: The account, and the names in it.

    Raises:
        SettingsError: The connection string is none.
    """

    def __init__(self, places: CabPlaces) -> None:
        self._places, self._run = places, secrets.token_hex(8)
        self._has_identity = places.storage.connection_string is None
        self._clients = StorageClients(places.storage, 8, retries=0)
        self._container = self._clients.blobs.get_container_client(places.container)
        services = (self._clients.blobs, self._clients.queues, self._clients.tables)
        self.blob_host, self.queue_host, self.table_host = (str(urlsplit(each.url).hostname) for each in services)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._clients.close()

    def container(self) -> str:
        """Create a blob with a tag, find it by listing, and delete it; read what is worth keeping."""
        what = f"container {self._places.container}"
        with self._failures(BLOBS, what, self._clients.blobs.url):
            probe = self._probe("probe")
            tagged = self._created(probe)
            found = [blob.name for blob in self._container.list_blobs(name_starts_with=probe.blob_name)]
            if found != [probe.blob_name]:
                raise ProbeFailed(
                    f"a blob was written to the {what}, and its listing does not show it",
                    "Check that the blob endpoint of CAB_STORAGE is an account of Azure, and not a cache before it.",
                )
            return f"{tagged}, listed and {self._deleted(probe)}{self._rules()}"

    def tables(self) -> str:
        """Read each table, and write, read and delete a row of one."""
        for name in TABLES:
            with self._failures(ROWS, f"table {name}", self._clients.tables.url):
                table = self._clients.tables.get_table_client(name)
                _made_where_missing(partial(_read_one, table), table.create_table)
                if name == _TABLE:
                    row = {"PartitionKey": PROBES, "RowKey": self._run, "at": datetime.now(UTC)}
                    table.upsert_entity(row, UpdateMode.REPLACE)
                    table.get_entity(PROBES, self._run)
                    table.delete_entity(PROBES, self._run)
        return f"{', '.join(TABLES)} read; a row of {_TABLE} written, read and deleted"

    def queue(self) -> str:
        """Count the messages of the queue of pulls, its poison queue and the queue of checks; nothing is sent."""
        return "; ".join(self._counted(f"{self._places.queue}{suffix}") for suffix in ("", "-poison", "-checks"))

    def copy(self) -> str:
        """Let the account copy a blob of its own from a SAS, as it copies each cab."""
        what = f"container {self._places.container}"
        with self._failures(BLOBS, what, self._clients.blobs.url):
            source, target = self._probe("source"), self._probe("copy")
            url = self._signed(source)
            if url is None:
                return (
                    "not tried: the identity may not sign a SAS (Storage Blob Delegator), which pulls do not need; the "
                    "first cab will show it"
                )
            self._write(source)
            try:
                direct = DirectCopy(self._clients.blob_service, self._places.container)
                direct.copy(target.blob_name, url, CabLabels({}, {}))
                length = target.get_blob_properties().size
                deleted = self._deleted(target)
            except RefusedError as error:
                raise _copy_failed(error.refusal) from None
            finally:
                self._deleted(source)
        if length != len(_BYTES):
            raise ProbeFailed(
                f"the copy has {length} bytes, its source {len(_BYTES)}",
                "Check that the blob endpoint of CAB_STORAGE is an account of Azure, and not something before it.",
            )
        return f"copied within the account, and {deleted}"

    def _rules(self) -> str:
        text = read_keep_file(CabContainer(self._container, self._clients.blob_service))
        if text is None:
            return ""
        try:
            found = rules_in(text)
        except BadInput as error:
            raise ProbeFailed(
                f"{KEEP_FILE} is wrong, so that all cabs are kept: {error}",
                "Mend it (docs/keep.md); `python3 dev.py plan --rules FILE` tells whether a file is right.",
            ) from None
        return f"; {KEEP_FILE} holds {len(found.rules)} rules"

    def _counted(self, name: str) -> str:
        client = self._clients.queue(name)
        with self._failures(QUEUES, f"queue {name}", self._clients.queues.url):
            messages = _made_where_missing(client.get_queue_properties, client.create_queue).approximate_message_count
            client.peek_messages(1)  # the count needs less of a role than the messages do
        return f"{name}: about {messages} messages"

    def _probe(self, name: str) -> BlobClient:
        blob: BlobClient = self._container.get_blob_client(f"{PROBES}/{self._run}-{name}")
        return blob

    def _write(self, probe: BlobClient, tags: dict[str, str] | None = None) -> None:
        upload = partial(probe.upload_blob, _BYTES, overwrite=True, tags=tags)
        _made_where_missing(upload, self._container.create_container)

    def _created(self, probe: BlobClient) -> str:
        try:
            self._write(probe, {"preflight": self._run})
        except HttpResponseError as error:
            refusal = refusal_of(error)
            if refusal.means(Where.TAGGED_BLOB) is not Meaning.TAGS_REFUSED:
                raise
        else:
            return "a blob was created with an index tag"
        self._write(probe)  # raises where the tags were not the reason
        if refusal.code == _NO_TAGS_AT_ALL:
            return "a blob was created, without the index tags that a hierarchical namespace does not have"
        deleted = self._deleted(probe)
        raise ProbeFailed(
            f"index tags are refused ({refusal}); a blob without was created and {deleted}",
            f"Cabs are copied all the same, but nobody can find them by tags. Assign the role {BLOBS.role} on the "
            f"container {self._places.container} to the app's identity, or give a SAS the permission t.",
        )

    def _deleted(self, probe: BlobClient) -> str:
        """Delete a probe; tell where that is not allowed, which pulls do without."""
        try:
            probe.delete_blob()
        except ResourceNotFoundError:
            return "already gone"
        except HttpResponseError as error:
            if not (refusal := refusal_of(error)).needs_person:
                raise
            return f"left there, since deleting is refused ({refusal}): the retention rule removes it"
        return "deleted"

    def _signed(self, source: BlobClient) -> str | None:
        """Return the URL of a blob with a SAS of some minutes; None where the identity may not sign one."""
        now = datetime.now(UTC)
        expiry = now + timedelta(minutes=_SAS_MINUTES)
        key, delegation = getattr(self._clients.blobs.credential, "account_key", None), None
        if self._has_identity:
            try:
                delegation = self._clients.blobs.get_user_delegation_key(now, expiry)
            except HttpResponseError as error:
                if refusal_of(error).meaning is not Meaning.NO_PERMISSION:
                    raise
                return None
        elif key is None:
            return str(source.url)  # it has the SAS of the connection string
        sas = generate_blob_sas(
            str(source.account_name),
            source.container_name,
            source.blob_name,
            account_key=key,
            user_delegation_key=delegation,
            permission=BlobSasPermissions(read=True),
            expiry=expiry,
        )
        return f"{source.url}?{sas}"

    @contextmanager
    def _failures(self, part: Part, what: str, url: str) -> Iterator[None]:
        """Turn what storage refuses into what a person should do."""
        setting = part.setting if self._has_identity else "CAB_STORAGE"
        try:
            yield
        except (HttpResponseError, RefusedError) as error:
            refusal = refusal_of(error)
            to_do = advice(refusal, part, what, has_identity=self._has_identity)
            raise ProbeFailed(f"{what}: {refusal}", to_do) from None
        except NeedsPerson as error:
            raise ProbeFailed(
                str(error),
                "Give the app a managed identity, or correct CAB_STORAGE__clientId, CAB_STORAGE__credential.",
            ) from None
        except AgainLater as error:
            if error.outage == "token":
                raise ProbeFailed(
                    str(error), "Ask again in some minutes: the endpoint of the app's managed identity does not answer."
                ) from None
            raise unreachable(url, str(error), setting) from None
        except AzureError as error:
            raise unreachable(url, f"{what}: {type(error).__name__}: {excerpt(error.message, 120)}", setting) from None


def _read_one(table: TableClient) -> None:
    next(iter(table.list_entities(results_per_page=1)), None)


def _made_where_missing[T](ask: Callable[[], T], create: Callable[[], object]) -> T:
    """Ask, and where the container, queue or table is missing, create it as the app does, and ask again."""
    try:
        return ask()
    except ResourceNotFoundError as missing:
        try:
            create()
        except ResourceExistsError:
            pass
        except HttpResponseError as error:
            if refusal_of(error).needs_person:
                raise missing from None  # the deployment makes it; what is wrong is that it is missing
            raise
    return ask()


def _copy_failed(refusal: Refusal) -> ProbeFailed:
    return ProbeFailed(
        f"the account cannot copy from a SAS of its own: {refusal}",
        "Cabs that the account cannot read from Microsoft's storage are streamed through the app, which is slower. "
        "Check the storage account's network rules, and that the clock of the app's machine is right.",
    )

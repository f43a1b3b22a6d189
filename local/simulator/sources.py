"""Keep cabs and reports in the source accounts, and sign short-lived URLs for them."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Self

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobBlock, BlobSasPermissions, generate_blob_sas
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from local.simulator.catalogue import BlobPlace, Held

UPLOADS_AT_ONCE = 16
_KEPT_SIGNATURES = 100_000
# aiohttp warns of more bytes in one piece.
_ONE_REQUEST = 1_024 * 1_024
_BLOCK = 8 * _ONE_REQUEST


class Sources:
    """The source accounts, open for writing. Use it as an asynchronous context."""

    def __init__(self, accounts: Mapping[str, str], authority: Path | None = None) -> None:
        """Describe them; nothing is open yet.

        Args:
            accounts: Connection strings with a key, by account name.
            authority: The certificate to trust, in PEM; None for what the machine trusts.

        Raises:
            ValueError: A connection string lacks something.
        """
        trust: dict[str, Any] = {} if authority is None else {"connection_verify": str(authority)}
        self._clients = {
            name: BlobServiceClient.from_connection_string(text, **trust) for name, text in accounts.items()
        }
        self._containers: set[tuple[str, str]] = set()
        self._open = AsyncExitStack()
        # A signature costs 20 microseconds; pages asked again within a second need not pay that again.
        self._signatures: dict[tuple[BlobPlace, datetime], str] = {}
        self._slots = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def __aenter__(self) -> Self:
        for client in self._clients.values():
            await self._open.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def put(self, place: BlobPlace, chunks: Iterable[bytes]) -> Held:
        """Write a blob, a block at a time, and return what is held.

        Args:
            place: Where to; a blob that is there is replaced.
            chunks: Its bytes.
        """
        async with self._slots:
            await self._make_container(place)
            blocks = _blocks(chunks)
            first = next(blocks, b"")
            if len(first) > _ONE_REQUEST:
                return await _put_blocks(self._blob(place), chain((first,), blocks))
            # In one request, as most cabs were once written: the service then keeps an MD5 of its own.
            await self._blob(place).upload_blob(first, overwrite=True)
            return Held(len(first), hashlib.md5(first, usedforsecurity=False).hexdigest())

    async def read(self, place: BlobPlace) -> AsyncIterator[bytes]:
        """Yield a blob's bytes, read with the account's own key.

        Args:
            place: Where it is.
        """
        download = await self._blob(place).download_blob()
        async for chunk in download.chunks():
            yield chunk

    def url(self, place: BlobPlace) -> str:
        """Return a blob's URL, without a signature."""
        return f"{self._clients[place.account].url.rstrip('/')}/{place.container}/{place.name}"

    def signature(self, place: BlobPlace, expiry: datetime) -> str:
        """Return a read-only SAS for one blob, as a URL's query.

        Args:
            place: The blob.
            expiry: Until when it is good, UTC, in whole seconds; may have passed.
        """
        known = self._signatures.get((place, expiry))
        if known is None:
            if len(self._signatures) >= _KEPT_SIGNATURES:
                self._signatures.clear()
            token = generate_blob_sas(
                place.account,
                place.container,
                place.name,
                account_key=self._clients[place.account].credential.account_key,
                permission=BlobSasPermissions(read=True),
                expiry=expiry,
            )
            # The real service's signatures are encoded to the last character, where the SDK leaves a slash as it is.
            known = token.replace("/", "%2F")
            self._signatures[place, expiry] = known
        return known

    def has(self, account: str) -> bool:
        """Tell whether this is one of the source accounts."""
        return account in self._clients

    def _blob(self, place: BlobPlace) -> BlobClient:
        return self._clients[place.account].get_blob_client(place.container, place.name)

    async def _make_container(self, place: BlobPlace) -> None:
        if (place.account, place.container) in self._containers:
            return
        # Another upload, or an earlier simulator on this storage, may have made it.
        with suppress(ResourceExistsError):
            await self._clients[place.account].create_container(place.container)
        self._containers.add((place.account, place.container))


async def _put_blocks(blob: BlobClient, blocks: Iterable[bytes]) -> Held:
    digest = hashlib.md5(usedforsecurity=False)
    length = 0
    names: list[BlobBlock] = []
    for block in blocks:
        digest.update(block)
        length += len(block)
        names.append(BlobBlock(f"{len(names):06}"))
        await blob.stage_block(names[-1].id, io.BytesIO(block), len(block))
    await blob.commit_block_list(names)
    return Held(length, digest.hexdigest())


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in blocks of one length, but for the last."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= _BLOCK:
            yield bytes(waiting[:_BLOCK])
            del waiting[:_BLOCK]
    if waiting:
        yield bytes(waiting)

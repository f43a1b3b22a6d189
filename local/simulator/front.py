"""Serve the source accounts' blobs by the simulator's own address.

No storage account can copy from here, so a client has to stream; and a report without a signature is here, since
Azurite takes no bearer token over plain HTTP. With a signature, storage itself decides what it is worth.
"""

import os
import socket
import struct

import aiohttp
from aiohttp import web
from yarl import URL

from local.simulator.answers import storage_error
from local.simulator.catalogue import BlobPlace
from local.simulator.faults import Fault, FaultKind
from local.simulator.sources import Sources

# Bearer tokens on blob requests need this REST version or a later one.
OLDEST_BEARER_VERSION = "2017-11-09"
_PASSED_ON = ("Range", "x-ms-range", "If-Match")
_PASSED_BACK = (
    *("Content-Type", "Content-Range", "Content-MD5", "ETag", "Last-Modified", "Accept-Ranges"),
    *("x-ms-blob-type", "x-ms-error-code", "x-ms-blob-content-md5"),
)
_CHUNK = 1 << 16


async def signed_blob(
    request: web.Request, sources: Sources, client: aiohttp.ClientSession, place: BlobPlace, fault: Fault | None
) -> web.StreamResponse:
    """Pass a request with a signature on to storage, and its answer back.

    Args:
        request: GET or HEAD, with a SAS.
        sources: The source accounts.
        client: What storage is asked with; must not decompress.
        place: The blob.
        fault: A truncated answer ends in its middle.
    """
    if "Authorization" in request.headers:
        return storage_error(403, "AuthenticationFailed", "A signature and an Authorization header exclude each other.")
    url = URL(f"{sources.url(place)}?{request.rel_url.raw_query_string}", encoded=True)
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    async with client.request(request.method, url, headers=headers) as answer:
        kept = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        response = web.StreamResponse(status=answer.status, headers=kept)
        response.content_length = answer.content_length
        await response.prepare(request)
        left = (answer.content_length or 0) // 2 if fault and fault.kind is FaultKind.TRUNCATED else None
        async for chunk in answer.content.iter_chunked(_CHUNK):
            if left is not None and len(chunk) >= left:
                await response.write(chunk[:left])
                return cut(request)
            left = None if left is None else left - len(chunk)
            await response.write(chunk)
        await response.write_eof()
        return response


async def bare_blob(request: web.Request, sources: Sources, place: BlobPlace) -> web.StreamResponse:
    """Serve a blob to a request whose storage token was accepted.

    Args:
        request: GET with a bearer token.
        sources: The source accounts.
        place: The blob.
    """
    if request.headers.get("x-ms-version", "") < OLDEST_BEARER_VERSION:
        message = f"A bearer token needs x-ms-version {OLDEST_BEARER_VERSION} or later."
        return storage_error(403, "AuthenticationFailed", message)
    response = web.StreamResponse(headers={"x-ms-blob-type": "BlockBlob"})
    response.content_type = "application/octet-stream"
    await response.prepare(request)
    async for chunk in sources.read(place):
        await response.write(chunk)
    await response.write_eof()
    return response


class Cut(web.Response):
    """Stands for an answer whose connection was cut before its end; it is counted with the status 0."""


def cut(request: web.Request, reset: bool = False) -> Cut:
    """End a request's connection at once, without the rest of its answer.

    Args:
        request: The request that gets no more.
        reset: Whether the client sees a reset instead of an end.
    """
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if reset and connection is not None:
            # Closing a socket that lingers for zero seconds sends RST; Windows has shorts in the structure.
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    return Cut()

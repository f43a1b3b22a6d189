"""Serve the source accounts' blobs by the simulator's own address.

No storage account can copy from here, so a client has to stream; and a report without a signature is here, since
Azurite takes no bearer token over plain HTTP. With a signature, storage itself decides what it is worth.
"""

import aiohttp
from aiohttp import web
from yarl import URL

from local.simulator.answers import storage_error
from local.simulator.catalogue import BlobPlace
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
    request: web.Request, sources: Sources, client: aiohttp.ClientSession, place: BlobPlace, whole: bool
) -> web.StreamResponse:
    """Pass a request with a signature on to storage, and its answer back.

    Args:
        request: GET or HEAD, with a SAS.
        sources: The source accounts.
        client: What storage is asked with; must not decompress.
        place: The blob.
        whole: Whether the answer to a GET is returned whole, and not sent yet, so that it can be spoiled.
    """
    if "Authorization" in request.headers:
        return storage_error(403, "AuthenticationFailed", "A signature and an Authorization header exclude each other.")
    url = URL(f"{sources.url(place)}?{request.rel_url.raw_query_string}", encoded=True)
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    async with client.request(request.method, url, headers=headers) as answer:
        kept = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        if whole and request.method == "GET":
            return web.Response(status=answer.status, headers=kept, body=await answer.read())
        response = web.StreamResponse(status=answer.status, headers=kept)
        response.content_length = answer.content_length
        await response.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
        return response


async def bare_blob(request: web.Request, sources: Sources, place: BlobPlace, whole: bool) -> web.StreamResponse:
    """Serve a blob to a request whose storage token was accepted.

    Args:
        request: GET with a bearer token.
        sources: The source accounts.
        place: The blob.
        whole: As for `signed_blob`.
    """
    if request.headers.get("x-ms-version", "") < OLDEST_BEARER_VERSION:
        message = f"A bearer token needs x-ms-version {OLDEST_BEARER_VERSION} or later."
        return storage_error(403, "AuthenticationFailed", message)
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    if whole:
        return web.Response(headers=headers, body=b"".join([chunk async for chunk in sources.read(place)]))
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    async for chunk in sources.read(place):
        await response.write(chunk)
    await response.write_eof()
    return response

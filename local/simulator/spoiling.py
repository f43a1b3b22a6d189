"""Spoil what a client sees of an answer: late, in small pieces, half, or with a connection that breaks.

What stands in front of another service, and passes right answers on, spoils them with the same code.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from local.simulator.faults import FaultKind

_PIECES = 10


class Cut(web.Response):
    """Stands for an answer whose connection was cut before its end; it is counted with the status 0."""


async def spoiled(
    request: web.Request, kind: FaultKind, seconds: float, answer: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a request so that the client sees what goes wrong; kinds that change what is said are left alone.

    Args:
        request: The request.
        kind: What goes wrong.
        seconds: How late a slow answer is, how long a dripping one takes, or how long a hanging one is waited for.
        answer: Does what is asked for. It is not called where the request is not to arrive; where it has sent its
            answer already, that is past spoiling.
    """
    if kind in {FaultKind.SLOW, FaultKind.HANG}:
        await asyncio.sleep(seconds)
    if kind in {FaultKind.RESET, FaultKind.HANG}:
        return cut(request, reset=True)
    response = await answer()
    spoil = _SPOILING.get(kind)
    if spoil is None or isinstance(response, Cut) or not isinstance(response, web.Response):
        return response
    return await spoil(request, response, seconds)


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


async def _lost(request: web.Request, _response: web.Response, _seconds: float) -> web.StreamResponse:
    return cut(request)


async def _truncated(request: web.Request, response: web.Response, _seconds: float) -> web.StreamResponse:
    if response.content_type == "application/json":
        # As if the half were all: its Content-Length says nothing of the rest.
        body = _body(response)
        return web.Response(body=body[: len(body) // 2], status=response.status, content_type=response.content_type)
    return await _broken_off(request, response, reset=False)


async def _reset_in_body(request: web.Request, response: web.Response, _seconds: float) -> web.StreamResponse:
    return await _broken_off(request, response, reset=True)


async def _broken_off(request: web.Request, response: web.Response, *, reset: bool) -> Cut:
    """Promise the whole body, send half of it, and end the connection."""
    body = _body(response)
    begun = await _begun(request, response)
    await begun.write(body[: len(body) // 2])
    return cut(request, reset)


async def _dripping(request: web.Request, response: web.Response, seconds: float) -> web.StreamResponse:
    body = _body(response)
    begun = await _begun(request, response)
    step = len(body) // _PIECES + 1
    for start in range(0, len(body) or 1, step):
        await asyncio.sleep(seconds / _PIECES)
        await begun.write(body[start : start + step])
    await begun.write_eof()
    return begun


async def _begun(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send an answer's status and headers, with the length of its whole body."""
    begun = web.StreamResponse(status=response.status, headers=response.headers)
    begun.content_length = len(_body(response))
    await begun.prepare(request)
    return begun


def _body(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


_SPOILING: Mapping[FaultKind, Callable[[web.Request, web.Response, float], Awaitable[web.StreamResponse]]] = {
    FaultKind.LOST: _lost,
    FaultKind.TRUNCATED: _truncated,
    FaultKind.RESET_IN_BODY: _reset_in_body,
    FaultKind.DRIP: _dripping,
}

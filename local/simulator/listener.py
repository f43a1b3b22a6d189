"""Listen on loopback with an aiohttp application, and leave nothing open behind."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web

HOST = "127.0.0.1"


@asynccontextmanager
async def listening(application: web.Application, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen while the context is entered; on leaving it, connections that clients still hold are cut.

    Args:
        application: What answers.
        tls: What is needed to speak HTTPS; None speaks HTTP.

    Yields:
        The port, a free one.
    """
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        loop = asyncio.get_running_loop()
        protocols = cast("web.Server", runner.server)  # there from setup to cleanup
        # Not aiohttp's own site: that one waits for clients to end their TLS, and some never do.
        server = await loop.create_server(protocols, HOST, 0, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            server.abort_clients()
            await server.wait_closed()
    finally:
        await runner.cleanup()

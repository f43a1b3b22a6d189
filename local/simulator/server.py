"""Run the simulator: listen on loopback, with everything that was built already in storage."""

import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from hmac import compare_digest
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from local.simulator.api import Accepts, Api
from local.simulator.builder import WorldBuilder
from local.simulator.catalogue import World
from local.simulator.center import DevCenter
from local.simulator.control import Control
from local.simulator.listener import HOST, listening
from local.simulator.sources import Sources


class Simulator:
    """A Dev Center on loopback. Use it as an asynchronous context; on entering, what was built is published.

    `center` is all of it but the HTTP, and may be used at any time: build and publish, add faults, read the ledger.
    """

    def __init__(
        self,
        storage: Mapping[str, str],
        access_token: str | Accepts,
        storage_token: str | Accepts | None = None,
        seed: int = 1,
        authority: Path | None = None,
    ) -> None:
        """Describe it; nothing listens yet.

        Args:
            storage: Connection strings of the source accounts by name: those of `builder.CAB_ACCOUNTS` and
                `builder.REPORT_ACCOUNT`.
            access_token: The bearer token that the API's calls need, or what tells whether one is good.
            storage_token: The same for a report location without a signature; None takes the access token's.
            seed: Where the builder starts from.
            authority: The certificate of the source accounts, in PEM; None for what the machine trusts.
        """
        world = World()
        sources = Sources(storage, authority)
        self.center = DevCenter(sources, world, WorldBuilder(world, seed))
        self._authority = authority
        self._accepts = _acceptance(access_token)
        self._storage_accepts = _acceptance(access_token if storage_token is None else storage_token)
        self._port = 0
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self.center.sources)
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._authority))
            session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
            client = await opening.enter_async_context(session)
            await self.center.publish()
            application = web.Application()
            application.add_routes(Control(self.center).routes())
            application.add_routes(Api(self.center, client, self._accepts, self._storage_accepts).routes())
            self._port = await opening.enter_async_context(listening(application))
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def url(self) -> str:
        """Where it answers: the value for DEVCENTER_BASE_URL."""
        return f"http://{HOST}:{self._port}"


def _acceptance(token: str | Accepts) -> Accepts:
    """Return what tells whether a bearer token is good."""
    if callable(token):
        return token
    return lambda given: compare_digest(given.encode(), token.encode())

"""Run the shaped service: `python -m bench.shaped.server`, with its form as JSON in the environment."""

import asyncio
import os
import sys
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack

import msgspec
from aiohttp import web

from bench.shaped.blobs import Blobs
from bench.shaped.delays import Delays, Shape
from bench.shaped.tables import Tables
from local.simulator.listener import HOST, listening

READY = "the shaped service answers at "
FORM = "BENCH_SHAPED"
_PATH = "/v1.0/my/analytics/driver/cabdownloadbatch"
_TOP = 100


class Form(msgspec.Struct, frozen=True):
    """What it serves.

    Args:
        shape: How long answers take.
        size: Bytes of every cab.
    """

    shape: Shape
    size: int


class Ports(msgspec.Struct, frozen=True):
    """Where it listens."""

    api: int
    blob: int
    table: int


class Api:
    """The cab batch of failures whose hash tells how many cabs they have (`failure_hash`).

    Args:
        delays: How long answers take.
    """

    def __init__(self, delays: Delays) -> None:
        self._delays = delays

    def routes(self) -> list[web.RouteDef]:
        """Return what it answers."""
        return [web.get(_PATH, self._page), web.get("/delays", self._given)]

    async def _page(self, request: web.Request) -> web.Response:
        async with self._delays.taking("page"):
            return self._rows(request.query)

    def _rows(self, query: Mapping[str, str]) -> web.Response:
        skip, top = int(query.get("skip", "0")), min(int(query.get("top", "100")), _TOP)
        total = int(query["failureHash"].split("-")[1])
        rows = [_row(query["applicationId"], query["failureHash"], n) for n in range(skip, min(skip + top, total))]
        end = skip + len(rows)
        kept = "&".join(f"{name}={query[name]}" for name in ("applicationId", "failureHash", "startDate", "endDate"))
        link = f"driver/cabdownloadbatch?{kept}&top={top}&skip={end}" if end < total else None
        body = msgspec.json.encode({"Value": rows, "@nextLink": link, "TotalCount": total})
        return web.Response(body=body, content_type="application/json")

    async def _given(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._delays.taken()), content_type="application/json")


def failure_hash(cabs: int) -> str:
    """Return the hash of a new failure of so many cabs."""
    return f"cabs-{cabs}-{uuid.uuid4().hex}"


def cab_ids(failure: str) -> list[str]:
    """Return the cabs of a failure by its hash."""
    return [_cab_id(failure, number) for number in range(int(failure.split("-")[1]))]


def _cab_id(failure: str, number: int) -> str:
    return f"{failure[-12:]}-{number:06}"


def _row(application: str, failure: str, number: int) -> dict[str, str]:
    cab = _cab_id(failure, number)
    # It needs to be no more than the URL of a cab: nothing is read from it.
    url = f"http://{HOST}/source/{cab}.ext.zip?sv=2015-07-08&sr=b&sig=a%2Fb%3D&se=2099-01-01T00%3A00%3A00Z&sp=r"
    return {
        "applicationId": application,
        "submissionId": f"29989690_{application}_{number}",
        "failureHash": failure,
        "cabIdHash": cab,
        "cabUrl": url,
        "date": "2026-10-05 10:00:00",
        "cabExpirationTime": "2099-01-01 00:00:00",
    }


async def _serve() -> None:
    form = msgspec.json.decode(os.environ[FORM], type=Form)
    delays = Delays(form.shape)
    async with AsyncExitStack() as opened:
        parts = (Api(delays), Blobs(delays, form.size), Tables(delays))
        ports = []
        for part in parts:
            application = web.Application(client_max_size=16 * 1024 * 1024)
            application.add_routes(part.routes())
            ports.append(await opened.enter_async_context(listening(application, 0)))
        print(READY + msgspec.json.encode(Ports(*ports)).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())

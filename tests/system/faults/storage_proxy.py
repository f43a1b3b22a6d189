"""A proxy before Azurite that lets single storage calls go wrong, each for the pull of one failure only.

Azurite's addresses have the account in their path and its signatures leave the host out, so that what an app sends to
another port is as good as sent to Azurite. What copies read from is not touched: storage fetches that by itself.
"""

import json
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPMethod
from types import TracebackType
from typing import Self
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from local.simulator.faults import FaultKind
from local.simulator.listener import HOST, listening
from local.simulator.spoiling import spoiled
from tests.system.faults.cells import Call

_SERVICES = ("Blob", "Queue", "Table")
_HASH = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_STATE = re.compile(rb'"state" *: *"(\w+)"')
_MESSAGE = re.compile(rb"<MessageText>([^<]*)</MessageText>")
# These are about one connection, and not about what is sent over it (RFC 9110, section 7.6.1).
_OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_LARGEST = 64 * 1024 * 1024


@dataclass(slots=True)
class StorageFault:
    """What goes wrong with one call for one failure.

    Args:
        kind: What goes wrong.
        times: How often; None means until it is removed.
        seconds: For what is slow.
    """

    kind: FaultKind
    times: int | None
    seconds: float


class StorageProxy:
    """Stands before the services of one Azurite. Use it as an asynchronous context.

    `seen` counts the requests for each call and failure hash, whether they went wrong or not.

    Args:
        connection_string: Of the account behind it.
    """

    def __init__(self, connection_string: str) -> None:
        self._parts = dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)
        self._account = self._parts["AccountName"]
        self._ports: dict[str, int] = {}
        self._faults: dict[tuple[Call, str], StorageFault] = {}
        self._open = AsyncExitStack()
        self.seen = Counter[tuple[Call, str]]()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            # A kept connection that Azurite ends just now would be a fault that nobody asked for.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
            self._client = await opening.enter_async_context(session)
            for service in _SERVICES:
                application = web.Application(client_max_size=_LARGEST)
                application.add_routes([web.route("*", "/{path:.*}", self._handler(service))])
                self._ports[service] = await opening.enter_async_context(listening(application))
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def connection_string(self) -> str:
        """What leads an app through here."""
        ours = {f"{service}Endpoint": f"http://{HOST}:{port}/{self._account}" for service, port in self._ports.items()}
        return ";".join(f"{name}={value}" for name, value in {**self._parts, **ours}.items())

    def add(self, call: Call, failure_hash: str, fault: StorageFault) -> None:
        """Let a call go wrong for one failure from now on."""
        self._faults[call, failure_hash] = fault

    def remove(self, call: Call, failure_hash: str) -> None:
        """Let it go right again."""
        self._faults.pop((call, failure_hash), None)

    def _handler(self, service: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            found = _call(service, request, body)

            async def passed_on() -> web.Response:
                return await self._passed_on(service, request, body)

            if found is None:
                return await passed_on()
            self.seen[found] += 1
            fault = self._taken(found)
            if fault is None:
                return await passed_on()
            refusal = _refusal(service, fault.kind)
            return refusal or await spoiled(request, fault.kind, fault.seconds, passed_on)

        return handle

    def _taken(self, found: tuple[Call, str]) -> StorageFault | None:
        fault = self._faults.get(found)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if not fault.times:
                del self._faults[found]
        return fault

    async def _passed_on(self, service: str, request: web.Request, body: bytes) -> web.Response:
        url = URL(_origin(self._parts[f"{service}Endpoint"]) + request.raw_path, encoded=True)
        headers = _end_to_end(request.headers)
        # A header that the client adds by itself is not in the signature.
        added = ("Content-Type", "Accept", "Accept-Encoding", "User-Agent")
        async with self._client.request(
            request.method, url, headers=headers, data=body or None, skip_auto_headers=added
        ) as answer:
            kept = _end_to_end(answer.headers)
            if request.method == HTTPMethod.HEAD:
                # The length of what a GET would bring.
                return web.Response(status=answer.status, headers=kept | _length(answer.headers))
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


def _call(service: str, request: web.Request, body: bytes) -> tuple[Call, str] | None:
    """Return which call of which failure a request is; None where it is none of those that can go wrong."""
    named = _HASH.search(unquote(request.rel_url.raw_path_qs).encode()) or _HASH.search(body)
    match service:
        case "Blob":
            call = _blob_call(request)
        case "Table":
            call = _table_call(request, body)
        case _:
            message = _MESSAGE.search(body) if request.method == HTTPMethod.POST else None
            if (
                message is None or "-checks/" in request.path
            ):  # one that asks for a check of the reports names no failure
                return None
            # Only the next try of a pull is sent with a delay.
            call = Call.NEXT_MESSAGE if request.query.get("visibilitytimeout", "0") != "0" else Call.MESSAGE
            return call, json.loads(b64decode(message[1]))["failureHash"]
    return (call, named[0].decode()) if call and named else None


def _blob_call(request: web.Request) -> Call | None:
    if request.query.get("comp") == "list":
        return Call.READ_BACK
    if request.method != HTTPMethod.PUT:
        return None
    return Call.COPY if "x-ms-copy-source" in request.headers else None


def _table_call(request: web.Request, body: bytes) -> Call | None:
    if request.path.endswith("/$batch"):
        return Call.CAB_ROWS if b"/cabs" in body else Call.ASKED
    state = _STATE.search(body)
    if request.method not in {HTTPMethod.PATCH, "MERGE"} or "/pulls(" not in request.path or state is None:
        return None
    return {b"Running": Call.LEASE, b"Completed": Call.END}.get(state[1])


def _length(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Length": headers["Content-Length"]} if "Content-Length" in headers else {}


def _origin(endpoint: str) -> str:
    return str(URL(endpoint).origin())


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_HOP}


# The status and the code that the services give, or that something before them does.
_REFUSALS = {
    FaultKind.BAD_REQUEST: (400, "InvalidHeaderValue"),
    FaultKind.UNAUTHORIZED: (401, "NoAuthenticationInformation"),
    FaultKind.FORBIDDEN: (403, "AuthorizationFailure"),
    FaultKind.NOT_FOUND: (404, "ResourceNotFound"),
    FaultKind.TIMED_OUT: (408, "RequestTimeout"),
    FaultKind.CONFLICT: (409, "Conflict"),
    FaultKind.PRECONDITION_FAILED: (412, "ConditionNotMet"),
    FaultKind.THROTTLED: (429, "TooManyRequests"),
    FaultKind.THROTTLED_SILENT: (429, "TooManyRequests"),
    FaultKind.SERVER_ERROR: (500, "InternalError"),
    FaultKind.UNAVAILABLE_WAIT: (503, "ServerBusy"),
}
_NOT_FOUND = {"Blob": "ContainerNotFound", "Table": "TableNotFound", "Queue": "QueueNotFound"}
_CONFLICT = {"Blob": "BlobAlreadyExists", "Table": "EntityAlreadyExists", "Queue": "QueueBeingDeleted"}
_WITH_WAIT = {FaultKind.THROTTLED, FaultKind.UNAVAILABLE_WAIT}


def _refusal(service: str, kind: FaultKind) -> web.Response | None:
    """Return what a service answers when it refuses; None where the fault is of another kind."""
    if kind is FaultKind.HTML:
        page = "<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body></body></html>"
        return web.Response(text=page, content_type="text/html")
    if kind not in _REFUSALS:
        return None
    status, code = _REFUSALS[kind]
    code = {FaultKind.NOT_FOUND: _NOT_FOUND, FaultKind.CONFLICT: _CONFLICT}.get(kind, {service: code})[service]
    headers = {"x-ms-error-code": code} | ({"Retry-After": "1"} if kind in _WITH_WAIT else {})
    if service == "Table":
        body = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": "The fault script says so."}}}
        return web.Response(text=json.dumps(body), status=status, headers=headers, content_type="application/json")
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>The fault script.</Message></Error>'
    )
    return web.Response(text=text, status=status, headers=headers, content_type="application/xml")

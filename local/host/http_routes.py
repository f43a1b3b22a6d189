"""The HTTP trigger: one aiohttp route for each function, and the way from a request to a value and back.

Whatever is no function's route and method is 404, as in Azure, which never answers 405.
"""

import asyncio
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict, MultiMapping

from local.host.connections import resolve
from local.host.errors import BindingError, StartError
from local.host.functions import Function, HttpTrigger
from local.host.invocations import Invocations
from local.host.problem import problem
from local.host.worker import Datum

# As in Azure.
LARGEST_BODY_BYTES = 100 * 1024 * 1024
# More than Azure's, so that the app itself says what is wrong with a query that is too long.
LONGEST_ADDRESS_BYTES = 64 * 1024

_PARAMETER = r"\{\*?[A-Za-z_][A-Za-z0-9_]*\}"
_TEMPLATE = re.compile(rf"(?:[^{{}}]|{_PARAMETER})*")
# The server computes these from the body that it really sends.
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Route:
    """Where and how a function is called.

    Args:
        path: A template with `{name}` for what varies, and `{*name}` for all the rest.
        methods: `*` for all.
        function: Runs on each request.
    """

    path: str
    methods: tuple[str, ...]
    function: Function

    @property
    def parameters_last(self) -> list[bool]:
        """The order in which routes are tried, so that `pulls/check` comes before `pulls/{id}`."""
        return [segment.startswith("{") for segment in self.path.split("/")]


def route_of(function: Function, trigger: HttpTrigger, prefix: str, environment: Mapping[str, str]) -> Route:
    """Resolve the route of a function.

    Args:
        function: Its name is the route where the trigger has none.
        trigger: The function's.
        prefix: host.json's routePrefix.
        environment: The app settings.

    Raises:
        BindingError: A setting is missing, or the template has constraints or optional parts.
    """
    route = function.name if trigger.route is None else resolve(trigger.route, environment).strip("/")
    if not _TEMPLATE.fullmatch(route):
        raise BindingError(
            f"the route {route!r} has constraints or optional parts, which this local host does not imitate"
        )
    return Route("/" + "/".join(part for part in (prefix, route) if part), trigger.methods or ("*",), function)


def add_routes(router: web.UrlDispatcher, routes: list[Route], invocations: Invocations) -> None:
    """Route requests to functions, and all others to 404.

    Args:
        router: Of the server.
        routes: Of all functions.
        invocations: Runs the functions.

    Raises:
        StartError: Two functions have the same route and method.
    """
    for route in sorted(routes, key=lambda route: route.parameters_last):
        for method in route.methods:
            try:
                # aiohttp's own parameters take no braces; Azure's take all but a slash.
                path = re.sub(
                    r"\{(\*?)(\w+)\}", lambda part: f"{{{part[2]}:{'.+' if part[1] else '[^/]+'}}}", route.path
                )
                router.add_route(method, path, _handler(route.function, invocations))
            except RuntimeError as error:
                raise StartError(
                    f"Functions.{route.function.name} has {method} {route.path}, as another one has"
                ) from error
    links = [route.path for route in routes if "GET" in route.methods and "{" not in route.path]
    router.add_get("/", partial(_show_links, sorted(links)))
    router.add_route("*", "/{path:.*}", _not_found)


def add_reason(router: web.UrlDispatcher, prefix: str, reason: str) -> None:
    """Answer 503 with the reason for every path that a function could have had.

    Args:
        router: Of the server.
        prefix: host.json's routePrefix.
        reason: Why there are no functions.
    """

    async def answer(_request: web.Request) -> web.StreamResponse:
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"The app could not be indexed, so none of its functions runs. The host's log has the traceback: {reason}",
        )

    router.add_route("*", f"/{prefix}/{{path:.*}}" if prefix else "/{path:.*}", answer)


async def _show_links(paths: list[str], _request: web.Request) -> web.StreamResponse:
    """Say where to go: whoever opens the address that the start printed comes here."""
    links = "".join(f'<li><a href="{html.escape(path)}">{html.escape(path)}</a>' for path in paths)
    page = f"<!DOCTYPE html><title>Functions</title><p>The app runs. These can be looked at:<ul>{links}</ul>"
    return web.Response(text=page, content_type="text/html")


async def _not_found(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=HTTPStatus.NOT_FOUND)


def _handler(function: Function, invocations: Invocations) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            value = await _request_value(request)
        except web.HTTPRequestEntityTooLarge:
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {LARGEST_BODY_BYTES} bytes")
        responses: list[web.Response] = []

        async def work() -> None:
            result = await invocations.run(function, "This function was called by an HTTP request.", value, {})
            responses.append(_response(result.value) if result.succeeded else web.Response(status=500))

        # Work of its own, so that a stop waits for it; aiohttp's handlers are not ours to wait for.
        await asyncio.wait({invocations.spawn(work())})
        return responses[0] if responses else web.Response(status=503)

    return handle


async def _request_value(request: web.Request) -> Datum:
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": _texts(request.headers),
            "params": {name: Datum(value, "string") for name, value in request.match_info.items()},
            "query": _texts(request.query),
            "body": Datum(await request.read(), "bytes"),
        },
        "http",
    )


def _texts(values: MultiMapping[str]) -> dict[str, Datum]:
    """Join what was sent more than once, as .NET's StringValues do."""
    return {name: Datum(",".join(values.getall(name)), "string") for name in values}


def _response(value: Datum) -> web.Response:
    if value.type == "string":
        return web.Response(text=value.value)
    headers = CIMultiDict(
        (name, header.value) for name, header in value.value["headers"].items() if name.lower() not in _FRAMING_HEADERS
    )
    for cookie in value.value["cookies"] or ():
        headers.extend(("Set-Cookie", morsel.OutputString()) for morsel in cookie.values())
    return web.Response(status=int(value.value["status_code"].value), headers=headers, body=value.value["body"].value)

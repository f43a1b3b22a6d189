"""The host's own HTTP interface under /admin, as far as people and scripts use Azure's locally.

`GET /admin/functions`, and `POST /admin/functions/{name}` with `{"input": ...}`, which fires
a function that is not triggered over HTTP. `listening` and `error` of a function are this host's own.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from azure.storage.queue import QueueMessage

from local.host.functions import Function, HttpTrigger, QueueTrigger
from local.host.invocations import Invocations
from local.host.problem import problem
from local.host.queue_processor import trigger_metadata
from local.host.timer_listener import timer_value
from local.host.worker import Datum

# The service's default, for a message that never was in a queue.
_TIME_TO_LIVE = timedelta(days=7)


class FunctionStatus(msgspec.Struct, frozen=True):
    """Whether a function listens.

    Args:
        function: Which.
        path: The path template of an HTTP function; empty for others.
        error: Why it does not listen; empty where it does.
    """

    function: Function
    path: str = ""
    error: str = ""

    def summary(self, origin: str) -> str:
        """Return what is told of the function at start-up.

        Args:
            origin: The host's `http://address:port`.
        """
        if self.error:
            return f"does not run: {self.error}"
        trigger = self.function.trigger
        if isinstance(trigger, HttpTrigger):
            return f"[{','.join(trigger.methods) or 'all methods'}] {origin}{self.path}"
        return str(trigger.__struct_config__.tag)


class _Fire(msgspec.Struct):
    """The body of a request that fires a function: a queue function's input is the text of its message."""

    input: str | None = None


class Admin:
    """Answers for the host.

    Args:
        functions: By name, in the app's order.
        invocations: Runs what is fired.
    """

    def __init__(self, functions: Mapping[str, FunctionStatus], invocations: Invocations) -> None:
        self._functions = functions
        self._invocations = invocations

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Route everything under /admin.

        Args:
            router: Of the server.
        """
        router.add_get("/admin/functions", self._list, allow_head=False)
        router.add_post("/admin/functions/{name}", self._fire)

    async def _list(self, request: web.Request) -> web.Response:
        told = [_describe(status, str(request.url.origin())) for status in self._functions.values()]
        return web.Response(body=msgspec.json.encode(told), content_type="application/json")

    async def _fire(self, request: web.Request) -> web.Response:
        status = self._functions.get(request.match_info["name"])
        if status is None:
            return problem(
                HTTPStatus.NOT_FOUND, "The app has no function of this name; GET /admin/functions lists them"
            )
        function = status.function
        if isinstance(function.trigger, HttpTrigger):
            return problem(HTTPStatus.BAD_REQUEST, f"{function.name} is triggered over HTTP: call {status.path}")
        if status.error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, status.error)
        try:
            fire = msgspec.json.decode(await request.read(), type=_Fire)
        except msgspec.DecodeError as error:
            return problem(HTTPStatus.BAD_REQUEST, f'The body must be {{"input": "..."}}: {error}')
        self._invocations.spawn(self._run(function, fire.input or ""))
        return web.Response(status=HTTPStatus.ACCEPTED)

    async def _run(self, function: Function, text: str) -> None:
        reason = "This function was called through the host's API."
        if isinstance(function.trigger, QueueTrigger):
            await self._invocations.run(function, reason, Datum(text, "string"), trigger_metadata(_message(text)))
        else:
            await self._invocations.run(function, reason, timer_value(), {})


def _describe(status: FunctionStatus, origin: str) -> dict[str, Any]:
    function = status.function
    return {
        "name": function.name,
        "href": f"{origin}/admin/functions/{function.name}",
        "invoke_url_template": origin + status.path if status.path else None,
        "language": "python",
        "config": {"name": function.name, "bindings": function.bindings},
        "listening": not status.error,
        "error": status.error or None,
    }


def _message(text: str) -> QueueMessage:
    now = datetime.now(UTC)
    return QueueMessage(
        text,
        id=str(uuid.uuid4()),
        inserted_on=now,
        expires_on=now + _TIME_TO_LIVE,
        dequeue_count=1,
        pop_receipt="",
        next_visible_on=now,
    )

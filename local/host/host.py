"""The host: indexes the app, listens for its triggers, serves HTTP, and stops without losing anything."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from local.host.admin import Admin, FunctionStatus
from local.host.connections import QueueConnection, resolve
from local.host.errors import BindingError, IndexingError, StartError
from local.host.functions import Function, HttpTrigger, QueueTrigger, TimerTrigger
from local.host.host_json import read_host_json
from local.host.http_routes import LARGEST_BODY_BYTES, LONGEST_ADDRESS_BYTES, Route, add_reason, add_routes, route_of
from local.host.invocations import Invocations
from local.host.log import hide_credentials
from local.host.ncrontab import Schedule
from local.host.options import HostOptions
from local.host.problem import problem
from local.host.queue_listener import QueueListener
from local.host.timer_listener import TimerListener
from local.host.worker import Worker

_ADDRESS = "127.0.0.1"
# Listeners end by themselves when they are told to, unless the storage does not answer.
_LISTENERS_END_SECONDS = 5.0
# What running functions are given to end once a stop was asked for.
_GRACE = timedelta(seconds=10)
_logger = logging.getLogger("Host")


def raise_if_taken(port: int) -> None:
    """Fail where a port cannot be listened on, before anything else is started.

    Raises:
        StartError: It is another's, or none of an ordinary user's.
    """
    try:
        socket.create_server((_ADDRESS, port)).close()
    except OSError as error:
        raise _port_error(port, error) from error


def _port_error(port: int, error: OSError) -> StartError:
    why = os.strerror(error.errno or 0)
    return StartError(
        f"port {port} of {_ADDRESS} cannot be used ({why}): choose another with --port, 0 takes a free one"
    )


class Listener(Protocol):
    """Waits for a trigger and runs its function."""

    async def listen(self) -> None:
        """Listen until the host stops."""

    async def close(self) -> None:
        """Let go of connections; called once `listen` has ended."""


class Host:
    """Runs one app. The runtime keeps its state in globals, so there can be one host in a process.

    To be made in a running event loop, started, and stopped even where the start failed.

    Args:
        app_directory: Holds function_app.py and host.json.
        port: To listen on, on 127.0.0.1; 0 for any free one, which `port` then says once the host has started.
        environment: The app settings. The app itself reads the process environment, so this should be that.

    Raises:
        StartError: host.json or a LOCAL_* setting is not what it should be.
    """

    def __init__(self, app_directory: Path, port: int, environment: Mapping[str, str]) -> None:
        self.port = port
        self._environment = environment
        self._options = HostOptions.from_environment(environment)
        self._host_json = read_host_json(app_directory / "host.json")
        self._prefix = self._host_json.extensions.http.route_prefix
        self._worker = Worker(app_directory.resolve())
        self._failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._invocations = Invocations(self._worker, self._host_json.function_timeout, self._fail)
        self._functions: dict[str, FunctionStatus] = {}
        self._listeners: list[Listener] = []
        self._listening: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Index the app and begin to listen; return where it serves.

        An app that cannot be indexed is served all the same: each of its paths answers 503 with the reason.

        Raises:
            StartError: The app needs what this host does not imitate, or the port is taken.
        """
        application = web.Application(client_max_size=LARGEST_BODY_BYTES, middlewares=[self._refuse_when_stopping])
        Admin(self._functions, self._invocations).add_to(application.router)
        try:
            self._prepare(await self._worker.index(), application.router)
        except IndexingError as error:
            # The traceback that tells is the worker's.
            _logger.error("The app could not be indexed, no function runs: %s\n%s", error, error.trace)  # noqa: TRY400
            add_reason(application.router, self._prefix, hide_credentials(str(error)))
        await self._serve(application)
        self._listening.update(self._invocations.supervise(listener.listen()) for listener in self._listeners)
        origin = f"http://{_ADDRESS}:{self.port}"
        self._announce(origin)
        return origin

    async def wait_failed(self) -> str:
        """Wait until the host cannot go on, and say why. It still has to be stopped."""
        return await asyncio.shield(self._failure)

    async def stop(self, grace: timedelta = _GRACE) -> bool:
        """Take no more work, let running functions end, and make the messages of the others visible again.

        Args:
            grace: How long to wait for running functions.

        Returns:
            Whether every function ended by itself. Where one did not, its thread may still run.
        """
        self._invocations.stopping.set()
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
        ended = await self._invocations.drain(grace)
        if self._listening:
            _, hanging = await asyncio.wait(self._listening, timeout=_LISTENERS_END_SECONDS)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
        for listener in self._listeners:
            await listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
        return ended

    def _fail(self, reason: str) -> None:
        if not self._failure.done():
            self._failure.set_result(reason)

    def _prepare(self, functions: tuple[Function, ...], router: web.UrlDispatcher) -> None:
        routes: list[Route] = []
        for function in functions:
            path = error = ""
            try:
                if isinstance(function.trigger, HttpTrigger):
                    routes.append(route_of(function, function.trigger, self._prefix, self._environment))
                    path = routes[-1].path
                elif self._options.http_only:
                    error = "LOCAL_HTTP_ONLY is set"
                else:
                    self._listeners.append(self._listener(function, function.trigger))
            except BindingError as reason:
                # The others run, as in Azure.
                error = str(reason)
                _logger.error("The %r function is in error and does not run: %s", function.name, error)  # noqa: TRY400
            self._functions[function.name] = FunctionStatus(function, path, error)
        add_routes(router, routes, self._invocations)

    def _listener(self, function: Function, trigger: QueueTrigger | TimerTrigger) -> Listener:
        """Resolve a trigger's settings and make its listener; BindingError says which of them is missing or wrong."""
        if isinstance(trigger, TimerTrigger):
            schedule = Schedule.parse(resolve(trigger.schedule, self._environment))
            return TimerListener(
                function, schedule, run_on_startup=trigger.run_on_startup, invocations=self._invocations
            )
        return QueueListener(
            function,
            QueueConnection.from_environment(trigger.connection, self._environment),
            resolve(trigger.queue_name, self._environment),
            self._host_json.extensions.queues,
            lease=self._options.message_lease,
            invocations=self._invocations,
        )

    @web.middleware
    async def _refuse_when_stopping(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # A connection that was kept alive outlives the listening socket.
        if self._invocations.stopping.is_set():
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The host is stopping")
        return await handler(request)

    async def _serve(self, application: web.Application) -> None:
        # By then all work has ended or was cut off, and only answers may still be on their way.
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=0.5, max_line_size=LONGEST_ADDRESS_BYTES
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, _ADDRESS, self.port).start()
        except OSError as error:
            raise _port_error(self.port, error) from error
        self.port = self._runner.addresses[0][1]

    def _announce(self, origin: str) -> None:
        _logger.info("Functions:")
        for status in self._functions.values():
            _logger.info("    %s: %s", status.function.name, status.summary(origin))
        _logger.info("Host started on %s", origin)

"""Azure's Python worker runtime, driven in process: index an app, invoke a function.

The runtime keeps its state in module globals, so one process runs one app.
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

# The package has no type information; this file is the only one that touches it.
import azure_functions_runtime as runtime
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

from local.host import protos
from local.host.errors import IndexingError, StartError
from local.host.functions import Function, read_function

__all__ = ["Datum", "Worker", "WorkerResult"]

# Reported when the app streams HTTP through azurefunctions-extensions-http-fastapi.
_HTTP_STREAMS = "HttpUri"
# The runtime's log lines about errors that it also returns, from where the host logs them with what else it knows.
_TOLD_BY_THE_HOST = frozenset({"Native invocation failed", "Error: %s, %s"})


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """How an invocation ended.

    Args:
        succeeded: Whether the function returned.
        value: What it returned, encoded for its `$return` binding; None where it has none.
        trace: The traceback of what it raised; empty where it returned.
    """

    succeeded: bool
    value: Datum | None
    trace: str


class Worker:
    """The part of Azure that runs inside the worker process."""

    def __init__(self, app_directory: Path) -> None:
        """Name the app.

        Args:
            app_directory: Holds function_app.py.
        """
        self._app_directory = app_directory

    async def index(self) -> tuple[Function, ...]:
        """Import the app and return its functions, validated by the runtime.

        Raises:
            IndexingError: The app cannot be imported or a function is not what its bindings say.
            StartError: A function needs what this host does not imitate.
        """
        logging.getLogger("azure.functions").addFilter(lambda record: record.msg not in _TOLD_BY_THE_HOST)
        sys.path.insert(0, str(self._app_directory))
        request = SimpleNamespace(
            properties={"host": "127.0.0.1", "protos": protos},
            request=SimpleNamespace(
                worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(self._app_directory))
            ),
        )
        started: protos.WorkerInitResponse = await runtime.worker_init_request(request)
        if started.result.exception is not None:
            # After an ImportError's own words the worker lists sys.path, which the traceback holds too.
            message = started.result.exception.message.partition(" Current sys.path:")[0]
            raise IndexingError(message, started.result.exception.stack_trace)
        if _HTTP_STREAMS in started.capabilities:
            raise StartError("The app streams HTTP, which this local host does not imitate")
        indexed: protos.FunctionMetadataResponse = await runtime.functions_metadata_request(request)
        if not indexed.function_metadata_results:
            raise IndexingError(f"No functions were found: {self._app_directory} has no function_app.py with one in it")
        functions = tuple(read_function(metadata) for metadata in indexed.function_metadata_results)
        runtime.start_threadpool_executor()
        return functions

    async def invoke(
        self, function: Function, invocation_id: str, value: Datum, metadata: Mapping[str, Datum]
    ) -> WorkerResult:
        """Run a function once, on the runtime's thread pool unless it is async.

        Args:
            function: One that `index` returned.
            invocation_id: Goes into the function's context.
            value: The trigger's value.
            metadata: The trigger's metadata.
        """
        succeeded, returned, _outputs, _text, trace = await invocation_request_native(
            invocation_id, function.function_id, [(function.trigger.name, value)], metadata
        )
        return WorkerResult(succeeded=succeeded, value=returned, trace=trace or "")

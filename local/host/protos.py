"""Plain stand-ins for the protobuf messages that azure-functions-runtime takes and makes.

The runtime is handed this module as its `protos`. Names and numbers are those of FunctionRpc.proto, as far as indexing
uses them; invocation goes through the runtime's native entry, which needs none. A message holds whatever the runtime
puts into it; named here is what this host reads.
"""

from types import SimpleNamespace


class RpcException(SimpleNamespace):
    """An error of the worker."""

    message: str
    stack_trace: str


class StatusResult(SimpleNamespace):
    """Whether a request to the worker succeeded."""

    Failure, Success = 0, 1

    exception: RpcException | None = None


class BindingInfo(SimpleNamespace):
    """One binding; the numbers are of its direction and of its data type."""

    out, inout = 1, 2
    undefined = 0


class RpcRetryOptions(SimpleNamespace):
    """The retry policy of a function."""


class RpcFunctionMetadata(SimpleNamespace):
    """One indexed function; each raw binding is the JSON that function.json would hold."""

    name: str
    function_id: str
    raw_bindings: list[str]
    retry_options: RpcRetryOptions | None


class WorkerMetadata(SimpleNamespace):
    """What the worker says of itself."""


class WorkerInitResponse(SimpleNamespace):
    """The answer to the request that indexes the app."""

    capabilities: dict[str, str]
    result: StatusResult


class FunctionMetadataResponse(SimpleNamespace):
    """The functions that were indexed; None where there is no app or no function in it."""

    function_metadata_results: list[RpcFunctionMetadata] | None

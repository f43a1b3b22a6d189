"""Plain stand-ins for the protobuf messages that azure-functions-runtime takes and makes.

The runtime is handed this module as its `protos`. Names, fields and numbers are those of FunctionRpc.proto, as far as
indexing uses them; invocation goes through the runtime's native entry, which needs none.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class RpcException:
    """An error of the worker."""

    message: str
    stack_trace: str


@dataclass(frozen=True, slots=True)
class StatusResult:
    """Whether a request to the worker succeeded."""

    Failure: ClassVar[int] = 0
    Success: ClassVar[int] = 1

    status: int
    exception: RpcException | None = None


@dataclass(frozen=True, slots=True)
class BindingInfo:
    """One binding, with FunctionRpc.proto's numbers for its direction and data type."""

    out: ClassVar[int] = 1
    inout: ClassVar[int] = 2
    undefined: ClassVar[int] = 0

    type: str
    data_type: int | None
    direction: int


@dataclass(frozen=True, slots=True)
class RpcRetryOptions:
    """The retry policy of a function."""

    max_retry_count: int
    retry_strategy: str
    delay_interval: timedelta | None = None
    minimum_interval: timedelta | None = None
    maximum_interval: timedelta | None = None


@dataclass(frozen=True, slots=True)
class RpcFunctionMetadata:
    """One indexed function; each raw binding is the JSON that function.json would hold."""

    name: str
    function_id: str
    managed_dependency_enabled: bool
    directory: str
    script_file: str
    entry_point: str
    is_proxy: bool
    language: str
    bindings: dict[str, BindingInfo]
    raw_bindings: list[str]
    retry_options: RpcRetryOptions | None
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class WorkerMetadata:
    """What the worker says of itself."""

    runtime_name: str
    runtime_version: str
    worker_version: str
    worker_bitness: str
    custom_properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class WorkerInitResponse:
    """The answer to the request that indexes the app."""

    capabilities: dict[str, str]
    worker_metadata: WorkerMetadata
    result: StatusResult


@dataclass(frozen=True, slots=True)
class FunctionMetadataResponse:
    """The functions that were indexed; None where there is no app or no function in it."""

    use_default_metadata_indexing: bool
    function_metadata_results: list[RpcFunctionMetadata] | None
    result: StatusResult

"""The functions that the worker indexed, typed, and the check that this host can run them."""

from dataclasses import dataclass

import msgspec

from local.host.errors import StartError
from local.host.protos import RpcFunctionMetadata


class HttpTrigger(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="httpTrigger"):
    """Runs on an HTTP request. No methods means every method; no route means the function's name."""

    name: str
    route: str | None = None
    methods: tuple[str, ...] = ()


class QueueTrigger(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="queueTrigger"):
    """Runs once for every message of a queue. The connection is the name of a setting, not its value."""

    name: str
    queue_name: str
    connection: str


class TimerTrigger(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="timerTrigger"):
    """Runs when its NCRONTAB schedule says so."""

    name: str
    schedule: str
    run_on_startup: bool = False


class HttpOutput(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="http"):
    """What an HTTP function returns."""

    name: str


Trigger = HttpTrigger | QueueTrigger | TimerTrigger
_Binding = Trigger | HttpOutput
_DECODER: msgspec.json.Decoder[_Binding] = msgspec.json.Decoder(_Binding)


@dataclass(frozen=True, slots=True)
class Function:
    """One indexed function.

    Args:
        name: As in logs and in /admin/functions.
        function_id: The worker's name for it.
        trigger: With `%SETTING%` as the app wrote it.
        bindings: All of them, as JSON, for /admin/functions.
    """

    name: str
    function_id: str
    trigger: Trigger
    bindings: tuple[msgspec.Raw, ...]


def read_function(metadata: RpcFunctionMetadata) -> Function:
    """Take one function from the worker's metadata.

    Args:
        metadata: What indexing found.

    Raises:
        StartError: It has a trigger, a binding or a retry policy that this host does not imitate; names it.
    """
    if metadata.retry_options is not None:
        raise StartError(f"Functions.{metadata.name} has a retry policy, which this local host does not imitate")
    bindings = [_read_binding(metadata.name, raw) for raw in metadata.raw_bindings]
    triggers = [binding for binding in bindings if not isinstance(binding, HttpOutput)]
    if len(triggers) != 1:
        raise StartError(f"Functions.{metadata.name} has {len(triggers)} triggers instead of one")
    return Function(
        name=metadata.name,
        function_id=metadata.function_id,
        trigger=triggers[0],
        bindings=tuple(msgspec.Raw(raw.encode()) for raw in metadata.raw_bindings),
    )


def _read_binding(function: str, raw: str) -> _Binding:
    try:
        return _DECODER.decode(raw)
    except msgspec.ValidationError as error:
        raise StartError(
            f"Functions.{function} has the binding {raw}, which this local host does not imitate ({error}). It runs "
            "HTTP, queue and timer triggers, and no output but the HTTP answer"
        ) from error

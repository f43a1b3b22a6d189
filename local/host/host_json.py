"""host.json, typed: what of it this host acts on. Other sections are Azure's and are left alone.

https://learn.microsoft.com/azure/azure-functions/functions-host-json and
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec

from local.host.errors import StartError


class TimeSpan(timedelta):
    """A length of time as .NET writes it: [days.]hours:minutes[:seconds[.fraction]]."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a TimeSpan.

        Args:
            text: For example `00:00:30` or `1.12:00:00`.

        Raises:
            ValueError: It is not one.
        """
        parts = re.fullmatch(r"(?:(\d{1,5})\.)?([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d(?:\.\d{1,7})?))?", text)
        if parts is None:
            raise ValueError(f"{text!r} is not a length of time such as 00:00:30")
        days, hours, minutes, seconds = parts.groups(default="0")
        return cls(days=int(days), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


class QueuesOptions(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`extensions.queues`: how the queue trigger takes, repeats and gives up messages.

    Args:
        max_polling_interval: The longest wait between two looks into an empty queue.
        visibility_timeout: How long a failed message stays away before its next try.
        batch_size: How many messages are taken at once, 1 to 32.
        new_batch_threshold: How many may still be running when the next batch is taken; half a batch where not set.
        max_dequeue_count: After how many failures a message goes to the poison queue.
        message_encoding: How message texts are encoded in the queue.
    """

    max_polling_interval: TimeSpan = TimeSpan(minutes=1)
    visibility_timeout: TimeSpan = TimeSpan(0)
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=32)] = 16
    new_batch_threshold: Annotated[int, msgspec.Meta(ge=0)] | None = None
    max_dequeue_count: Annotated[int, msgspec.Meta(ge=1)] = 5
    message_encoding: Literal["base64", "none"] = "base64"

    def __post_init__(self) -> None:
        if self.max_polling_interval < timedelta(milliseconds=100):
            raise ValueError("maxPollingInterval is shorter than 100 ms")

    @property
    def threshold(self) -> int:
        """The new batch threshold, whether set or following from the batch size."""
        return self.batch_size // 2 if self.new_batch_threshold is None else self.new_batch_threshold


class HttpOptions(msgspec.Struct, frozen=True, rename="camel"):
    """`extensions.http`: the prefix of every route, without slashes at its ends."""

    route_prefix: str = "api"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(?:[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)?", self.route_prefix):
            raise ValueError(f"routePrefix {self.route_prefix!r} is not a path without slashes at its ends")


class Extensions(msgspec.Struct, frozen=True):
    """`extensions`."""

    queues: QueuesOptions = QueuesOptions()
    http: HttpOptions = HttpOptions()


class HostJson(msgspec.Struct, frozen=True, rename="camel"):
    """The whole file.

    Args:
        version: Of the schema, always 2.0.
        function_timeout: How long one invocation may take; None, written "-1", for no limit.
        extensions: Per kind of trigger.
    """

    version: Literal["2.0"]
    function_timeout: TimeSpan | None = TimeSpan(minutes=30)
    extensions: Extensions = Extensions()

    def __post_init__(self) -> None:
        if self.function_timeout is not None and self.function_timeout < timedelta(seconds=1):
            raise ValueError("functionTimeout is shorter than a second")


def read_host_json(path: Path) -> HostJson:
    """Read and check a host.json.

    Args:
        path: The file.

    Raises:
        StartError: It cannot be read or holds something that is not what it should be; says where in it.
    """
    try:
        # .NET's reader takes a byte order mark, which editors on Windows like to write.
        raw = msgspec.json.decode(path.read_text(encoding="utf-8-sig"), type=dict[str, Any])
        if raw.get("functionTimeout") == "-1":
            raw["functionTimeout"] = None
        return msgspec.convert(raw, HostJson, dec_hook=_decode)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise StartError(f"{path}: {error}") from error


def _decode(kind: type[TimeSpan], value: object) -> TimeSpan:
    if not isinstance(value, str):
        raise TypeError("a length of time such as 00:00:30 is expected")
    return kind.parse(value)

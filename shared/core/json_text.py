"""Decode JSON from outside into a type, with one error for all that can be wrong with it."""

import threading
from functools import cache
from typing import Any, cast

import msgspec

# msgspec finds out about a Struct when it is first decoded, and shows other threads what it has found by then: two that
# begin with the same one together end the whole process (a segmentation fault; seen with msgspec 0.22.0).
_finding_out = threading.Lock()


class JsonError(ValueError):
    """The text is not JSON, or not of the wanted type; says where, and shows nothing of it but its types."""


def decoded[T](text: bytes, wanted: type[T], *, strict: bool = True) -> T:
    """Return JSON as the wanted type.

    Args:
        text: UTF-8, from anyone.
        wanted: What it must be.
        strict: Whether "1" is no number.

    Raises:
        JsonError: It is not.
    """
    try:
        value: T = _decoder(cast("Any", wanted), strict).decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JsonError(str(error)) from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    return value


@cache
def _decoder(wanted: Any, strict: bool) -> msgspec.json.Decoder[Any]:
    with _finding_out:
        return msgspec.json.Decoder(wanted, strict=strict)

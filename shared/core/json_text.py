"""Make a type of what came from outside: JSON, with one error for all that can be wrong with it, or decoded TOML."""

import json
import threading
from functools import cache
from typing import Any, cast

import msgspec

# How each byte order mark begins.
_MARKS = (b"\xef\xbb", b"\xfe\xff", b"\xff\xfe")
_TIME_WANTED = ("Invalid RFC3339 encoded datetime", "A time must be like 2026-12-01T03:00:00Z")
_DATE_WANTED = ("Invalid RFC3339 encoded date", "A date must be yyyy-mm-dd, without a time")
# msgspec finds out about a Struct when it is first decoded or converted into, and shows other threads what it has found
# by then: two that begin with the same one together end the whole process (a segmentation fault; seen with 0.22.0).
_finding_out = threading.Lock()


class JsonError(ValueError):
    """The text is not JSON, or not of the wanted type; says where, and shows nothing of it but its types."""


def decoded[T](text: bytes, wanted: type[T], *, strict: bool = True) -> T:
    """Return JSON as the wanted type.

    Args:
        text: In any encoding that JSON has had (`as_utf8`), from anyone.
        wanted: What it must be.
        strict: Whether "1" is no number.

    Raises:
        JsonError: It is not.
    """
    try:
        value: T = _decoder(cast("Any", wanted), strict).decode(as_utf8(text))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JsonError(str(error).replace(*_TIME_WANTED).replace(*_DATE_WANTED)) from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    return value


def converted[T](value: object, wanted: type[T]) -> T:
    """Return what was decoded elsewhere (TOML) as the wanted type.

    Raises:
        msgspec.ValidationError: It is not.
    """
    with _finding_out:
        return msgspec.convert(value, wanted)


def as_utf8(text: bytes) -> bytes:
    """Return JSON in plain UTF-8.

    Windows writes a byte order mark, and PowerShell UTF-16. Without a mark, the zeros among the first four bytes tell
    the encoding, since JSON begins with ASCII (RFC 4627, section 3).

    Raises:
        JsonError: It is not what its first bytes say.
    """
    if not (text.startswith(_MARKS) or b"\0" in text[:4]):
        return text
    encoding = json.detect_encoding(text)
    try:
        return text.decode(encoding).lstrip("\ufeff").encode()
    except UnicodeError:
        raise JsonError(f"it begins like {encoding.removesuffix('-sig').upper()}, and is not") from None


@cache
def _decoder(wanted: Any, strict: bool) -> msgspec.json.Decoder[Any]:
    with _finding_out:
        return msgspec.json.Decoder(wanted, strict=strict)

"""Decode JSON from outside into a type, with one error for all that can be wrong with it."""

import msgspec


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
        return msgspec.json.decode(text, type=wanted, strict=strict)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JsonError(str(error)) from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None

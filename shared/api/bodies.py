"""How what the app knows becomes a body of the HTTP API: field by field, under the same names."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from shared.api.scalars import moment_text

if TYPE_CHECKING:
    from msgspec import Struct


def body_of[B: Struct](kind: type[B], *known: object, **others: object) -> B:
    """Return a body that tells what is known: a time as text, and an empty text as null where the field may be null.

    Args:
        kind: The body's type.
        known: Each field is told by the first of these that has it; where the last is None, by nothing, as null.
        others: What stands in fields that none of them has, or that are told otherwise.

    Raises:
        AttributeError: Nothing tells a field.
    """
    told: dict[str, Any] = {**others}
    for name, may_be_null in _fields(kind):
        value = others[name] if name in others else _known(name, known)
        is_empty = may_be_null and value == ""
        told[name] = moment_text(value) if isinstance(value, datetime) else None if is_empty else value
    return kind(**told)


def _known(name: str, known: tuple[object, ...]) -> object:
    source = next((each for each in known if hasattr(each, name)), known[-1])
    return None if source is None else getattr(source, name)


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, bool], ...]:
    """Return the names of a body's fields, and whether each may be null."""
    hints = get_type_hints(kind)
    return tuple((name, NoneType in get_args(hints[name])) for name in kind.__struct_fields__)

"""Tell the shape of what others sent: which keys, which types, how long.

What it says is never quoted: a raw row may hold a signature, a token or a device's id, in a spelling that no filter
knows.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What a name looks like. Keys are shown, unless they could be data themselves: an id has digits, a secret is long.
_NAME = re.compile(r"[@A-Za-z_][A-Za-z_.@ -]{0,39}")
_KEYS_SHOWN = 12
# More is not decoded only to be described.
_DESCRIBED = 1 << 20
_OPENS_JSON = (b"{", b"[", b'"')
# What errors have for people: of the Dev Center, Azure's gateways, Entra, RFC 9457, OData and storage.
_FOR_PEOPLE = {"message", "error_description", "detail", "title", "data", "details", "value"}
_SAID, _DEEPEST = 5, 3
_MESSAGE_IN_XML = re.compile(rb"<(?:\w+:)?Message[^<>]*>([^<>]+)<", re.IGNORECASE)
_SIMPLE = {bool: "true or false", int: "number", float: "number", type(None): "null"}


def shape_of(content: bytes) -> str:
    """Return what an answer, a message or a row looks like."""
    start = content[:100].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")
    length = f"{len(content):,} bytes"
    if not content.strip():
        return f"nothing ({length})" if content else "nothing"
    if start.startswith(b"<"):
        return f"markup of {length}"
    if len(content) > _DESCRIBED:
        return f"{'JSON' if start.startswith(_OPENS_JSON) else 'data'} of {length}"
    try:
        return _described(decoded(content, cast("type[object]", Any)), is_whole=True)
    except JsonError:
        if start.startswith(_OPENS_JSON):
            return f"broken JSON of {length}"
    return f"{'text' if content.isascii() and b'\0' not in content else 'data'} of {length}"


def said_in(content: bytes) -> str:
    """Return what an error says to people, redacted and cut; of anything else its shape.

    Args:
        content: An answer or a part of one: an error of Entra, of the Dev Center or its gateway, or of storage.
    """
    if message := _MESSAGE_IN_XML.search(content[:_DESCRIBED]):
        return excerpt(message[1].decode("utf-8", "replace"))
    try:
        sentences = _sentences(decoded(content[:_DESCRIBED], cast("type[object]", Any)))
        return excerpt("; ".join(islice(sentences, _SAID))) or shape_of(content)
    except JsonError:
        return shape_of(content)


def _sentences(value: object, name: str = "", depth: int = 0) -> Iterator[str]:
    """Yield what is for people by its name, and reads like it."""
    match value:
        case str() if name.lower() in _FOR_PEOPLE and " " in value.strip():
            yield value.strip()
        case list():
            for each in value[:_SAID]:
                yield from _sentences(each, name, depth)
        case dict() if depth < _DEEPEST:
            for key, each in value.items():
                yield from _sentences(each, key, depth + 1)


def _described(value: object, *, is_whole: bool = False) -> str:
    match value:
        case str():
            return f"text of {len(value)}"
        case list():
            first = f", the first {_described(value[0], is_whole=True)}" if is_whole and value else ""
            return f"list of {len(value)}{first}"
        case dict():
            return _object(value) if is_whole else f"object of {len(value)}"
    return _SIMPLE[type(value)]


def _object(value: Mapping[str, object]) -> str:
    keys = [f"{key if _NAME.fullmatch(key) else '…'}: {_described(each)}" for key, each in value.items()]
    more = [f"{len(keys) - _KEYS_SHOWN} more"] if len(keys) > _KEYS_SHOWN else []
    return f"{{{', '.join(keys[:_KEYS_SHOWN] + more)}}}"

r"""Read a text in every spelling that a program may have given it, and know where each character came from.

A secret that is written as `sig\u003d`, `%2573ig=` or `&#115;ig=`, in base64 or over two lines, is as good as a plain
one to whoever finds it. So what looks for secrets looks at copies of a text: as it is, and decoded as often as there is
something to decode.
"""

from __future__ import annotations

import base64
import binascii
import re
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Escapes of JSON, JavaScript, C and Python.
_BACKSLASH = re.compile(
    r"\\(?:u\{0*([0-9a-f]{1,6})\}|u([0-9a-f]{4})|U([0-9a-f]{8})|x([0-9a-f]{2})|(?-i:([nrtvf]))|([0-7]{3})|([\\\"'/]))",
    re.IGNORECASE,
)
# Of URLs.
_PERCENT = re.compile(r"%(?:u([0-9a-f]{4})|([0-9a-f]{2}))", re.IGNORECASE)
# Of HTML and XML, whose semicolon many programs forgive.
_ENTITY = re.compile(
    r"&(#[0-9]{1,7}(?![0-9&%\\])|#x[0-9a-f]{1,6}(?![0-9a-f&%\\])|[a-z]{2,8}[0-9]{0,2});?|<w?br\s*/?>", re.IGNORECASE
)
# A line break, whatever it is made of, with the blanks around it.
_FOLD = re.compile(r"(?<![ \t])[ \t]*[\n\r\v\f\x85\u2028\u2029]\s*")
# What each of these has in it; letters in base64 look like any others.
_ODD = re.compile(r"[\\%&\x00-\x1f]|[^\x00-\x7e]|=(?:3d|2e)|<w?br", re.IGNORECASE)
_BREAK = re.compile(r"\n")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
# Quoted-printable: every equals sign is written as =3D, a dot that has a line to itself as =2E, and a line ends in one.
_PRINTABLE = re.compile(r"=(?:([0-9a-f]{2})|\n)", re.IGNORECASE)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{20,}(?:\n[A-Za-z0-9+/]+)*={0,2}")
# Characters that are looked at in all copies of a text, and what each copy costs at least. A text that needs more is
# made to be looked at for ever.
_MOST_WORK, _EACH = 400_000, 4_000


class TooManyLayersError(Exception):
    """There is more to decode than any honest text has."""


class Copy:
    """A text in another spelling.

    Args:
        text: So spelled; each line break in it, with the blanks around, is one newline.
        starts: Where in the original that begins which a character here stands for.
        ends: Where it ends.
    """

    __slots__ = ("ends", "starts", "text")

    def __init__(self, text: str, starts: list[int], ends: list[int]) -> None:
        self.text, self.starts, self.ends = text, starts, ends

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where in the original a part of this copy stands, which must not be empty."""
        return self.starts[start], self.ends[end - 1]

    def without(self, pattern: re.Pattern[str]) -> Copy:
        """Return this copy without what a pattern finds."""
        return _replaced(self, pattern, lambda _: "")


def is_plain(text: str) -> bool:
    """Tell whether a text cannot be read in any other way than it is."""
    return not _ODD.search(text) and all(_unpacked(run) == run[0] for run in _BASE64.finditer(text))


def copies(text: str) -> Iterator[Copy]:
    """Yield a text as it is but for its line breaks, then decoded once, twice, as long as something is left to decode.

    Args:
        text: Of some KiB: this is work for each character of it.

    Raises:
        TooManyLayersError: It goes on to change.
    """
    todo, known, work = [_tidied(Copy(text, list(range(len(text))), list(range(1, len(text) + 1))))], set[str](), 0
    while todo:
        copy = todo.pop()
        if copy.text in known:
            continue
        known.add(copy.text)
        if (work := work + len(copy.text) + _EACH) > _MOST_WORK:
            raise TooManyLayersError
        yield copy
        # In every order, since an escape may be written in those of another kind, and what is decoded too far may hide
        # where a secret begins or ends. What was broken into lines may be broken within an escape, too.
        for sign, pattern, meaning in _KINDS:
            if sign in copy.text and (other := _replaced(copy, pattern, meaning)) is not copy:
                todo.append(_tidied(other))


def respelled(text: str) -> set[str]:
    """Return how a text reads in each of its copies, and itself."""
    try:
        return {text, *(copy.text for copy in copies(text))}
    except TooManyLayersError:
        return {text}


def _replaced(copy: Copy, pattern: re.Pattern[str], meaning: Callable[[re.Match[str]], str]) -> Copy:
    """Return a copy with another text in place of each that a pattern finds; the very copy where there is none."""
    texts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for found in pattern.finditer(copy.text):
        meant, (start, end) = meaning(found), found.span()
        if meant == found[0]:
            continue
        texts += copy.text[done:start], meant
        starts += copy.starts[done:start]
        ends += copy.ends[done:start]
        starts += [copy.starts[start]] * len(meant)
        ends += [copy.ends[end - 1]] * len(meant)
        done = end
    if not done:
        return copy
    texts.append(copy.text[done:])
    return Copy("".join(texts), starts + copy.starts[done:], ends + copy.ends[done:])


def _tidied(copy: Copy) -> Copy:
    """Take letters that only look like those of ASCII for them, drop what cannot be seen, and mend line breaks."""
    if not copy.text.isascii():
        copy = _replaced(copy, _NOT_ASCII, lambda odd: _ascii(odd[0]))
    return _replaced(copy, _FOLD, lambda _: "\n")


def _character(escape: re.Match[str]) -> str:
    """Return the character whose number an escape tells in one of its groups, in hexadecimal."""
    number = int(next(filter(None, escape.groups())), 16)
    return chr(number) if number <= sys.maxunicode else escape[0]


def _behind_backslash(escape: re.Match[str]) -> str:
    *numbers, control, octal, itself = escape.groups()
    if any(numbers):
        return _character(escape)
    if control:
        return "\n" if control in "nr" else " "
    return chr(int(octal, 8)) if octal else itself


def _printable(escape: re.Match[str]) -> str:
    return _character(escape) if escape[1] else ""


def _entity(escape: re.Match[str]) -> str:
    from html import unescape  # brings two thousand names, which few processes ever ask for

    if not escape[1]:
        return "\n"
    meant = unescape(f"&{escape[1]};")
    return escape[0] if meant == f"&{escape[1]};" else meant


def _unpacked(run: re.Match[str]) -> str:
    packed = run[0].replace("\n", "").rstrip("=")
    # One that was cut off may end anywhere.
    packed = packed[: len(packed) - (len(packed) % 4 == 1)]
    try:
        text = base64.b64decode(packed + "=" * (-len(packed) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return run[0]
    return text if text.isprintable() or "\n" in text else run[0]


def _ascii(character: str) -> str:
    if unicodedata.category(character) == "Cf":
        return ""
    plain = unicodedata.normalize("NFKD", character.casefold())[:1]
    return plain if plain.isascii() else character


# Quoted-printable is known by its spelling of an equals sign or a dot, or by the sign that ends a line.
_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    ("\\", _BACKSLASH, _behind_backslash),
    ("%", _PERCENT, _character),
    ("", _ENTITY, _entity),
    ("", _BASE64, _unpacked),
    *((sign, _PRINTABLE, _printable) for sign in ("=3D", "=3d", "=2E", "=2e", "=\n")),
    ("\n", _BREAK, lambda _: ""),
)

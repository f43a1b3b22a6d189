"""Keep secrets out of everything that people can read."""

import re
import threading
from typing import NamedTuple

from shared.core.spellings import Copy, TooManyLayersError, copies, is_plain, respelled

_MARK = "[redacted]"


class _Kind(NamedTuple):
    """What secrets of one kind look like.

    Args:
        signs: One of these is in every text that holds one, in lower case; they are searched for one by one, since a
            pattern of them all takes ten times as long, and each label of each cab comes by here.
        head: A pattern of what leads to one.
        secret: A pattern of what it may be made of. Both are linear in the text, in which a line break is one newline;
            they are compiled when a text has a sign, which most processes never see.
    """

    signs: str
    head: str
    secret: str


def _folded(*names: str) -> str:
    """Return a pattern of names, each of which may go on in the next line; a `-` in one may be left out."""
    spelled = ("\n?".join("[ _-]?" if letter == "-" else letter for letter in name) for name in names)
    return f"(?:{'|'.join(spelled)})"


_FLAGS = re.IGNORECASE | re.DOTALL
_NAMES = _folded(
    *("device-id", "hardware-id", "account-key", "shared-access-signature", "shared-access-key", "access-token"),
    *("refresh-token", "id-token", "client-secret", "client-assertion", "functions-key", "password"),
)
_KINDS = (
    # A query goes as a whole: a SAS has many parameters and only some are secret, but none is worth a risk, and an
    # unknown API may sign in its own way.
    _Kind("?", r"\?(?=[^ \t\"'<>?=]*=)", r"(?:[^\s\"'<>]|\n)*"),
    # Parameters of a SAS alone.
    _Kind(
        "sig= se= koid= ktid=",
        rf"(?:\b|(?<=u0026)|(?<=x26)){_folded('sig', 'se', 'skoid', 'sktid')}\n?=\n?",
        r"(?:[^\s\"'<>&]|\n)+",
    ),
    # Headers of a request.
    _Kind(
        "bearer sharedkey",
        rf"\b{_folded('bearer', 'sharedkey', 'sharedkeylite')}[\s:=]+",
        r"[A-Za-z0-9._~+/=:\n-]+",
    ),
    _Kind("authorization", rf"\b{_folded('authorization')}[\s\"'\\:=]+[a-z]+\s+", r"(?:[^\s\"',;]|\n)+"),
    # A JSON web token.
    _Kind("eyj", r"\b(?=e\n?y\n?J\n?[A-Za-z0-9_-])", r"[A-Za-z0-9_\n-]+(?:\.[A-Za-z0-9_\n-]*)*"),
    # A name and its value: of JSON, of JSON within JSON, of Python, name=value, and a pair of name and value.
    _Kind(
        "device hardware key signature sig token secret assertion password",
        rf"(?:{_NAMES}s?|\bs\n?i\n?g(?:nature)?\b)\\*[\"']?\s*(?:[:=]>?|,\s*\\*[\"']?value\\*[\"']?\s*[:=])\s*",
        r"[\[{][^\]}]*[\]}]?|(\\*)([\"'])(?:(?!(?<!\\)\1\2).)*|(?:[^\s\"',;}]|\n)+",
    ),
    # The same in XML: an element, and a value in the cell beside its name.
    _Kind("<", rf"<(?:[\w.-]+:)?{_NAMES}s?[^<>]*(?<!/)>", rf".*?(?=</(?:[\w.-]+:)?{_NAMES}|\Z)"),
    _Kind("<", rf"{_NAMES}s?\s*</[^<>]*>\s*<[^/<>][^<>]*>", r"[^<]+"),
    # The user part of a URL.
    _Kind("@", r"[/\\]{2}(?=(?:[^\s\"'<>/\\?#]|\n)*@)", r"(?:[^\s\"'<>/\\?#]|\n)*(?=@)"),
)
_SIGNS = tuple({sign for kind in _KINDS for sign in kind.signs.split()})
# As much of a text is looked at, and the last of it is not shown: what was cut off may be the part that tells a secret.
_LOOKED_AT, _NOT_SHOWN = 16_384, 4_096
_RUN = re.compile(b"\1+")
# What goes on in the spelling of the original where a secret was found in another one.
_REST = re.compile(r"(?:[^\s\"'<>]|[ \t]*[\r\n]+[ \t]*)*")
# A shorter value would take harmless words with it. Passing ones are kept for longer than they are good.
_SHORTEST_KNOWN, _MOST_PASSING = 8, 64
_BLANKS = re.compile(r"\s+")
# As much of the beginning of a known secret gives it away, where somebody has cut it off.
_BEGINNING = 16


class _KnownSecrets:
    """Secrets of this process by their value, without their blanks, and how much of each gives it away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lasting: dict[str, set[str]] = {}
        self._passing: dict[str, set[str]] = {}
        self.beginnings: tuple[tuple[str, str], ...] = ()

    def add(self, secret: str, *, is_passing: bool) -> None:
        with self._lock:
            if secret in self._lasting:
                return
            kept = self._passing if is_passing else self._lasting
            # One that is still given out is among the newest again.
            spelled = self._passing.pop(secret, None)
            kept[secret] = spelled or {"".join(spelling.split()) for spelling in respelled(secret)}
            while len(self._passing) > _MOST_PASSING:
                del self._passing[next(iter(self._passing))]
            # A connection string begins with what is no secret.
            self.beginnings = tuple(
                (value if ";" in value else value[:_BEGINNING], value)
                for value in set[str]().union(*self._lasting.values(), *self._passing.values())
                if len(value) >= _SHORTEST_KNOWN
            )

    def in_copy(self, copy: Copy) -> list[tuple[int, int]]:
        """Return where in the original of a copy one stands, or its beginning."""
        word, found = copy.without(_BLANKS), []
        for beginning, value in self.beginnings:
            place = word.text.find(beginning)
            while place >= 0:
                end = place + len(beginning)
                while end < len(word.text) and word.text[end : end + 1] == value[end - place : end - place + 1]:
                    end += 1
                found.append(word.span(place, end))
                place = word.text.find(beginning, end)
        return found


_known = _KnownSecrets()


def never_show(*secrets: str, is_passing: bool = False) -> None:
    """Replace these values too from now on, whatever surrounds them: an answer may quote a token or a key bare.

    A link that is good for minutes needs none of this: its signature is known by its form, and goes to whoever asks.

    Args:
        secrets: Keys, tokens and connection strings that this process holds. Very short ones are passed over.
        is_passing: Whether they end, and others come in their place: the newest of these are known. The others are,
            as long as the process runs.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_KNOWN:
            _known.add(secret, is_passing=is_passing)


def redact(text: str) -> str:
    """Return the text with every URL query, signature, token, key and device identifier replaced, however spelled.

    Args:
        text: Anything on its way to a log, a table, an error or an HTTP answer. Of a very long one the end is left out.
    """
    if len(text) <= _LOOKED_AT and _is_harmless(text):
        return text
    seen = text[:_LOOKED_AT]
    try:
        secret = _secret_in(seen)
    except TooManyLayersError:
        return f"[redacted: {len(text)} characters in too many layers of escapes]"
    if len(seen) == len(text):
        return _without(text, secret)
    shown = _LOOKED_AT - _NOT_SHOWN
    return f"{_without(seen[:shown], secret[:shown])}… ({len(text)} characters)"


def one_line(text: str) -> str:
    """Return a text that does nothing to a log or a terminal: on one line, and without what cannot be printed."""
    if text.isprintable():
        return text
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Return a text in which what cannot be printed is replaced: half of a surrogate pair could not even be written."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def excerpt(text: str, limit: int = 200) -> str:
    """Return the start of what was seen, redacted and on one line, for use in an error message."""
    # Redacted before it is cut: a cut in the middle of a secret could leave a part that no pattern knows.
    seen = one_line(redact(text))
    return seen if len(seen) <= limit else seen[:limit] + "…"


def _is_harmless(text: str) -> bool:
    """Tell, fast, whether a text holds no secret for sure."""
    if not is_plain(text) or any(beginning in text for beginning, _ in _known.beginnings):
        return False
    lower = text.lower()
    return not any(sign in lower for sign in _SIGNS)


def _secret_in(text: str) -> bytearray:
    """Return which characters are a secret's, as one byte for each.

    Raises:
        TooManyLayersError: The text is made to be looked at for ever.
    """
    secret = bytearray(len(text))
    for number, copy in enumerate(copies(text)):
        for start, end in [*_by_form(copy), *_known.in_copy(copy)]:
            if secret.find(0, start, end) < 0:
                continue
            if number:
                # What a decoded blank or quote seems to end goes on where it is spelled otherwise.
                rest = _REST.match(text, end)
                end = rest.end() if rest else end  # noqa: PLW2901 - the same place, further on
            # The line break behind it stays.
            length = len(text[start:end].rstrip())
            secret[start : start + length] = b"\1" * length
    return secret


def _by_form(copy: Copy) -> list[tuple[int, int]]:
    found, lower = [], copy.text.lower().replace("\n", "")
    for kind in _KINDS:
        if not any(sign in lower for sign in kind.signs.split()):
            continue
        covered, secret = 0, re.compile(kind.secret, _FLAGS)
        for lead in re.finditer(kind.head, copy.text, _FLAGS):
            if lead.end() < covered:
                continue
            value = secret.match(copy.text, lead.end())
            if value and value.end() > value.start():
                covered = value.end()
                found.append(copy.span(value.start(), covered))
    return found


def _without(text: str, secret: bytearray) -> str:
    shown, done = "", 0
    for run in _RUN.finditer(secret):
        shown += text[done : run.start()] + _MARK
        done = run.end()
    return shown + text[done:]

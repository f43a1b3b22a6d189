"""Answers of the Dev Center as they are: keys in any case, null for absent, and an envelope of several spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.core.errors import BadAnswer, BadInput
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.shape import shape_of
from shared.core.values import Immutable, hiding

if TYPE_CHECKING:
    from collections.abc import Callable

# In the order in which they are believed; the first that is not null counts.
_LINKS = ("@nextlink", "nextlink", "@odata.nextlink", "odata.nextlink")

_NO = {"false", "no", "0"}


class Fields:
    """The fields of an object, whose keys may be in any case; null is as if it were not there.

    Raises:
        JsonError: It is no object.
    """

    def __init__(self, content: bytes) -> None:
        self._raw: dict[str, list[bytes]] = {}
        for key, raw in decoded(content, dict[str, msgspec.Raw]).items():
            self._raw.setdefault(key.replace("_", "").strip().lower(), []).append(bytes(raw))

    def has(self, *keys: str) -> bool:
        """Tell whether any of the keys is there, be it null."""
        return not self._raw.keys().isdisjoint(keys)

    @property
    def is_any_there(self) -> bool:
        """Tell whether there is any field that is not null."""
        return any(self.values(*self._raw))

    def values(self, *keys: str) -> list[bytes]:
        """Return what the keys hold, in their order, as JSON."""
        return [raw for key in keys for raw in self._raw.get(key, []) if raw != b"null"]

    def quoted(self, key: str) -> str:
        """Return a field that must be a text; empty where it is none."""
        return next((text for raw in self.values(key) if (text := unquoted(raw))), "")

    def text(self, key: str) -> str:
        """Return a field as a text, whatever it is; empty where it is an object or a list."""
        raw = next(iter(self.values(key)), b"")
        return unquoted(raw) if raw[:1] in {b'"', b"{", b"["} else raw.decode()

    def says_no(self, key: str) -> bool:
        """Tell whether a field says no, however that is spelled."""
        return self.text(key).strip().lower() in _NO

    def number(self, key: str) -> float:
        """Return a field as a number, which may be a fraction; 0 where it is none."""
        try:
            found = float(self.text(key))
        except ValueError:
            return 0.0
        return found if 0.0 <= found < float("inf") else 0.0


class Envelope(Immutable, frozen=True):
    """What every list of the analytics comes in.

    Args:
        rows: Its rows, each still to be read on its own.
        link: Its next link, untrusted; empty where it has none.
        has_link_key: Whether it has a key for one.
        total: Its TotalCount; -1 where it tells none.
    """

    rows: list[msgspec.Raw]
    link: str
    has_link_key: bool
    total: int

    __repr__ = hiding("rows", "link")

    def read[T](
        self, key: str, read: Callable[[Fields], T | None]
    ) -> tuple[tuple[T, ...], list[msgspec.Raw], tuple[str, ...]]:
        """Read each row on its own.

        Args:
            key: The key of its id.
            read: Returns what a row tells, None where it names nothing; raises BadInput where its id is none.

        Returns:
            What they tell; the rows that name nothing; what is wrong with each other, without what it says.
        """
        told: list[T] = []
        nameless: list[msgspec.Raw] = []
        unreadable: list[str] = []
        for row in self.rows:
            try:
                if (one := read(Fields(bytes(row)))) is None:
                    nameless.append(row)
                else:
                    told.append(one)
            except (JsonError, BadInput) as error:
                why = f"its {key} is missing or none" if isinstance(error, BadInput) else excerpt(str(error), 120)
                unreadable.append(f"{why}; its shape: {shape_of(bytes(row))}")
        return tuple(told), nameless, tuple(unreadable)


def envelope_in(body: bytes, what: str, most: int) -> Envelope:
    """Read an envelope of so many rows at most, whose keys are documented in one spelling and seen in others.

    Raises:
        BadAnswer: It is no page.
    """
    try:
        page = Fields(body)
        # Null stands for no rows; a page without the key is none, and decoding nothing says so.
        rows = decoded(next(iter(page.values("value")), b"[]" if page.has("value") else b""), list[msgspec.Raw])
        link = next((text for raw in page.values(*_LINKS) if (text := unquoted(raw))), "")
        if not link:
            for raw in page.values(*_LINKS):
                decoded(raw, str)  # One that is there and cannot be read must not end the batch.
    except JsonError as error:
        raise BadAnswer(
            f"{what}: the answer is not a page ({excerpt(str(error))}); its shape: {shape_of(body)}"
        ) from None
    if len(rows) > most:
        raise BadAnswer(f"{what}: the answer is not a page: it has {len(rows)} rows, {most} were asked for")
    return Envelope(rows, link, page.has(*_LINKS), _total(next(iter(page.values("totalcount")), b"-1")))


def unquoted(raw: bytes) -> str:
    """Return a JSON text; empty where it is none."""
    try:
        return decoded(raw, str)
    except JsonError:
        return ""


def _total(raw: bytes) -> int:
    try:
        return decoded(raw, int, strict=False)
    except JsonError:
        return -1  # It only helps: what cannot be read must not cost the page.

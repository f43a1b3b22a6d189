"""Pages of the cab batch: which cabs Microsoft holds for a failure, and where each can be fetched from for now."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from shared.core.clock import moment_of
from shared.core.errors import BadAnswer, BadInput
from shared.core.failure import checked_cab_id
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.shape import shape_of
from shared.devcenter.client import PAGE_ROWS

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.failure import Failure, Window
    from shared.devcenter.client import DevCenter
    from shared.devcenter.cursor import PageRequest

_log = logging.getLogger(__name__)
# In the order in which they are believed; the first that is not null counts.
_LINKS = ("@nextlink", "nextlink", "@odata.nextlink", "odata.nextlink")
_NO = {"false", "no", "0"}


@dataclass(frozen=True, slots=True)
class BatchCab:
    """One row of the batch: a cab as the API names it.

    Args:
        cab_id_hash: The cab's identity. Rows can repeat or shift between pages; this cannot.
        url: The cabUrl, byte for byte; None where the row has none. Its SAS is minted per request and lives days.
        submission_id: As the API names it.
        date: When the crash was collected, as the API spells it (no zone: UTC).
        expires: cabExpirationTime, as the API spells it; Microsoft deletes the cab then.
        downloadable: False where Microsoft lists the cab but does not let it go.
    """

    cab_id_hash: str
    url: str | None = field(repr=False)
    submission_id: str
    date: str
    expires: str
    downloadable: bool

    def has_expired(self, now: datetime) -> bool:
        """Tell whether the cab is past its cabExpirationTime; a time that cannot be read has not come."""
        moment = moment_of(self.expires)
        return moment is not None and moment <= now


@dataclass(frozen=True, slots=True)
class BatchPage:
    """One page of the batch.

    Args:
        rows: How many rows it has, readable or not.
        cabs: Its readable rows.
        unreadable: What was wrong with each other row, and its shape.
        link: Its next link, untrusted; empty where it has none.
        has_link_key: Whether it has a key for one.
        total: Its TotalCount; -1 where it tells none.
    """

    rows: int
    cabs: tuple[BatchCab, ...]
    unreadable: tuple[str, ...]
    link: str = field(repr=False)
    has_link_key: bool
    total: int


class CabBatch:
    """The batch of one failure and window: where the cabs of drivers come from.

    Args:
        devcenter: The API.
        failure: Whose cabs.
        window: Days of the cabs.
    """

    def __init__(self, devcenter: DevCenter, failure: Failure, window: Window) -> None:
        self._devcenter, self._failure, self._window = devcenter, failure, window

    def page(self, request: PageRequest) -> BatchPage:
        """Fetch a page. The URLs in it are fresh each time.

        Args:
            request: Which page. A link that leads away from our host is not followed: the rows behind it are still ours
                to fetch, by counting.

        Raises:
            CabferryError: As `DevCenter.fetch_page`.
        """
        what = f"the cab batch of {self._failure} after {request.skip} rows"
        url = self._devcenter.batch_url(self._failure, self._window, request.skip)
        if request.link:
            try:
                url = self._devcenter.next_url(request.link)
            except BadInput as error:
                _log.warning("%s; %s goes on by counting", error, what)
        return _decoded(self._devcenter.fetch_page(url, what, self._failure.application_id), what)

    def url(self, cab: BatchCab) -> str:
        """Return where a cab can be fetched from: its row tells.

        Raises:
            BadInput: Its row has no URL.
        """
        if cab.url is None:
            raise BadInput(f"cab {cab.cab_id_hash}: its row of the batch has no cabUrl")
        return cab.url


def rows_on_page(body: bytes, what: str) -> int:
    """Return how many rows a page of the batch has.

    Args:
        body: The answer.
        what: Names it in errors.

    Raises:
        BadAnswer: It is no page.
    """
    return _decoded(body, what).rows


def _cabs(rows: list[msgspec.Raw]) -> tuple[tuple[BatchCab, ...], tuple[str, ...]]:
    """Return the readable rows, and what was wrong with each other."""
    cabs: list[BatchCab] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            cabs.append(_cab(bytes(row)))
        except (JsonError, BadInput) as error:
            why = "its cabIdHash is missing or none" if isinstance(error, BadInput) else excerpt(str(error), 120)
            unreadable.append(f"{why}; its shape: {shape_of(bytes(row))}")
    return tuple(cabs), tuple(unreadable)


def _cab(row: bytes) -> BatchCab:
    told = _Fields(row)
    return BatchCab(
        cab_id_hash=checked_cab_id(told.quoted("cabidhash")),
        url=told.quoted("caburl") or None,
        submission_id=told.text("submissionid"),
        date=told.text("date"),
        expires=told.text("cabexpirationtime"),
        downloadable=told.text("cabdownloadable").strip().lower() not in _NO,
    )


class _Fields:
    """The fields of an object, whose keys may be in any case; null is as if it were not there.

    Raises:
        JsonError: It is no object.
    """

    def __init__(self, content: bytes) -> None:
        self._raw: dict[str, list[bytes]] = {}
        for key, raw in decoded(content, dict[str, msgspec.Raw]).items():
            self._raw.setdefault(key.replace("_", "").lower(), []).append(bytes(raw))

    def has(self, *keys: str) -> bool:
        """Tell whether any of the keys is there, be it null."""
        return not self._raw.keys().isdisjoint(keys)

    def values(self, *keys: str) -> list[bytes]:
        """Return what the keys hold, in their order, as JSON."""
        return [raw for key in keys for raw in self._raw.get(key, []) if raw != b"null"]

    def quoted(self, key: str) -> str:
        """Return a field that must be a text; empty where it is none."""
        return next((text for raw in self.values(key) if (text := _unquoted(raw))), "")

    def text(self, key: str) -> str:
        """Return a field as a text, whatever it is; empty where it is an object or a list."""
        raw = next(iter(self.values(key)), b"")
        return _unquoted(raw) if raw[:1] in {b'"', b"{", b"["} else raw.decode()


def _unquoted(raw: bytes) -> str:
    try:
        return decoded(raw, str)
    except JsonError:
        return ""


def _decoded(body: bytes, what: str) -> BatchPage:
    """Read the envelope, whose keys are documented in one spelling and seen in others; each row is read on its own."""
    try:
        page = _Fields(body)
        # Null stands for no rows; a page without the key is none, and decoding nothing says so.
        rows = decoded(next(iter(page.values("value")), b"[]" if page.has("value") else b""), list[msgspec.Raw])
        link = next((text for raw in page.values(*_LINKS) if (text := _unquoted(raw))), "")
        if not link:
            for raw in page.values(*_LINKS):
                decoded(raw, str)  # One that is there and cannot be read must not end the batch.
    except JsonError as error:
        raise BadAnswer(
            f"{what}: the answer is not a page ({excerpt(str(error))}); its shape: {shape_of(body)}"
        ) from None
    if len(rows) > PAGE_ROWS:
        raise BadAnswer(f"{what}: the answer is not a page: it has {len(rows)} rows, {PAGE_ROWS} were asked for")
    total = next(iter(page.values("totalcount")), b"-1")
    return BatchPage(len(rows), *_cabs(rows), link, page.has(*_LINKS), _total(total))


def _total(raw: bytes) -> int:
    try:
        return decoded(raw, int, strict=False)
    except JsonError:
        return -1  # It only helps: what cannot be read must not cost the page.

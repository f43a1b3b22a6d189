"""Pages of the cab batch: which cabs Microsoft holds for a failure, and where each can be fetched from for now."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from shared.devcenter import PAGE_ROWS, DevCenter
from shared.errors import BadAnswer, BadInput
from shared.failure import Failure, Window, checked_cab_id
from shared.redaction import excerpt

_log = logging.getLogger(__name__)


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
    url: str | None
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
        skip: How many rows came before it.
        rows: How many rows it has, readable or not.
        cabs: Its readable rows.
        unreadable: What was seen in each other row, redacted.
        is_last: Whether nothing comes after it.
    """

    skip: int
    rows: int
    cabs: tuple[BatchCab, ...]
    unreadable: tuple[str, ...]
    is_last: bool


def batch_pages(devcenter: DevCenter, failure: Failure, window: Window, skip: int) -> Iterator[BatchPage]:
    """Yield the pages of a failure's batch, from a checkpoint to the end.

    Follows the next link where there is one on our host. Where there is none, TotalCount tells whether more rows
    exist. A full page with neither is asked on, unless an earlier page showed that this server does send links: a cab
    must not be missed because the documentation does not say what the link's key is.

    Args:
        devcenter: The API.
        failure: Whose cabs.
        window: Days of the cabs.
        skip: Rows that earlier pages had.

    Raises:
        CabferryError: As `DevCenter.fetch_page`.
    """
    url, asked, links_seen = devcenter.batch_url(failure, window, skip), set[str](), False
    while True:
        asked.add(url)
        what = f"the cab batch of {failure} after {skip} rows"
        wire = _decoded(devcenter.fetch_page(url, what), what)
        links_seen = links_seen or wire.has_link_key
        end = skip + len(wire.rows)
        more = (
            bool(wire.link) or wire.total > end or (len(wire.rows) >= PAGE_ROWS and wire.total < 0 and not links_seen)
        )
        more = more and bool(wire.rows)
        yield _page(skip, wire.rows, is_last=not more)
        if not more:
            return
        skip, url = end, _following(devcenter, wire.link, failure, window, end)
        if url in asked:
            raise BadAnswer(f"{what}: its next link leads back to a page that was already read")


def fresh_cabs(devcenter: DevCenter, failure: Failure, window: Window, skip: int) -> dict[str, BatchCab]:
    """Ask for one page again, for the fresh SAS in its cabUrls.

    Args:
        devcenter: The API.
        failure: Whose cabs.
        window: As the page was asked for.
        skip: As the page was asked for.
    """
    return {cab.cab_id_hash: cab for cab in next(batch_pages(devcenter, failure, window, skip)).cabs}


def moment_of(text: str) -> datetime | None:
    """Return a time of the API (`2017-05-07 13:53:43`, or ISO 8601) in UTC; None where it is not one."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _following(devcenter: DevCenter, link: str, failure: Failure, window: Window, skip: int) -> str:
    if link:
        try:
            return devcenter.next_url(link)
        except BadInput as error:
            # The rows after it are still ours to fetch, by counting on our own host.
            _log.warning("%s; the batch of %s goes on with skip=%d instead", error, failure, skip)
    return devcenter.batch_url(failure, window, skip)


def _page(skip: int, rows: list[msgspec.Raw], *, is_last: bool) -> BatchPage:
    cabs: list[BatchCab] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            cabs.append(_cab(bytes(row)))
        except (msgspec.DecodeError, UnicodeDecodeError, BadInput) as error:
            unreadable.append(f"{excerpt(str(error), 120)}; seen: {excerpt(bytes(row).decode('utf-8', 'replace'))}")
    return BatchPage(skip, len(rows), tuple(cabs), tuple(unreadable), is_last)


def _cab(row: bytes) -> BatchCab:
    wire = msgspec.json.decode(row, type=_WireCab)
    return BatchCab(
        cab_id_hash=checked_cab_id(wire.cab_id_hash),
        url=wire.cab_url or None,
        submission_id=wire.submission_id or "",
        date=wire.date or "",
        expires=wire.cab_expiration_time or "",
        downloadable=wire.cab_downloadable is not False,
    )


class _WireCab(msgspec.Struct, rename="camel"):
    cab_id_hash: str
    cab_url: str | None = None
    submission_id: str | None = None
    date: str | None = None
    cab_expiration_time: str | None = None
    cab_downloadable: bool | None = None


@dataclass(frozen=True, slots=True)
class _WirePage:
    rows: list[msgspec.Raw]
    link: str
    has_link_key: bool
    total: int


def _decoded(body: bytes, what: str) -> _WirePage:
    """Read the envelope, whose keys are documented in one spelling and seen in others; each row is read on its own."""
    try:
        keys = {key.lower(): raw for key, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}
        if "value" not in keys:
            raise msgspec.ValidationError("it has no key Value")
        rows = msgspec.json.decode(keys["value"], type=list[msgspec.Raw] | None) or []
        link_key = next((key for key in ("@nextlink", "nextlink", "@odata.nextlink") if key in keys), None)
        link = msgspec.json.decode(keys[link_key], type=str | None) if link_key else None
        total = msgspec.json.decode(keys.get("totalcount", msgspec.Raw(b"null")), type=int | None, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        seen = excerpt(body.decode("utf-8", "replace"))
        raise BadAnswer(f"{what}: the answer is not a page ({excerpt(str(error))}); seen: {seen}") from None
    return _WirePage(rows, link or "", link_key is not None, -1 if total is None else total)

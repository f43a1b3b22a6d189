"""A row of the table `cabs`: what became of a cab, what the report told of it, and the columns that say so."""

from __future__ import annotations

from copy import replace
from enum import StrEnum
from sys import intern
from typing import TYPE_CHECKING

from msgspec.structs import astuple

from shared.core import clock
from shared.core.facts import NO_FACTS, CabFacts
from shared.core.failure import normal_id
from shared.core.values import Mutable
from shared.storage.table_writes import NO_MOMENT, Columns, Long, Write, column_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.storage.table_rows import Row

# As the policy of a pull and the table of refusals say it.
_NOT_LET_GO = "does not let it be downloaded"
FACT_COLUMNS = tuple(map(column_of, CabFacts.__struct_fields__))
COLUMNS = ("state", "blobName", "length", "md5", "settledAt", "error", "date", "expiry", *FACT_COLUMNS)


class CabState(StrEnum):
    """What became of a cab."""

    LISTED = "listed"
    COPIED = "copied"
    EXPIRED = "expired"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    RETIRED = "retired"
    SKIPPED = "skipped"


class CabRow(Mutable):
    """One row of the table, decoded, as a pull works on it.

    Args:
        state: What became of the cab so far.
        blob_name: Where it stands in the container; empty until it does.
        length: Its bytes; None until the container was read back.
        md5: Its Content-MD5 in the container as hexadecimal digits; empty where the source had none.
        settled_at: When it came into its state.
        error: Why it is expired, unavailable or failed, or the rule that skips it.
        facts: What a report, or the cab's own row, told.
        tells_facts: Whether they are still to be written: a report's are in the table already.
        date: As the API spells it; empty until a batch named the cab.
        expires: cabExpirationTime, as the batch or a report told it.
        row_key: The RowKey where it is not the cabIdHash in its normal form, as an earlier version may have written it;
            empty elsewhere.
        version: The row's etag where it was read by itself; empty elsewhere.
    """

    state: CabState
    blob_name: str = ""
    length: int | None = None
    md5: str = ""
    settled_at: datetime | None = None
    error: str = ""
    facts: CabFacts = NO_FACTS
    date: datetime | None = None
    expires: datetime | None = None
    row_key: str = ""
    tells_facts: bool = False
    version: str = ""

    @classmethod
    def of(cls, row: Row) -> CabRow:
        """Decode a row of the table."""
        # Facts repeat from cab to cab; interned, ten thousand rows share a handful of strings.
        facts = CabFacts(*(intern(row.text(name)) for name in FACT_COLUMNS))
        return cls(
            state=CabState(row.text("state")),
            blob_name=row.text("blobName"),
            length=row.number("length") if "length" in row.columns else None,
            md5=row.text("md5"),
            settled_at=row.moment("settledAt"),
            error=row.text("error"),
            facts=NO_FACTS if facts == NO_FACTS else facts,
            date=row.moment("date"),
            expires=row.moment("expiry"),
            row_key="" if row.key == cab_of(row) else row.key,
        )

    @property
    def is_held(self) -> bool:
        """Tell whether the cab was copied once, though the retention rule may have removed it since."""
        return self.state in {CabState.COPIED, CabState.RETIRED}

    @property
    def was_replaced(self) -> bool:
        """Tell whether somebody else's blob has taken the place of its copy."""
        return self.state is CabState.FAILED and bool(self.blob_name)

    def learn(self, facts: CabFacts, date: datetime | None, expires: datetime | None) -> bool:
        """Take what the batch tells of the cab and nobody told when it was copied; tell whether that was anything."""
        before = self.facts, self.date, self.expires
        self.facts, self.date, self.expires = self.facts.completed(facts), self.date or date, self.expires or expires
        self.tells_facts = self.tells_facts or self.facts != before[0]
        return (self.facts, self.date, self.expires) != before

    @property
    def was_never_let_go(self) -> bool:
        """Tell whether Microsoft listed the cab and let nobody have it; one whose source is gone may have been had."""
        return self.state is CabState.UNAVAILABLE and _NOT_LET_GO in self.error

    def became(self, state: CabState, error: str = "") -> CabRow:
        """Return the row in another state."""
        return replace(self, state=state, error=error)


def cab_of(row: Row) -> str:
    """Return the cabIdHash of a row, in its normal form whatever its key is."""
    return normal_id(row.key) or row.key


def by_cab(rows: Iterable[Row]) -> dict[str, CabRow]:
    """Return the row of each cab of a failure by its cabIdHash in normal form.

    Where an earlier version wrote two rows of one cab, in two spellings, the one that tells of a blob counts.
    """
    found: dict[str, CabRow] = {}
    for row in rows:
        cab, decoded = cab_of(row), CabRow.of(row)
        if cab not in found or (decoded.is_held and not found[cab].is_held):
            found[cab] = decoded
    return found


def end_columns(row: CabRow) -> Columns:
    """Return the columns of what became of a cab."""
    return {"state": row.state.value, "error": row.error, "settledAt": row.settled_at or clock.now()}


def all_columns(row: CabRow) -> Columns:
    """Return the columns of a row; what a report told is left alone where nobody told more."""
    optional = {"length": Long(row.length) if row.length is not None else None, "date": row.date, "expiry": row.expires}
    facts = _told(row.facts) if row.tells_facts else {}
    own = {**end_columns(row), "blobName": row.blob_name, "md5": row.md5}
    return {**own, **facts, **{name: value for name, value in optional.items() if value is not None}}


def listed_columns(facts: CabFacts, expires: datetime | None) -> Columns:
    """Return the columns that a report tells of a cab."""
    # What nobody believes is not kept: some table services refuse a time before 1601.
    return {**_told(facts), **({"expiry": expires} if expires and expires > NO_MOMENT else {})}


def naming_write(row: Row | None, key: str, told: Columns, skipped: str) -> Write | None:
    """Return what makes a row tell what a report does; None where it does."""
    if row is None:
        state = {"state": CabState.SKIPPED.value, "error": skipped} if skipped else {"state": CabState.LISTED.value}
        return Write(key, {**state, "settledAt": clock.now(), **told}, "insert")
    lacks = {name: value for name, value in told.items() if not row.columns.get(name)}
    return Write(key, lacks, "merge", row.etag) if lacks else None


def _told(facts: CabFacts) -> Columns:
    return {name: value for name, value in zip(FACT_COLUMNS, astuple(facts), strict=True) if value}

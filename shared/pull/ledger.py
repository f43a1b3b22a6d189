"""The ledger of one pull: what is known of each cab of the failure, in memory and in the table.

It holds some hundred bytes for each cab of the one failure at hand, and nothing of any other.
"""

from __future__ import annotations

from collections import Counter
from copy import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import batched, islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.cabs.identity import MOVE_IT_AWAY, still_in_the_way
from shared.cabs.labels import completed
from shared.core import clock
from shared.core.clock import moment_of
from shared.core.facts import NO_FACTS
from shared.progress.cab_row import CabRow, CabState
from shared.progress.pull_row import CabCounts
from shared.pull.keeping import candidates, why_skipped
from shared.storage.table_writes import TRANSACTION_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Executor

    from shared.cabs.container import StoredCab
    from shared.cabs.creation import Copied
    from shared.cabs.naming import Unnamed
    from shared.core.facts import CabFacts
    from shared.core.failure import Failure
    from shared.core.keep import Candidate
    from shared.devcenter.pages import BatchCab
    from shared.progress.cabs import CabRows
    from shared.pull.keeping import Keeping
    from shared.pull.state import Checkpoint

# Storage tells a blob's age by a clock of its own.
_CLOCKS_APART = timedelta(minutes=5)

# A blob says otherwise: a pull that died had copied it, and had no time to say so.
_NOT_THERE = {CabState.LISTED, CabState.EXPIRED, CabState.UNAVAILABLE, CabState.FAILED, CabState.SKIPPED}
# No work of a pull, though it may have retired a cab itself, before it had to begin again for another one.
_FOUND = {CabState.RETIRED, CabState.SKIPPED}


class CabLedger:
    """Know what is held, record what becomes of each cab, and compare it with the container.

    Args:
        rows: The table.
        failure: Whose cabs.
        started_at: When this pull first ran. What was settled since then is its work, though a crash came between.
        writers: Runs transactions side by side.
    """

    def __init__(self, rows: CabRows, failure: Failure, started_at: datetime, writers: Executor) -> None:
        self._rows, self._failure, self._started_at, self._writers = rows, failure, started_at, writers
        self.cabs: dict[str, CabRow] = {}
        self._is_loaded = False
        self._unwritten: set[str] = set()
        # What no row tells: the cabs that the batch has named, in its order, and those that this run found or brought.
        self.named: dict[str, None] = {}
        self._copied: set[str] = set()
        # Blobs of which more is known than they tell, as the last read-back found.
        self.unnamed: list[Unnamed] = []

    def load(self, rows: Iterable[tuple[str, CabRow]] | None = None) -> None:
        """Take the failure's rows in.

        Args:
            rows: cabIdHash and row, where somebody has read them; None reads them: one query.
        """
        self.cabs = dict(self._rows.of(self._failure) if rows is None else rows)
        self._is_loaded = True

    def see(self, cab: BatchCab) -> None:
        """Note that the batch names a cab, and take what it tells of one that is held and was copied without that."""
        self.named[cab.cab_id_hash] = None
        known = self.cabs.get(cab.cab_id_hash)
        if known and known.is_held and known.learn(cab.facts, moment_of(cab.date), moment_of(cab.expires)):
            self._unwritten.add(cab.cab_id_hash)

    def skip(self, keeping: Keeping, named: Mapping[str, Candidate] = MappingProxyType({})) -> dict[str, str]:
        """Record which cabs the rules skip by now, and which no longer, and return those with the reasons.

        Args:
            keeping: What is kept of the failure.
            named: What rules look at of cabs that the batch names, which knows more of them than their rows.
        """
        skipped = keeping.skipped({**candidates(self.cabs), **named})
        for cab, row in keeping.changed(self.cabs, skipped).items():
            self._settle(cab, row)
        return skipped

    def pass_over(self, cab: BatchCab, reason: str) -> None:
        """Record that a cab which the batch names is left uncopied on purpose, and why."""
        known = self.cabs.get(cab.cab_id_hash)
        why = why_skipped(known, reason) if known else reason
        if known is None or (known.state, known.error, known.date) != (CabState.SKIPPED, why, moment_of(cab.date)):
            self.record_missed(cab, CabState.SKIPPED, why)

    def facts(self, cab: BatchCab) -> CabFacts:
        """Return what its own row, or a report, told of a cab."""
        known = self.cabs.get(cab.cab_id_hash)
        return known.facts if known and cab.facts == NO_FACTS else cab.facts

    def record_copied(self, cab: BatchCab, blob_name: str, copied: Copied) -> None:
        """Record that a cab is in the container."""
        row = CabRow(CabState.COPIED, blob_name, copied.length, copied.md5, error=copied.note)
        self._settle(cab.cab_id_hash, _dated(row, cab), self._there_since(copied.since) if copied.since else None)

    def record_missed(self, cab: BatchCab, state: CabState, error: str) -> None:
        """Record that a cab is not in the container, and why; a blob that was in its way still is somebody else's."""
        known = self.cabs.get(cab.cab_id_hash)
        told = still_in_the_way(known.error, error) if known else error
        self._settle(cab.cab_id_hash, _dated(CabRow(state, error=told), cab))

    @property
    def unwritten(self) -> int:
        """Return how many rows the table does not have as they are here."""
        return len(self._unwritten)

    @property
    def is_written(self) -> bool:
        """Tell whether the rows were read, and the table has them as they are here."""
        return self._is_loaded and not self._unwritten

    def write(self) -> None:
        """Write what was recorded since the last time: one transaction for each 100 cabs."""
        rows = [(cab, self.cabs[cab]) for cab in sorted(self._unwritten)]
        list(self._writers.map(partial(self._rows.write, self._failure), batched(rows, TRANSACTION_ROWS, strict=False)))
        self._unwritten.clear()

    def copied(self) -> Iterator[tuple[str, CabRow]]:
        """Yield the cabs that were found to be in the container, or came there, as the table has them."""
        for cab, row in self.cabs.items():
            if row.state is CabState.COPIED and cab in self._copied and cab not in self._unwritten:
                yield cab, row

    def read_back(self, stored: Iterable[StoredCab], retention: timedelta) -> list[str]:
        """Compare with what the container really holds, and take lengths and MD5s from it.

        A held cab whose blob the retention rule may have removed becomes `retired`. One that is missing before its time
        becomes `listed` again, so that the next try copies it. A blob whose row was lost in a crash gets one.

        Args:
            stored: The listing of the failure's prefix, begun after the rows were read.
            retention: The age at which its lifecycle rule removes a blob.

        Returns:
            One sentence for each cab that is missing, or has a page or nothing in its place.
        """
        expected = {row.blob_name: cab for cab, row in self.cabs.items() if row.state is CabState.COPIED}
        missing: list[str] = []
        self.unnamed = []
        for blob in stored:
            cab = expected.pop(blob.name, None)
            if cab and blob.why_no_cab:
                missing.append(f"{blob.name} {blob.why_no_cab}, which is no cab")
                self._settle(cab, self.cabs[cab].became(CabState.LISTED, missing[-1]))
            elif cab:
                self._compare(cab, self.cabs[cab], blob)
            elif not blob.why_no_cab:
                self._adopt(blob)
            row = self.cabs.get(blob.cab_id_hash)
            if row and blob.metadata and (labels := completed(self._failure, blob.metadata, row)):
                self.unnamed.append((blob.name, labels))
        for name, cab in expected.items():
            row = self.cabs[cab]
            retired = (row.settled_at or self._started_at) + retention <= clock.now() + _CLOCKS_APART
            if not retired:
                missing.append(f"{name} was copied, but is not in the container")
            self._settle(cab, row.became(CabState.RETIRED if retired else CabState.LISTED))
        return missing

    def missed_before(self, *, was_read_whole: bool) -> list[str]:
        """Return one sentence for each cab that an earlier read-back missed, and that no page of this run has named.

        Args:
            was_read_whole: Whether this run began with the first row: what it was not told of, the batch does not name
                any more. Nobody goes back for such a cab, or a pull that has to wait for another one would do so for
                ever.
        """
        missed = {
            cab: row.blob_name
            for cab, row in self.cabs.items()
            if row.state is CabState.LISTED and row.blob_name and cab not in self.named
        }
        if was_read_whole:
            for cab in missed:
                self.cabs[cab].blob_name = ""
            self._unwritten |= missed.keys()
            return []
        return [f"{name} was copied, and is still to be copied again" for name in missed.values()]

    def counts(self, at: Checkpoint) -> CabCounts:
        """Return what this pull found and did, from the rows, so that no crash can make it wrong.

        Args:
            at: Up to where in the batch what was found there counts. What comes behind is found again by a later try.
        """
        mine = {cab: row for cab, row in self.cabs.items() if self._is_mine(row)}
        brought = Counter([row.state for row in mine.values()])
        there = Counter([row.state for cab, row in self.cabs.items() if cab not in mine])
        found = (cab for cab in islice(self.named, at.named) if cab in self.cabs and cab not in mine)
        named = Counter([self.cabs[cab].state for cab in found])
        # Rows can come again after a checkpoint, which knows how many were there before it, and not which.
        passed_over = min(at.before.seen - _settled(at.before) + named[CabState.SKIPPED], there[CabState.SKIPPED])
        counts = CabCounts(
            copied=brought[CabState.COPIED],
            already_held=min(at.before.already_held + _held(named), _held(there)),
            expired=brought[CabState.EXPIRED] + named[CabState.EXPIRED],
            unavailable=brought[CabState.UNAVAILABLE],
            failed=brought[CabState.FAILED] + at.unreadable,
            bytes=sum([row.length or 0 for row in mine.values() if row.state is CabState.COPIED]),
            unreadable=at.unreadable,
        )
        return replace(counts, seen=_settled(counts) + passed_over)

    def first_error(self) -> str:
        """Return why a cab of this pull failed, empty where none did."""
        failed = (row for row in self.cabs.values() if row.state is CabState.FAILED and self._is_mine(row))
        return next((row.error for row in failed), "")

    def _is_mine(self, row: CabRow) -> bool:
        """Tell whether a row is this pull's work."""
        return row.settled_at is not None and row.settled_at >= self._started_at and row.state not in _FOUND

    def _settle(self, cab_id_hash: str, row: CabRow, settled_at: datetime | None = None) -> None:
        """Put a row in the place of what was known."""
        row.settled_at = settled_at or clock.now()
        if before := self.cabs.get(cab_id_hash):
            row.row_key, row.facts = before.row_key, row.facts if row.tells_facts else before.facts
        self.cabs[cab_id_hash] = row
        self._unwritten.add(cab_id_hash)
        if row.state is CabState.COPIED:
            self._copied.add(cab_id_hash)

    def _compare(self, cab: str, row: CabRow, blob: StoredCab) -> None:
        if row.length is None:
            row.length, row.md5 = blob.length, row.md5 or blob.md5
            self._unwritten.add(cab)
        elif row.length != blob.length or (row.md5 and blob.md5 and row.md5 != blob.md5):
            error = (
                f"{blob.name} has {blob.length} bytes and MD5 {blob.md5 or 'unknown'}, but was copied with "
                f"{row.length} and {row.md5 or 'unknown'}: somebody replaced it; {MOVE_IT_AWAY}"
            )
            self._settle(cab, row.became(CabState.FAILED, error))

    def _adopt(self, blob: StoredCab) -> None:
        if not (cab := blob.cab_id_hash):
            return
        known = self.cabs.get(cab)
        if known is None or (known.state in _NOT_THERE and not _is_anothers(known, blob)):
            row = CabRow(CabState.COPIED, blob.name, blob.length, blob.md5)
            self._settle(cab, row, self._there_since(blob.created_at))

    def _there_since(self, made_at: datetime) -> datetime:
        """Return when a blob that was found came there: the lifecycle rule counts from when it was made.

        One that may have been made since this pull began is its work.
        """
        return made_at if made_at + _CLOCKS_APART < self._started_at else max(made_at, self._started_at)


def _is_anothers(known: CabRow, blob: StoredCab) -> bool:
    """Tell whether a blob is no copy of a cab of which no answer came, but was in its way, or has replaced it."""
    is_newer = known.settled_at is not None and blob.created_at > known.settled_at
    return known.was_replaced or (MOVE_IT_AWAY in known.error and not is_newer)


def _settled(counts: CabCounts) -> int:
    return counts.copied + counts.already_held + counts.expired + counts.unavailable + counts.failed


def _held(states: Counter[CabState]) -> int:
    return states[CabState.COPIED] + states[CabState.RETIRED]


def _dated(row: CabRow, cab: BatchCab) -> CabRow:
    row.date, row.expires = moment_of(cab.date), moment_of(cab.expires)
    if cab.facts != NO_FACTS:
        row.facts, row.tells_facts = cab.facts, True
    return row

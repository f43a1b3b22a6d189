"""The ledger of one pull: what is known of each cab of the failure, in memory and in the table.

It holds some hundred bytes for each cab of the one failure at hand, and nothing of any other.
"""

from __future__ import annotations

from collections import Counter
from copy import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import batched
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.cabs.identity import MOVE_IT_AWAY
from shared.cabs.labels import completed
from shared.core import clock
from shared.core.clock import moment_of
from shared.core.facts import NO_FACTS
from shared.progress.cabs import CabRow, CabState
from shared.progress.pull_row import CabCounts
from shared.progress.tally import CabTally
from shared.pull.keeping import candidates
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
    from shared.core.settings import Settings
    from shared.devcenter.pages import BatchCab
    from shared.progress.cabs import CabRows
    from shared.pull.keeping import Keeping
    from shared.storage.table_writes import Columns

# Storage tells a blob's age by a clock of its own.
_CLOCKS_APART = timedelta(minutes=5)

# A blob says otherwise: a pull that died had copied it, and had no time to say so.
_NOT_THERE = {CabState.LISTED, CabState.EXPIRED, CabState.UNAVAILABLE, CabState.SKIPPED}


class CabLedger:
    """Know what is held, record what becomes of each cab, and compare it with the container.

    Args:
        rows: The table.
        failure: Whose cabs.
        started_at: When this pull first ran. What was settled since then is its work, though a crash came between.
        before: The counts at the checkpoint that it goes on from.
        writers: Runs transactions side by side.
    """

    def __init__(
        self,
        rows: CabRows,
        failure: Failure,
        started_at: datetime,
        before: CabCounts,
        writers: Executor,
    ) -> None:
        self._rows, self._failure, self._started_at = rows, failure, started_at
        self._before, self._writers = before, writers
        self._cabs: dict[str, CabRow] = {}
        self._unwritten: set[str] = set()
        self._seen: set[str] = set()
        self._seen_over: set[str] = set()
        self._tally: Counter[CabState] = Counter()
        self._bytes = 0
        self._copied: set[str] = set()
        self._already_held, self._held_before = before.already_held, 0
        self._passed_over, self._left_out = before.seen - _settled(before), 0
        self._unreadable = before.unreadable
        self._loaded = False
        # Blobs of which more is known than they tell, as the last read-back found.
        self.unnamed: list[Unnamed] = []

    @property
    def cabs(self) -> Mapping[str, CabRow]:
        """Return what is known of each cab, by cabIdHash."""
        return self._cabs

    def load(self, rows: Iterable[tuple[str, CabRow]] | None = None) -> None:
        """Take the failure's rows in.

        Args:
            rows: cabIdHash and row, where somebody has read them; None reads them: one query.
        """
        self._cabs = dict(self._rows.of(self._failure) if rows is None else rows)
        mine = [row for row in self._cabs.values() if self._is_mine(row)]
        self._tally = Counter(row.state for row in mine)
        self._bytes = sum(row.length or 0 for row in mine if row.state is CabState.COPIED)
        self._held_before = sum(self._was_held(row) for row in self._cabs.values())
        self._left_out = sum(row.state is CabState.SKIPPED for row in self._cabs.values())
        self._loaded = True

    def see(self, cab_id_hash: str, *, is_wanted: bool) -> None:
        """Note that the batch names a cab; rows may repeat between pages.

        Args:
            cab_id_hash: The cab.
            is_wanted: Whether it will be copied; if not, what is known of it already counts as found.
        """
        if cab_id_hash in self._seen:
            return
        self._seen.add(cab_id_hash)
        known = self._cabs.get(cab_id_hash)
        if known and not is_wanted:
            self._already_held += self._was_held(known)
            self._tally[CabState.EXPIRED] += known.state is CabState.EXPIRED and not self._is_mine(known)

    def learn(self, cab: BatchCab) -> None:
        """Take what its own row tells of a cab that is held, and nobody told when it was copied."""
        known = self._cabs.get(cab.cab_id_hash)
        if known and known.is_held and known.learn(cab.facts, moment_of(cab.date), moment_of(cab.expires)):
            self._unwritten.add(cab.cab_id_hash)

    def skip(self, keeping: Keeping, named: Mapping[str, Candidate] = MappingProxyType({})) -> dict[str, str]:
        """Record which cabs the rules skip by now, and which no longer, and return those with the reasons.

        Args:
            keeping: What is kept of the failure.
            named: What rules look at of cabs that the batch names, which knows more of them than their rows.
        """
        skipped = keeping.skipped({**candidates(self._cabs), **named})
        for cab, row in keeping.changed(self._cabs, skipped).items():
            self._settle(cab, row)
        return skipped

    def pass_over(self, cab: BatchCab, reason: str) -> None:
        """Record that a cab which the batch names is left uncopied on purpose, and why."""
        if cab.cab_id_hash not in self._seen_over:
            self._seen_over.add(cab.cab_id_hash)
            self._passed_over += 1
            known = self._cabs.get(cab.cab_id_hash)
            if known is None or (known.state, known.error, known.date) != (
                CabState.SKIPPED,
                reason,
                moment_of(cab.date),
            ):
                self.record_missed(cab, CabState.SKIPPED, reason)

    def see_unreadable(self, rows: int) -> None:
        """Note rows of the batch that could not be read: each may be a cab that nobody copied."""
        self._unreadable += rows

    def facts(self, cab: BatchCab) -> CabFacts:
        """Return what its own row, or a report, told of a cab."""
        return self._facts(cab.cab_id_hash) if cab.facts == NO_FACTS else cab.facts

    def _facts(self, cab_id_hash: str) -> CabFacts:
        known = self._cabs.get(cab_id_hash)
        return known.facts if known else NO_FACTS

    def record_copied(self, cab: BatchCab, blob_name: str, copied: Copied) -> None:
        """Record that a cab is in the container."""
        row = CabRow(CabState.COPIED, blob_name, copied.length, copied.md5, error=copied.note)
        self._settle(cab.cab_id_hash, _dated(row, cab), self._there_since(copied.since) if copied.since else None)

    def record_missed(self, cab: BatchCab, state: CabState, error: str) -> None:
        """Record that a cab is not in the container, and why."""
        self._settle(cab.cab_id_hash, _dated(CabRow(state, error=error), cab))

    @property
    def has_unwritten(self) -> bool:
        """Tell whether something was recorded that the table does not have yet."""
        return bool(self._unwritten)

    @property
    def unwritten(self) -> int:
        """Return how many rows the table does not have as they are here."""
        return len(self._unwritten)

    def write(self) -> None:
        """Write what was recorded since the last time: one transaction for each 100 cabs."""
        rows = [(cab, self._cabs[cab]) for cab in sorted(self._unwritten)]
        list(self._writers.map(partial(self._rows.write, self._failure), batched(rows, TRANSACTION_ROWS, strict=False)))
        self._unwritten.clear()

    def copied(self) -> Iterator[tuple[str, CabRow]]:
        """Yield the cabs that were found to be in the container, or came there, as the table has them."""
        for cab, row in self._cabs.items():
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
        expected = {row.blob_name: cab for cab, row in self._cabs.items() if row.state is CabState.COPIED}
        missing: list[str] = []
        self.unnamed = []
        for blob in stored:
            cab = expected.pop(blob.name, None)
            if cab and blob.why_no_cab:
                missing.append(f"{blob.name} {blob.why_no_cab}, which is no cab")
                self._settle(cab, self._cabs[cab].became(CabState.LISTED, missing[-1]))
            elif cab:
                self._compare(cab, self._cabs[cab], blob)
            elif not blob.why_no_cab:
                self._adopt(blob)
            row = self._cabs.get(blob.cab_id_hash)
            if row and blob.metadata and (labels := completed(self._failure, blob.metadata, row)):
                self.unnamed.append((blob.name, labels))
        for name, cab in expected.items():
            row = self._cabs[cab]
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
            for cab, row in self._cabs.items()
            if row.state is CabState.LISTED and row.blob_name and cab not in self._seen
        }
        if was_read_whole:
            for cab in missed:
                self._cabs[cab].blob_name = ""
            self._unwritten |= missed.keys()
            return []
        return [f"{name} was copied, and is still to be copied again" for name in missed.values()]

    def counts(self) -> CabCounts:
        """Return what this pull found and did, from the rows where they tell, so that a crash cannot make it wrong."""
        if not self._loaded:
            return self._before
        counts = CabCounts(
            copied=self._tally[CabState.COPIED],
            # Rows can come again after a checkpoint, which knows how many were held before it, and not which.
            already_held=min(self._already_held, self._held_before),
            expired=self._tally[CabState.EXPIRED],
            unavailable=self._tally[CabState.UNAVAILABLE],
            failed=self._tally[CabState.FAILED] + self._unreadable,
            bytes=self._bytes,
            unreadable=self._unreadable,
        )
        # As those that were held: one that a run before has left out may come again.
        return replace(counts, seen=_settled(counts) + min(self._passed_over, self._left_out))

    def tally(self, settings: Settings) -> Columns:
        """Return how all cabs of the failure stand, as columns of the pull's row; none where the table knows less."""
        is_known = self._loaded and not self._unwritten
        return CabTally.taken(self._cabs.values(), settings).columns() if is_known else {}

    def first_error(self) -> str:
        """Return why a cab of this pull failed, empty where none did."""
        failed = (row for row in self._cabs.values() if row.state is CabState.FAILED and self._is_mine(row))
        return next((row.error for row in failed), "")

    def _was_held(self, row: CabRow) -> bool:
        # This pull may have retired it itself, before it had to begin again for another cab.
        return row.is_held and (row.state is CabState.RETIRED or not self._is_mine(row))

    def _is_mine(self, row: CabRow) -> bool:
        return row.settled_at is not None and row.settled_at >= self._started_at

    def _settle(self, cab_id_hash: str, row: CabRow, settled_at: datetime | None = None) -> None:
        """Put a row in the place of what was known, and keep the tally of this pull's own work right."""
        before = self._cabs.get(cab_id_hash)
        if before and self._is_mine(before):
            self._tally[before.state] -= 1
            self._bytes -= (before.length or 0) if before.state is CabState.COPIED else 0
        row.settled_at = settled_at or clock.now()
        if not row.tells_facts:
            row.facts = self._facts(cab_id_hash)
        row.row_key = before.row_key if before else ""
        was_left_out = before is not None and before.state is CabState.SKIPPED
        self._left_out += (row.state is CabState.SKIPPED) - was_left_out
        self._cabs[cab_id_hash] = row
        self._unwritten.add(cab_id_hash)
        if row.state is CabState.COPIED:
            self._copied.add(cab_id_hash)
        if self._is_mine(row):
            self._tally[row.state] += 1
            self._bytes += (row.length or 0) if row.state is CabState.COPIED else 0
        elif cab_id_hash in self._seen:
            self._already_held, self._held_before = self._already_held + 1, self._held_before + 1

    def _compare(self, cab: str, row: CabRow, blob: StoredCab) -> None:
        if row.length is None:
            row.length, row.md5 = blob.length, row.md5 or blob.md5
            self._bytes += blob.length if self._is_mine(row) else 0
            self._unwritten.add(cab)
        elif row.length != blob.length or (row.md5 and blob.md5 and row.md5 != blob.md5):
            error = (
                f"{blob.name} has {blob.length} bytes and MD5 {blob.md5 or 'unknown'}, but was copied with "
                f"{row.length} and {row.md5 or 'unknown'}: somebody replaced it; move it away and pull again"
            )
            self._settle(cab, row.became(CabState.FAILED, error))

    def _adopt(self, blob: StoredCab) -> None:
        if not (cab := blob.cab_id_hash):
            return
        known = self._cabs.get(cab)
        if known is None or known.state in _NOT_THERE or _is_its_copy(known, blob):
            row = CabRow(CabState.COPIED, blob.name, blob.length, blob.md5)
            self._settle(cab, row, self._there_since(blob.created_at))

    def _there_since(self, made_at: datetime) -> datetime:
        """Return when a blob that was found came there: the lifecycle rule counts from when it was made.

        One that may have been made since this pull began is its work.
        """
        return made_at if made_at + _CLOCKS_APART < self._started_at else max(made_at, self._started_at)


def _is_its_copy(known: CabRow, blob: StoredCab) -> bool:
    """Tell whether the blob of a cab that failed is its copy, of which no answer came.

    One that was in the way of its copy is somebody else's, or was replaced.
    """
    if known.state is not CabState.FAILED or known.blob_name:
        return False
    return MOVE_IT_AWAY not in known.error or (known.settled_at is not None and blob.created_at > known.settled_at)


def _settled(counts: CabCounts) -> int:
    return counts.copied + counts.already_held + counts.expired + counts.unavailable + counts.failed


def _dated(row: CabRow, cab: BatchCab) -> CabRow:
    row.date, row.expires = moment_of(cab.date), moment_of(cab.expires)
    if cab.facts != NO_FACTS:
        row.facts, row.tells_facts = cab.facts, True
    return row

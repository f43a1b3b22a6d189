"""How a failure's cabs stand in numbers, kept in the row of its pull, so that no list reads the rows of the cabs.

Whoever has a failure's cab rows in hand counts them, and writes the numbers together with what it writes anyway: a pull
with each checkpoint and at its end, the reconcile where it finds other numbers. What depends on the time is as it was
at `counted_at`.
"""

from __future__ import annotations

from collections import Counter
from copy import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from shared.core import clock
from shared.core.json_text import JsonError, decoded
from shared.core.values import Immutable
from shared.progress.cab_row import CabRow, CabState
from shared.storage.table_writes import NO_MOMENT, Long

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shared.core.settings import Settings
    from shared.storage.table_rows import Row
    from shared.storage.table_writes import Columns

# Retention of a driver's cab in every sample of the API (docs/api.md); it counts where a cab tells its date alone.
_MICROSOFT_KEEPS = timedelta(days=30)
# A report looks back so far, and so does a pull for cabs that it listed and no batch of the usual days has named.
REPORTS_LOOK_BACK = timedelta(days=90)
_SOON = timedelta(hours=48)
# A cab that Microsoft does not let go is not missing, since nobody can have it; it is tried again all the same.
_MISSING = {CabState.LISTED, CabState.FAILED}
TRIED_AGAIN = {*_MISSING, CabState.UNAVAILABLE}
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
# More versions than this are not told, nor more than a text column holds as JSON: 32 Ki characters, and no text has
# more of them than bytes.
_MOST_VERSIONS, _MOST_BYTES = 200, 32 * 1024
# Of so many days before the newest cab it is told how many cabs there were.
DAYS = 30


class CabTally(Immutable, frozen=True):
    """How a failure's cabs stand.

    Args:
        counted_at: When they were counted.
        held: In the container.
        missing: Not in the container, though they could still be had: listed, or failed so far.
        expired: Gone before they could be copied.
        unavailable: Listed by Microsoft, and not to be had.
        failed: Not copied for another reason.
        skipped: Left out by a rule, though they could still be had; none of the missing.
        expiring: Those of the missing that Microsoft deletes within 48 hours.
        bytes: Length of those in the container together.
        next_expiry: When Microsoft deletes the next of the missing; None where none is missing.
        first_cab: The date of the oldest cab that is known; None where no cab told one.
        last_cab: That of the newest.
        copied_on: The day, in UTC, that the next is about; empty before the first copy.
        copied_that_day: How many cabs were copied on it.
        versions: The driver's versions that cabs told, the lowest first; the highest of them where there are too many.
        of_version: How many cabs told each of them.
        of_day: How many cabs are of the day of the newest, of the day before, and so on.
        failure_name: What the newest cab that tells it calls the failure; empty where none does.
        driver_name: The file or package that failed, likewise.
    """

    counted_at: datetime
    held: int = 0
    missing: int = 0
    expired: int = 0
    unavailable: int = 0
    failed: int = 0
    skipped: int = 0
    expiring: int = 0
    bytes: int = 0
    next_expiry: datetime | None = None
    first_cab: datetime | None = None
    last_cab: datetime | None = None
    copied_on: str = ""
    copied_that_day: int = 0
    versions: tuple[str, ...] = ()
    failure_name: str = ""
    driver_name: str = ""
    of_version: tuple[int, ...] = ()
    of_day: tuple[int, ...] = ()

    @classmethod
    def taken(cls, cabs: Collection[CabRow], settings: Settings) -> CabTally:
        """Count a failure's cabs as they stand now.

        Args:
            cabs: All that are known of it.
            settings: How long cabs are looked for.
        """
        now, states = clock.now(), Counter(row.state for row in cabs)
        copied = [row for row in cabs if row.state is CabState.COPIED]
        dates = [row.date for row in cabs if row.date]
        told = Counter(row.facts.driver_version for row in cabs if row.facts.driver_version)
        versions = _as_many_as_fit(sorted(told, key=_version_order)[-_MOST_VERSIONS:])
        days = Counter(row.settled_at.date().isoformat() for row in copied if row.settled_at)
        day = max(days, default="")
        limits = sorted(limit for _, limit in missing(cabs, settings))
        named = max((row for row in cabs if row.facts.failure_name), key=_date_of, default=_NAMELESS).facts
        return cls(
            counted_at=now,
            held=len(copied),
            missing=len(limits),
            expired=states[CabState.EXPIRED],
            unavailable=states[CabState.UNAVAILABLE],
            failed=states[CabState.FAILED],
            skipped=len(could_be_had(cabs, {CabState.SKIPPED}, settings)),
            expiring=sum(map(is_soon, limits)),
            bytes=sum(row.length or 0 for row in copied),
            next_expiry=limits[0] if limits else None,
            first_cab=min(dates, default=None),
            last_cab=max(dates, default=None),
            copied_on=day,
            copied_that_day=days[day],
            versions=versions,
            of_version=tuple(told[each] for each in versions),
            of_day=_before_the_newest(dates, now),
            failure_name=named.failure_name,
            driver_name=named.driver_name,
        )

    @classmethod
    def of(cls, row: Row) -> CabTally | None:
        """Decode it from the row of a pull; None where an earlier version of the app wrote that, which counted none."""
        counted_at = row.moment("countedAt")
        if counted_at is None:
            return None
        return cls(
            counted_at,
            held=row.number("heldCabs"),
            missing=row.number("missingCabs"),
            expired=row.number("expiredCabs"),
            unavailable=row.number("unavailableCabs"),
            failed=row.number("failedCabs"),
            skipped=row.number("skippedCabs"),
            expiring=row.number("expiringCabs"),
            bytes=row.number("heldBytes"),
            next_expiry=row.set_moment("nextExpiry"),
            first_cab=row.set_moment("firstCab"),
            last_cab=row.set_moment("lastCab"),
            copied_that_day=row.number("copiedThatDay"),
            copied_on=row.text("copiedOn"),
            versions=_listed(row.text("versions"), str),
            of_version=_listed(row.text("cabsOfVersion"), int),
            of_day=_listed(row.text("cabsOfDay"), int),
            failure_name=row.text("failureName"),
            driver_name=row.text("driverName"),
        )

    def columns(self) -> Columns:
        """Return the columns of the pull's row; a name that no cab tells stays as somebody told it."""
        names = {"failureName": self.failure_name, "driverName": self.driver_name}
        return {
            "countedAt": self.counted_at,
            "heldCabs": self.held,
            "missingCabs": self.missing,
            "expiredCabs": self.expired,
            "unavailableCabs": self.unavailable,
            "failedCabs": self.failed,
            "skippedCabs": self.skipped,
            "expiringCabs": self.expiring,
            "heldBytes": Long(self.bytes),
            "nextExpiry": self.next_expiry or NO_MOMENT,
            "firstCab": self.first_cab or NO_MOMENT,
            "lastCab": self.last_cab or NO_MOMENT,
            "copiedOn": self.copied_on,
            "copiedThatDay": self.copied_that_day,
            "versions": msgspec.json.encode(self.versions).decode(),
            "cabsOfVersion": msgspec.json.encode(self.of_version).decode(),
            "cabsOfDay": msgspec.json.encode(self.of_day).decode(),
            **{name: text for name, text in names.items() if text},
        }

    def differs_from(self, before: CabTally | None) -> bool:
        """Tell whether it says something else than what was counted before."""
        if before is None:
            return True
        told = replace(
            self,
            counted_at=before.counted_at,
            failure_name=self.failure_name or before.failure_name,
            driver_name=self.driver_name or before.driver_name,
        )
        return told != before

    def last_days(self, today: date) -> list[int]:
        """Return how many cabs are of each of the last days, today as the last."""
        # A day that is still to come is no cab's.
        newest = min(self.last_cab or NO_MOMENT, self.counted_at).date()
        behind = [0] * min(DAYS, max(0, (today - newest).days))
        told = (*behind, *self.of_day, *[0] * DAYS)[:DAYS]
        return [*reversed(told)]

    def copied_today(self) -> int:
        """Return how many cabs were copied since midnight in UTC."""
        return self.copied_that_day if self.copied_on == clock.now().date().isoformat() else 0


def deadline(row: CabRow, settings: Settings) -> datetime:
    """Return when Microsoft deletes a cab, or has deleted it for all that is known, or no batch reaches it."""
    if row.expires:
        return min(row.expires, min(row.date, _LATEST) + REPORTS_LOOK_BACK) if row.date else row.expires
    if row.date:
        return min(row.date, _LATEST) + _MICROSOFT_KEEPS
    return (row.settled_at or clock.now()) + settings.cab_lookback


def missing(cabs: Collection[CabRow], settings: Settings) -> list[tuple[CabRow, datetime]]:
    """Return the cabs that could still be had and are not in the container, each with its deadline.

    What a rule skips is not among them.
    """
    return could_be_had(cabs, _MISSING, settings)


def could_be_had(
    cabs: Collection[CabRow], states: Collection[CabState], settings: Settings
) -> list[tuple[CabRow, datetime]]:
    """Return the cabs in some states that Microsoft still keeps for all that is known, each with its deadline."""
    now = clock.true_now()
    limits = ((row, deadline(row, settings)) for row in cabs if row.state in states)
    return [(row, limit) for row, limit in limits if limit > now]


def is_soon(moment: datetime) -> bool:
    """Tell whether a time comes within 48 hours."""
    return moment <= clock.true_now() + _SOON


def _before_the_newest(dates: Collection[datetime], now: datetime) -> tuple[int, ...]:
    newest = min(max(dates, default=NO_MOMENT), now).date()
    counts = Counter((newest - each.date()).days for each in dates)
    return tuple(counts[days] for days in range(min(DAYS, max(counts, default=-1) + 1)))


def _listed[T](text: str, kind: type[T]) -> tuple[T, ...]:
    try:
        return decoded(text.encode() or b"[]", tuple[kind, ...])  # type: ignore[valid-type]
    except JsonError:
        return ()  # Somebody wrote it by hand.


def _as_many_as_fit(versions: Sequence[str]) -> tuple[str, ...]:
    """Return the last of some versions: a report may tell anything, and no pull could end that writes too much."""
    while len(msgspec.json.encode(versions)) > _MOST_BYTES:
        versions = versions[1:]
    return tuple(versions)


def _date_of(row: CabRow) -> datetime:
    return row.date or NO_MOMENT


def _version_order(version: str) -> list[tuple[int, int, str]]:
    """Return what sorts versions as people do: 1.9 before 1.10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in version.split(".")]


_NAMELESS = CabRow(CabState.LISTED)
# All columns that it is decoded from.
COLUMNS = tuple(CabTally(NO_MOMENT, failure_name="-", driver_name="-").columns())

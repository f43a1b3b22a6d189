"""What failures have in common: how many cabs there were on each day, and of which versions."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from shared.api.scalars import Count
from shared.core import clock
from shared.progress.tally import DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.api.requests import Wanted
    from shared.progress.overview import FailureSeen

_MOST_VERSIONS = 20


class DayBody(Struct, frozen=True):
    """The cabs of one day."""

    day: Annotated[date, Meta(description="When the crashes happened, in UTC.")]
    cabs: Count


class VersionBody(Struct, frozen=True, rename="camel"):
    """The cabs of one version."""

    driver_name: Annotated[str | None, Meta(description="Of this file or package, once somebody told it.")]
    version: str
    cabs: Count


class TrendsBody(Struct, frozen=True):
    """How many cabs there were, in the container or not, as they were last counted."""

    days: Annotated[list[DayBody], Meta(description=f"The last {DAYS} days, today as the last.")]
    versions: Annotated[
        list[VersionBody], Meta(description=f"Those with the most cabs first, at most {_MOST_VERSIONS}.")
    ]


def trends_of(failures: Iterable[FailureSeen], wanted: Wanted) -> TrendsBody:
    """Add up the cabs of the failures that a query asks for.

    Args:
        failures: All that are known.
        wanted: Which of them, and of their versions.
    """
    today, versions = clock.now().date(), Counter[tuple[str, str]]()
    days = [0] * DAYS
    for each in failures:
        tally = each.tally
        if tally is None or not wanted.fits(each):
            continue
        days = [sum(both) for both in zip(days, tally.last_days(today), strict=True)]
        # An earlier version of the app counted none.
        for version, cabs in zip(tally.versions, tally.of_version, strict=False):
            if wanted.fits_version(version):
                versions[each.driver_name, version] += cabs
    return TrendsBody(
        [DayBody(today - timedelta(days=DAYS - 1 - index), cabs) for index, cabs in enumerate(days)],
        [VersionBody(name or None, version, cabs) for (name, version), cabs in versions.most_common(_MOST_VERSIONS)],
    )

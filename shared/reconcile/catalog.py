"""Make the catalog anew from the tables, file by file where it differs.

The rows are gathered on disk, in one file for however many days, and in the end the days are replaced that are not as
they should be. What is replaced was there before the tables were read, so they told of each row in it by then; a file
that a pull wrote meanwhile stays until the next time.

A row's day is that on which the cab came into its state: of a cab that is here, the day of copying. The catalog tells
of as many days as the container keeps cabs, so a cab is gone from it when the retention rule removes it.
"""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from shared.catalog.rows import CatalogRow, line_of
from shared.core import clock
from shared.core.errors import BadInput
from shared.core.failure import DRIVER, Failure
from shared.progress.cab_row import CabState, by_cab

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from shared.catalog.files import CatalogFiles
    from shared.reconcile.walk import FailureSeen

_log = logging.getLogger(__name__)
# Of a day, some thousand cabs; more are on disk while the day's file is made.
_IN_MEMORY = 1024 * 1024


def rebuild_catalog(files: CatalogFiles, seen: Iterable[FailureSeen], retention: timedelta) -> str:
    """Let the catalog tell what the tables tell; return in a line what was done.

    Args:
        files: The files.
        seen: Each failure with its rows, read from the tables when it is asked for.
        retention: The age at which the container's lifecycle rule removes a cab.

    Raises:
        CabferryError: Storage does not answer or refuses; the catalog is then not worse than it was.
    """
    there = files.listed()
    rows, kept = 0, set[str]()
    with closing(sqlite3.connect("")) as gathered:
        gathered.executescript("pragma journal_mode = off; create table rows (day text, line blob)")
        gathered.executemany("insert into rows values (?, ?)", _lines(seen, retention))
        found = gathered.execute("select day, line from rows order by day, rowid")
        for day, some in groupby(found, key=itemgetter(0)):
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as lines:
                for _, line in some:
                    lines.write(line)
                    rows += 1
                lines.seek(0)
                kept.add(files.write(day, lines, there))
    replaced = [each.name for each in there if each.name not in kept]
    for name in replaced:
        files.remove(name)
    written = len(kept.difference(each.name for each in there))
    told = f"catalog: cabs={rows} days={len(kept)} written={written} removed={len(replaced)}"
    _log.info("%s", told)
    return told


def _lines(seen: Iterable[FailureSeen], retention: timedelta) -> Iterator[tuple[str, bytes]]:
    """Yield the day of each cab, and its row as a line."""
    gone = clock.now() - retention
    for each in seen:
        try:
            family = each.pull.text("family") or DRIVER if each.pull else ""
            failure, cabs = Failure(each.application_id, each.failure_hash, family), by_cab(each.cabs)
        except (BadInput, ValueError) as error:
            _log.error("the catalog leaves out %s: %s", each, error)
            continue
        requested_by = each.pull.text("requestedBy") if each.pull else ""
        for cab, row in cabs.items():
            if row.settled_at and row.settled_at > gone and row.state is not CabState.RETIRED:
                line = line_of(CatalogRow.of(failure, cab, row, requested_by, retention))
                yield f"{row.settled_at:%Y-%m-%d}", line

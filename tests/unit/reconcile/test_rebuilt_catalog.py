"""The catalog is made anew of however many cabs of however many days, within what a worker has."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.reconcile.catalog import rebuild_catalog
from shared.reconcile.walk import FailureSeen
from shared.storage.table_rows import Row
from tests.simulation.catalog import MemoryCatalog, catalogued
from tests.simulation.lines import GoodLine

resource = pytest.importorskip("resource", reason="Windows limits no process's open files so")
DAYS = 60
RETENTION = timedelta(days=3_650)


@contextmanager
def few_handles() -> Iterator[None]:
    """Let this process open no more than some files beyond those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(__file__).open() as lowest:  # of the numbers that are free, as the limit counts
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno() + 20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_container_that_keeps_cabs_for_years_is_no_matter_of_open_files() -> None:
    """Each day held one, so that beyond some thousand days no reconcile came to its end any more."""
    now, long = datetime.now(UTC), "x" * 900
    columns = {"state": "copied", "failureName": long, "driverName": long, "osVersion": long, "blobName": "1/a/b.zip"}
    cabs = [
        Row("1_a", f"cab-{day:02}-{number:03}", {**columns, "settledAt": now - timedelta(days=day)}, "etag")
        for day in range(DAYS)
        for number in range(60)
    ]
    seen = [FailureSeen("1", "a", cabs=cabs[start : start + 1_000]) for start in range(0, len(cabs), 1_000)]
    files: dict[str, bytes] = {}
    with few_handles():
        told = rebuild_catalog(MemoryCatalog(files, GoodLine()), seen, RETENTION)
    assert (len(files), len(catalogued(files))) == (DAYS, len(cabs))
    assert told == f"catalog: cabs={len(cabs)} days={DAYS} written={DAYS} removed=0"
    before = dict(files)
    again = rebuild_catalog(MemoryCatalog(files, GoodLine()), seen, RETENTION)
    assert (files, again) == (before, f"catalog: cabs={len(cabs)} days={DAYS} written=0 removed=0")

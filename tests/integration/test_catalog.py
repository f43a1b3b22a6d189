"""The catalog answers what people ask of many cabs: it must tell each cab that is here, truly and once."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import BlobClient

from local.simulator import catalogue
from local.simulator.builder import CabForm
from local.simulator.thread import SimulatorThread
from shared.core import clock
from shared.core.errors import AgainLater
from shared.progress.cab_row import CabRow, CabState
from shared.progress.pull_row import PullState
from tests.integration.app import App, served
from tests.integration.conftest import MakeApp

type Row = dict[str, Any]
COLUMNS = [
    "applicationId",
    "family",
    "failureHash",
    "failureName",
    "driverName",
    "driverVersion",
    "osVersion",
    "architecture",
    "cabType",
    "cabIdHash",
    "state",
    "date",
    "expiresAt",
    "retiresAt",
    "length",
    "md5",
    "blobName",
    "report",
    "copiedAt",
]
MOMENTS = {"date", "expiresAt", "retiresAt", "copiedAt"}
# As docs/consume.md has it.
ONE_ROW_A_CAB = """
    SELECT DISTINCT ON (applicationId, failureHash, cabIdHash) * EXCLUDE (day) FROM read_parquet('{}/*/*.parquet')
    ORDER BY copiedAt DESC NULLS LAST
"""


@pytest.fixture
def failure(simulator: SimulatorThread) -> catalogue.Failure:
    """A failure with three cabs, and one that Microsoft does not let go."""
    made = simulator.builder.failure(3)
    simulator.builder.cabs(made, 1, CabForm(downloadable=False))
    simulator.publish()
    return made


@pytest.fixture
def read(app: App, tmp_path: Path) -> Callable[[], list[Row]]:
    """Reads the catalog as people do: brought to their machine, then by DuckDB; in the order of the cabs."""

    def rows() -> list[Row]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name in files(app):
            fetched(app, name, folder)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute(ONE_ROW_A_CAB.format(folder / "_catalog"))
            names = [column[0] for column in found.description or []]
            told = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        return sorted(told, key=lambda row: str(row["cabIdHash"]))

    return rows


def files(app: App) -> list[str]:
    """Return the names of the catalog's files."""
    return [blob.name for blob in app.container.list_blobs(name_starts_with="_catalog/")]


def fetched(app: App, name: str, folder: Path) -> Path:
    """Bring a blob to this machine."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(app.container.download_blob(name).readall())
    return path


def expected(app: App, failure: catalogue.Failure, *, report: str | None = None) -> list[Row]:
    """Return what the catalog should tell of a failure, from the rows of its cabs."""
    retention = app.settings.retention
    return [told(failure, cab, row, report, retention) for cab, row in sorted(app.cabs(failure).items())]


def told(failure: catalogue.Failure, cab: str, row: CabRow, report: str | None, retention: timedelta) -> Row:
    """Return what the catalog should tell of a cab."""
    assert row.settled_at is not None
    facts, is_here = row.facts, row.state is CabState.COPIED
    here = {
        "retiresAt": row.settled_at + retention,
        "length": row.length,
        "md5": row.md5,
        "blobName": row.blob_name,
        "copiedAt": row.settled_at,
    }
    return {
        "applicationId": failure.key.application_id,
        "family": "driver",
        "failureHash": failure.key.failure_hash,
        "failureName": facts.failure_name or None,
        "driverName": facts.driver_name or None,
        "driverVersion": facts.driver_version or None,
        "osVersion": facts.os_version or None,
        "architecture": facts.architecture or None,
        "cabType": facts.cab_type or None,
        "cabIdHash": cab,
        "state": row.state.value,
        "date": row.date,
        "expiresAt": row.expires,
        "report": report,
        **(here if is_here else dict.fromkeys(here)),
    }


def test_what_was_copied_is_told_at_once_and_all_else_after_a_reconcile(
    app: App, simulator: SimulatorThread, failure: catalogue.Failure, read: Callable[[], list[Row]]
) -> None:
    report = simulator.builder.report([failure])
    simulator.publish()
    app.check()
    app.work_off()
    whole = expected(app, failure, report=str(report.report_id))
    assert read() == [row for row in whole if row["state"] == "copied"]
    app.reconcile()
    assert read() == whole
    assert list(read()[0]) == COLUMNS
    assert [row["state"] for row in whole].count("unavailable") == 1
    assert all(row["failureName"] and row["driverVersion"] and row["osVersion"] and row["date"] for row in whole)


# Of fastparquet, which is a pandas or numpy behind.
@pytest.mark.filterwarnings("ignore:The 'generic' unit for NumPy timedelta:DeprecationWarning")
def test_pandas_reads_it_with_its_types(app: App, failure: catalogue.Failure, tmp_path: Path) -> None:
    app.pull(failure)
    (name,) = files(app)
    frame = pd.read_parquet(fetched(app, name, tmp_path))
    assert list(frame.columns) == COLUMNS
    assert frame["length"].dtype == "int64"
    assert {column for column in COLUMNS if str(frame[column].dtype).startswith("datetime64[us")} == MOMENTS
    assert sorted(frame["cabIdHash"]) == [row["cabIdHash"] for row in expected(app, failure) if row["copiedAt"]]


def test_the_reconcile_leaves_one_file_a_day_and_writes_none_that_is_as_it_should_be(
    app: App, simulator: SimulatorThread, read: Callable[[], list[Row]]
) -> None:
    failures = [simulator.builder.failure(2) for _ in range(5)]
    simulator.publish()
    for each in failures:
        app.pull(each)
    old = simulator.world.cabs(failures[0].key)[0]
    app.change_cab(old, settledAt=clock.now() - timedelta(days=2))
    assert len(files(app)) == 5
    app.reconcile()
    made = files(app)
    days = {f"{row.settled_at:%Y-%m-%d}" for each in failures for row in app.cabs(each).values() if row.settled_at}
    assert {name.split("/")[1] for name in made} == {f"day={day}" for day in days}
    assert len(made) == len(days)
    assert read() == sorted((row for each in failures for row in expected(app, each)), key=lambda row: row["cabIdHash"])
    app.reconcile()
    assert files(app) == made


def test_what_was_lost_on_its_way_is_found_by_the_next_reconcile(
    app: App, failure: catalogue.Failure, read: Callable[[], list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host may die, and storage refuse: then the cabs are here, and nobody who asks the catalog would find them."""
    with monkeypatch.context() as patched:
        patched.setattr(BlobClient, "upload_blob", refuse)
        assert app.pull(failure).state is PullState.COMPLETED
    assert files(app) == []
    app.reconcile()
    assert read() == expected(app, failure)


def test_one_command_makes_it_anew_with_nothing_but_the_container_and_the_tables(
    app: App, failure: catalogue.Failure, read: Callable[[], list[Row]]
) -> None:
    app.pull(failure)
    for name in files(app):
        app.container.delete_blob(name)
    environment = {"PATH": os.environ["PATH"], "CAB_STORAGE": app.storage.connection_string}
    done = subprocess.run(
        [sys.executable, "-m", "shared.reconcile.rebuild", "rebuild"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("catalog: cabs=4 days=1 written=1 removed=0\n", "")
    assert read() == expected(app, failure)


def refuse(*_args: object, **_options: object) -> None:
    raise ServiceRequestError("no way to storage")


def test_a_catalog_that_cannot_be_written_fails_no_pull_and_is_told(
    app: App, failure: catalogue.Failure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(BlobClient, "upload_blob", refuse)
    with caplog.at_level(logging.ERROR):
        assert app.pull(failure).state is PullState.COMPLETED
    assert [record.getMessage() for record in caplog.records if "lacks 3 cabs" in record.getMessage()]
    with pytest.raises(AgainLater, match="the catalog: writing _catalog/"):
        app.reconcile()
    assert (health := app.services.health.reconciled()) is not None
    assert "no way to storage" in health.error


def test_a_cab_that_was_copied_anew_counts_as_it_is_now(
    make_app: MakeApp, app: App, simulator: SimulatorThread, read: Callable[[], list[Row]]
) -> None:
    """Somebody may delete a cab: for a while two files tell of it, and the newer one is right."""
    failure = served(simulator, 2)
    app.pull(failure)
    app.reconcile()
    app.delete_blob(simulator.world.cabs(failure.key)[0])
    app.pull(failure)
    app.work_off()
    make_app().pull(failure)
    assert len(files(app)) > 1
    assert read() == expected(app, failure)


def test_a_cab_goes_from_the_catalog_with_its_blob(
    app: App, simulator: SimulatorThread, read: Callable[[], list[Row]]
) -> None:
    failure = served(simulator, 3)
    app.pull(failure)
    old, retired, kept = simulator.world.cabs(failure.key)
    app.change_cab(old, settledAt=clock.now() - timedelta(days=31))
    app.change_cab(retired, state="retired")
    app.delete_blob(retired)
    app.reconcile()
    assert [row["cabIdHash"] for row in read()] == [kept.cab_id_hash]

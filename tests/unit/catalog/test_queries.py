"""People copy the queries of the docs: each must answer what it says it does."""

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from shared.catalog.rows import CatalogRow, line_of, write_parquet

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime.now(UTC)
OLD, NEW = "7.10.9742.3", "7.10.9742.4"
OCTOBER, NOVEMBER = datetime(2026, 10, 9, tzinfo=UTC), datetime(2026, 11, 9, tzinfo=UTC)


def cab(number: int, failure: str, version: str, **columns: Any) -> CatalogRow:
    """Return a cab that is here, unless the columns say otherwise."""
    here = {"state": "copied", "copied_at": NOW, "retires_at": NOW + timedelta(days=30), "blob_name": f"1/{number}.zip"}
    return CatalogRow(
        application_id="1",
        failure_hash=failure,
        failure_name=failure.upper(),
        driver_name="contoso.sys",
        driver_version=version,
        cab_id_hash=f"cab {number}",
        **{"os_version": "10.0.26100", "architecture": "x64", "date": NOVEMBER, **here, **columns},
    )


CABS = [
    cab(1, "grew", OLD, date=OCTOBER),
    cab(2, "grew", NEW),
    cab(3, "grew", NEW, retires_at=NOW + timedelta(days=2)),
    cab(4, "came", NEW, architecture="Arm64"),
    cab(5, "went", OLD, date=OCTOBER),
    cab(
        6,
        "went",
        OLD,
        state="failed",
        copied_at=None,
        retires_at=None,
        blob_name=None,
        date=OCTOBER,
        expires_at=NOW + timedelta(days=1),
    ),
]
# The first cab was only listed when the reconcile came past, and another file still says so.
STALE = cab(1, "grew", OLD, state="listed", copied_at=None, retires_at=None, blob_name=None, date=OCTOBER)


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[Any, ...]]]:
    """Run every query of the page on these cabs, and return the rows by the first words that stand before it."""
    for day, rows in (("2026-11-27", [STALE]), ("2026-11-28", CABS)):
        folder = tmp_path / "_catalog" / f"day={day}"
        folder.mkdir(parents=True)
        with (folder / "file.parquet").open("wb") as file:
            write_parquet(io.BytesIO(b"".join(map(line_of, rows))), file)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "consume.md").read_text(encoding="utf-8")
    found: dict[str, list[tuple[Any, ...]]] = {}
    with duckdb.connect() as connection:
        for told, query in re.findall(r"\n\n([^\n`]*?)[,:][^`]*\n\n```sql\n(.*?)```", page, re.DOTALL):
            found[told] = connection.execute(query).fetchall()
    return found


def test_each_query_answers_its_question(answers: dict[str, list[tuple[Any, ...]]]) -> None:
    top = answers["The failures with the most cabs"]
    assert sorted(row[3:] for row in top) == [(1, 1), (1, 1), (2, 1), (2, 2)]
    assert [row[2:] for row in answers["What is new since a release"]] == [("came", NOVEMBER, 1)]
    assert sorted(answers["Regressions between two versions"]) == [("CAME", "came", 0, 1), ("GREW", "grew", 1, 2)]
    assert answers["What expires this week"] == [("WENT", "went", 0, 1), ("GREW", "grew", 1, 0)]
    assert answers["By Windows and processor"] == [("10.0.26100", "x64", 5, 2), ("10.0.26100", "Arm64", 1, 1)]

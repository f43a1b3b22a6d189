"""Report files have every shape that a reader must take, and say the same in each."""

import csv
import gzip
import io
from datetime import UTC, datetime
from itertools import product

import pytest

from local.simulator.builder import CabForm, WorldBuilder
from local.simulator.catalogue import Failure, ReportRun, World
from local.simulator.report_file import IHV_DRIVER_COLUMNS, OEM_DRIVER_COLUMNS, report_file
from local.simulator.scenario import Header, ReportForm

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def built(form: ReportForm) -> tuple[World, ReportRun, list[Failure]]:
    world = World()
    builder = WorldBuilder(world, 3, NOW)
    failures = [builder.failure(cabs, occurrences_without_cab=cabs) for cabs in (3, 1)]
    failures.append(builder.failure(0, occurrences_without_cab=2))
    failures.append(builder.failure(2, CabForm(in_report=False), occurrences_without_cab=0))
    builder.report(failures, form)
    world.list_cabs(world.waiting_cabs)
    return world, world.waiting_runs[0][1], failures


def rows(form: ReportForm) -> list[dict[str, str]]:
    world, run, _ = built(form)
    data = b"".join(report_file(world, run, 43_000))
    text = (gzip.decompress(data) if form.gzip else data).decode(form.encoding)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=form.delimiter, strict=True))


@pytest.mark.parametrize(
    ("delimiter", "encoding", "packed", "quoted"),
    list(product("\t,", ["utf-8", "utf-8-sig", "utf-16"], [True, False], [True, False])),
)
def test_every_shape_says_the_same(delimiter: str, encoding: str, packed: bool, quoted: bool) -> None:
    form = ReportForm(delimiter=delimiter, encoding=encoding, gzip=packed, quote_all=quoted)
    assert rows(form) == rows(ReportForm())


@pytest.mark.parametrize(
    ("encoding", "start"), [("utf-8", b"Repo"), ("utf-8-sig", b"\xef\xbb\xbfR"), ("utf-16", b"\xff\xfeR\x00")]
)
def test_the_bytes_tell_the_encoding(encoding: str, start: bytes) -> None:
    world, run, _ = built(ReportForm(encoding=encoding, gzip=False))
    data = b"".join(report_file(world, run, 1))
    assert data.startswith(start)
    assert data.count(start[:2]) == 1 or encoding == "utf-8", "the mark stands once"


def test_all_columns_stand_in_the_documented_order() -> None:
    assert tuple(rows(ReportForm())[0]) == IHV_DRIVER_COLUMNS
    assert len(IHV_DRIVER_COLUMNS) == 30


@pytest.mark.parametrize(("header", "first"), [(Header.LOWER, "reportid"), (Header.UPPER, "REPORTID")])
def test_the_header_may_be_spelled_otherwise(header: Header, first: str) -> None:
    assert next(iter(rows(ReportForm(header=header))[0])) == first


def test_a_row_is_an_occurrence_and_some_have_no_cab() -> None:
    world, _, failures = built(ReportForm())
    told = rows(ReportForm())
    assert len(told) == (3 + 3) + (1 + 1) + 2 + 0
    for failure in failures[:3]:
        of_failure = [row for row in told if row["FailureHash"] == failure.key.failure_hash]
        assert {row["CabIdHash"] for row in of_failure} - {""} == {cab.cab_id_hash for cab in world.cabs(failure.key)}
        assert {row["ApplicationId"] for row in of_failure} == {failure.key.application_id}
        assert {row["FailureName"] for row in of_failure} == {failure.name}
        assert "" in {row["CabIdHash"] for row in of_failure}


def test_a_row_names_the_device_so_that_its_leaking_can_be_seen() -> None:
    with_cab = [row for row in rows(ReportForm()) if row["CabIdHash"]]
    assert all(row["DeviceId"] and row["HardwareId"] and row["CabType"] and row["OSVersion"] for row in with_cab)


def test_a_template_may_project_fewer_columns() -> None:
    assert tuple(rows(ReportForm(columns=("FailureHash", "ApplicationId")))[0]) == ("FailureHash", "ApplicationId")
    assert "ApplicationId" not in OEM_DRIVER_COLUMNS

"""From a report to the last byte of every cab: the job of the app, looked at in every place where it leaves a trace."""

from collections.abc import Iterator
from copy import replace
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast
from urllib.parse import unquote

import pytest

from local.simulator.builder import CabForm
from local.simulator.catalogue import Cab, Failure, Report
from local.simulator.faults import Call
from tests.system.answers import Counts, Pull, Run, Window
from tests.system.app import App
from tests.system.playground import Playground, blob_name
from tests.system.stored import POISON, creations

# What a header cannot hold as it is, and what its escape is made of.
AWKWARD = "100%_größe!Ω %41"


@dataclass(frozen=True, slots=True)
class Done:
    """A playground where two reports were checked once, and every pull has ended."""

    playground: Playground
    app: App
    reports: tuple[Report, Report]
    failures: tuple[Failure, ...]
    unreported: Cab
    runs: dict[str, Run]
    pulls: list[Pull]

    def cabs(self) -> Iterator[tuple[Failure, Cab]]:
        """Yield every cab with its failure."""
        for failure in self.failures:
            for cab in self.playground.simulator.world.cabs(failure.key):
                yield failure, cab


@pytest.fixture(scope="module")
def done(shared_playground: Playground) -> Done:
    """Check two reports: failures without cabs, with one and with two pages, cabs of 1 KB to 2 MB."""
    simulator = shared_playground.simulator
    large = CabForm((64_000, 2_000_000), age=(timedelta(hours=2), timedelta(days=3)))
    failures = [
        simulator.builder.failure(0, occurrences_without_cab=3),
        simulator.builder.failure(1, large),
        simulator.builder.failure(7, large),
        simulator.builder.failure(104),
    ]
    failures[2] = replace(failures[2], name=AWKWARD)
    simulator.world.failures[failures[2].key] = failures[2]
    (unreported,) = simulator.builder.cabs(failures[2], 1, CabForm(in_report=False))
    reports = simulator.builder.report(failures[:3]), simulator.builder.report(failures[3:])
    simulator.publish()
    app = shared_playground.start()
    runs = shared_playground.check(app)
    pulls = shared_playground.ends(app, *failures)
    return Done(shared_playground, app, reports, tuple(failures), unreported, runs, pulls)


def test_every_cab_is_in_the_container_byte_for_byte(done: Done) -> None:
    """A cab that is missing, or not what Microsoft held, is lost when Microsoft deletes it."""
    assert done.playground.stored.downloaded() == done.playground.held(*done.failures)
    assert set(creations(done.playground.storage_requests()).values()) == {1}


def test_the_check_tells_what_it_found(done: Done) -> None:
    """Who checks by hand wants to know at once whether the report was any good."""
    for report, failures, cabs in ((done.reports[0], 3, 8), (done.reports[1], 1, 104)):
        assert done.runs[str(report.report_id)] == Run(
            report_id=str(report.report_id),
            report_datetime=f"{report.runs[0].at:%Y-%m-%dT%H:%M:%S}",
            status="Completed",
            outcome="ingested",
            failures=failures,
            cabs=cabs,
            named=0,
            held=0,
            error=None,
        )


def test_the_table_of_reports_has_a_row_for_each_run(done: Done) -> None:
    """Without its row a run would be ingested again at every check."""
    rows = {row["PartitionKey"]: row for row in done.playground.stored.rows("reports")}
    assert set(rows) == {str(report.report_id) for report in done.reports}
    for report in done.reports:
        row = rows[str(report.report_id)]
        assert row["RowKey"] == f"{report.runs[0].at:%Y-%m-%dT%H:%M:%S}"
        assert row["status"] == "Completed"
        assert (row["failures"], row["cabs"]) in {(3, 8), (1, 104)}
        assert _is_recent(row["ingestedAt"])
        assert row["error"] == ""


def test_the_table_of_pulls_tells_how_each_ended(done: Done) -> None:
    """The table is what a team queries to see whether everything came."""
    for failure, pull in zip(done.failures, done.pulls, strict=True):
        row = done.playground.stored.pull(failure.key)
        held = done.playground.held(failure)
        assert row["state"] == "Completed"
        assert (row["seen"], row["copied"]) == (len(held), len(held))
        assert not any(row[count] for count in ("alreadyHeld", "expired", "unavailable", "failed", "attempts"))
        assert row["lastError"] == ""
        assert row["skip"] == len(held)
        assert row["bytes"] == sum(cab.length for cab in held.values())
        assert str(row["requestedBy"]).startswith("report ")
        assert pull.window == Window(
            start_date=date.fromisoformat(row["startDate"]), end_date=date.fromisoformat(row["endDate"])
        )
        for moment in ("queuedAt", "startedAt", "updatedAt", "completedAt"):
            assert _is_recent(row[moment])


def test_the_api_tells_the_same_as_the_table(done: Done) -> None:
    """A script that waits for a pull goes by the API."""
    today = datetime.now(UTC).date()
    for failure, pull in zip(done.failures, done.pulls, strict=True):
        cabs = done.playground.held(failure)
        assert (pull.application_id, pull.failure_hash) == (failure.key.application_id, failure.key.failure_hash)
        assert pull.state == "Completed"
        assert pull.cabs == Counts(seen=len(cabs), copied=len(cabs))
        assert pull.bytes == sum(cab.length for cab in cabs.values())
        assert pull.attempts == 0
        assert pull.last_error is None
        assert pull.window is not None
        # 30 days by default, and today is in them; a test may run over midnight.
        assert timedelta(days=29) <= today - pull.window.start_date <= timedelta(days=31)
        assert pull.window.end_date >= today - timedelta(days=1)
        times = (pull.queued_at, pull.started_at, pull.completed_at)
        assert None not in times
        assert list(times) == sorted(cast("tuple[datetime, ...]", times))


def test_the_table_of_cabs_has_every_cab_with_what_the_report_told(done: Done) -> None:
    """Teams look for cabs by driver and system in this table."""
    rows = {row["RowKey"]: row for row in done.playground.stored.rows("cabs")}
    assert set(rows) == {cab.cab_id_hash for _, cab in done.cabs()}
    for failure, cab in done.cabs():
        row, held = rows[cab.cab_id_hash], done.playground.simulator.world.held[cab.cab_id_hash]
        assert row["PartitionKey"] == f"{failure.key.application_id}_{failure.key.failure_hash}"
        assert (row["state"], row["blobName"], row["error"]) == ("copied", blob_name(cab), "")
        assert (row["length"], row["md5"] or held.md5) == (held.length, held.md5)
        assert (row["date"], row["expiry"]) == (cab.collected, cab.expires)
        told = {name: row.get(name, "") for name in _facts(failure, cab)}
        assert told == dict.fromkeys(told, "") if cab == done.unreported else told == _facts(failure, cab)


def test_each_blob_carries_what_is_known_of_its_cab(done: Done) -> None:
    """Who finds a cab in the container must see what it is, without any table."""
    for failure, cab in _some_of_each(done):
        told = {name: unquote(value) for name, value in done.playground.stored.metadata(blob_name(cab)).items()}
        assert told.pop("source").endswith(f"/{cab.place.account}/{cab.place.container}/{cab.place.name}")
        assert told == {
            "applicationid": failure.key.application_id,
            "failurehash": failure.key.failure_hash,
            "cabidhash": cab.cab_id_hash,
            "submissionid": cab.submission_id,
            "cabdate": f"{cab.collected:%Y-%m-%d %H:%M:%S}",
            "cabexpires": f"{cab.expires:%Y-%m-%d %H:%M:%S}",
            **({name.lower(): value for name, value in _facts(failure, cab).items()} if cab != done.unreported else {}),
        }


def test_cabs_are_found_by_their_index_tags(done: Done) -> None:
    """Index tags are how a team finds all cabs of one driver version."""
    stored = done.playground.stored
    for failure, cab in _some_of_each(done):
        assert stored.tags(blob_name(cab)) == {
            "applicationId": failure.key.application_id,
            "failureHash": failure.key.failure_hash,
            "date": f"{cab.collected:%Y-%m-%d %H:%M:%S}",
            **({"driverVersion": failure.driver_version} if cab != done.unreported else {}),
        }
    for failure in done.failures:
        of_hash = stored.found_by_tags(f"\"failureHash\"='{failure.key.failure_hash}'")
        assert of_hash == set(done.playground.held(failure))


def test_the_api_was_asked_no_more_than_needed(done: Done) -> None:
    """No limit of the API is documented: each request too many may be the one that throttles all others."""
    ledger = done.playground.simulator.ledger
    assert ledger.answers(Call.REPORT) == 1
    assert ledger.answers(Call.REPORT_DATA) == 2
    assert ledger.answers(Call.CAB_BATCH) == 5
    assert ledger.answers(Call.CAB_DOWNLOAD) == 0


def test_nothing_is_left_in_the_queues(done: Done) -> None:
    """A message that stays is a pull that runs again, or never."""
    done.playground.wait_for_empty_queue()
    assert not done.playground.stored.messages(POISON)


def _facts(failure: Failure, cab: Cab) -> dict[str, str]:
    return {
        "failureName": failure.name,
        "driverName": failure.driver,
        "driverVersion": failure.driver_version,
        "osVersion": cab.machine.os_version,
        "architecture": cab.machine.architecture,
        "cabType": cab.cab_type,
    }


def _some_of_each(done: Done) -> list[tuple[Failure, Cab]]:
    """Return all cabs of the small failures, and some of the large one."""
    cabs = list(done.cabs())
    return [*cabs[:12], *cabs[-3:]]


def _is_recent(moment: datetime) -> bool:
    return abs(datetime.now(UTC) - moment) < timedelta(minutes=10)

"""The lists of the HTTP API: what became of each cab, and which report runs were seen."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import requests

from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure, Report
from local.simulator.faults import FaultKind
from local.simulator.scenario import ReportForm
from tests.system.answers import Cab, Cabs, FailureCabs, SeenFailure, SeenFailures, SeenRuns, decoded, problem
from tests.system.app import App
from tests.system.playground import SMALL, Playground


@pytest.fixture(scope="module")
def failure(shared_playground: Playground) -> Failure:
    """A failure with seven cabs that can be had, and four that cannot."""
    failure = shared_playground.simulator.builder.failure(7, SMALL)
    shared_playground.simulator.builder.cabs(failure, 4, CabForm((64, 64), stored=False, downloadable=False))
    return failure


@pytest.fixture(scope="module")
def reports(shared_playground: Playground, failure: Failure) -> list[Report]:
    """Reports of which one is done, one is not yet, and one never will be."""
    builder = shared_playground.simulator.builder
    made = [
        builder.report([failure]),
        builder.report([], ReportForm(status="Pending")),
        builder.report([], ReportForm(status="Failed")),
    ]
    shared_playground.simulator.publish()
    return made


@pytest.fixture(scope="module")
def app(shared_playground: Playground, failure: Failure, reports: list[Report]) -> App:
    """An app that has checked the reports and pulled what they name."""
    app = shared_playground.start()
    shared_playground.check(app)
    shared_playground.ends(app, failure)
    return app


def path(failure: Failure) -> str:
    """Return where a failure's cabs are told of."""
    return f"/api/pulls/{failure.key.application_id}/{failure.key.failure_hash}/cabs"


def cabs_of(app: App, failure: Failure, **query: str) -> list[Cab]:
    """Return the cabs that all pages show."""
    cabs, continuation = [], ""
    while True:
        page = decoded(app.get(path(failure), **query, continuation=continuation), Cabs)
        assert len(page.cabs) <= int(query.get("limit", "100"))
        cabs += page.cabs
        if page.continuation is None:
            return cabs
        continuation = page.continuation


def test_pages_show_every_cab_once(app: App, failure: Failure, shared_playground: Playground) -> None:
    """A cab that no page shows is one that nobody misses."""
    shown = [cab.cab_id_hash for cab in cabs_of(app, failure, limit="3")]
    assert shown == sorted(cab.cab_id_hash for cab in shared_playground.simulator.world.cabs(failure.key))


def test_a_copied_cab_is_told_as_it_is_in_the_container(
    app: App, failure: Failure, shared_playground: Playground
) -> None:
    """Who opens a cab starts from this list: name, length and MD5 must be those of the blob."""
    copied = cabs_of(app, failure, state="copied")
    held = {cab.blob_name: (cab.length, cab.md5) for cab in copied}
    assert held == {name: (blob.length, blob.md5) for name, blob in shared_playground.held(failure).items()}
    for cab in copied:
        assert isinstance(cab.date, datetime)
        assert isinstance(cab.expires, datetime)
        assert cab.settled_at
        assert cab.error is None
        assert cab.failure_name
        assert cab.driver_name
        assert cab.driver_version
        assert cab.os_version
        assert cab.architecture
        assert cab.cab_type


def test_a_cab_that_is_not_there_is_told_with_its_reason(app: App, failure: Failure) -> None:
    """Nothing may be missing without a word."""
    missing = cabs_of(app, failure, state="unavailable", limit="2")
    assert len(missing) == 4
    assert all(cab.error and cab.blob_name is None for cab in missing)
    assert cabs_of(app, failure, state="failed") == []


def test_cabs_of_a_failure_that_nobody_knows_are_not_found(app: App) -> None:
    """Unknown is not the same as empty."""
    assert "a-hash" in problem(app.get("/api/pulls/1/a-hash/cabs"), 404)
    assert "a-hash" in problem(app.get("/api/pulls/1/a-hash/cabs", state="copied"), 404)


def test_a_pull_without_cabs_has_an_empty_list(shared_playground: Playground, app: App) -> None:
    """A pull that failed before it saw a cab is known, and has none."""
    failure = shared_playground.failure(1)
    shared_playground.fail(failure, FaultKind.BAD_REQUEST)
    shared_playground.pull(app, failure)
    assert decoded(app.get(path(failure)), Cabs) == Cabs(cabs=[], continuation=None)


def test_the_continuation_of_one_failure_shows_no_cab_of_another(app: App, failure: Failure) -> None:
    """A continuation is only a place, and opens nothing."""
    page = decoded(app.get(path(failure), limit="2"), Cabs)
    problem(app.get("/api/pulls/1/a-hash/cabs", continuation=page.continuation or ""), 404)


def test_every_run_that_was_seen_is_listed(app: App, failure: Failure, reports: list[Report]) -> None:
    """The first question when cabs are missing: was the report read, and what did it name?"""
    runs, continuation = [], ""
    while True:
        page = decoded(app.get("/api/reports", limit="2", continuation=continuation), SeenRuns)
        runs += page.runs
        if page.continuation is None:
            break
        continuation = page.continuation
    told = {run.report_id: (run.status, run.failures, run.cabs, run.ingested_at is not None) for run in runs}
    done, pending, never = (str(report.report_id) for report in reports)
    assert told == {
        done: ("Completed", 1, 11, True),
        pending: ("Pending", 0, 0, False),
        never: ("Failed", 0, 0, False),
    }
    assert all(run.report_datetime for run in runs)


def test_a_failure_is_listed_by_name_with_what_is_held_of_it(
    app: App, failure: Failure, shared_playground: Playground
) -> None:
    """People look for a driver, a version and a name, and not for a hash."""
    cabs = shared_playground.simulator.world.cabs(failure.key)
    held = shared_playground.held(failure)
    page = decoded(app.get("/api/failures", text=failure.key.failure_hash), SeenFailures)
    (seen,) = page.failures
    assert (page.total, page.continuation) == (1, None)
    assert (seen.failure_name, seen.driver_name) == (failure.name, failure.driver)
    assert seen.cabs == FailureCabs(held=7, missing=0, expired=0, unavailable=4, failed=0, skipped=0, expiring_soon=0)
    assert seen.bytes == sum(blob.length for blob in held.values())
    told = shared_playground.stored.cab_rows(failure.key).values()
    assert set(seen.versions) == {row["driverVersion"] for row in told if row.get("driverVersion")}
    today = datetime.now(UTC).date()
    days = Counter(cab.collected.date() for cab in cabs)
    assert seen.days == [days[today - timedelta(days=ago)] for ago in reversed(range(30))]
    trends = app.get("/api/trends", text=failure.key.failure_hash).json()
    assert [each["cabs"] for each in trends["days"]] == seen.days
    assert trends["days"][-1]["day"] == today.isoformat()
    versions = Counter(row["driverVersion"] for row in told if row.get("driverVersion"))
    assert {each["version"]: each["cabs"] for each in trends["versions"]} == versions
    assert (seen.first_seen, seen.last_seen) == (
        min(cab.collected for cab in cabs).date(),
        max(cab.collected for cab in cabs).date(),
    )
    assert (
        decoded(app.get(f"/api/failures/{failure.key.application_id}/{failure.key.failure_hash}"), SeenFailure) == seen
    )
    assert app.get(seen.links["pull"]).status_code == app.get(seen.links["cabs"]).status_code == 200


@pytest.mark.parametrize("path", ["/api/failures", "/api/pulls"])
def test_failures_and_pulls_are_found_by_what_people_know(app: App, failure: Failure, path: str) -> None:
    """A filter that finds nothing must be one that fits nothing."""
    failure_hash = failure.key.failure_hash
    version = decoded(app.get("/api/failures", text=failure_hash), SeenFailures).failures[0].versions[0]
    name = failure.name.split("!")[-1][1:-1]
    fits = {
        "driver": [failure.driver.upper(), f"{failure.driver[:3]}*"],
        "version": [version, f"{version.split('.')[0]}.*"],
        "text": [name.upper(), failure.key.failure_hash[:8]],
        "state": ["Completed"],
        "family": ["driver"],
        "applicationId": [failure.key.application_id],
    }
    not_ = {
        "driver": "x.sys",
        "version": "0.0.*",
        "text": "zzz",
        "state": "Queued",
        "family": "app",
        "applicationId": "1",
    }
    for each, values in fits.items():
        for value in values:
            assert failure_hash in app.get(path, **{each: value}).text, (each, value)
        assert failure_hash not in app.get(path, **{each: not_[each]}).text, each


def test_one_call_tells_how_all_of_it_stands(app: App, failure: Failure, shared_playground: Playground) -> None:
    """The operator wants to know within five seconds whether cabs are being lost."""
    told = app.get("/api/summary").json()
    rows = shared_playground.stored.rows("pulls")
    states = Counter(row["state"] for row in rows)
    assert told["pulls"] == {name: states[name] for name in ("Queued", "Running", "Completed", "Failed")}
    length = sum(blob.length for blob in shared_playground.held(failure).values())
    assert told["cabs"] == {"copiedToday": 7, "held": 7, "missing": 0, "skipped": 0, "expiringSoon": 0, "bytes": length}
    assert (told["failures"], told["poison"], told["circuit"]["state"], told["unknown"]) == (len(rows), 0, "closed", [])
    assert told["checks"]["reports"]["lastAt"] < told["checks"]["reports"]["nextAt"]
    # The run that failed is what a person should look at.
    assert told["state"] == "degraded"
    assert any(": its newest run, of " in problem and problem.endswith("failed") for problem in told["problems"])


@pytest.mark.parametrize("path", ["/api/failures", "/api/summary", "/api/pulls", "/api/openapi.json"])
def test_what_is_polled_and_has_not_changed_is_not_sent_again(app: App, failure: Failure, path: str) -> None:
    """A page that looks every few seconds must not fetch everything each time."""
    first = app.get(path)
    again = requests.get(f"{app.url}{path}", headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert (again.status_code, again.content) == (304, b"")
    head = requests.head(f"{app.url}{path}", timeout=30)
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", first.headers["ETag"])


def test_a_parameter_that_nobody_reads_is_refused_by_name(app: App) -> None:
    """`?status=Failed` must not show every pull."""
    told = problem(app.get("/api/pulls", status="Failed"), 400)
    assert "'status'" in told
    assert "state" in told
    assert app.get("/api/pulls", code="a-function-key").status_code == 200

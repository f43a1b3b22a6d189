"""What is stuck or missing must be found and put right by itself: nobody looks until a cab has expired."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from azure.data.tables import TableClient, TableServiceClient

from local.simulator import catalogue
from local.simulator.builder import CabForm
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.core.errors import AgainLater
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.progress.cabs import CabState
from shared.progress.health import Reconciled
from shared.progress.messages import PullMessage
from shared.progress.pulls import PullState
from shared.reconcile.policy import reconcile
from shared.reconcile.walk import FailureSeen, FailureWalk
from shared.storage.lease import RowLease
from tests.integration.app import App, failure_of
from tests.integration.conftest import MakeApp

NOW = datetime.now(UTC)
TWO_HOURS, TWO_DAYS, LONG = timedelta(hours=2), timedelta(days=2), timedelta(days=91)


def did(found: Reconciled) -> dict[str, object]:
    """Return what a run found and did beyond passing by."""
    names = [name for name in Reconciled.__slots__ if name not in {"at", "failures"}]
    return {name: value for name in names if (value := getattr(found, name))}


@pytest.fixture
def failure(simulator: SimulatorThread) -> catalogue.Failure:
    """A failure with three cabs."""
    made = simulator.builder.failure(3)
    simulator.publish()
    return made


def listed(app: App, failure: catalogue.Failure, simulator: SimulatorThread) -> None:
    """Write what a report would list of a failure."""
    cabs = {cab.cab_id_hash: CabFacts(failure_name="BUGCHECK") for cab in simulator.world.cabs(failure.key)}
    app.services.report_tools.cabs.list_new(failure_of(failure), cabs)


def test_where_all_is_well_nothing_is_written_but_what_was_found(app: App, simulator: SimulatorThread) -> None:
    """It runs four times a day: what is well must cost next to nothing."""
    failures = [simulator.builder.failure(3) for _ in range(4)]
    simulator.publish()
    for each in failures:
        app.pull(each)
    found = Reconciled(at=NOW)

    def run() -> None:
        nonlocal found
        found = app.reconcile()

    asked = app.asked(run)
    assert (found.failures, did(found)) == (4, {})
    applications = len({each.key.application_id for each in failures})
    # An application: three looks, and its key in two tables. Then their ends, names, queue, circuit, poison, the row.
    assert len(asked) <= 5 * applications + 8
    assert [each.method for each in asked if each.method not in {"GET", "HEAD"}] == ["POST"]
    assert app.services.health.reconciled() == found


class TestMessages:
    """A pull without a message waits for ever."""

    def test_a_queued_pull_without_a_message_gets_one(self, app: App, failure: catalogue.Failure) -> None:
        app.request(failure)
        app.queue.clear_messages()
        assert did(app.reconcile()) == {"messages_sent": 1}
        assert app.work_off() == 1
        assert app.row(failure).state is PullState.COMPLETED
        assert len(app.blobs(failure)) == 3

    def test_a_pull_whose_host_died_goes_on_from_its_checkpoint(self, app: App, failure: catalogue.Failure) -> None:
        lease = app.services.pulls.take(PullMessage(failure_of(failure), app.window, "someone"), app.window)
        assert isinstance(lease, RowLease)
        app.change_pull(failure, skip=2, leaseUntil=NOW - TWO_HOURS)
        assert did(app.reconcile()) == {"messages_sent": 1}
        message = app.receive()
        assert message is not None
        assert "someone" in message.content
        assert app.row(failure).skip == 2

    def test_a_pull_with_a_message_gets_no_second_one(self, app: App, failure: catalogue.Failure) -> None:
        app.request(failure)
        assert app.receive() is not None, "it is taken, and invisible"
        assert did(app.reconcile()) == {}
        assert app.waiting_messages() == 1

    def test_a_pull_that_waits_as_it_was_asked_to_gets_no_second_message(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.THROTTLED, retry_after=7200))
        app.pull(failure)
        row = app.row(failure)
        assert row.next_try_at is not None
        assert row.next_try_at - datetime.now(UTC) > timedelta(minutes=115)
        app.change_pull(failure, updatedAt=NOW - TWO_HOURS)
        assert did(app.reconcile()) == {}

    def test_in_a_busy_queue_only_what_is_older_than_it_gets_one(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        waiting = simulator.builder.failure(1)
        app.request(waiting)
        app.request(failure)
        app.change_pull(failure, updatedAt=NOW - TWO_HOURS)
        assert did(app.reconcile()) == {"messages_sent": 1}
        assert app.waiting_messages() == 3

    def test_a_pull_that_was_asked_for_while_it_ran_is_run_again(self, app: App, failure: catalogue.Failure) -> None:
        """Who asked was answered, and its host died before the message was sent."""
        app.pull(failure)
        app.change_pull(failure, askedAgain=f"{app.window.start}/{app.window.end}")
        assert did(app.reconcile()) == {"messages_sent": 1}
        assert app.work_off() == 1
        row = app.row(failure)
        assert (row.state, row.counts.copied, row.asked_again) == (PullState.COMPLETED, 3, ())
        assert did(app.reconcile()) == {}

    def test_a_pull_whose_row_somebody_deleted_is_made_again(self, app: App, failure: catalogue.Failure) -> None:
        """Nobody knows how far it had come; its cabs have rows, so that this can be seen."""
        app.pull(failure)
        with TableClient.from_connection_string(app.storage.connection_string, "pulls") as pulls:
            pulls.delete_entity(failure.key.application_id, failure.key.failure_hash)
        assert did(app.reconcile()) == {"queued_again": 1}
        app.work_off()
        assert app.row(failure).state is PullState.COMPLETED
        assert did(app.reconcile()) == {}

    def test_a_pull_that_runs_is_left_alone(self, app: App, failure: catalogue.Failure) -> None:
        lease = app.services.pulls.take(PullMessage(failure_of(failure), app.window, "the test"), app.window)
        assert isinstance(lease, RowLease)
        assert did(app.reconcile()) == {"under_way": 1}
        lease.write({})  # it is still his


class TestMissingCabs:
    """A cab that a report named and nobody copied is what this product exists for."""

    def test_a_listed_cab_that_nobody_pulled_is_pulled(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        listed(app, failure, simulator)
        assert did(app.reconcile()) == {"missing": 3, "queued_again": 1}
        app.work_off()
        assert set(app.states(failure).values()) == {CabState.COPIED}
        assert did(app.reconcile()) == {}
        assert app.cabs(failure).popitem()[1].facts.failure_name == "BUGCHECK"

    def test_a_cab_that_was_listed_after_its_pull_is_pulled_at_once(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        (late,) = simulator.builder.cabs(failure, 1)
        simulator.publish()
        app.services.report_tools.cabs.list_new(failure_of(failure), {late.cab_id_hash: CabFacts()})
        assert did(app.reconcile()) == {"missing": 1, "queued_again": 1}
        app.work_off()
        assert len(app.blobs(failure)) == 4

    def test_what_a_pull_could_not_have_is_tried_once_a_day(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        cab = simulator.world.cabs(failure.key)[0]
        app.pull(failure)
        app.delete_blob(cab)
        app.change_cab(cab, state="unavailable", settledAt=app.row(failure).started_at)
        assert did(app.reconcile()) == {"missing": 1}
        app.change_pull(failure, completedAt=NOW - TWO_DAYS)
        assert did(app.reconcile()) == {"missing": 1, "queued_again": 1}
        app.work_off()
        assert did(app.reconcile()) == {}

    def test_a_listed_cab_that_is_older_than_the_days_of_a_pull_is_asked_for_with_its_own(
        self, make_app: MakeApp, simulator: SimulatorThread
    ) -> None:
        """A report looks back 90 days; a pull of the usual days never meets what is older, however often it is made."""
        app = make_app(CAB_LOOKBACK_DAYS="5")
        old = simulator.builder.failure(1, CabForm(age=(timedelta(days=20), timedelta(days=20))))
        simulator.publish()
        listed(app, old, simulator)
        app.pull(old)
        assert set(app.states(old).values()) == {CabState.LISTED}
        assert did(app.reconcile()) == {"missing": 1, "queued_again": 1}
        app.work_off()
        assert set(app.states(old).values()) == {CabState.COPIED}
        window = app.row(old).window
        assert window is not None
        assert (NOW.date() - window.start).days in {90, 91}
        assert did(app.reconcile()) == {}

    def test_one_that_no_batch_of_any_days_names_is_asked_for_once_a_day_until_it_is_recorded(
        self, app: App, failure: catalogue.Failure
    ) -> None:
        cab = {"state": "listed", "settledAt": NOW - timedelta(days=3)}
        app.change("cabs", failure_of(failure).cabs_partition, "no-cab", **cab)
        app.pull(failure)
        for found in ({"missing": 1, "queued_again": 1}, {"missing": 1}):
            assert did(app.reconcile()) == found
            app.work_off()
        app.change("cabs", failure_of(failure).cabs_partition, "no-cab", settledAt=NOW - timedelta(days=32))
        assert did(app.reconcile()) == {"lost": 1}
        assert app.states(failure)["no-cab"] is CabState.UNAVAILABLE
        assert did(app.reconcile()) == {}

    @pytest.mark.parametrize(
        ("date", "expiry", "expected"),
        [
            (NOW - timedelta(days=60), NOW + timedelta(days=30), {"missing": 1, "queued_again": 1}),
            (NOW - timedelta(days=89), datetime(9999, 12, 31, 23, tzinfo=UTC), {"missing": 1, "queued_again": 1}),
            (NOW - timedelta(days=92), datetime(9999, 12, 31, 23, tzinfo=UTC), {"lost": 1}),
            (datetime(9999, 12, 31, tzinfo=UTC), None, {"missing": 1, "queued_again": 1}),
        ],
    )
    def test_days_of_cabs_are_asked_for_as_far_back_as_a_batch_reaches(
        self, app: App, failure: catalogue.Failure, date: datetime, expiry: datetime | None, expected: dict[str, int]
    ) -> None:
        app.pull(failure)
        told = {"date": date, **({"expiry": expiry} if expiry else {}), "settledAt": NOW - TWO_DAYS}
        app.change("cabs", failure_of(failure).cabs_partition, "a-cab", state="listed", **told)
        # Not by the day that has passed: by days that its last pull has not asked for.
        app.change_pull(failure, completedAt=NOW - TWO_DAYS if date > NOW else NOW)
        found = did(app.reconcile())
        assert {name: found.get(name) for name in expected} == expected
        if "queued_again" in found and date < NOW:
            window = app.row(failure).window
            assert window is not None
            assert window.start == date.date()

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({"expiry": NOW + timedelta(hours=47)}, {"missing": 1, "expiring_within_48_hours": 1}),
            ({"expiry": NOW + timedelta(hours=49)}, {"missing": 1}),
            ({"expiry": NOW - timedelta(hours=1)}, {}),
            ({"date": NOW - timedelta(days=29)}, {"missing": 1, "expiring_within_48_hours": 1}),
            ({"date": NOW - timedelta(days=30, hours=1)}, {}),
            ({"settledAt": NOW - timedelta(days=29)}, {"missing": 1, "expiring_within_48_hours": 1}),
            ({"settledAt": NOW - timedelta(days=30, hours=1)}, {}),
        ],
    )
    def test_missing_is_what_can_still_be_had(
        self, app: App, failure: catalogue.Failure, columns: dict[str, datetime], expected: dict[str, int]
    ) -> None:
        key = failure.key
        stored = {"state": "listed", "settledAt": NOW, **columns}
        app.change("cabs", f"{key.application_id}_{key.failure_hash}", "a-cab", **stored)
        found = did(app.reconcile())
        assert found == ({**expected, "queued_again": 1} if expected else {})

    @pytest.mark.parametrize(
        ("columns", "state", "told"),
        [
            ({"state": "listed", "expiry": NOW - TWO_DAYS}, "expired", "it expired at"),
            ({"state": "failed", "expiry": NOW - TWO_DAYS, "error": "no disk"}, "expired", "the last try: no disk"),
            ({"state": "unavailable", "expiry": NOW - TWO_DAYS}, "expired", "was not copied before"),
            ({"state": "listed", "settledAt": NOW - timedelta(days=32)}, "unavailable", "no batch has named it"),
            ({"state": "listed", "date": NOW - timedelta(days=32)}, "unavailable", "no batch has named it"),
        ],
    )
    def test_a_cab_that_is_gone_is_told(
        self, app: App, failure: catalogue.Failure, columns: dict[str, object], state: str, told: str
    ) -> None:
        """A row that says listed for ever hides that the cab was lost, and why."""
        key = failure.key
        app.change("cabs", f"{key.application_id}_{key.failure_hash}", "a-cab", **{"settledAt": NOW, **columns})
        assert did(app.reconcile()) == {"lost": 1}
        row = app.cabs(failure)["a-cab"]
        assert (row.state, told in row.error) == (state, True)
        assert did(app.reconcile()) == {}

    def test_a_reason_that_a_pull_has_given_stays(self, app: App, failure: catalogue.Failure) -> None:
        key, then = failure.key, NOW - timedelta(days=32)
        columns = {"state": "unavailable", "error": "Microsoft lists it only", "settledAt": then, "date": then}
        app.change("cabs", f"{key.application_id}_{key.failure_hash}", "a-cab", **columns)
        assert did(app.reconcile()) == {}
        assert app.cabs(failure)["a-cab"].error == "Microsoft lists it only"

    def test_a_cab_with_an_old_date_is_within_the_days_that_are_asked_for(
        self, app: App, failure: catalogue.Failure
    ) -> None:
        key, old = failure.key, NOW - timedelta(days=50)
        partition = f"{key.application_id}_{key.failure_hash}"
        app.change("cabs", partition, "a-cab", state="listed", settledAt=NOW, date=old, expiry=NOW + TWO_DAYS)
        app.reconcile()
        window = app.row(failure).window
        assert window is not None
        assert window.start == old.date()

    def test_what_is_left_out_on_purpose_is_not_missing(
        self, make_app: MakeApp, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app = make_app(MAX_CABS_PER_FAILURE="2")
        listed(app, failure, simulator)
        app.pull(failure)
        assert len(app.listed(failure)) == 2
        assert did(app.reconcile()) == {}


class TestFailedPulls:
    """Failed is no dead end: what was mended must be noticed."""

    def fail(self, app: App, failure: catalogue.Failure, kind: str, **columns: object) -> None:
        app.request(failure)
        app.queue.clear_messages()
        app.change_pull(failure, state="Failed", lastErrorKind=kind, lastError="refused", **columns)

    @pytest.mark.parametrize("kind", ["person", "later", "unforeseen", ""])
    def test_a_failed_pull_is_brought_back(self, app: App, failure: catalogue.Failure, kind: str) -> None:
        asked = NOW - timedelta(days=20)
        self.fail(app, failure, kind, queuedAt=asked, requestedBy="report 1 2026-01-01T00:00:00")
        assert did(app.reconcile()) == {"queued_again": 1}
        app.work_off()
        row = app.row(failure)
        assert (row.state, row.counts.copied, row.last_error) == (PullState.COMPLETED, 3, "")
        assert row.queued_at == asked, "else it would be brought back for ever"

    def test_one_that_can_never_work_stays_failed(self, app: App, failure: catalogue.Failure) -> None:
        self.fail(app, failure, "never")
        assert did(app.reconcile()) == {"failed_pulls": 1}

    def test_one_that_failed_for_longer_than_cabs_live_stays_failed(self, app: App, failure: catalogue.Failure) -> None:
        self.fail(app, failure, "person", queuedAt=NOW - timedelta(days=31))
        assert did(app.reconcile()) == {"failed_pulls": 1}

    def test_the_days_that_a_person_asked_for_are_kept(self, app: App, failure: catalogue.Failure) -> None:
        self.fail(app, failure, "later", startDate="2026-01-01", endDate="2026-01-02", requestedBy="POST /api/pulls")
        app.reconcile()
        row = app.row(failure)
        assert row.window is not None
        assert (str(row.window.start), str(row.window.end)) == ("2026-01-01", "2026-01-02")
        assert row.requested_by == "POST /api/pulls"

    def test_nothing_is_brought_back_while_the_circuit_is_open(self, app: App, failure: catalogue.Failure) -> None:
        self.fail(app, failure, "person")
        outage = {"kind": "401", "failures": 5, "error": "refused", "since": NOW, "probeAt": NOW + TWO_HOURS}
        app.change("health", "circuit", "devcenter", **outage)
        assert did(app.reconcile()) == {"failed_pulls": 1}
        app.change("health", "circuit", "devcenter", kind="")
        assert did(app.reconcile()) == {"queued_again": 1}


class TestRowsAndBlobs:
    """The tables tell people what they have; the container is what they have."""

    def test_a_blob_without_a_row_gets_one(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        before = app.cabs(failure)
        with TableServiceClient.from_connection_string(app.storage.connection_string) as tables:
            tables.delete_table("cabs")
            tables.create_table("cabs")
        assert did(app.reconcile()) == {"rows_mended": 3}
        rows = app.cabs(failure)
        for cab in simulator.world.cabs(failure.key):
            row, was = rows[cab.cab_id_hash], before[cab.cab_id_hash]
            told = (row.state, row.blob_name, row.length, row.md5)
            assert told == (CabState.COPIED, was.blob_name, was.length, was.md5)
        assert did(app.reconcile()) == {}

    def test_a_container_without_any_row_is_taken_in(self, app: App, failure: catalogue.Failure) -> None:
        app.container.upload_blob(f"{failure_of(failure).prefix}a-cab.ext.zip", b"PK")
        assert did(app.reconcile()) == {"rows_mended": 1}
        assert app.states(failure) == {"a-cab": CabState.COPIED}
        assert app.services.pulls.get(failure_of(failure)) is None

    def test_blobs_of_others_are_left_alone(self, app: App) -> None:
        for name in ("readme.txt", "a/readme.txt", "1/2/3/4.zip", "a b/c d/e.zip", "//x", "1//x", "1/2/.zip"):
            app.container.upload_blob(name, b"other")
        assert did(app.reconcile()) == {}

    def test_a_row_whose_blob_was_deleted_has_its_cab_copied_again(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        app.delete_blob(simulator.world.cabs(failure.key)[1])
        assert did(app.reconcile()) == {"rows_mended": 1, "missing": 1, "queued_again": 1}
        app.work_off()
        assert len(app.blobs(failure)) == 3
        assert set(app.states(failure).values()) == {CabState.COPIED}
        assert did(app.reconcile()) == {}

    def test_a_row_whose_blob_the_retention_rule_removed_is_retired(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        cab = simulator.world.cabs(failure.key)[1]
        app.delete_blob(cab)
        app.change_cab(cab, settledAt=NOW - timedelta(days=31))
        assert did(app.reconcile()) == {"rows_mended": 1}
        assert app.states(failure)[cab.cab_id_hash] is CabState.RETIRED
        assert app.waiting_messages() == 0

    def test_a_blob_that_was_older_than_its_row_is_retired_in_its_time(
        self, app: App, failure: catalogue.Failure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A row made from a blob counts from the blob's own day, as the lifecycle rule does."""
        name = f"{failure_of(failure).prefix}a-cab.ext.zip"
        app.container.upload_blob(name, b"PK")
        stored, old = app.services.pull_tools.container.stored, (NOW - timedelta(days=40)).replace(microsecond=0)
        monkeypatch.setattr(
            type(app.services.pull_tools.container),
            "stored",
            lambda _, prefix: (replace(blob, created=format_datetime(old, usegmt=True)) for blob in stored(prefix)),
        )
        app.reconcile()
        assert app.cabs(failure)["a-cab"].settled_at == old
        app.container.delete_blob(name)
        app.reconcile()
        assert app.states(failure) == {"a-cab": CabState.RETIRED}

    def test_a_blob_that_was_replaced_is_told(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        cab = simulator.world.cabs(failure.key)[0]
        app.container.upload_blob(app.cabs(failure)[cab.cab_id_hash].blob_name, b"other", overwrite=True)
        assert did(app.reconcile()) == {"rows_mended": 1, "missing": 1}
        row = app.cabs(failure)[cab.cab_id_hash]
        assert (row.state, "somebody replaced it" in row.error) == (CabState.FAILED, True)
        assert did(app.reconcile()) == {"missing": 1}


class TestOldRows:
    """Rows must end some day, and never one whose cab could be copied once more or whose blob stands."""

    def age(self, app: App, failure: catalogue.Failure, simulator: SimulatorThread, state: str = "") -> None:
        for cab in simulator.world.cabs(failure.key):
            app.change_cab(cab, settledAt=NOW - LONG, expiry=NOW - LONG, **({"state": state} if state else {}))
        app.change_pull(failure, updatedAt=NOW - LONG, completedAt=NOW - LONG, queuedAt=NOW - LONG)

    def test_rows_without_blobs_go_after_ninety_days(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        for cab in simulator.world.cabs(failure.key):
            app.delete_blob(cab)
        self.age(app, failure, simulator)
        assert did(app.reconcile()) == {"rows_mended": 3}, "first they retire"
        assert did(app.reconcile()) == {}, "and stay for another 90 days"
        self.age(app, failure, simulator)
        assert did(app.reconcile()) == {"rows_removed": 4}
        assert app.cabs(failure) == {}
        assert app.services.pulls.get(failure_of(failure)) is None

    def test_the_row_of_a_blob_that_stands_never_goes(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        for state in ("copied", "retired"):
            self.age(app, failure, simulator, state)
            assert did(app.reconcile()) == {}
        assert len(app.cabs(failure)) == 3

    def test_a_row_goes_while_another_of_its_failure_stays(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        gone = simulator.world.cabs(failure.key)[0]
        app.delete_blob(gone)
        app.change_cab(gone, state="retired", settledAt=NOW - LONG, expiry=NOW - LONG)
        assert did(app.reconcile()) == {"rows_removed": 1}
        assert len(app.cabs(failure)) == 2
        assert app.row(failure).state is PullState.COMPLETED

    def test_the_row_of_a_cab_that_could_still_be_had_never_goes(
        self, make_app: MakeApp, failure: catalogue.Failure
    ) -> None:
        app, key = make_app(CAB_LOOKBACK_DAYS="365"), failure.key
        app.pull(failure)
        app.change("cabs", f"{key.application_id}_{key.failure_hash}", "a-cab", state="listed", settledAt=NOW - LONG)
        assert did(app.reconcile()) == {"missing": 1}
        assert app.states(failure)["a-cab"] is CabState.LISTED

    def test_a_kept_message_goes_after_ninety_days(self, app: App) -> None:
        for text in ("old", "new"):
            app.services.health.keep_poison(text, "no pull message")
        app.services.health.keep_poison("new", "no pull message")
        rows = {row.text("text"): row for row in app.services.health.poison()}
        assert (rows["old"].number("times"), rows["new"].number("times")) == (1, 2)
        assert did(app.reconcile()) == {"poison": 2}
        app.change("health", "poison", rows["old"].key, lastAt=NOW - LONG)
        assert did(app.reconcile()) == {"poison": 1, "rows_removed": 1}
        assert [row.text("text") for row in app.services.health.poison()] == ["new"]


class TestRaces:
    """What came past may be minutes old: whatever has begun since must not be disturbed."""

    def reconcile(self, app: App, meanwhile: Callable[[FailureSeen], object]) -> dict[str, object]:
        """Reconcile, and let something happen after each failure was seen and before it is looked after."""
        walk = app.services.reconcile_tools.walk

        class Delayed(FailureWalk):
            def failures(self) -> Iterator[FailureSeen]:
                for seen in walk.failures():
                    meanwhile(seen)
                    yield seen

        tools = app.services.reconcile_tools
        return did(reconcile(replace(tools, walk=Delayed(tools.pulls, tools.cabs, tools.container))))

    def begin(self, app: App, seen: FailureSeen) -> RowLease:
        message = PullMessage(Failure(seen.application_id, seen.failure_hash), app.window, "another")
        lease = app.services.pulls.take(message, app.window)
        assert isinstance(lease, RowLease)
        return lease

    def test_a_pull_that_has_begun_since_reads_the_container_back_itself(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        app.delete_blob(simulator.world.cabs(failure.key)[0])
        leases: list[RowLease] = []
        found = self.reconcile(app, lambda seen: leases.append(self.begin(app, seen)))
        assert found == {"under_way": 1}
        assert set(app.states(failure).values()) == {CabState.COPIED}
        leases[0].write({})  # it is still his

    def test_a_failed_pull_that_has_begun_since_is_not_queued_over(self, app: App, failure: catalogue.Failure) -> None:
        app.request(failure)
        app.queue.clear_messages()
        app.change_pull(failure, state="Failed", lastErrorKind="person")
        assert self.reconcile(app, lambda seen: self.begin(app, seen)) == {"failed_pulls": 1}
        assert (app.row(failure).state, app.waiting_messages()) == (PullState.RUNNING, 0)

    def test_rows_that_changed_since_are_not_removed(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        app.pull(failure)
        cabs = simulator.world.cabs(failure.key)
        for cab in cabs:
            app.delete_blob(cab)
            app.change_cab(cab, state="retired", settledAt=NOW - LONG, expiry=NOW - LONG)
        app.change_pull(failure, updatedAt=NOW - LONG)
        found = self.reconcile(app, lambda _: app.change_cab(cabs[0], state="copied"))
        assert found == {}
        assert len(app.cabs(failure)) == 3
        assert app.row(failure).state is PullState.COMPLETED

    def test_cabs_that_a_pull_has_brought_since_are_not_called_lost(
        self, app: App, failure: catalogue.Failure, simulator: SimulatorThread
    ) -> None:
        """The listing came past before the pull, its row after it: only a second look can tell."""
        listed(app, failure, simulator)
        tools = app.services.reconcile_tools
        seen = next(iter(tools.walk.failures()))
        app.pull(failure)
        (after,) = tools.walk.failures()
        after.blobs = seen.blobs

        class Stale(FailureWalk):
            def failures(self) -> Iterator[FailureSeen]:
                yield after

        found = reconcile(replace(tools, walk=Stale(tools.pulls, tools.cabs, tools.container)))
        assert did(found) == {}
        assert set(app.states(failure).values()) == {CabState.COPIED}

    def test_two_at_once_ask_once(self, app: App, failure: catalogue.Failure) -> None:
        app.request(failure)
        app.queue.clear_messages()
        app.change_pull(failure, state="Failed", lastErrorKind="person")
        assert self.reconcile(app, lambda _: app.reconcile()) == {"failed_pulls": 1}
        assert app.waiting_messages() == 1


def test_one_broken_failure_stops_no_other_and_is_told(app: App, simulator: SimulatorThread) -> None:
    """Whatever somebody wrote into a row by hand, the others' cabs must not be lost for it."""
    failures = [simulator.builder.failure(1) for _ in range(5)]
    simulator.publish()
    for each in failures:
        listed(app, each, simulator)
    app.change_pull(failures[2], state="Confused", startDate="?sv=1&sig=SECRET")
    with pytest.raises(AgainLater, match=r"1 of 5 failures could not be put right") as raised:
        app.reconcile()
    found = app.services.health.reconciled()
    assert found is not None
    assert (found.broken, found.queued_again) == (1, 4)
    assert failures[2].key.failure_hash in found.error
    assert "SECRET" not in found.error + str(raised.value)
    app.work_off()
    assert [len(app.listed(each)) for each in failures] == [1, 1, 0, 1, 1]


def test_the_walk_meets_each_failure_once(app: App) -> None:
    """Keys sort otherwise in the container than in the tables, where one begins another."""
    keys = [("1", "a"), ("1", "a-b"), ("1", "a.b"), ("12", "a"), ("1-2", "a"), ("A", "b"), ("a", "b"), ("1", "ab")]
    for application_id, failure_hash in keys:
        failure = Failure(application_id, failure_hash)
        app.container.upload_blob(f"{failure.prefix}cab.zip", b"PK")
        app.services.report_tools.cabs.list_new(failure, {"other": CabFacts()})
    found = app.reconcile()
    assert (found.rows_mended, found.missing, found.queued_again, found.failures) == (8, 8, 8, 8)
    for application_id, failure_hash in keys:
        states = {
            cab: row.state
            for cab, row in app.services.pull_tools.cabs.of(Failure(application_id, failure_hash)).items()
        }
        assert states == {"cab": CabState.COPIED, "other": CabState.LISTED}


def test_more_rows_than_an_answer_holds_are_all_seen(app: App, failure: catalogue.Failure) -> None:
    """A table answers with 1,000 rows at most."""
    cabs = {f"cab-{number:04}": CabFacts() for number in range(2_150)}
    app.services.report_tools.cabs.list_new(failure_of(failure), cabs)
    assert app.reconcile().missing == 2_150

"""What is stuck or missing must be found and put right by itself: nobody looks until a cab has expired."""

from __future__ import annotations

from copy import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from shared.cabs.labels import CabLabels
from shared.core.errors import AgainLater
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.progress.cab_row import CabState
from shared.progress.health import Reconciled
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState
from shared.progress.tally import COLUMNS
from shared.reconcile.run import reconcile
from shared.reconcile.walk import FailureSeen, FailureWalk
from shared.storage.lease import RowLease
from shared.storage.table_writes import NO_MOMENT
from tests.simulation.tasks import BEGINNING
from tests.simulation.world import Expected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.center import Cab
    from tests.support.memory_app import MemoryApp

NOW = BEGINNING
NOT_LET_GO = "cab a-cab: Microsoft lists it, but does not let it be downloaded"
TWO_HOURS, TWO_DAYS, LONG = timedelta(hours=2), timedelta(days=2), timedelta(days=91)


def did(found: Reconciled) -> dict[str, object]:
    """Return what a run found and did beyond passing by."""
    names = [name for name in Reconciled.__struct_fields__ if name not in {"at", "failures"}]
    return {name: value for name in names if (value := getattr(found, name))}


@pytest.fixture
def failure(app: MemoryApp) -> Failure:
    """A failure with three cabs."""
    made = Failure("1", "failure")
    app.serve(made, 3)
    return made


def served(app: MemoryApp, failure: Failure) -> list[Cab]:
    return app.world.center.batches[failure]


def listed(app: MemoryApp, failure: Failure) -> None:
    """Write what a report would list of a failure."""
    cabs = {cab.name: CabFacts(failure_name="BUGCHECK") for cab in served(app, failure)}
    app.do(lambda: app.host.report_tools.cabs.list_new(failure, cabs))


def begin(app: MemoryApp, failure: Failure, whose: str = "another") -> RowLease:
    """Take the row of a pull, as a host that pulls it."""
    message = PullMessage(failure, app.window, whose)
    lease = app.do(lambda: app.host.pull_tools.leases.take(message, app.window))
    assert isinstance(lease, RowLease)
    return lease


class TestMessages:
    """A pull without a message waits for ever."""

    def test_a_queued_pull_without_a_message_gets_one(self, app: MemoryApp, failure: Failure) -> None:
        app.request(failure)
        app.world.queue.messages.clear()
        assert did(app.reconcile()) == {"messages_sent": 1}
        assert app.work_off() == 1
        assert app.row(failure).state is PullState.COMPLETED
        assert len(app.blobs(failure)) == 3

    def test_a_message_tells_the_family_that_the_row_knows(self, app: MemoryApp) -> None:
        """Else the pull would ask the API of drivers for the cabs of an application."""
        application = Failure("2", "failure", "desktop")
        app.request(application)
        app.world.queue.messages.clear()
        assert did(app.reconcile()) == {"messages_sent": 1}
        (message,) = app.world.queue.messages
        sent = PullMessage.decode(message.text.encode()).failure
        assert (sent, sent.family) == (application, "desktop")

    def test_a_pull_whose_host_died_goes_on_from_its_checkpoint(self, app: MemoryApp, failure: Failure) -> None:
        begin(app, failure, "someone")
        app.change_pull(failure, skip=2, leaseUntil=NOW - TWO_HOURS)
        assert did(app.reconcile()) == {"messages_sent": 1}
        (message,) = app.world.queue.messages
        assert "someone" in message.text
        assert app.row(failure).skip == 2

    def test_a_pull_with_a_message_gets_no_second_one(self, app: MemoryApp, failure: Failure) -> None:
        app.request(failure)
        assert app.world.queue.receive(timedelta(minutes=10)), "it is taken, and invisible"
        assert did(app.reconcile()) == {}
        assert len(app.world.queue.messages) == 1

    def test_a_pull_that_waits_as_it_was_asked_to_gets_no_second_one(self, app: MemoryApp, failure: Failure) -> None:
        app.world.expecting.append(Expected("devcenter", "cabdownloadbatch", "throttled"))
        row = app.pull(failure)
        assert row.next_try_at is not None
        (message,) = app.world.queue.messages
        message.visible_at = row.next_try_at + TWO_HOURS
        app.change_pull(failure, updatedAt=NOW - TWO_HOURS, nextTryAt=message.visible_at)
        assert did(app.reconcile()) == {}

    def test_in_a_busy_queue_only_what_is_older_than_it_gets_one(self, app: MemoryApp, failure: Failure) -> None:
        app.request(failure, Failure("1", "waiting"))
        app.change_pull(failure, updatedAt=NOW - TWO_HOURS)
        assert did(app.reconcile()) == {"messages_sent": 1}
        assert len(app.world.queue.messages) == 3

    def test_a_pull_that_was_asked_for_while_it_ran_is_run_again(self, app: MemoryApp, failure: Failure) -> None:
        """Who asked was answered, and its host died before the message was sent."""
        app.pull(failure)
        app.change_pull(failure, askedAgain=f"{app.window.start}/{app.window.end}")
        assert did(app.reconcile()) == {"messages_sent": 1}
        assert app.work_off() == 1
        row = app.row(failure)
        assert (row.state, row.counts.copied, row.asked_again) == (PullState.COMPLETED, 3, {})
        assert did(app.reconcile()) == {}

    def test_a_pull_whose_row_somebody_deleted_is_made_again(self, app: MemoryApp, failure: Failure) -> None:
        """Nobody knows how far it had come; its cabs have rows, so that this can be seen."""
        app.pull(failure)
        del app.world.tables["pulls"].rows[failure.application_id, failure.failure_hash]
        assert did(app.reconcile()) == {"queued_again": 1}
        app.work_off()
        assert app.row(failure).state is PullState.COMPLETED
        assert did(app.reconcile()) == {}

    def test_a_pull_that_runs_is_left_alone(self, app: MemoryApp, failure: Failure) -> None:
        lease = begin(app, failure)
        assert did(app.reconcile()) == {"under_way": 1}
        app.do(lambda: lease.write({}))  # it is still his


class TestMissingCabs:
    """A cab that a report named and nobody copied is what this product exists for."""

    def test_a_cab_that_was_listed_after_its_pull_is_pulled_at_once(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        app.serve(failure, 1)
        listed(app, failure)
        assert did(app.reconcile()) == {"missing": 1, "queued_again": 1}
        app.work_off()
        assert len(app.blobs(failure)) == 4

    def test_a_listed_cab_that_nobody_pulled_is_pulled(self, app: MemoryApp, failure: Failure) -> None:
        listed(app, failure)
        assert did(app.reconcile()) == {"missing": 3, "queued_again": 1}
        app.work_off()
        assert set(app.states(failure).values()) == {CabState.COPIED}
        assert {row.facts.failure_name for row in app.cabs(failure).values()} == {"BUGCHECK"}
        assert did(app.reconcile()) == {}

    def test_one_that_failed_is_tried_once_a_day_though_nobody_knows_when_its_pull_ended(
        self, app: MemoryApp, failure: Failure
    ) -> None:
        """As a pull that can never work, of which no version wrote an end."""
        app.pull(failure)
        app.delete_blob(served(app, failure)[0])
        app.change_cab(failure, served(app, failure)[0].name, state="failed", settledAt=NOW - TWO_DAYS)
        app.change_pull(failure, state="Failed", lastErrorKind="never", completedAt=NO_MOMENT, updatedAt=NOW)
        assert did(app.reconcile()) == {"missing": 1, "failed_pulls": 1}
        app.change_pull(failure, updatedAt=NOW - TWO_DAYS)
        assert did(app.reconcile()) == {"missing": 1, "queued_again": 1}

    def test_what_a_pull_could_not_have_is_tried_once_a_day(self, app: MemoryApp, failure: Failure) -> None:
        cab = served(app, failure)[0]
        app.pull(failure)
        app.delete_blob(cab)
        app.change_cab(failure, cab.name, state="unavailable", settledAt=app.row(failure).started_at)
        # Nobody can have it now, so it is not called missing.
        assert did(app.reconcile()) == {}
        app.change_pull(failure, completedAt=NOW - TWO_DAYS)
        assert did(app.reconcile()) == {"queued_again": 1}
        app.work_off()
        assert did(app.reconcile()) == {}

    def test_a_listed_cab_that_is_older_than_the_days_of_a_pull_is_asked_for_with_its_own(self, app: MemoryApp) -> None:
        """A report looks back 90 days; a pull of the usual days never meets what is older, however often it is made."""
        app.world.configure(CAB_LOOKBACK_DAYS="5")
        app.start_again()
        old = Failure("1", "old")
        app.serve(old, 1, timedelta(days=20))
        listed(app, old)
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
        self, app: MemoryApp, failure: Failure
    ) -> None:
        cab = {"state": "listed", "settledAt": NOW - timedelta(days=3)}
        app.change_cab(failure, "no-cab", **cab)
        app.pull(failure)
        for found in ({"missing": 1, "queued_again": 1}, {"missing": 1}):
            assert did(app.reconcile()) == found
            app.work_off()
        app.change_cab(failure, "no-cab", settledAt=NOW - timedelta(days=32))
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
        self, app: MemoryApp, failure: Failure, date: datetime, expiry: datetime | None, expected: dict[str, int]
    ) -> None:
        app.pull(failure)
        told = {"date": date, **({"expiry": expiry} if expiry else {}), "settledAt": NOW - TWO_DAYS}
        app.change_cab(failure, "a-cab", state="listed", **told)
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
        self, app: MemoryApp, failure: Failure, columns: dict[str, datetime], expected: dict[str, int]
    ) -> None:
        stored = {"state": "listed", "settledAt": NOW, **columns}
        app.change_cab(failure, "a-cab", **stored)
        found = did(app.reconcile())
        assert found == ({**expected, "queued_again": 1} if expected else {})

    @pytest.mark.parametrize(
        ("columns", "state", "told"),
        [
            ({"state": "listed", "expiry": NOW - TWO_DAYS}, "expired", "it expired at"),
            ({"state": "failed", "expiry": NOW - TWO_DAYS, "error": "no disk"}, "expired", "the last try: no disk"),
            ({"state": "listed", "settledAt": NOW - timedelta(days=32)}, "unavailable", "no batch has named it"),
            ({"state": "listed", "date": NOW - timedelta(days=32)}, "unavailable", "no batch has named it"),
        ],
    )
    def test_a_cab_that_is_gone_is_told(
        self, app: MemoryApp, failure: Failure, columns: dict[str, object], state: str, told: str
    ) -> None:
        """A row that says listed for ever hides that the cab was lost, and why."""
        app.change_cab(failure, "a-cab", **{"settledAt": NOW, **columns})
        assert did(app.reconcile()) == {"lost": 1}
        row = app.cabs(failure)["a-cab"]
        assert (row.state, told in row.error) == (state, True)
        assert row.settled_at is not None
        assert row.state is not CabState.EXPIRED or row.settled_at > NOW
        assert did(app.reconcile()) == {}

    @pytest.mark.parametrize("column", ["date", "expiry"])
    def test_what_microsoft_never_let_go_is_not_lost(self, app: MemoryApp, failure: Failure, column: str) -> None:
        """Half of the cabs of an application may be such: an alarm about each would hide one that was lost."""
        then = NOW - timedelta(days=32)
        columns = {"state": "unavailable", "error": NOT_LET_GO, "settledAt": then, column: then}
        app.change_cab(failure, "a-cab", **columns)
        assert did(app.reconcile()) == {}
        assert app.cabs(failure)["a-cab"].error == NOT_LET_GO

    def test_what_was_gone_before_its_time_is_lost_when_that_is_over(self, app: MemoryApp, failure: Failure) -> None:
        """Microsoft deleted it sooner than it said: whoever had come sooner would have it."""
        then = NOW - timedelta(days=2)
        columns = {"state": "unavailable", "error": "the source of a cab is gone", "settledAt": then, "expiry": then}
        app.change_cab(failure, "a-cab", **columns)
        assert did(app.reconcile()) == {"lost": 1}
        assert app.states(failure)["a-cab"] is CabState.EXPIRED

    def test_a_cab_with_an_old_date_is_within_the_days_that_are_asked_for(
        self, app: MemoryApp, failure: Failure
    ) -> None:
        old = NOW - timedelta(days=50)
        app.change_cab(failure, "a-cab", state="listed", settledAt=NOW, date=old, expiry=NOW + TWO_DAYS)
        app.reconcile()
        window = app.row(failure).window
        assert window is not None
        assert window.start == old.date()

    def test_what_is_left_out_on_purpose_is_not_missing(self, app: MemoryApp, failure: Failure) -> None:
        app.world.configure(MAX_CABS_PER_FAILURE="2")
        app.start_again()
        listed(app, failure)
        app.pull(failure)
        assert len(app.blobs(failure)) == 2
        assert did(app.reconcile()) == {}


class TestFailedPulls:
    """Failed is no dead end: what was mended must be noticed."""

    def fail(self, app: MemoryApp, failure: Failure, kind: str, **columns: object) -> None:
        app.request(failure)
        app.world.queue.messages.clear()
        app.change_pull(failure, state="Failed", lastErrorKind=kind, lastError="refused", **columns)

    @pytest.mark.parametrize("kind", ["person", "later", "unforeseen", ""])
    def test_a_failed_pull_is_brought_back(self, app: MemoryApp, failure: Failure, kind: str) -> None:
        asked = NOW - timedelta(days=20)
        self.fail(app, failure, kind, queuedAt=asked, requestedBy="report 1 2026-01-01T00:00:00")
        assert did(app.reconcile()) == {"queued_again": 1}
        app.work_off()
        row = app.row(failure)
        assert (row.state, row.counts.copied, row.last_error) == (PullState.COMPLETED, 3, "")
        assert row.queued_at == asked, "else it would be brought back for ever"

    def test_one_that_can_never_work_stays_failed(self, app: MemoryApp, failure: Failure) -> None:
        self.fail(app, failure, "never")
        assert did(app.reconcile()) == {"failed_pulls": 1}

    def test_one_that_failed_for_longer_than_cabs_live_stays_failed(self, app: MemoryApp, failure: Failure) -> None:
        self.fail(app, failure, "person", queuedAt=NOW - timedelta(days=31))
        assert did(app.reconcile()) == {"failed_pulls": 1}

    def test_the_days_that_a_person_asked_for_are_kept(self, app: MemoryApp, failure: Failure) -> None:
        self.fail(app, failure, "later", startDate="2026-01-01", endDate="2026-01-02", requestedBy="POST /api/pulls")
        app.reconcile()
        row = app.row(failure)
        assert row.window is not None
        assert (str(row.window.start), str(row.window.end)) == ("2026-01-01", "2026-01-02")
        assert row.requested_by == "POST /api/pulls"

    def test_nothing_is_brought_back_while_the_circuit_is_open(self, app: MemoryApp, failure: Failure) -> None:
        self.fail(app, failure, "person")
        outage = {"kind": "401", "failures": 5, "error": "refused", "since": NOW, "probeAt": NOW + TWO_HOURS}
        app.change("health", "circuit", "devcenter", **outage)
        assert did(app.reconcile()) == {"failed_pulls": 1}
        app.change("health", "circuit", "devcenter", kind="")
        assert did(app.reconcile()) == {"queued_again": 1}


class TestRowsAndBlobs:
    """The tables tell people what they have; the container is what they have."""

    def test_a_container_without_any_row_is_taken_in(self, app: MemoryApp, failure: Failure) -> None:
        app.world.container.create(f"{failure.prefix}a-cab.ext.zip", b"PK", b"", CabLabels({}, {}))
        assert did(app.reconcile()) == {"rows_mended": 1}
        assert app.states(failure) == {"a-cab": CabState.COPIED}
        assert app.world.promise.pull_row(failure) is None

    def test_a_row_whose_blob_was_deleted_has_its_cab_copied_again(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        app.delete_blob(served(app, failure)[1])
        assert did(app.reconcile()) == {"rows_mended": 1, "missing": 1, "queued_again": 1}
        app.work_off()
        assert len(app.blobs(failure)) == 3
        assert did(app.reconcile()) == {}

    def test_rows_that_were_lost_are_written_anew(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        before = app.cabs(failure)
        app.world.tables["cabs"].rows.clear()
        assert did(app.reconcile()) == {"rows_mended": 3}
        for cab, row in app.cabs(failure).items():
            was = before[cab]
            assert (row.state, row.blob_name, row.length, row.md5) == (was.state, was.blob_name, was.length, was.md5)
        assert did(app.reconcile()) == {}

    def test_a_row_whose_blob_the_retention_rule_removed_is_retired(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        cab = served(app, failure)[1]
        app.delete_blob(cab)
        app.change_cab(failure, cab.name, settledAt=NOW - timedelta(days=31))
        assert did(app.reconcile()) == {"rows_mended": 1}
        assert app.states(failure)[cab.name] is CabState.RETIRED
        assert len(app.world.queue.messages) == 0

    def test_a_blob_that_was_older_than_its_row_is_retired_in_its_time(self, app: MemoryApp, failure: Failure) -> None:
        """A row made from a blob counts from the blob's own day, as the lifecycle rule does."""
        name = f"{failure.prefix}a-cab.ext.zip"
        app.world.container.create(name, b"PK", b"", CabLabels({}, {}))
        blobs, old = app.world.container.blobs, NOW - timedelta(days=40)
        blobs[name] = replace(blobs[name], created=old)
        app.reconcile()
        assert app.cabs(failure)["a-cab"].settled_at == old
        del blobs[name]
        app.reconcile()
        assert app.states(failure) == {"a-cab": CabState.RETIRED}

    def test_a_blob_that_was_replaced_is_told(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        cab = served(app, failure)[0]
        name = app.cabs(failure)[cab.name].blob_name
        app.world.container.blobs[name] = replace(app.world.container.blobs[name], content=b"other")
        assert did(app.reconcile()) == {"rows_mended": 1, "missing": 1}
        row = app.cabs(failure)[cab.name]
        assert (row.state, "somebody replaced it" in row.error) == (CabState.FAILED, True)
        assert did(app.reconcile()) == {"missing": 1}


class TestOldRows:
    """Rows must end some day, and never one whose cab could be copied once more or whose blob stands."""

    def age(self, app: MemoryApp, failure: Failure, state: str = "") -> None:
        for cab in served(app, failure):
            app.change_cab(
                failure, cab.name, settledAt=NOW - LONG, expiry=NOW - LONG, **({"state": state} if state else {})
            )
        app.change_pull(failure, updatedAt=NOW - LONG, completedAt=NOW - LONG, queuedAt=NOW - LONG)

    def test_rows_without_blobs_go_after_ninety_days(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        for cab in served(app, failure):
            app.delete_blob(cab)
        self.age(app, failure)
        assert did(app.reconcile()) == {"rows_mended": 3}, "first they retire"
        assert did(app.reconcile()) == {}, "and stay for another 90 days"
        self.age(app, failure)
        assert did(app.reconcile()) == {"rows_removed": 4}
        assert app.cabs(failure) == {}
        assert app.world.promise.pull_row(failure) is None

    def test_the_row_of_a_blob_that_stands_never_goes(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        for state in ("copied", "retired"):
            self.age(app, failure, state)
            assert did(app.reconcile()) == {}
        assert len(app.cabs(failure)) == 3

    def test_a_row_goes_while_another_of_its_failure_stays(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        gone = served(app, failure)[0]
        app.delete_blob(gone)
        app.change_cab(failure, gone.name, state="retired", settledAt=NOW - LONG, expiry=NOW - LONG)
        assert did(app.reconcile()) == {"rows_removed": 1}
        assert len(app.cabs(failure)) == 2
        assert app.row(failure).state is PullState.COMPLETED

    def test_the_row_of_a_cab_that_could_still_be_had_never_goes(self, app: MemoryApp, failure: Failure) -> None:
        app.world.configure(CAB_LOOKBACK_DAYS="365")
        app.start_again()
        app.pull(failure)
        app.change_cab(failure, "a-cab", state="listed", settledAt=NOW - LONG)
        assert did(app.reconcile()) == {"missing": 1}
        assert app.states(failure)["a-cab"] is CabState.LISTED

    def test_a_kept_message_goes_after_ninety_days(self, app: MemoryApp) -> None:
        for text in ("old", "new", "new"):
            app.do(partial(app.host.health.keep_poison, text, "no pull message"))
        rows = {row.text("text"): row for row in app.kept()}
        assert (rows["old"].number("times"), rows["new"].number("times")) == (1, 2)
        assert did(app.reconcile()) == {"poison": 2}
        app.change("health", "poison", rows["old"].key, lastAt=NOW - LONG)
        assert did(app.reconcile()) == {"poison": 1, "rows_removed": 1}
        assert [row.text("text") for row in app.kept()] == ["new"]


class TestRaces:
    """What came past may be minutes old: whatever has begun since must not be disturbed."""

    def reconcile(self, app: MemoryApp, meanwhile: Callable[[FailureSeen], object]) -> dict[str, object]:
        """Reconcile, and let something happen after each failure was seen and before it is looked after."""
        walk = app.host.reconcile_tools.walk

        class Delayed(FailureWalk):
            def failures(self) -> Iterator[FailureSeen]:
                for seen in walk.failures():
                    meanwhile(seen)
                    yield seen

        tools = app.host.reconcile_tools
        delayed = replace(tools, walk=Delayed(tools.pulls, tools.cabs, tools.container))
        return did(app.do(lambda: reconcile(delayed)))

    def test_a_pull_that_has_begun_since_reads_the_container_back_itself(
        self, app: MemoryApp, failure: Failure
    ) -> None:
        app.pull(failure)
        app.delete_blob(served(app, failure)[0])
        leases: list[RowLease] = []
        found = self.reconcile(app, lambda _: leases.append(begin(app, failure)))
        assert found == {"under_way": 1}
        assert set(app.states(failure).values()) == {CabState.COPIED}
        app.do(lambda: leases[0].write({}))  # it is still his

    def test_a_failed_pull_that_has_begun_since_is_not_queued_over(self, app: MemoryApp, failure: Failure) -> None:
        app.request(failure)
        app.world.queue.messages.clear()
        app.change_pull(failure, state="Failed", lastErrorKind="person")
        assert self.reconcile(app, lambda _: begin(app, failure)) == {"failed_pulls": 1}
        assert (app.row(failure).state, len(app.world.queue.messages)) == (PullState.RUNNING, 0)

    def test_rows_that_changed_since_are_not_removed(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        cabs = served(app, failure)
        for cab in cabs:
            app.delete_blob(cab)
            app.change_cab(failure, cab.name, state="retired", settledAt=NOW - LONG, expiry=NOW - LONG)
        app.change_pull(failure, updatedAt=NOW - LONG)
        found = self.reconcile(app, lambda _: app.change_cab(failure, cabs[0].name, state="copied"))
        assert found == {}
        assert len(app.cabs(failure)) == 3
        assert app.row(failure).state is PullState.COMPLETED

    def test_cabs_that_a_pull_has_brought_since_are_not_called_lost(self, app: MemoryApp, failure: Failure) -> None:
        """The listing came past before the pull, its row after it: only a second look can tell."""
        listed(app, failure)
        tools = app.host.reconcile_tools
        (seen,) = app.do(lambda: list(tools.walk.failures()))
        app.pull(failure)
        (after,) = app.do(lambda: list(tools.walk.failures()))
        after.blobs = seen.blobs

        class Stale(FailureWalk):
            def failures(self) -> Iterator[FailureSeen]:
                yield after

        stale = replace(tools, walk=Stale(tools.pulls, tools.cabs, tools.container))
        assert did(app.do(lambda: reconcile(stale))) == {}
        assert set(app.states(failure).values()) == {CabState.COPIED}

    def test_two_at_once_ask_once(self, app: MemoryApp, failure: Failure) -> None:
        app.request(failure)
        app.world.queue.messages.clear()
        app.change_pull(failure, state="Failed", lastErrorKind="person")
        assert self.reconcile(app, lambda _: app.reconcile()) == {"failed_pulls": 1}
        assert len(app.world.queue.messages) == 1


class TestWhatAFailuresRowTells:
    """Lists read the rows of the pulls alone: what these tell of the cabs must be so."""

    def test_a_pull_counts_what_is_held(self, app: MemoryApp, failure: Failure) -> None:
        listed(app, failure)
        tally = app.pull(failure).tally
        assert tally is not None
        assert (tally.held, tally.copied_today(), tally.failure_name) == (
            len(app.blobs(failure)),
            tally.held,
            "BUGCHECK",
        )
        assert tally.bytes == sum(row.length or 0 for row in app.cabs(failure).values() if row.is_held)
        assert tally.last_cab == max(row.date for row in app.cabs(failure).values() if row.date)

    def test_what_an_earlier_version_wrote_is_counted(self, app: MemoryApp, failure: Failure) -> None:
        told = app.pull(failure).tally
        row = app.world.tables["pulls"].rows[failure.application_id, failure.failure_hash][0]
        for name in COLUMNS:
            row.pop(name, None)
        assert app.row(failure).tally is None
        app.reconcile()
        tally = app.row(failure).tally
        assert tally is not None
        assert not tally.differs_from(told)

    def test_a_missing_cab_that_comes_near_its_end_is_told(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        app.change_cab(failure, "late", state="failed", expiry=app.world.tasks.now() + timedelta(hours=49))
        app.change_pull(failure, completedAt=app.world.tasks.now())
        for missing, expiring, later in ((1, 0, TWO_HOURS), (1, 1, TWO_DAYS), (0, 0, TWO_HOURS)):
            app.reconcile()
            tally = app.row(failure).tally
            assert tally is not None
            assert (tally.held, tally.missing, tally.expiring) == (3, missing, expiring)
            app.world.tasks.seconds += later.total_seconds()
            app.change_pull(failure, completedAt=app.world.tasks.now())

    def test_a_row_that_is_true_is_not_written(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        before = app.world.tables["pulls"].rows[failure.application_id, failure.failure_hash][1]
        app.reconcile()
        assert app.world.tables["pulls"].rows[failure.application_id, failure.failure_hash][1] == before

    def test_a_blob_that_tells_less_than_its_row_is_named(self, app: MemoryApp, failure: Failure) -> None:
        app.pull(failure)
        (name, *_) = app.blobs(failure)
        assert "failurename" not in app.world.container.blobs[name].labels.metadata
        listed(app, failure)
        app.reconcile()
        assert {app.world.container.blobs[each].labels.metadata["failurename"] for each in app.blobs(failure)} == {
            "BUGCHECK"
        }
        assert app.row(failure).failure_name == "BUGCHECK"


def test_one_broken_failure_stops_no_other_and_is_told(app: MemoryApp) -> None:
    """Whatever somebody wrote into a row by hand, the others' cabs must not be lost for it."""
    failures = [Failure("1", f"failure-{number}") for number in range(5)]
    for each in failures:
        app.serve(each, 1)
        listed(app, each)
    app.change_pull(failures[2], state="Confused", startDate="?sv=1&sig=SECRET")
    with pytest.raises(AgainLater, match=r"1 of 5 failures could not be put right") as raised:
        app.reconcile()
    found = app.do(app.host.health.reconciled)
    assert found is not None
    assert (found.broken, found.queued_again) == (1, 4)
    assert failures[2].failure_hash in found.error
    assert "SECRET" not in found.error + str(raised.value)
    app.work_off()
    assert [len(app.blobs(each)) for each in failures] == [1, 1, 0, 1, 1]

"""A pull of a desktop or Store application: each cab once and byte for byte, for one call of the API each."""

from copy import replace
from datetime import timedelta

import pytest

from local.simulator.builder import CabForm
from local.simulator.catalogue import Cab, Failure, Family
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from shared.cabs.creation import Copied
from shared.progress.cab_row import CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import CabCounts, ErrorKind, PullState
from shared.pull.one_failure import pull_failure
from tests.integration.app import App, failure_of
from tests.integration.conftest import MakeApp

FAMILIES = (Family.DESKTOP, Family.APP)
NOT_DOWNLOADABLE = CabForm(downloadable=False)
# The families differ in what the Dev Center calls things, which is tested for both; a pull goes on alike.
of_both = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def family() -> Family:
    return Family.DESKTOP


def made(simulator: SimulatorThread, family: Family, cabs: int, form: CabForm | None = None) -> Failure:
    failure = simulator.builder.application_failure(family, cabs, form, occurrences_without_cab=3)
    simulator.publish()
    return failure


def asked(simulator: SimulatorThread, call: Call) -> int:
    return simulator.ledger.answers(call)


def let_go(simulator: SimulatorThread, cab: Cab) -> None:
    """Let a cab become downloadable."""
    simulator.world.unlist_cabs([cab])
    simulator.world.list_cabs([replace(cab, downloadable=True)])


@of_both
def test_every_cab_is_held_byte_for_byte_for_one_call_each(
    app: App, simulator: SimulatorThread, family: Family
) -> None:
    failure = made(simulator, family, 24)
    app.request(failure)
    requests = app.asked(app.work_off)
    assert len(requests) <= 6 + 1.05 * 24
    assert (asked(simulator, Call.FAILURE_DETAILS), asked(simulator, Call.CAB_DOWNLOAD)) == (1, 24)
    cabs = simulator.world.cabs(failure.key)
    held = {cab.cab_id_hash: simulator.world.held[cab.cab_id_hash] for cab in cabs}
    assert {cab: (blob.length, blob.md5) for cab, blob in app.blobs(failure).items()} == {
        cab: (source.length, source.md5) for cab, source in held.items()
    }
    row = app.row(failure)
    assert (row.state, row.last_error, row.without_cab) == (PullState.COMPLETED, "", 3)
    assert row.counts == CabCounts(seen=24, copied=24, bytes=sum(source.length for source in held.values()))
    assert (row.failure_name, row.driver_name) == (failure.name, failure.driver)
    assert row.failure.family == family.value


def test_a_second_pull_asks_for_no_cab(app: App, simulator: SimulatorThread, family: Family) -> None:
    failure = made(simulator, family, 30)
    app.pull(failure)
    requests = app.asked(lambda: app.pull(failure))
    assert len(requests) <= 8
    assert (asked(simulator, Call.FAILURE_DETAILS), asked(simulator, Call.CAB_DOWNLOAD)) == (2, 30)
    row = app.row(failure)
    assert row.counts == CabCounts(seen=30, already_held=30)
    assert row.without_cab == 3, "of this pull alone"


@of_both
def test_what_its_row_tells_is_in_metadata_tags_and_row(app: App, simulator: SimulatorThread, family: Family) -> None:
    failure = made(simulator, family, 1)
    app.pull(failure)
    (cab,) = simulator.world.cabs(failure.key)
    blob = app.listed(failure)[cab.cab_id_hash]
    told = {
        "applicationId": failure.key.application_id,
        "failureHash": failure.key.failure_hash,
        "cabIdHash": cab.cab_id_hash,
        "failurename": failure.name,
        "drivername": failure.driver,
        "driverversion": failure.driver_version,
        "osversion": cab.machine.os_version,
        "architecture": cab.machine.architecture,
        "market": cab.machine.market,
        "cabdate": f"{cab.collected:%Y-%m-%d %H:%M:%S}",
    }
    assert blob.metadata.items() >= told.items()
    assert "sig=" not in str(blob)
    assert blob.tags["driverVersion"] == failure.driver_version
    facts = app.cabs(failure)[cab.cab_id_hash].facts
    assert (facts.failure_name, facts.driver_name, facts.market) == (failure.name, failure.driver, cab.machine.market)


def test_a_cab_that_is_not_downloadable_costs_no_call_and_is_copied_when_it_can_be(
    app: App, simulator: SimulatorThread, family: Family
) -> None:
    failure = made(simulator, family, 2)
    (refused,) = simulator.builder.cabs(failure, 1, NOT_DOWNLOADABLE)
    simulator.publish()
    row = app.pull(failure)
    assert (row.counts.copied, row.counts.unavailable) == (2, 1)
    assert app.cabs(failure)[refused.cab_id_hash].state is CabState.UNAVAILABLE
    assert asked(simulator, Call.CAB_DOWNLOAD) == 2
    let_go(simulator, refused)
    # The reconcile asks once a day.
    assert app.reconcile().queued_again == 0
    yesterday = row.completed_at and row.completed_at - timedelta(days=1)
    app.change_pull(failure, completedAt=yesterday)
    assert app.reconcile().queued_again == 1
    app.work_off()
    assert set(app.states(failure).values()) == {CabState.COPIED}
    assert asked(simulator, Call.CAB_DOWNLOAD) == 3
    assert app.row(failure).failure.family == family.value


@pytest.mark.parametrize("kind", [FaultKind.FORBIDDEN, FaultKind.NOT_FOUND])
def test_a_cab_that_its_call_refuses_is_unavailable_and_no_other_is(
    app: App, simulator: SimulatorThread, family: Family, kind: FaultKind
) -> None:
    failure = made(simulator, family, 5)
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=kind))
    row = app.pull(failure)
    assert (row.state, row.counts.copied, row.counts.unavailable) == (PullState.COMPLETED, 4, 1)
    (refused,) = [each for each in app.cabs(failure).values() if each.state is CabState.UNAVAILABLE]
    assert kind.value in refused.error
    assert asked(simulator, Call.CAB_DOWNLOAD) == 5, "what it says of a cab is not asked for twice"
    assert app.services.circuit.known().worst is None


def test_an_expired_sas_costs_another_call_for_its_cab_and_no_page(
    app: App, simulator: SimulatorThread, family: Family
) -> None:
    failure = made(simulator, family, 4)
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=FaultKind.EXPIRED_SAS))
    assert app.pull(failure).counts.copied == 4
    assert (asked(simulator, Call.FAILURE_DETAILS), asked(simulator, Call.CAB_DOWNLOAD)) == (1, 5)


def test_a_wait_that_one_call_is_told_is_kept_and_costs_no_try(
    app: App, simulator: SimulatorThread, family: Family
) -> None:
    failure = made(simulator, family, 12)
    simulator.faults.add(Fault(call=Call.CAB_DOWNLOAD, kind=FaultKind.THROTTLED, retry_after=60))
    row = app.pull(failure)
    assert (row.state, row.stalled, row.last_error_kind) == (PullState.QUEUED, 0, ErrorKind.LATER)
    assert app.waiting_messages() == 1
    asked_before = asked(simulator, Call.CAB_DOWNLOAD)
    assert asked_before <= 8, "no more than were on their way"
    app.handle(PullMessage(failure_of(failure), app.window, "the test"))
    assert asked(simulator, Call.CAB_DOWNLOAD) == asked_before
    assert "until" in app.row(failure).last_error


class Died(BaseException):
    """The host is gone."""


def test_a_host_that_dies_costs_a_page_again_and_no_cab_twice(
    make_app: MakeApp, simulator: SimulatorThread, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is that of a page, and one of the analytics may have 10,000 rows."""
    app = make_app(PULL_LEASE_SECONDS="1", PULL_CONCURRENCY="1")
    failure = made(simulator, family, 40)
    copy, copied = app.services.pull_tools.copies.copy, list[str]()

    def dying(url: str, name: str, *rest: object) -> Copied:
        if len(copied) == 25:
            raise Died
        copied.append(name)
        return copy(url, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(app.services.pull_tools.copies, "copy", dying)
    monkeypatch.setattr("shared.pull.policy.must_write", lambda *_: False)
    message = PullMessage(failure_of(failure), app.window, "the test")
    with pytest.raises(Died):
        pull_failure(app.services.pull_tools, message)
    monkeypatch.setattr(app.services.pull_tools.copies, "copy", copy)
    assert app.row(failure).state is PullState.RUNNING
    app.services.pull_tools.queue.send(message.unversioned())
    app.work_off()
    row = app.row(failure)
    assert (row.state, row.counts.copied, row.without_cab) == (PullState.COMPLETED, 40, 3)
    puts = [each.path for each in app.requests() if each.method == "PUT" and each.status == 202 and not each.restype]
    assert len(puts) == len(set(puts)) == 40
    assert asked(simulator, Call.FAILURE_DETAILS) == 2
    assert asked(simulator, Call.CAB_DOWNLOAD) <= 40 + 3, "those alone whose copies had begun"


@of_both
def test_a_message_that_names_no_family_is_of_the_configured_application(
    make_app: MakeApp, simulator: SimulatorThread, family: Family
) -> None:
    failure = made(simulator, family, 2)
    setting = "DESKTOP_APPLICATION_IDS" if family is Family.DESKTOP else "STORE_APPLICATION_IDS"
    app = make_app(**{setting: failure.key.application_id})
    named = replace(failure_of(failure), family="")
    app.handle(PullMessage(named, None, "somebody's own message"))
    row = app.row(failure)
    assert (row.failure.family, row.counts.copied) == (family.value, 2)


def test_a_retry_and_a_redrive_keep_the_family(app: App, simulator: SimulatorThread, family: Family) -> None:
    failure = made(simulator, family, 2)
    simulator.faults.add(Fault(call=Call.FAILURE_DETAILS, kind=FaultKind.FORBIDDEN))
    assert app.pull(failure).state is PullState.FAILED
    named = replace(failure_of(failure), family="")
    app.services.requests.retry(named, app.window, "the test")
    app.work_off()
    assert (app.row(failure).failure.family, app.row(failure).counts.copied) == (family.value, 2)
    app.handle(PullMessage(named, app.window, "a message that was sent back from the poison queue"))
    assert app.row(failure).failure.family == family.value
    assert simulator.ledger.answers(Call.CAB_BATCH) == 0

"""A wrong secret must not make thousands of pulls ask for a token each, and must not go unnoticed once it is mended."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.azurite.server import Azurite
from shared.core import clock as clocks
from shared.core.errors import AgainLater, BadAnswer, CabferryError, CircuitOpen, NeedsPerson, Never
from shared.progress.circuit import Circuit
from shared.storage.table_rows import TableRows
from tests.integration.tables import table_of
from tests.support.azurite import StorageAccount

# Not a fixed day: storage judges the app's SAS by its own clock.
START = datetime.now(UTC).replace(microsecond=0)
FAILURES_TO_OPEN = 5


class PassingClock(clocks.Clock):
    """A present that a test moves on."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    def pass_by(self, **time: float) -> None:
        """Let some time pass."""
        self.moment += timedelta(**time)


@pytest.fixture(autouse=True)
def clock() -> Iterator[PassingClock]:
    passing = PassingClock()
    with clocks.using(passing):
        yield passing


@pytest.fixture
def table(storage: StorageAccount) -> TableRows:
    return table_of(storage, "health")


@pytest.fixture
def instance(table: TableRows) -> Callable[[], Circuit]:
    """Make the circuit of another instance on the same table."""
    return lambda: Circuit(table, "devcenter")


@pytest.fixture
def circuit(instance: Callable[[], Circuit]) -> Circuit:
    return instance()


def refused(circuit: Circuit, kind: str = "401", times: int = 1, application: str = "one") -> None:
    for _ in range(times):
        with pytest.raises(NeedsPerson), circuit.guard(application):
            raise NeedsPerson("the token is refused: add the application", outage=kind)


def opened(circuit: Circuit) -> None:
    refused(circuit, times=FAILURES_TO_OPEN)


def called(circuit: Circuit, application: str = "one") -> bool:
    """Call something that works, and tell whether the circuit let it."""
    try:
        with circuit.guard(application):
            return True
    except CircuitOpen:
        return False


def test_a_healthy_service_costs_one_look(azurite: Azurite, storage: StorageAccount, circuit: Circuit) -> None:
    before = len(azurite.requests(storage.name))
    for _ in range(100):
        assert called(circuit)
    assert len(azurite.requests(storage.name)) == before + 1


def test_a_start_after_the_cause_was_mended_closes_it(instance: Callable[[], Circuit]) -> None:
    opened(instance())
    started = instance()
    assert called(started)
    assert started.known().everybody is None


def test_too_many_refusals_in_a_row_end_the_calls_and_say_why_and_until_when(circuit: Circuit) -> None:
    refused(circuit, times=FAILURES_TO_OPEN - 1)
    assert called(circuit)
    opened(circuit)
    with (
        pytest.raises(
            CircuitOpen, match=rf"{START + timedelta(seconds=30):%Y-%m-%d %H:%M:%S} UTC.*add the application"
        ) as open_,
        circuit.guard(),
    ):
        pytest.fail("the service was asked")
    assert open_.value.wait == timedelta(seconds=30)
    outage = circuit.known().everybody
    assert outage is not None
    assert (outage.kind, outage.failures, outage.since) == ("401", FAILURES_TO_OPEN, START)


def test_a_call_that_works_in_between_begins_the_count_anew(circuit: Circuit) -> None:
    for _ in range(3):
        refused(circuit, times=FAILURES_TO_OPEN - 1)
        assert called(circuit)
    assert circuit.known().everybody is None


def test_only_failures_of_one_kind_are_counted_together(circuit: Circuit) -> None:
    for kind in ("401", "403", "unreachable", "token") * 2:
        refused(circuit, kind)
    assert called(circuit)


@pytest.mark.parametrize("error", [AgainLater("500"), BadAnswer("HTML")])
def test_a_busy_service_is_not_taken_for_one_that_refuses(circuit: Circuit, error: CabferryError) -> None:
    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(AgainLater), circuit.guard():
            raise error
    assert called(circuit)


def test_a_refused_request_shows_that_the_caller_is_known(circuit: Circuit) -> None:
    refused(circuit, times=FAILURES_TO_OPEN - 1)
    with pytest.raises(Never), circuit.guard():
        raise Never("no such failure (404)")
    refused(circuit, times=FAILURES_TO_OPEN - 1)
    assert called(circuit)


def test_another_instance_learns_of_it_by_one_refused_call(instance: Callable[[], Circuit]) -> None:
    opened(instance())
    other = instance()
    refused(other)
    assert not called(other)


def test_failures_of_all_instances_count_together(instance: Callable[[], Circuit]) -> None:
    one, other = instance(), instance()
    refused(one, times=2)
    refused(other, times=3)
    assert not called(other)


def test_one_instance_probes_and_the_others_wait_for_what_it_finds(
    instance: Callable[[], Circuit], clock: PassingClock
) -> None:
    one, other = instance(), instance()
    opened(one)
    refused(other)
    clock.pass_by(seconds=31)
    with one.guard():
        assert not called(other)
    clock.pass_by(seconds=61)
    assert called(other)
    assert one.known().everybody is None


def test_a_probe_that_fails_makes_the_next_come_later_up_to_a_quarter_of_an_hour(
    circuit: Circuit, clock: PassingClock
) -> None:
    opened(circuit)
    waits = []
    for _ in range(7):
        outage = circuit.known().everybody
        assert outage is not None
        waits.append((outage.probe_at - clock.moment).total_seconds())
        clock.moment = outage.probe_at
        refused(circuit)
    assert waits == [30, 60, 120, 240, 480, 900, 900]


def test_it_closes_when_the_probe_works(circuit: Circuit, clock: PassingClock) -> None:
    opened(circuit)
    clock.pass_by(seconds=30)
    assert called(circuit)
    assert called(circuit)
    assert circuit.known().everybody is None


def test_a_table_that_fails_hides_no_refusal(storage: StorageAccount) -> None:
    circuit = Circuit(table_of(storage, "health", created=False), "devcenter")
    refused(circuit, times=FAILURES_TO_OPEN)


def throttled(circuit: Circuit, seconds: float) -> timedelta:
    """Be told to wait, and return how long that is kept."""
    with pytest.raises(AgainLater) as told, circuit.guard("one"):
        raise AgainLater("429", timedelta(seconds=seconds))
    assert type(told.value) is AgainLater, "it was asked"
    assert told.value.wait is not None
    return told.value.wait


def test_a_403_of_one_application_ends_its_own_calls_alone(
    instance: Callable[[], Circuit], clock: PassingClock
) -> None:
    circuit = instance()
    refused(circuit, "403", FAILURES_TO_OPEN, "one")
    assert not called(circuit, "one")
    assert called(circuit, "two")
    assert called(circuit, "reports")
    assert not called(circuit, "one"), "that others work says nothing of it"
    assert (circuit.known().is_open("one"), circuit.known().is_open("two")) == (True, False)
    worst = circuit.known().worst
    assert worst is not None
    assert (worst.kind, worst.failures, worst.since) == ("403", FAILURES_TO_OPEN, START)

    other = instance()
    assert called(other, "two")
    assert not called(other, "one"), "learnt by the look after its first call"

    clock.pass_by(seconds=30)
    assert called(circuit, "one")
    assert circuit.known().worst is None


def test_an_application_that_works_now_and_then_does_not_hide_one_that_never_does(circuit: Circuit) -> None:
    for _ in range(FAILURES_TO_OPEN):
        assert called(circuit, "two")
        refused(circuit, "403", 1, "one")
    assert not called(circuit, "one")


def test_it_opens_for_all_where_every_application_is_refused(circuit: Circuit, clock: PassingClock) -> None:
    """Thousands of pulls would else each cost one refused call, and end as Failed."""
    for application in ("one", "two", "reports", "one", "two"):
        refused(circuit, "403", 1, application)
    assert not called(circuit, "three")
    assert not called(circuit, "reports")
    assert circuit.known().is_open("three")
    clock.pass_by(seconds=31)
    refused(circuit, "403", 1, "two")  # probes for itself alone
    assert called(circuit, "three"), "and leaves the probe for all to one that was never refused"
    assert called(circuit, "four")
    assert not called(circuit, "two")


def test_reports_that_may_be_read_say_nothing_of_the_applications(circuit: Circuit) -> None:
    for application in ("one", "two", "three", "one", "two"):
        refused(circuit, "403", 1, application)
        called(circuit, "reports")
    assert not called(circuit, "four")


def test_an_application_that_works_is_not_held_up_by_others_that_do_not(circuit: Circuit, clock: PassingClock) -> None:
    for _ in range(FAILURES_TO_OPEN):
        for application in ("one", "two"):
            refused(circuit, "403", 1, application)
        assert called(circuit, "three")
    for _ in range(5):
        assert not called(circuit, "one")
        assert not called(circuit, "two")
        assert called(circuit, "three")
        clock.pass_by(minutes=15)
        for application in ("one", "two"):
            refused(circuit, "403", 1, application)


def test_a_wait_that_one_call_was_told_is_kept_by_all(instance: Callable[[], Circuit], clock: PassingClock) -> None:
    one, other = instance(), instance()
    assert called(other)
    assert throttled(one, 120) == timedelta(seconds=120)
    with (
        pytest.raises(CircuitOpen, match=f"{START + timedelta(minutes=2):%Y-%m-%d %H:%M:%S} UTC") as kept,
        one.guard("two"),
    ):
        pytest.fail("the service was asked")
    assert kept.value.wait == timedelta(seconds=120)
    clock.pass_by(seconds=61)
    assert called(other), "the last call before it looks"
    assert not called(other)
    clock.pass_by(seconds=59)
    assert called(one)
    assert called(other)


def test_a_wait_that_does_not_help_grows_and_is_what_was_asked_once_it_did(
    circuit: Circuit, clock: PassingClock
) -> None:
    waits = []
    for _ in range(5):
        waits.append(throttled(circuit, 2).total_seconds())
        clock.pass_by(seconds=waits[-1])
    assert waits == [2, 4, 8, 16, 32]
    assert called(circuit)
    assert throttled(circuit, 2) == timedelta(seconds=2)


def test_calls_that_were_made_before_the_wait_do_not_make_it_grow(circuit: Circuit) -> None:
    calls = [circuit.guard("one") for _ in range(8)]
    for call in calls:
        call.__enter__()
    waits = []
    for call in calls:
        error = AgainLater("429", timedelta(seconds=2))
        assert not call.__exit__(AgainLater, error, None)
        waits.append(error.wait)
    assert set(waits) == {timedelta(seconds=2)}


def test_a_wait_is_kept_where_the_table_fails(storage: StorageAccount) -> None:
    circuit = Circuit(table_of(storage, "health", created=False), "devcenter")
    throttled(circuit, 60)
    assert not called(circuit)

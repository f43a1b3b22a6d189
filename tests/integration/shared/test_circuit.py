"""A wrong secret must not make thousands of pulls ask for a token each, and must not go unnoticed once it is mended."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.azurite.server import Azurite
from shared.core import clock as clocks
from shared.core.errors import AgainLater, BadAnswer, CabferryError, CircuitOpen, NeedsPerson, Never
from shared.progress.circuit import Circuit
from shared.storage.table_rows import TableRows
from tests.support.azurite import StorageAccount

from .tables import table_of

START = datetime(2026, 10, 5, 10, 0, tzinfo=UTC)
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


def refused(circuit: Circuit, kind: str = "401", times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(NeedsPerson), circuit.guard():
            raise NeedsPerson("the token is refused: add the application", outage=kind)


def opened(circuit: Circuit) -> None:
    refused(circuit, times=FAILURES_TO_OPEN)


def called(circuit: Circuit) -> bool:
    """Call something that works, and tell whether the circuit let it."""
    try:
        with circuit.guard():
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
    assert started.outage() is None


def test_too_many_refusals_in_a_row_end_the_calls_and_say_why_and_until_when(circuit: Circuit) -> None:
    refused(circuit, times=FAILURES_TO_OPEN - 1)
    assert called(circuit)
    opened(circuit)
    with pytest.raises(CircuitOpen, match=r"2026-10-05 10:00:30 UTC.*add the application") as open_, circuit.guard():
        pytest.fail("the service was asked")
    assert open_.value.wait == timedelta(seconds=30)
    outage = circuit.outage()
    assert outage is not None
    assert (outage.kind, outage.failures, outage.since) == ("401", FAILURES_TO_OPEN, START)


def test_a_call_that_works_in_between_begins_the_count_anew(circuit: Circuit) -> None:
    for _ in range(3):
        refused(circuit, times=FAILURES_TO_OPEN - 1)
        assert called(circuit)
    assert circuit.outage() is None


def test_only_failures_of_one_kind_are_counted_together(circuit: Circuit) -> None:
    for kind in ("401", "403", "unreachable", "token") * 2:
        refused(circuit, kind)
    assert called(circuit)


@pytest.mark.parametrize("error", [AgainLater("429", timedelta(seconds=1)), AgainLater("500"), BadAnswer("HTML")])
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
    assert one.outage() is None


def test_a_probe_that_fails_makes_the_next_come_later_up_to_a_quarter_of_an_hour(
    circuit: Circuit, clock: PassingClock
) -> None:
    opened(circuit)
    waits = []
    for _ in range(7):
        outage = circuit.outage()
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
    assert circuit.outage() is None


def test_a_table_that_fails_hides_no_refusal(storage: StorageAccount) -> None:
    circuit = Circuit(table_of(storage, "health", created=False), "devcenter")
    refused(circuit, times=FAILURES_TO_OPEN)

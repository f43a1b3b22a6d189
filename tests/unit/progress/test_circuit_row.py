"""What all processes must keep to stands in one row, and a process that could not write it says so."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.core.errors import AgainLater, NeedsPerson
from shared.progress.circuit import Circuit
from tests.simulation.tables import MemoryTable, Table


class WritesBefore:
    """Another process, which writes the row right before some writes of this one."""

    def __init__(self, times: int) -> None:
        self.times, self.table = times, Table("health")

    def call[T](self, how: str, _what: str, do: Callable[[], T]) -> T:
        if how == "write" and self.times:
            self.times -= 1
            other = MemoryTable(self.table, WritesBefore(0))
            row = other.get("circuit", "dev-center")
            moved = other.merge(row, {"probes": self.times}) if row else other.insert("circuit", "dev-center", {})
            assert moved
        return do()


GIVEN_UP = "the circuit of dev-center cannot keep a wait: others keep changing its row"


@pytest.mark.parametrize(("times", "told"), [(4, []), (5, [GIVEN_UP])])
def test_a_wait_that_only_this_process_keeps_is_told(
    caplog: pytest.LogCaptureFixture, times: int, told: list[str]
) -> None:
    """The others go on to ask who has asked to be left alone."""
    other = WritesBefore(times)
    circuit = Circuit(MemoryTable(other.table, other), "dev-center")
    with pytest.raises(AgainLater), circuit.guard():
        raise AgainLater("busy", timedelta(seconds=30))
    assert [record.message for record in caplog.records] == told
    assert (circuit.known().throttled_until.year > 2000) == (not told)


def test_that_it_has_opened_is_told_once_though_others_write_its_row_right_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each time that it is told, somebody is woken."""
    other = WritesBefore(0)
    circuit = Circuit(MemoryTable(other.table, other), "dev-center")
    for meanwhile in (0, 0, 0, 0, 2):
        other.times = meanwhile
        with pytest.raises(NeedsPerson), circuit.guard("one"):
            raise NeedsPerson("no token", outage="token")
    assert [record.message.partition(" reason=")[0] for record in caplog.records] == [
        "circuit-opened: service=dev-center application= kind=token failures=5"
    ]


def test_what_many_met_of_one_request_is_counted_once() -> None:
    """Eight calls that waited for the same token would else keep every instance from asking."""
    circuit = Circuit(MemoryTable(Table("health"), WritesBefore(0)), "dev-center")
    for turn in range(8):
        met = AgainLater("no token", outage="token")
        met.is_echo = turn > 0
        with pytest.raises(AgainLater), circuit.guard("one"):
            raise met
    with circuit.guard("one"):
        pass

"""One cab that somebody asks for by itself, in memory: what it costs, and how it is found in the telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.core.failure import Failure
from shared.progress.messages import PullMessage
from shared.pull.one_cab import copy_cab
from tests.simulation.tables import MemoryTable
from tests.support.memory_app import memory_app
from tests.support.told import insights

if TYPE_CHECKING:
    from pathlib import Path

FAILURE = Failure("1", "failure")
ASKING = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


@pytest.mark.parametrize(("others", "is_counted"), [(2, True), (100, False)])
def test_of_a_large_failure_not_all_rows_are_read_for_one_cab(
    monkeypatch: pytest.MonkeyPatch, *, others: int, is_counted: bool
) -> None:
    """A thousand of ten thousand, asked for one by one, were ten thousand queries; here one brings a few rows."""
    with memory_app() as app:
        app.pull(FAILURE)
        for number in range(others):
            app.change_cab(FAILURE, f"other-{number}", state="listed")
        really, queries = MemoryTable._page, list[str]()

        def page(table: MemoryTable, where: str, *rest: Any) -> Any:
            queries.append(where)
            return really(table, where, *rest)

        monkeypatch.setattr(MemoryTable, "_page", page)
        (cab,) = app.serve(FAILURE, 1)
        app.change_cab(FAILURE, cab.name, state="listed")
        app.do(lambda: copy_cab(app.host.pull_tools, PullMessage(FAILURE, None, "the test", cab=cab.name)))
        assert len(queries) <= 1
        tally = app.row(FAILURE).tally
        assert tally is not None
        assert tally.held == is_counted, "the reconcile counts the others"


def test_it_is_joined_to_what_asked_for_it(tmp_path: Path) -> None:
    with insights(tmp_path) as azure, memory_app() as app:
        app.pull(FAILURE)
        (cab,) = app.serve(FAILURE, 1)
        message = PullMessage(FAILURE, None, "the test", traceparent=ASKING, cab=cab.name)
        app.do(lambda: copy_cab(app.host.pull_tools, message))
    (span,) = (row for row in azure.rows["AppDependencies"] if row["Name"] == "cab")
    assert ASKING.split("-")[1] in span["Properties"]["_MS.links"]
    assert span["Properties"]["failureHash"] == "failure"

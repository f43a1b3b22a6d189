"""Messages of checks come twice, late and side by side: whoever asked last must see the end of that check."""

from base64 import b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from shared.reports import asked_check
from shared.reports.asked_check import AskedChecks
from tests.simulation.lines import GoodLine
from tests.simulation.queues import MemoryQueue, Queue
from tests.simulation.tables import MemoryTable, Table

if TYPE_CHECKING:
    from shared.reports.check import ReportTools


def test_an_old_check_that_ends_late_does_not_hide_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its host died, its message came back after that of the next: whoever asked for the next must see its end."""
    monkeypatch.setattr(asked_check, "check_reports", lambda *_: [])
    queue, line = Queue("checks"), GoodLine()
    checks = AskedChecks(MemoryTable(Table("health"), line), MemoryQueue(queue, line))
    tools = cast("ReportTools", SimpleNamespace(settings=SimpleNamespace(report_schedule="0 */30 * * * *")))
    checks.ask()
    checks.run(tools, b64encode(queue.messages[0].text.encode()))
    checks.ask()
    checks.run(tools, b64encode(queue.messages[1].text.encode()))
    ended = checks.last()
    assert ended
    assert ended.state == "Completed"
    checks.run(tools, b64encode(queue.messages[0].text.encode()))
    assert checks.last() == ended

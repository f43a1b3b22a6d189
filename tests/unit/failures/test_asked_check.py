"""A check of failures that must wait comes back by itself, however long the applications behind it took."""

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from shared.core import clock
from shared.failures import asked_check
from shared.progress.failures import ApplicationCheck
from tests.simulation.lines import GoodLine
from tests.simulation.queues import MemoryQueue, Queue

if TYPE_CHECKING:
    from shared.failures.check import FailureTools


@pytest.mark.parametrize("left", [90, 0, -90])
def test_a_check_is_sent_back_when_its_wait_is_over_or_at_once_where_it_is_by_now(
    left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue refuses a message of the past, and the host took that for a check that failed."""
    again_at = clock.now() + timedelta(seconds=left)
    check = ApplicationCheck("desktop", "1", None, None, 0, 0, "throttled", again_at)
    monkeypatch.setattr(asked_check, "check_failures", lambda *_: [check])
    queue = Queue("checks")
    asked_check.run(cast("FailureTools", None), clock.now(), MemoryQueue(queue, GoodLine()))
    (message,) = queue.messages
    waits = (message.visible_at - message.sent_at).total_seconds()
    assert waits == pytest.approx(max(0, left), abs=2)

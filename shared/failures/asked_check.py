"""A check of the failures of applications that somebody asked for: it runs from the queue of checks."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import BadInput, CabferryError
from shared.failures.check import check_failures, raise_if_failed
from shared.progress.messages import unwrapped

if TYPE_CHECKING:
    from shared.failures.check import FailureTools
    from shared.progress.queue import PullQueue

_log = logging.getLogger(__name__)
_ASKS = "failures since "


def ask(queue: PullQueue) -> None:
    """Send the message that makes a check happen.

    Args:
        queue: Carries it to the function that does it.

    Raises:
        CabferryError: Sorted by what helps; nothing waits then.
    """
    queue.send_text(f"{_ASKS}{clock.now().isoformat()}", timedelta())


def asked_for_failures(message: bytes) -> datetime | None:
    """Return when a check of failures was asked for; None where the message asks for another one.

    Args:
        message: As it stands in the queue.
    """
    try:
        text = unwrapped(message).decode("utf-8", "replace")
    except BadInput:
        return None
    if not text.startswith(_ASKS):
        return None
    return clock.moment_of(text.removeprefix(_ASKS)) or clock.now()


def run(tools: FailureTools, asked_at: datetime, queue: PullQueue) -> None:
    """Make a check, unless each application was checked since it was asked for; where it must wait, send it back.

    Args:
        tools: What a check works with.
        asked_at: When it was asked for.
        queue: Where it came from.

    Raises:
        CabferryError: What was seen cannot be written down. The host tries again.
    """
    checks = check_failures(tools, asked_at)
    if again_at := max((each.next_try_at for each in checks if each.next_try_at), default=None):
        # It may be over by now: the applications behind the one that must wait were checked meanwhile.
        queue.send_text(f"{_ASKS}{asked_at.isoformat()}", max(again_at - clock.now(), timedelta()))
    try:
        raise_if_failed(checks)
    except CabferryError as error:
        # Each application's row tells it, and the timer checks again where nothing waits.
        _log.warning("the check that was asked for: %s", error)

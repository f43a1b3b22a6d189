"""Wait for something to happen, never for a time to pass."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 60.0
# The end of a log is what tells.
_SHOWN = 6_000


def wait_until[T](
    look: Callable[[], T],
    what: str,
    seconds: float = DEADLINE_SECONDS,
    hint: Callable[[], str] | None = None,
    pause: float = 0.15,
) -> T:
    """Return the first truthy value that a look gives; fail where there is none in time.

    Args:
        look: Looks once.
        what: What is waited for, for the failure.
        seconds: The deadline.
        hint: Tells more where it fails, for example a log.
        pause: Seconds between two looks.
    """
    end = time.monotonic() + seconds
    while True:
        if value := look():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{hint()[-_SHOWN:] if hint else ''}")
        time.sleep(pause)

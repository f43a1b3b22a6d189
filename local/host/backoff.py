"""How long to wait before the next look into a queue that was empty."""

import random
from datetime import timedelta

_MINIMUM = timedelta(milliseconds=100)
_SPREAD = 0.2


class PollingBackoff:
    """The randomized exponential back-off of Azure's queue listener, from 100 ms up to maxPollingInterval."""

    def __init__(self, maximum: timedelta) -> None:
        self._maximum = maximum
        self._empty_looks = 0

    def reset(self) -> None:
        """Begin again at the shortest wait: a message was found."""
        self._empty_looks = 0

    def next_wait(self) -> timedelta:
        """Return the wait after one more look that found nothing."""
        wait = _MINIMUM
        if self._empty_looks:
            # Spreads the looks of several hosts.
            spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - nothing secret hangs on it
            wait += _MINIMUM * 2 ** (self._empty_looks - 1) * spread
        if wait >= self._maximum:
            return self._maximum
        self._empty_looks += 1
        return wait

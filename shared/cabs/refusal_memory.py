"""Remember what is refused again and again, for some minutes: each refusal more would cost a request for nothing."""

from __future__ import annotations

import threading

from shared.core import clock
from shared.core.values import Mutable

# One refusal may be one cab's own, or pass. So many in a row are no chance.
_IN_A_ROW = 3
_SECONDS = 600.0
# While one asks again, for so long the others do not.
_ASKING_SECONDS = 60.0
_MOST = 1_000


class _Refused(Mutable):
    times: int = 0
    why: str = ""
    until: float = 0.0


class RefusalMemory:
    """Know what is not worth asking for now; it is asked again after some minutes, by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: dict[str, _Refused] = {}

    def known(self, what: str) -> str:
        """Return why something is not worth asking for; empty where it is.

        Args:
            what: Names it.
        """
        with self._lock:
            refused = self._refused.get(what)
            if refused is None or refused.times < _IN_A_ROW:
                return ""
            if clock.monotonic() >= refused.until:
                refused.until = clock.monotonic() + _ASKING_SECONDS
                return ""
            return refused.why

    def note(self, what: str, why: str) -> bool:
        """Note a refusal, and tell whether it is one too many, so that it is not asked any more for now.

        Args:
            what: Names what was refused.
            why: The refusal.
        """
        with self._lock:
            if len(self._refused) >= _MOST:
                self._refused.clear()
            refused = self._refused.setdefault(what, _Refused())
            refused.times, refused.why = refused.times + 1, why
            if refused.times >= _IN_A_ROW:
                refused.until = clock.monotonic() + _SECONDS
            return refused.times == _IN_A_ROW

    def forget(self, what: str) -> None:
        """Note that something was not refused."""
        if what in self._refused:
            with self._lock:
                self._refused.pop(what, None)

"""Fresh URLs for the cabs of one page: asked for once, when the first of them needs one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from shared.core.errors import AgainLater, CabferryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.devcenter.batch import BatchCab


class FreshUrls:
    """Give fresh URLs to the cabs of one page.

    Args:
        ask: Asks for the page again.
    """

    def __init__(self, ask: Callable[[], dict[str, BatchCab]]) -> None:
        self._ask, self._lock = ask, threading.Lock()
        self._cabs: dict[str, BatchCab] | None = None
        self._error: CabferryError | None = None

    def of(self, cab_id_hash: str) -> str:
        """Return a cab's fresh URL.

        Raises:
            CabferryError: As the batch; the same for each cab of the page.
        """
        with self._lock:
            if self._cabs is None and self._error is None:
                try:
                    self._cabs = self._ask()
                except CabferryError as error:
                    self._error = error
        if self._error:
            raise self._error
        fresh = (self._cabs or {}).get(cab_id_hash)
        if fresh is None or fresh.url is None:
            raise AgainLater(
                f"cab {cab_id_hash}: its SAS is refused, and its page of the batch has no fresh URL for it"
            )
        return fresh.url

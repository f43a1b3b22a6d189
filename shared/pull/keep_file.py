"""The settings file that says what is worth keeping: a blob beside the cabs, which people write and the app reads.

A file that is wrong, or cannot be read, loses no cab: everything is kept, or what the rules said that this process read
last; and the bytes of a day that held last go on to hold. Health and preflight tell what is wrong with it.
"""

from __future__ import annotations

import logging
import threading
from copy import replace
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceNotFoundError

from shared.core import clock
from shared.core.errors import CabferryError
from shared.core.keep import Rules
from shared.core.keep_text import MOST_BYTES, rules_in, what_holds_in
from shared.storage.refusals import storage_errors

if TYPE_CHECKING:
    from shared.cabs.container import CabContainer
    from shared.progress.day_bytes import DayBytes

_log = logging.getLogger(__name__)
# No cab's: an applicationId has no underscore. The lifecycle rule of infra/ leaves this folder alone.
KEEP_FILE = "_settings/keep.toml"
_SETTING = "MAX_CABS_PER_FAILURE"
_FRESH_SECONDS = 60.0


class KeepFile:
    """Read the file, once a minute at most.

    Args:
        container: Where it is.
        day: Knows the bytes of a day that held last.
        most_cabs: MAX_CABS_PER_FAILURE, which is the last rule.
    """

    def __init__(self, container: CabContainer, day: DayBytes, most_cabs: int) -> None:
        self._container, self._day, self._most_cabs = container, day, most_cabs
        self._known: Rules | None = None
        self._until = 0.0
        self._reading = threading.Lock()

    def current(self) -> Rules:
        """Return the rules that hold now, at most a minute old: one request, or none; nothing raises."""
        with self._reading:  # Who comes meanwhile waits for it: what is known may be of hours ago.
            before = self._known
            if before is not None and clock.monotonic() < self._until:
                return before
            self._known = found = self._read()
            self._until = clock.monotonic() + _FRESH_SECONDS
        if found.problem and (before is None or before.problem != found.problem):
            _log.error("what is worth keeping is not as it is written: %s", found.problem)
        return found

    def parsed(self, text: bytes) -> Rules:
        """Return the rules that would hold, were this in the file.

        Raises:
            BadInput: It is not what it should be.
        """
        return rules_in(text).and_at_most(self._most_cabs, _SETTING)

    def _read(self) -> Rules:
        try:
            text = read_keep_file(self._container)
            found = what_holds_in(text, KEEP_FILE) if text is not None else Rules()
            if found.problem and not found.bytes_a_day:
                found = replace(found, bytes_a_day=self._day.limit())
        except CabferryError as error:
            before = self._known or Rules().and_at_most(self._most_cabs, _SETTING)
            return replace(before, problem=f"{KEEP_FILE} cannot be read: {error}")
        return found.and_at_most(self._most_cabs, _SETTING)


def read_keep_file(container: CabContainer) -> bytes | None:
    """Return what the file holds; None where there is none: one request.

    Raises:
        CabferryError: Storage does not give it.
    """
    with storage_errors(f"reading {KEEP_FILE}"):
        try:
            # One byte more than is allowed, so that a longer one is told.
            return container.blob(KEEP_FILE).download_blob().read(MOST_BYTES + 1)
        except ResourceNotFoundError:
            return None

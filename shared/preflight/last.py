"""The last preflight, kept in the table `health`: what was found, and when."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from shared.core import clock
from shared.core.errors import CabferryError
from shared.core.json_text import JsonError, decoded
from shared.core.threads import OneLook, Pool
from shared.core.values import Immutable
from shared.preflight.health import found_by
from shared.preflight.probing import ProbeResult
from shared.preflight.run import preflight
from shared.services import services
from shared.storage.table_writes import Write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shared.storage.table_writes import Columns

_log = logging.getLogger(__name__)
_PREFLIGHT, _LATEST = "preflight", "latest"
# What must be well for the result to be kept.
_NEEDED = {"settings", "tables"}
_SECONDS = 5.0


class LastPreflight(Immutable, frozen=True):
    """What the last preflight found.

    Args:
        at: When it had ended.
        results: One for each check.
    """

    at: datetime
    results: tuple[ProbeResult, ...]


def kept_preflight() -> list[ProbeResult]:
    """Ask every part, and keep what each answered where the tables can be written."""
    found = preflight()
    if all(each.is_ok for each in found if each.name in _NEEDED):
        try:
            _keeper().submit(_keep, found).result(_SECONDS)
        except (CabferryError, TimeoutError) as error:
            _log.warning("the result of the preflight could not be kept: %s %s", type(error).__name__, error)
    return found


def last_preflight() -> LastPreflight | None:
    """Return what the last preflight found; None where none was kept.

    Raises:
        CabferryError: Sorted by what helps; within seconds, whatever is broken.
    """
    return found_by(_looks.start())


def _read() -> LastPreflight | None:
    row = services().health_table.get(_PREFLIGHT, _LATEST)
    at = row.moment("at") if row else None
    if row is None or at is None:
        return None
    try:
        return LastPreflight(at, decoded(row.text("results").encode(), tuple[ProbeResult, ...]))
    except JsonError:
        return None  # as another version of the app wrote it


def _keep(found: Sequence[ProbeResult]) -> None:
    columns: Columns = {"at": clock.now(), "results": msgspec.json.encode(found).decode()}
    services().health_table.write_all(_PREFLIGHT, [Write(_LATEST, columns, "upsert")])


@cache
def _keeper() -> Pool:
    # One thread: what hangs waits behind each other instead of taking up threads.
    return Pool(1, thread_name_prefix="preflight")


_looks = OneLook(_read, "preflight")

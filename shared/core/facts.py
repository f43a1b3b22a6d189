"""What is told of a cab beside its ids: by a report's row, or by a row of the analytics."""

from __future__ import annotations

import re
from functools import lru_cache
from sys import intern

from msgspec.structs import astuple

from shared.core.redaction import redact
from shared.core.values import Immutable

# A text column of a table holds 32 Ki characters, and blob metadata 8 KiB in all.
_CHARACTERS = 1_000
# Names and versions come back in row after row: so many of the usual length are remembered.
_REMEMBERED, _USUAL_CHARACTERS = 8_192, 200
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class CabFacts(Immutable, frozen=True):
    """What a row tells of a cab; DeviceId and HardwareId are left out, since they identify a device.

    Args:
        failure_name: For example `AV_contoso!ReadQueue`.
        driver_name: The file of the driver or the application, or the package of a Store app.
        driver_version: Its version.
        os_version: Of Windows.
        architecture: Of the processor.
        cab_type: kernel, MINI, FULL; only reports tell it.
        market: The country or region, as the API names it; only the analytics of applications tell it.
    """

    failure_name: str = ""
    driver_name: str = ""
    driver_version: str = ""
    os_version: str = ""
    architecture: str = ""
    cab_type: str = ""
    market: str = ""

    def completed(self, others: CabFacts) -> CabFacts:
        """Return them with what only others tell; what is told already stays."""
        return CabFacts(*(mine or theirs for mine, theirs in zip(astuple(self), astuple(others), strict=True)))


NO_FACTS = CabFacts()


def fact(told: str) -> str:
    """Return what a row tells as it can be kept: without secrets and control characters, and not too long.

    The same names come back in many rows; interned, they are kept once.
    """
    return _remembered(told) if len(told) <= _USUAL_CHARACTERS else _fact(told)


def _fact(told: str) -> str:
    return intern(redact(" ".join(CONTROLS.sub(" ", told).split()))[:_CHARACTERS])


_remembered = lru_cache(_REMEMBERED)(_fact)

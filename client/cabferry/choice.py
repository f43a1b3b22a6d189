"""Which failures and cabs a person means: names, globs and short hashes; versions, systems and ages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from .names import shown
from .problems import Exit, ProblemError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from .catalog import Cab

SHORTEST = 8
_HEX = re.compile(rf"[0-9a-f]{{{SHORTEST},}}")
_AGE = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SUGGESTED = 6
# https://learn.microsoft.com/windows/release-health/windows11-release-information, and windows10's likewise.
_BUILDS = {
    "1809": ("17763",),
    "20h2": ("19042",),
    "21h2": ("19044", "20348", "22000"),
    "22h2": ("19045", "22621"),
    "23h2": ("22631", "25398"),
    "24h2": ("26100",),
    "25h2": ("26200",),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a cab must be; an empty text and None ask for nothing.

    Args:
        driver: Glob of the driver's name.
        version: Glob of its version.
        os: Glob or part of the OS version, or a release such as 24H2.
        architecture: Glob of the architecture.
        cab_type: Glob of the cab's type.
        since: Its earliest date, as the catalog tells it.
    """

    driver: str = ""
    version: str = ""
    os: str = ""
    architecture: str = ""
    cab_type: str = ""
    since: int | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Filters:
        """Return what the command line asks for."""
        given = vars(arguments)
        return cls(**{name: given[name] for name in cls.__slots__ if given.get(name) is not None})

    def take(self, cab: Cab) -> bool:
        """Tell whether a cab is one of these."""
        return (
            matches(self.driver, cab.driverName)
            and matches(self.version, cab.driverVersion)
            and self._is_on(cab.osVersion)
            and matches(self.architecture, cab.architecture)
            and matches(self.cab_type, cab.cabType)
            and (self.since is None or (cab.date or cab.copiedAt or 0) >= self.since)
        )

    def _is_on(self, os_version: str) -> bool:
        builds = _BUILDS.get(self.os.casefold(), ())
        return (
            matches(self.os, os_version)
            or (not _is_glob(self.os) and self.os.casefold() in os_version.casefold())
            or any(build in os_version.split(".") for build in builds)
        )


@lru_cache(maxsize=1 << 16)
def matches(pattern: str, text: str) -> bool:
    """Tell whether a text is the pattern, or fits it as a glob, in any case; an empty pattern fits all."""
    return not pattern or fnmatchcase(text.casefold(), pattern.casefold())


def moment_since(text: str, now: datetime | None = None) -> int:
    """Return when an age such as 7d, 12h or 90m began, or a date such as 2026-11-01, in the catalog's form.

    Raises:
        ValueError: It is neither.
    """
    age = _AGE.fullmatch(text.strip().lower())
    if age:
        began = (now or datetime.now(UTC)) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    else:
        began = datetime.fromisoformat(text)
        began = began if began.tzinfo else began.replace(tzinfo=UTC)
    return int(began.timestamp() * 1_000_000)


def bare(hash_: str) -> str:
    """Return a hash as it is compared: without case and dashes."""
    return hash_.casefold().replace("-", "").strip("{}")


def short_hashes(hashes: Iterable[str]) -> dict[str, str]:
    """Return the shortest form of each hash, eight characters or more, that means it alone."""
    whole = sorted({bare(each): each for each in hashes}.items())
    found = {}
    for index, (mine, given) in enumerate(whole):
        beside = [whole[other][0] for other in (index - 1, index + 1) if 0 <= other < len(whole)]
        needed = max((_alike(mine, other) + 1 for other in beside), default=0)
        found[given] = mine[: max(SHORTEST, needed)]
    return found


def chosen(cabs: Sequence[Cab], wanted: str) -> list[Cab]:
    """Return the cabs that a name, a glob or a hash means.

    Args:
        cabs: All of the catalog.
        wanted: A failure's or cab's hash or its first eight or more characters; the whole name of a failure or driver;
            or a glob of either; or the whole name of a blob.

    Raises:
        ProblemError: It means nothing, or a hash means several.
    """
    if blobs := [cab for cab in cabs if wanted and cab.blobName == wanted]:
        return blobs
    named = [cab for cab in cabs if matches(wanted, cab.failureName)] if wanted else []
    named = named or [cab for cab in cabs if wanted and matches(wanted, cab.driverName)]
    if named:
        return named
    if _HEX.fullmatch(bare(wanted)) or any(bare(cab.failureHash) == bare(wanted) for cab in cabs):
        found = _by_hash(cabs, wanted, lambda cab: cab.failureHash) or _by_hash(cabs, wanted, lambda cab: cab.cabIdHash)
        if found:
            return found
    raise ProblemError(Exit.NOTHING_FOUND, f"no failure, driver or cab is {shown(wanted)!r}{_near(cabs, wanted)}")


def one_cab(cabs: Sequence[Cab], wanted: str) -> Cab:
    """Return the cab that a hash means; of a failure or driver the newest that is held.

    Args:
        cabs: All of the catalog.
        wanted: The cab's hash or its first eight or more characters, or what means a failure.

    Raises:
        ProblemError: It means nothing, or several.
    """
    found = _by_hash(cabs, wanted, lambda cab: cab.cabIdHash) if _HEX.fullmatch(bare(wanted)) else []
    return max(found or chosen(cabs, wanted), key=lambda cab: (cab.is_held, cab.date or 0))


def _by_hash(cabs: Sequence[Cab], wanted: str, hash_of: Callable[[Cab], str]) -> list[Cab]:
    start = bare(wanted)
    found = [cab for cab in cabs if bare(hash_of(cab)).startswith(start)]
    whole = [cab for cab in found if bare(hash_of(cab)) == start]
    meant = {hash_of(cab) for cab in found}
    if len(meant) > 1 and not whole:
        some = ", ".join(shown(each) for each in sorted(meant)[:_SUGGESTED])
        raise ProblemError(
            Exit.NOTHING_FOUND, f"{wanted} is the start of {len(meant)} hashes ({some}): give more of it"
        )
    return whole or found


def _near(cabs: Sequence[Cab], wanted: str) -> str:
    part = wanted.casefold().strip("*?")
    names = {name for cab in cabs for name in (cab.failureName, cab.driverName) if part and part in name.casefold()}
    if not names:
        return "; `cabferry failures` lists them"
    return f"; did you mean {' or '.join(shown(name) for name in sorted(names)[:_SUGGESTED])}?"


def _is_glob(text: str) -> bool:
    return any(letter in text for letter in "*?[")


def _alike(one: str, other: str) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count

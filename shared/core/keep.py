"""What is worth keeping: rules, and what they say of a failure and its cabs (shared/core/keep_text.py reads them).

The first rule that fits a cab decides; where none does, the cab is kept. Nothing here asks or writes anything.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from shared.core.values import Immutable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.core.facts import CabFacts

_NO_DATE = datetime.min.replace(tzinfo=UTC)

type _Glob = Annotated[str, Meta(min_length=1, max_length=200)]
type _Globs = _Glob | Annotated[list[_Glob], Meta(min_length=1, max_length=200)]


class Rule(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """One rule of the file; it fits where every glob that it has does.

    Args:
        name: What is told as the reason of each cab that it skips.
        action: Whether what it fits is kept or skipped.
        application: The applicationId; one glob or several, of which one must fit, as in all of these.
        failure: The failure's name.
        driver: The file or package that failed.
        version: Its version; a cab of which nobody told one fits `*` alone, as in all of these.
        os: The version of Windows.
        at_most_cabs: How many cabs of a failure are kept, the newest first and spread over the versions; None for all.
        at_least_hits: How often a failure must have happened, as the report that named it last counts; None for once.
    """

    name: Annotated[str, Meta(pattern=r"^[^\x00-\x1f]{1,80}$(?!\n)")]
    action: Literal["keep", "skip"]
    application: _Globs = "*"
    failure: _Globs = "*"
    driver: _Globs = "*"
    version: _Globs = "*"
    os: _Globs = "*"
    at_most_cabs: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    at_least_hits: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None

    def fits_failure(self, failure: Subject) -> bool:
        """Tell whether it fits a failure, whatever the versions of its cabs are."""
        told = (failure.application_id, self.application), (failure.name, self.failure), (failure.driver, self.driver)
        return all(_fits(text, globs) for text, globs in told)

    @property
    def asks_cabs(self) -> bool:
        """Tell whether it looks at what differs from cab to cab of a failure."""
        return (self.version, self.os) != ("*", "*")

    def fits_cab(self, facts: CabFacts) -> bool:
        """Tell whether it fits a cab of a failure that it fits."""
        return _fits(facts.driver_version, self.version) and _fits(facts.os_version, self.os)

    def refusal(self, failure: Subject) -> str:
        """Return why no cab of a failure that it fits is kept; empty where it says nothing against that."""
        if self.action == "skip":
            return f"rule {self.name!r}"
        least = self.at_least_hits or 0
        few = failure.hits is not None and failure.hits < least
        return f"rule {self.name!r}: {failure.hits} hits are fewer than {least}" if few else ""


class Subject(Immutable, frozen=True):
    """What rules look at of a failure.

    Args:
        application_id: Whose failure.
        name: Its name; empty where nobody told it.
        driver: The file or package that failed, likewise.
        hits: How often it happened, as the report that named it last counts; None where nobody told.
    """

    application_id: str
    name: str = ""
    driver: str = ""
    hits: int | None = None


class Candidate(Immutable, frozen=True):
    """What rules look at of a cab.

    Args:
        facts: What is told of it.
        date: When the crash was collected; None where nobody told.
        is_held: Whether it is in the container.
        is_refused: Whether Microsoft lists it and did not let it go.
    """

    facts: CabFacts
    date: datetime | None = None
    is_held: bool = False
    is_refused: bool = False


class Rules(Immutable, frozen=True):
    """What is worth keeping.

    Args:
        rules: In their order.
        bytes_a_day: The most that is copied within a day in UTC; 0 for any number.
        problem: What is wrong with the file that these should have come from; empty where nothing is.
    """

    rules: tuple[Rule, ...] = ()
    bytes_a_day: int = 0
    problem: str = ""

    def and_at_most(self, cabs: int, name: str) -> Rules:
        """Return them with a last rule that keeps so many cabs of each failure that no other rule fits; 0 adds none."""
        last = (Rule(name=name, action="keep", at_most_cabs=cabs),) if cabs else ()
        return replace(self, rules=(*self.rules, *last))

    def as_asked_by_person(self) -> Rules:
        """Return what holds for a failure that a person asks for: no rule leaves it out, and how many is as it is."""
        kept = [msgspec.structs.replace(each, at_least_hits=None) for each in self.rules if each.action == "keep"]
        return replace(self, rules=tuple(kept))

    @property
    def ask_names(self) -> bool:
        """Tell whether a rule looks at what only the row of a failure's pull tells for sure."""
        return any((each.failure, each.driver, each.at_least_hits) != ("*", "*", None) for each in self.rules)

    def skips_whole(self, failure: Subject) -> str:
        """Return why no cab of a failure is kept, whatever its cabs are; empty where one may be."""
        for rule in self._of(failure):
            if rule.asks_cabs:
                return ""
            return rule.refusal(failure)
        return ""

    def has_passed(self, failure: Subject, before: int | None) -> bool:
        """Tell whether a failure happened too seldom for a rule before, and does not by now.

        Args:
            failure: As it is counted now.
            before: How often it had happened then; None where nobody told.
        """
        earlier = replace(failure, hits=before)
        return any(rule.refusal(earlier) and not rule.refusal(failure) for rule in self._of(failure))

    def may_skip(self, failure: Subject) -> bool:
        """Tell whether a rule may skip some cabs of a failure, and others not."""
        return any(rule.asks_cabs or rule.at_most_cabs for rule in self._of(failure))

    def may_limit(self, failure: Subject) -> bool:
        """Tell whether all cabs of a failure must be known before one of them is kept."""
        for rule in self._of(failure):
            if rule.at_most_cabs or not rule.asks_cabs:
                return rule.at_most_cabs is not None
        return False

    def skipped(self, failure: Subject, cabs: Mapping[str, Candidate]) -> dict[str, str]:
        """Return the cabs of a failure that are not kept, each with the reason.

        Of those that a limit is for, cabs that are held already take their places first, and those last that Microsoft
        did not let go. A cab that is held is never among the skipped.

        Args:
            failure: Whose cabs.
            cabs: All that are known where a limit may be for them (`may_limit`), else any; by cabIdHash.
        """
        skipped = dict[str, str]()
        left = dict(cabs)
        for rule in self._of(failure):
            fit = {name: cab for name, cab in left.items() if rule.fits_cab(cab.facts)}
            left = {name: cab for name, cab in left.items() if name not in fit}
            if reason := rule.refusal(failure):
                skipped |= dict.fromkeys(fit, reason)
            elif rule.at_most_cabs and len(fit) > rule.at_most_cabs:
                reason = f"rule {rule.name!r}: {rule.at_most_cabs} others are kept"
                skipped |= dict.fromkeys(_spread(fit)[rule.at_most_cabs :], reason)
        return {name: reason for name, reason in skipped.items() if not cabs[name].is_held}

    def _of(self, failure: Subject) -> Iterable[Rule]:
        return (rule for rule in self.rules if rule.fits_failure(failure))


def _fits(text: str, globs: str | list[str]) -> bool:
    some = [globs] if isinstance(globs, str) else globs
    # A bracket stands for itself, as in the name of an operator.
    return globs == "*" or any(fnmatchcase(text.lower(), glob.lower().replace("[", "[[]")) for glob in some)


def _spread(cabs: Mapping[str, Candidate]) -> list[str]:
    """Return cabs in the order in which they are worth keeping: one of each version, and so on."""

    def newest_first(name: str) -> tuple[bool, bool, float, str]:
        cab = cabs[name]
        return not cab.is_held, cab.is_refused, -(cab.date or _NO_DATE).timestamp(), name

    def newest_of(names: list[str]) -> datetime:
        return max(cabs[name].date or _NO_DATE for name in names)

    versions = defaultdict[str, list[str]](list)
    for name in sorted(cabs, key=newest_first):
        versions[cabs[name].facts.driver_version].append(name)
    rounds = zip_longest(*sorted(versions.values(), key=newest_of, reverse=True))
    return [name for each in rounds for name in each if name is not None]

"""What is kept of one failure: the rules of the settings file, for what is known of its cabs. Functions without I/O.

What a person asks for is left out by no rule; how many cabs of a failure are kept holds for everybody.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.askers import is_person
from shared.core.keep import Candidate, Subject
from shared.core.values import Immutable
from shared.progress.cab_row import CabState
from shared.progress.tally import TRIED_AGAIN, deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.keep import Rules
    from shared.core.settings import Settings
    from shared.progress.cab_row import CabRow
    from shared.progress.pull_row import PullRow

_OPEN = TRIED_AGAIN | {CabState.SKIPPED}
_LAST_TRY = "; the last try: "


class Keeping(Immutable, frozen=True):
    """What is kept of a failure.

    Args:
        rules: Those that hold for whoever asked.
        subject: The failure.
        settings: How long cabs are looked for.
    """

    rules: Rules
    subject: Subject
    settings: Settings

    @classmethod
    def of(cls, rules: Rules, subject: Subject, settings: Settings, *, for_whom: str) -> Keeping:
        """Return what is kept of a failure.

        Args:
            rules: Of the settings file.
            subject: The failure.
            settings: The app's.
            for_whom: What asks for its pull.
        """
        return cls(rules.as_asked_by_person() if is_person(for_whom) else rules, subject, settings)

    @property
    def skips_whole(self) -> str:
        """Return why nothing of the failure is kept; empty where something may be."""
        return self.rules.skips_whole(self.subject)

    @property
    def may_limit(self) -> bool:
        """Tell whether all of its cabs must be known before one of them is kept."""
        return self.rules.may_limit(self.subject)

    def skipped(self, cabs: Mapping[str, Candidate]) -> dict[str, str]:
        """Return which cabs are not kept, each with the reason."""
        return self.rules.skipped(self.subject, cabs)

    def changed(self, cabs: Mapping[str, CabRow], skipped: Mapping[str, str]) -> dict[str, CabRow]:
        """Return the rows that say something else: those that are skipped by now, and those that no longer are.

        Args:
            cabs: The rows, by cabIdHash.
            skipped: The cabs that are not kept, each with the reason.
        """
        changed: dict[str, CabRow] = {}
        for name, row in cabs.items():
            if not is_open(row):
                continue
            if reason := skipped.get(name):
                told = why_skipped(row, reason)
                if (row.state, row.error) != (CabState.SKIPPED, told):
                    changed[name] = replace(row.became(CabState.SKIPPED, told), settled_at=clock.now())
            elif row.state is CabState.SKIPPED and deadline(row, self.settings) > clock.true_now():
                # What Microsoft has deleted since was left out on purpose, and is not lost.
                changed[name] = replace(row.became(CabState.LISTED), settled_at=clock.now())
        return changed


def subject_of(pull: PullRow) -> Subject:
    """Return what rules look at of a pull's failure."""
    return Subject(pull.failure.application_id, pull.failure_name, pull.driver_name, pull.hits)


def is_open(row: CabRow) -> bool:
    """Tell whether rules decide about a cab: it could be had, and is no blob that somebody has replaced."""
    return row.state in _OPEN and not row.was_replaced


def why_skipped(row: CabRow, reason: str) -> str:
    """Return what the row of a cab says that a rule skips: the rule, and why a try before that brought no cab."""
    tried = row.error.partition(_LAST_TRY)[2] if row.state is CabState.SKIPPED else row.error
    return f"{reason}{_LAST_TRY}{tried}" if tried else reason


def candidates(cabs: Mapping[str, CabRow]) -> dict[str, Candidate]:
    """Return what rules look at of the cabs that are in the container, or could be."""
    return {
        name: Candidate(row.facts, row.date, is_held, row.state is CabState.UNAVAILABLE)
        for name, row in cabs.items()
        if (is_held := row.state is CabState.COPIED) or is_open(row)
    }

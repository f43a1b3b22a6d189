"""How a check of the reports stands, and what it did with one run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, Self

from shared.core.values import Immutable

if TYPE_CHECKING:
    from shared.devcenter.reports import ReportRun

_log = logging.getLogger(__name__)
type CheckState = Literal["Queued", "Running", "Completed", "Failed"]
type Outcome = Literal["ingested", "known", "pending", "busy", "failed"]


class RunOutcome(Immutable, frozen=True):
    """What a check did with one run.

    Args:
        report_id: The schedule's id.
        report_datetime: When the run was made.
        status: As the API names it.
        outcome: `ingested` (now), `known` (an earlier check did), `pending`, `busy` (another check reads it), `failed`.
        failures: How many failures were queued.
        cabs: How many cabs were listed.
        named: How many of them were known before, and lacked something that the report tells.
        error: Why it failed, or what could not be read.
        held: How many failures were not queued: no pull could bring a cab that the report lists, one waits that takes
            them, or a rule skips the failure.
    """

    report_id: str
    report_datetime: str
    status: str
    outcome: Outcome
    failures: int = 0
    cabs: int = 0
    error: str = ""
    named: int = 0
    held: int = 0

    @classmethod
    def of(cls, run: ReportRun, outcome: Outcome) -> Self:
        """Return what was done with a run that was not read."""
        return cls(run.report_id, run.report_datetime, run.status, outcome)

    @classmethod
    def failed(cls, run: ReportRun, error: str) -> Self:
        """Return that a run could not be read, and log it."""
        outcome = cls(run.report_id, run.report_datetime, run.status, "failed", error=error)
        _log.error("%s: %s", outcome, error)
        return outcome

    def __str__(self) -> str:
        names = (f"report {self.report_id}" if self.report_id else "", self.report_datetime)
        return " ".join(filter(None, names)) or "the list of reports"

    @property
    def is_unread(self) -> bool:
        """Tell whether something of it could not be read; a run that the Dev Center calls Failed is told by itself."""
        return self.outcome == "failed" and bool(self.error)

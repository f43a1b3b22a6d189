"""The check of the failures of applications: what happened since the last complete one is queued, once.

1. For each application, read failurehits page by page, over the days since the last complete check: 30 at first, always
   two that were seen before, since counts of the last days still grow.
2. Compare each failure with what was seen before. One that is new, or happened again, gets a pull, in the order of the
   days that are new of them.
3. Write down what was seen only when its messages were sent, and how far the check came only at its end. So a crash
   costs a repetition, and no failure; a failure that is queued twice is pulled twice, which copies nothing twice.
"""

from __future__ import annotations

import logging
from copy import replace
from datetime import timedelta
from itertools import batched
from operator import itemgetter
from typing import TYPE_CHECKING

from shared.core import clock
from shared.core.errors import AgainLater, CabferryError, NeedsPerson, unforeseen
from shared.core.events import FAILURES_CHECKED
from shared.core.facts import CabFacts
from shared.core.failure import Window, default_window
from shared.core.keep import Subject
from shared.core.metrics import CHECK_DURATION
from shared.core.schedule import next_after, next_try
from shared.core.values import Immutable
from shared.devcenter.cursor import BatchCursor
from shared.devcenter.families import APPLICATIONS
from shared.progress.failures import SeenFailure

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date, datetime

    from shared.core.failure import Failure
    from shared.core.keep import Rules
    from shared.core.settings import Settings
    from shared.devcenter.applications import ApplicationFamily, FailureHit
    from shared.devcenter.client import DevCenter
    from shared.devcenter.cursor import PageRequest
    from shared.progress.asked_pulls import AskedPulls
    from shared.progress.failures import ApplicationCheck, FailureRows
    from shared.progress.requests import PullRequests
    from shared.pull.keep_file import KeepFile
    from shared.storage.table_writes import Columns

_log = logging.getLogger(__name__)
# The API knows no more (docs/api.md).
_LOOK_BACK, _OVERLAP = timedelta(days=30), timedelta(days=2)
# As many are queued and written down together.
_AT_ONCE = 1_000
# Rows that cannot be read are counted, and so many of an application told in the log.
_UNREADABLE_LOGGED = 5


class FailureTools(Immutable, frozen=True):
    """What a check works with."""

    settings: Settings
    devcenter: DevCenter
    failures: FailureRows
    asked: AskedPulls
    requests: PullRequests
    keep: KeepFile


def check_failures(tools: FailureTools, asked_at: datetime | None = None) -> list[ApplicationCheck]:
    """Look for failures of every configured application once.

    Args:
        tools: What to work with.
        asked_at: When somebody asked for it: what was checked since then is not checked again. None checks all.

    Returns:
        How far each application was checked. One that fails stops no other, and says why in its row.

    Raises:
        CabferryError: What is seen cannot be written down.
    """
    began = clock.monotonic()
    checks = [_check(tools, family, each, asked_at) for family, each in tools.settings.applications]
    if not checks:
        _log.info("DESKTOP_APPLICATION_IDS and STORE_APPLICATION_IDS are empty: there is nothing to look for")
    CHECK_DURATION.record(clock.monotonic() - began, check="failures")
    failed = sum(bool(each.error) for each in checks)
    if failed < len(checks) or not checks:
        FAILURES_CHECKED.tell(applications=len(checks), failed=failed)
    return checks


def raise_if_failed(checks: Collection[ApplicationCheck]) -> None:
    """Fail where an application could not be checked, so that the monitoring of the platform sees it.

    Raises:
        AgainLater: Names the first, and why.
    """
    if failed := [each for each in checks if each.error]:
        raise AgainLater(
            f"{len(failed)} of {len(checks)} applications were not checked as a whole; the first: "
            f"{failed[0].family} application {failed[0].application_id}: {failed[0].error}"
        )


def _check(tools: FailureTools, family_name: str, application_id: str, asked_at: datetime | None) -> ApplicationCheck:
    before, now = tools.failures.check_of(family_name, application_id), clock.now()
    if asked_at and before.checked_at and before.checked_at >= asked_at and before.next_try_at is None:
        return before
    due = next_after(tools.settings.failure_schedule, now) if asked_at else None
    before = replace(before, next_try_at=None)
    window = _window(before.covered_to, now.date())
    try:
        seen, problem = _seen(tools.devcenter, APPLICATIONS[family_name], application_id, window)
        queued = _queue_news(tools, application_id, seen)
        done = replace(before, covered_to=now.date(), failures=len(seen), queued=queued, error=problem)
        _log.info("%s application %s: %d failures seen, %d queued", family_name, application_id, len(seen), queued)
    except CabferryError as error:
        done = replace(before, failures=0, queued=0, error=str(error), next_try_at=next_try(error, due))
        level = logging.ERROR if isinstance(error, NeedsPerson) else logging.WARNING
        _log.log(level, "%s application %s: %s", family_name, application_id, error)
    except Exception as error:  # noqa: BLE001 - it is logged whole, and told; one application stops no other
        done = replace(before, failures=0, queued=0, error=unforeseen(error))
        _log.exception("%s application %s: its failures could not be looked for", family_name, application_id)
    tools.failures.note_check(done, now)
    return replace(done, checked_at=now)


def _window(covered_to: date | None, today: date) -> Window:
    """Return the days to look at; tomorrow is among them, so that today is however the API reads an end date."""
    first = max(today - _LOOK_BACK, covered_to - _OVERLAP) if covered_to else today - _LOOK_BACK
    return Window(min(first, today), today + timedelta(days=1))


def _seen(
    devcenter: DevCenter, family: ApplicationFamily, application_id: str, window: Window
) -> tuple[dict[Failure, SeenFailure], str]:
    """Read every page, and return the distinct failures, and what could not be read."""
    seen: dict[Failure, SeenFailure] = {}
    unreadable, why = 0, ""
    cursor = BatchCursor(family.page_rows)
    request: PageRequest | None = cursor.first()
    while request is not None:
        page = family.hits(devcenter, application_id, window, request)
        for hit in page.hits:
            _add(seen, hit, window)
        for told in page.unreadable[: max(0, _UNREADABLE_LOGGED - unreadable)]:
            _log.error("%s application %s: a row of its failures cannot be read: %s", family.name, application_id, told)
        unreadable, why = unreadable + len(page.unreadable), why or next(iter(page.unreadable), "")
        request = cursor.answered(request, page)
    return seen, f"{unreadable} rows cannot be read; the first: {why}" if unreadable else ""


def _add(seen: dict[Failure, SeenFailure], hit: FailureHit, window: Window) -> None:
    known = seen.setdefault(hit.failure, SeenFailure(hit.failure))
    known.name, known.product = hit.name or known.name, hit.product or known.product
    known.file, known.version = hit.file or known.file, hit.version or known.version
    # A row without a day happened within these.
    day = hit.day or window.end
    known.days[day] = known.days.get(day, 0.0) + hit.events


def _queue_news(tools: FailureTools, application_id: str, seen: dict[Failure, SeenFailure]) -> int:
    """Queue what is new, and write down what was seen; return how many were queued."""
    known = tools.failures.of_application(application_id)
    days = ((each.first_news(known.get(each.failure)), each) for each in seen.values())
    # Cabs are deleted some weeks after the failure happened: what happened first is pulled first.
    news = [each for _, each in sorted(((day, each) for day, each in days if day), key=itemgetter(0))]
    queued = 0
    for some in batched(news, _AT_ONCE, strict=False):
        stored = tools.requests.as_stored(each.failure for each in some)
        facts = {failure: CabFacts(each.name, each.file) for failure, each in zip(stored, some, strict=True)}
        window, asks = default_window(tools.settings.cab_lookback), f"check of application {application_id}"
        joined = [each.joined(known.get(each.failure)) for each in some]
        hits = {failure: round(each.events) for failure, each in zip(facts, joined, strict=True)}
        skipped = _skipped(tools.keep.current(), facts, hits)
        tools.asked.note_skipped(skipped, window, asks, facts, hits)
        kept = [failure for failure in facts if failure not in skipped]
        tools.requests.make(kept, window, asks, facts=facts, hits=hits)
        tools.failures.write(application_id, joined)
        queued += len(kept)
    return queued


def _skipped(rules: Rules, facts: Mapping[Failure, CabFacts], hits: Mapping[Failure, int]) -> dict[Failure, Columns]:
    """Return the failures of which a rule keeps nothing, each with what its row tells of that."""
    reasons = {
        failure: rules.skips_whole(Subject(failure.application_id, told.failure_name, told.driver_name, hits[failure]))
        for failure, told in facts.items()
    }
    return {failure: {"skippedBy": reason} for failure, reason in reasons.items() if reason}

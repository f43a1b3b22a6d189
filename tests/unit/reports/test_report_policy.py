"""A failure is left out of a report's pulls only where none of them could bring a cab; the rest goes by expiry."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.facts import NO_FACTS, CabFacts
from shared.core.failure import Failure
from shared.progress.cab_row import CabRow, CabState
from shared.reports.named import ListedCabs, Named
from shared.reports.policy import due

NOW = datetime.now(UTC).replace(microsecond=0)
SOON, LATER, PAST = NOW + timedelta(days=1), NOW + timedelta(days=20), NOW - timedelta(days=1)
FACTS = CabFacts("AV_contoso!Read")
GONE = {"a": CabState.COPIED, "b": CabState.EXPIRED, "c": CabState.UNAVAILABLE, "d": CabState.RETIRED}
ASKS = "report 43000 2026-11-20T05:35:32"


def asked(
    known: dict[str, CabState],
    listed: str,
    pull: str = "Completed",
    *,
    by: str = "report 1 earlier",
    ended: datetime | None = NOW,
    facts: CabFacts = FACTS,
    expires: dict[str, datetime] | None = None,
    has_passed: bool = False,
) -> str | None:
    """Ask what a failure is sorted by; each letter is a cab."""
    named = Named(1, Failure("1", "a"), FACTS, 1, pull, by, "", ended, None)
    rows = {cab: CabRow(state, facts=facts) for cab, state in known.items()}
    return due(named, ListedCabs(dict.fromkeys(listed, FACTS), expires or {}), rows, ASKS, has_passed=has_passed)


def test_a_failure_of_which_all_is_held_or_gone_needs_no_pull() -> None:
    assert asked(GONE, "abcd") is None


@pytest.mark.parametrize("listed", ["abcde", "e", ""], ids=["one more", "another", "no cab at all"])
def test_a_failure_with_a_cab_that_nobody_knows_needs_one(listed: str) -> None:
    """One of which the report lists no cab may have some that are younger than it."""
    assert asked({cab: state for cab, state in GONE.items() if cab in listed}, listed)


@pytest.mark.parametrize("state", [CabState.LISTED, CabState.FAILED])
def test_a_cab_that_could_still_be_had_needs_one(state: CabState) -> None:
    assert asked({**GONE, "e": state}, "abcde")
    assert asked({**GONE, "e": CabState.SKIPPED}, "abcde") is None, "a rule leaves it on purpose"
    assert asked({**GONE, "e": CabState.SKIPPED}, "abcde", has_passed=True), "the failure happens often enough by now"
    assert asked(GONE, "abcd", has_passed=True) is None


@pytest.mark.parametrize(
    ("pull", "is_needed"), [("", True), ("Failed", True), ("odd", True), ("Queued", False), ("Running", False)]
)
def test_a_pull_that_did_not_end_well_is_made_again_and_one_that_waits_is_not(pull: str, is_needed: bool) -> None:
    assert bool(asked(GONE, "abcd", pull, ended=None)) is is_needed
    assert bool(asked({"a": CabState.LISTED}, "a", pull, ended=None)) is is_needed
    assert asked({}, "a", pull, ended=None), "nobody who waits knows of this cab"


@pytest.mark.parametrize("pull", ["Queued", "Running"])
def test_a_pull_of_this_very_run_may_have_lost_its_message(pull: str) -> None:
    assert asked(GONE, "abcd", pull, by=ASKS, ended=None)


def test_a_failure_is_looked_at_once_a_week_whatever_is_held() -> None:
    """A row may name its cab only later, and the schedule may have ended by then."""
    assert asked(GONE, "abcd", ended=NOW - timedelta(days=6)) is None
    assert asked(GONE, "abcd", ended=NOW - timedelta(days=8))
    assert asked(GONE, "abcd", ended=None)


def test_cabs_that_are_named_only_now_need_a_pull_that_labels_them() -> None:
    assert asked(GONE, "abcd", facts=NO_FACTS)
    assert asked({"d": CabState.RETIRED}, "d", facts=NO_FACTS) is None


def test_a_cab_that_was_called_expired_and_expires_later_is_tried_again() -> None:
    assert asked(GONE, "abcd", expires={"b": SOON}) == SOON.isoformat()
    assert asked(GONE, "abcd", expires={"b": PAST}) is None


def test_those_that_expire_first_come_first_and_those_that_cannot_be_saved_last() -> None:
    soon = asked({"a": CabState.COPIED}, "abc", expires={"a": NOW + timedelta(hours=1), "b": LATER, "c": SOON})
    later = asked({}, "ab", expires={"a": PAST, "b": LATER})
    unknown = asked({}, "ab", expires={"a": PAST})
    past, nothing = asked({}, "a", expires={"a": PAST}), asked({}, "")
    found = [soon, later, unknown, past]
    assert None not in found
    assert found == sorted(map(str, found))
    assert (soon, past) == (SOON.isoformat(), nothing)

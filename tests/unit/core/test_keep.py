"""What is kept and what is skipped: a rule that fits too much loses cabs, one that fits too little costs money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.errors import BadInput
from shared.core.facts import CabFacts
from shared.core.keep import Candidate, Rules, Subject
from shared.core.keep_text import MOST_BYTES, rules_in, what_holds_in

NOW = datetime(2026, 11, 20, tzinfo=UTC)
READ_QUEUE = Subject("13984104677400476", "AV_contoso!ReadQueue", "contoso.sys", hits=7)
EVERY_KEY = """
bytes-a-day = "1.5 GB"  # a person says why in a comment
[[rules]]
name = "all"
action = "keep"
application = ["1398*", "9NBLGGH*"]
failure = "AV_*!readqueue"
driver = "CONTOSO.sys"
version = "1.?.*"
os = "10.0.*"
at-most-cabs = 20
at-least-hits = 5
"""


def rules(text: str) -> Rules:
    return rules_in(text.encode())


def rule(action: str, **keys: object) -> str:
    told = "\n".join(f"{key.replace('_', '-')} = {value!r}" for key, value in keys.items())
    return f"[[rules]]\nname = '{action} {len(told)}'\naction = '{action}'\n{told}\n"


def cab(version: str = "", days: int = 0, os: str = "", **more: bool) -> Candidate:
    facts = CabFacts(driver_version=version, os_version=os)
    return Candidate(facts, NOW - timedelta(days=days), **more)


def test_no_file_keeps_everything() -> None:
    assert Rules().skipped(READ_QUEUE, {"a": cab(), "b": cab("1.0")}) == {}
    assert (Rules().skips_whole(READ_QUEUE), Rules().may_limit(READ_QUEUE), Rules().bytes_a_day) == ("", False, 0)


@pytest.mark.parametrize(
    ("text", "is_skipped"),
    [
        (rule("skip"), True),
        (rule("skip", application="1398*"), True),
        (rule("skip", application="2*"), False),
        (rule("skip", application=["2*", "1*"]), True),
        (rule("skip", failure="av_CONTOSO!*"), True),
        (rule("skip", failure="ReadQueue"), False),
        (rule("skip", driver="contoso.???"), True),
        (rule("skip", driver="contoso"), False),
        (rule("skip", driver="[a-z]ontoso.sys"), False),
        (rule("skip", driver="contoso.sys", failure="0x9F*"), False),
        (rule("keep", failure="AV_*") + rule("skip"), False),
        (rule("skip", failure="AV_*") + rule("keep"), True),
        (rule("keep", at_least_hits=7), False),
        (rule("keep", at_least_hits=8), True),
        (rule("keep", at_least_hits=8, driver="fabrikam*"), False),
        (rule("keep", at_most_cabs=1), False),
    ],
)
def test_a_failure_is_skipped_whole_by_the_first_rule_that_fits_it(text: str, is_skipped: bool) -> None:
    found = rules(text)
    assert bool(found.skips_whole(READ_QUEUE)) is is_skipped
    assert bool(found.skipped(READ_QUEUE, {"a": cab("1.0")})) is is_skipped


def test_a_rule_for_some_versions_skips_no_failure_whole() -> None:
    for text in (rule("skip", version="1.*"), rule("skip", os="10.0.1*"), rule("keep", version="2.*") + rule("skip")):
        assert rules(text).skips_whole(READ_QUEUE) == ""


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        (rule("skip", version="1.*"), {"old"}),
        (rule("skip", version=["1.*", "2.*"]), {"old", "new"}),
        (rule("skip", version="1.*", os="10.0.2*"), set()),
        (rule("skip", os="10.0.1*"), {"old"}),
        (rule("keep", version="2.*") + rule("skip"), {"old", "untold"}),
        (rule("keep", version="2.*") + rule("skip", version="*"), {"old", "untold"}),
    ],
)
def test_a_cab_of_which_nobody_told_the_version_fits_no_rule_that_names_one(text: str, skipped: set[str]) -> None:
    cabs = {"old": cab("1.9", os="10.0.19045"), "new": cab("2.0", os="10.0.26100"), "untold": cab()}
    assert set(rules(text).skipped(READ_QUEUE, cabs)) == skipped


@pytest.mark.parametrize(
    ("cabs", "kept"),
    [
        ({"a": cab(days=3), "b": cab(days=1), "c": cab(days=2), "d": cab(days=4)}, {"b", "c"}),
        # One of each version, the newest of each, before the second of any.
        ({"a": cab("1", 1), "b": cab("1", 2), "c": cab("2", 9), "d": cab("2", 8)}, {"a", "d"}),
        ({"a": cab("1", 3), "b": cab("2", 2), "c": cab("3", 1)}, {"b", "c"}),
        # What is there takes its place: no more is copied day after day, but for a version that is new.
        ({"a": cab(days=9, is_held=True), "b": cab(days=8, is_held=True), "c": cab()}, {"a", "b"}),
        ({"a": cab("1", 9, is_held=True), "b": cab("1", 8, is_held=True), "c": cab("2")}, {"a", "b", "c"}),
        # One that Microsoft does not let go takes no place of another.
        ({"a": cab(is_refused=True), "b": cab(days=1), "c": cab(days=2)}, {"b", "c"}),
        # Nor does one of which nobody told the date, while others have one.
        ({"a": Candidate(CabFacts()), "b": cab(days=1), "c": cab(days=2)}, {"b", "c"}),
    ],
)
def test_at_most_so_many_cabs_are_kept_the_newest_spread_over_versions(
    cabs: dict[str, Candidate], kept: set[str]
) -> None:
    found = rules(rule("keep", at_most_cabs=2))
    assert found.may_limit(READ_QUEUE)
    assert set(cabs) - set(found.skipped(READ_QUEUE, cabs)) == kept


def test_a_limit_counts_the_cabs_of_its_rule_alone() -> None:
    found = rules(rule("keep", version="1.*", at_most_cabs=1) + rule("skip", version="2.*"))
    cabs = {"a": cab("1.0", 1), "b": cab("1.1", 2), "c": cab("2.0"), "d": cab("3.0"), "e": cab("3.0")}
    assert found.skipped(READ_QUEUE, cabs) == {
        "b": "rule 'keep 32': 1 others are kept",
        "c": "rule 'skip 15'",
    }


def test_nobody_waits_for_a_limit_that_an_earlier_rule_leaves_nothing_for() -> None:
    assert not rules(rule("keep", driver="contoso*") + rule("keep", at_most_cabs=5)).may_limit(READ_QUEUE)
    assert rules(rule("skip", version="1.*") + rule("keep", at_most_cabs=5)).may_limit(READ_QUEUE)


def test_hits_that_nobody_told_lose_no_cab() -> None:
    untold = Subject("1", "x", "y", hits=None)
    assert rules(rule("keep", at_least_hits=100)).skips_whole(untold) == ""


def test_the_setting_is_the_last_rule() -> None:
    setting = Rules().and_at_most(1, "MAX_CABS_PER_FAILURE")
    cabs = {"a": cab(days=1), "b": cab()}
    assert setting.skipped(READ_QUEUE, cabs) == {"a": "rule 'MAX_CABS_PER_FAILURE': 1 others are kept"}
    both = rules(rule("keep", driver="contoso*")).and_at_most(1, "MAX_CABS_PER_FAILURE")
    assert both.skipped(READ_QUEUE, cabs) == {}
    assert Rules().and_at_most(0, "MAX_CABS_PER_FAILURE") == Rules()


def test_what_a_person_asks_for_is_left_out_by_no_rule_and_no_more_than_is_allowed() -> None:
    found = rules(rule("skip", driver="contoso*") + rule("keep", at_most_cabs=1, at_least_hits=99)).as_asked_by_person()
    assert found.skips_whole(READ_QUEUE) == ""
    assert set(found.skipped(READ_QUEUE, {"a": cab(days=1), "b": cab()})) == {"a"}


def test_every_key_is_read() -> None:
    found = rules(EVERY_KEY)
    assert (found.bytes_a_day, found.problem, len(found.rules)) == (1_500_000_000, "", 1)
    fitting = cab("1.2.3", os="10.0.19045")
    assert found.skipped(READ_QUEUE, {"a": fitting}) == {}
    assert found.rules[0].fits_failure(READ_QUEUE)
    assert found.rules[0].fits_cab(fitting.facts)
    few = Subject(READ_QUEUE.application_id, READ_QUEUE.name, READ_QUEUE.driver, hits=4)
    assert found.skipped(few, {"a": fitting}) == {"a": "rule 'all': 4 hits are fewer than 5"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"bytes-a-day = 5\nrule = 1", "unknown field `rule`"),
        (b"bytes-a-day = 5\nrules = 3", "rules: Expected an array"),
        (b'bytes-a-day = 5\n[[rules]]\nname="a"\naction="drop"', "rule 1 (a): action: Invalid enum value 'drop'"),
        (b'bytes-a-day = 5\n[[rules]]\naction="skip"', "rule 1 (without a name): it lacks the key `name`"),
        (b'bytes-a-day = 5\n[[rules]]\nname="a"\naction="keep"\nversoin="1"', "unknown field `versoin`"),
        (b'bytes-a-day = 5\n[[rules]]\nname="a"\naction="keep"\ndriver=3', "driver: Expected `str | array`, got `int`"),
        (b'bytes-a-day = 5\n[[rules]]\nname="a"\naction="keep"\nat-most-cabs=0', "at-most-cabs: Expected `int` >= 1"),
        (
            b'bytes-a-day = 5\n[[rules]]\nname="a"\naction="skip"\nat-most-cabs=1',
            "belong to a rule whose action is keep",
        ),
        (b'bytes-a-day = 5\n[[rules]]\nname="a"\naction="skip"\n' * 2, "unknown field `bytes-a-day`"),
        (b'[[rules]]\nname="a"\naction="skip"\nbytes-a-day = 5', "bytes-a-day stands above the first [[rules]]"),
        (b'bytes-a-day = "5 XB"', "bytes-a-day is '5 XB'"),
        (b"bytes-a-day = true", "bytes-a-day is 'True'"),
        (b'bytes-a-day = "10000000 TB"', "is '10000000 TB': it must be a whole number of bytes, 1 to 1,000 TB"),
        (b"bytes-a-day = 0", "bytes-a-day is '0'"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[[[", "not TOML"),
        (b"#" * (MOST_BYTES + 1), "more than"),
        (b"bytes-a-day = " + b"1" * 5_000, "a number in it has thousands of digits"),
        (b"bytes-a-day = 0x" + b"f" * 5_000, "a number in it has thousands of digits"),
        (b"[[rules]]\nname = [0x" + b"f" * 5_000 + b"]", "a number in it has thousands of digits"),
        (b"[[rules]]\nname" + b".a" * 50_000 + b" = 1", "a line has more than 1000 dots"),
    ],
)
def test_a_file_that_is_wrong_keeps_everything_and_says_what_to_write(text: bytes, told: str) -> None:
    with pytest.raises(BadInput):
        rules_in(text)
    found = what_holds_in(text, "keep.toml")
    assert told in found.problem
    assert found.rules == ()


def test_the_most_that_a_day_may_cost_holds_although_a_rule_is_wrong() -> None:
    found = what_holds_in(b'bytes-a-day = "2 MB"\n[[rules]]\nname = "a"', "keep.toml")
    assert (found.bytes_a_day, found.rules) == (2_000_000, ())
    assert "keep.toml: rule 1 (a)" in found.problem


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(BadInput, match=r"rule 1 .*rule 2 .*another rule has this name"):
        rules('[[rules]]\nname="a"\naction="skip"\nat-least-hits=1\n[[rules]]\nname="a"\naction="keep"\n')

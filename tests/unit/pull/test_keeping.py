"""What a rule skips is told and is never missing, and comes when the rule goes; what none skips always comes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from shared.cabs.labels import CabLabels
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.progress.cab_row import CabState
from shared.progress.messages import PullMessage
from shared.pull.keep_file import KEEP_FILE
from shared.pull.one_cab import copy_cab
from shared.pull.one_failure import pull_failure
from shared.reports.check import check_reports
from tests.simulation.center import Run
from tests.simulation.world import Expected
from tests.support.memory_app import MemoryApp, memory_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.progress.pull_row import PullRow
    from tests.simulation.center import Cab
    from tests.simulation.lines import Called

FAILURE = Failure("1", "failure")
SKIP_OLD = '[[rules]]\nname = "old"\naction = "skip"\nversion = "1.*"\n'
SKIP_ALL = '[[rules]]\nname = "test machines"\naction = "skip"\nfailure = "*!Test*"\n'
AT_MOST_TWO = '[[rules]]\nname = "two"\naction = "keep"\nat-most-cabs = 2\n'
NAMES = CabFacts("AV_contoso!TestThis", "contoso.sys")


@pytest.fixture
def app() -> Iterator[MemoryApp]:
    """An app, and a failure with four cabs, two of each version, the first of each listed by a report."""
    with memory_app() as made:
        for number, cab in enumerate(made.serve(FAILURE, 4)):
            cab.dated += timedelta(hours=number)
            facts = CabFacts(NAMES.failure_name, NAMES.driver_name, f"{number % 2 + 1}.0")
            made.do(partial(made.host.pull_tools.cabs.list_new, FAILURE, {cab.name: facts}))
        yield made


def rule(app: MemoryApp, text: str) -> None:
    """Put a settings file in its place, or take it away, and let a minute pass."""
    app.world.rule(text)
    app.world.tasks.seconds += 61


def pull(app: MemoryApp, asks: str = "report 1") -> PullRow:
    """Let something ask for a pull of the failure, and do all that follows at once."""
    app.do(lambda: app.host.requests.make([FAILURE], app.window, asks, facts={FAILURE: NAMES}))
    message = app.world.queue.receive(timedelta(minutes=10))
    assert message
    asked = PullMessage.decode(message.text.encode())
    app.do(lambda: pull_failure(app.host.pull_tools, asked))
    app.world.queue.delete(message)
    return app.row(FAILURE)


def told(app: MemoryApp) -> dict[str, int]:
    """Return how the failure's cabs stand, as lists and sums tell it."""
    tally = app.row(FAILURE).tally
    assert tally
    numbers = {"held": tally.held, "skipped": tally.skipped, "missing": tally.missing, "expiring": tally.expiring}
    return {name: number for name, number in numbers.items() if number}


def test_a_skipped_version_is_told_with_its_rule_and_is_not_missing(app: MemoryApp) -> None:
    rule(app, SKIP_OLD)
    row = pull(app)
    assert (row.state.value, row.counts.copied, row.counts.seen) == ("Completed", 2, 4)
    assert Counter(app.states(FAILURE).values()) == {CabState.COPIED: 2, CabState.SKIPPED: 2}
    assert {each.error for each in app.cabs(FAILURE).values()} == {"", "rule 'old'"}
    assert told(app) == {"held": 2, "skipped": 2}
    found = app.reconcile()
    assert (found.missing, found.queued_again, told(app)) == (0, 0, {"held": 2, "skipped": 2})


def test_at_most_so_many_are_copied_the_newest_of_each_version(app: MemoryApp) -> None:
    rule(app, AT_MOST_TWO)
    assert pull(app).counts.copied == 2
    versions = {each.facts.driver_version: each.state for name, each in app.cabs(FAILURE).items() if name >= "cab-2"}
    assert versions == {"1.0": CabState.COPIED, "2.0": CabState.COPIED}
    assert told(app) == {"held": 2, "skipped": 2}
    app.serve(FAILURE, 5)
    assert pull(app).counts.copied == 0
    assert told(app) == {"held": 2, "skipped": 7}


def test_a_failure_that_is_skipped_whole_costs_the_dev_center_nothing(app: MemoryApp) -> None:
    rule(app, SKIP_ALL)
    app.world.center.batches.clear()
    row = pull(app)
    assert (row.state.value, row.skipped_by, row.total) == ("Completed", "rule 'test machines'", 0)
    assert told(app) == {"skipped": 4}
    assert app.reconcile().queued_again == 0


@pytest.mark.parametrize("text", [SKIP_OLD, SKIP_ALL, AT_MOST_TWO])
@pytest.mark.parametrize("comes", ["by the reconcile", "by a report"])
def test_what_was_skipped_comes_when_the_rule_goes(app: MemoryApp, text: str, comes: str) -> None:
    rule(app, text)
    pull(app)
    rule(app, "")
    if comes == "by a report":
        pull(app)
    else:
        assert app.reconcile().queued_again == 1
        app.work_off()
    assert told(app) == {"held": 4}
    assert app.row(FAILURE).skipped_by == ""


def test_a_rule_that_comes_later_ends_what_was_missing(app: MemoryApp) -> None:
    app.do(lambda: app.host.requests.make([FAILURE], app.window, "report 1", facts={FAILURE: NAMES}))
    app.change_pull(FAILURE, state="Completed")
    rule(app, SKIP_ALL)
    found = app.reconcile()
    assert (found.missing, found.queued_again, told(app)) == (0, 0, {"skipped": 4})


def test_what_microsoft_has_deleted_since_it_was_skipped_is_not_told_as_lost(app: MemoryApp) -> None:
    rule(app, SKIP_OLD)
    pull(app)
    app.world.tasks.seconds += timedelta(days=27).total_seconds()
    rule(app, "")
    found = app.reconcile()
    assert (found.lost, found.missing, found.queued_again) == (0, 0, 0)
    assert told(app).get("skipped", 0) == 0


@pytest.mark.parametrize(("text", "copied"), [(SKIP_ALL, 4), (SKIP_OLD, 4), (AT_MOST_TWO, 2)])
def test_a_person_gets_what_a_rule_skips_and_no_more_than_is_allowed(app: MemoryApp, text: str, copied: int) -> None:
    rule(app, text)
    assert pull(app, "POST /api/pulls").counts.copied == copied
    assert app.reconcile().queued_again == 0


def test_a_person_gets_what_was_asked_for_while_a_report_ran_though_its_message_is_lost(app: MemoryApp) -> None:
    rule(app, SKIP_OLD)
    pull(app)
    owed = f"{app.window.start}/{app.window.end}"
    app.change_pull(FAILURE, askedAgain=owed, askedAgainBy="POST /api/pulls", askedBy="report 1")
    assert app.reconcile().messages_sent == 1
    app.work_off()
    assert told(app) == {"held": 4}


def test_what_failed_of_a_persons_pull_is_tried_again_for_the_person_until_it_is_here(app: MemoryApp) -> None:
    """A rule that took it back would leave who asked without the cab, and with no reason but the rule."""
    rule(app, SKIP_ALL)
    cab = app.world.center.batches[FAILURE][0]
    cab.has_url = False
    no_answer = Expected("devcenter", "cabdownload?", "html")
    app.world.expecting.append(no_answer)
    assert pull(app, "POST /api/pulls").counts.copied == 3
    assert (app.reconcile().queued_again, app.states(FAILURE)[cab.name]) == (0, CabState.FAILED)
    for is_there in (False, True):
        app.world.tasks.seconds += timedelta(days=1, hours=1).total_seconds()
        cab.has_url = is_there
        app.world.expecting += [] if is_there else [no_answer]
        assert app.reconcile().queued_again == 1
        app.work_off()
        row = app.row(FAILURE)
        assert (row.requested_by, row.skipped_by) == ("POST /api/pulls", "")
    assert told(app) == {"held": 4}
    for other in app.serve(FAILURE, 1):
        app.do(partial(app.host.pull_tools.cabs.list_new, FAILURE, {other.name: NAMES}))
    app.reconcile()
    assert told(app) == {"held": 4, "skipped": 1}, "what comes later is no longer asked for"


def test_a_retry_of_a_reports_pull_takes_no_rule_away(app: MemoryApp) -> None:
    """After an outage all Failed pulls are tried again at once: each brought what the rules had left out of it."""
    rule(app, SKIP_OLD)
    app.world.expecting.append(Expected("devcenter", "cabdownloadbatch", "unauthorized"))
    assert pull(app).state.value == "Failed"
    app.do(lambda: app.host.requests.retry(FAILURE, app.window, "POST /api/pulls/.../retry"))
    app.work_off()
    assert told(app) == {"held": 2, "skipped": 2}
    assert app.row(FAILURE).requested_by == "report 1"


def test_what_microsoft_does_not_let_go_is_owed_to_nobody(app: MemoryApp) -> None:
    """Of an application such cabs come all the time: a person who asked once switched its rules off for good."""
    rule(app, SKIP_ALL)
    app.world.center.batches[FAILURE][0].downloadable = False
    assert pull(app, "POST /api/pulls").counts.copied == 3
    for other in app.serve(FAILURE, 1):
        app.do(partial(app.host.pull_tools.cabs.list_new, FAILURE, {other.name: NAMES}))
    app.world.tasks.seconds += timedelta(days=1, hours=1).total_seconds()
    app.reconcile()
    app.work_off()
    assert told(app)["held"] == 3


def test_a_cab_that_a_person_asked_for_by_itself_and_did_not_get_says_why_though_a_rule_skips_it(
    app: MemoryApp,
) -> None:
    """The next reconcile once put the rule in the place of the reason: who had asked found neither cab nor answer."""
    rule(app, SKIP_OLD)
    pull(app)
    cab = next(name for name, row in app.cabs(FAILURE).items() if row.state is CabState.SKIPPED)
    app.world.center.cabs[cab].downloadable = False
    asked = PullMessage(FAILURE, app.window, "POST /api/cabs", cab=cab)
    app.do(lambda: copy_cab(app.host.pull_tools, asked))
    why = app.cabs(FAILURE)[cab].error
    assert why
    for _ in range(2):
        assert app.reconcile().missing == 0
        row = app.cabs(FAILURE)[cab]
        assert (row.state, row.error) == (CabState.SKIPPED, f"rule 'old'; the last try: {why}")
        pull(app)
    rule(app, SKIP_OLD.replace('"old"', '"older"'))
    app.reconcile()
    assert app.cabs(FAILURE)[cab].error == f"rule 'older'; the last try: {why}"


@pytest.mark.parametrize("is_first", [True, False], ids=["was there first", "was put in its place"])
@pytest.mark.parametrize("text", [SKIP_OLD, SKIP_ALL])
def test_a_blob_that_is_somebody_elses_does_not_become_the_cab_for_a_rule(
    app: MemoryApp, text: str, *, is_first: bool
) -> None:
    """Its row said copied from then on, and nobody ever copied the cab, though the rule went."""
    cab = app.world.center.batches[FAILURE][0]
    name, labels = f"{FAILURE.prefix}{cab.name}.ext.zip", CabLabels({}, {})
    if not is_first:
        pull(app)
        del app.world.container.blobs[name]
    app.world.container.create(name, b"PK somebody else's", b"", labels)
    pull(app)
    assert "away and pull again" in app.cabs(FAILURE)[cab.name].error
    rule(app, text)
    for _ in range(2):
        app.reconcile()
        pull(app)
        assert app.states(FAILURE)[cab.name] in {CabState.FAILED, CabState.SKIPPED}
    rule(app, "")
    del app.world.container.blobs[name]
    app.reconcile()
    app.work_off()
    assert app.world.container.blobs[name].content == cab.content


@pytest.mark.parametrize("text", ["[[[", f"{SKIP_ALL}colour = 1"])
def test_a_file_that_is_wrong_loses_no_cab(app: MemoryApp, text: str) -> None:
    rule(app, text)
    assert pull(app).counts.copied == 4
    assert KEEP_FILE in app.do(app.host.pull_tools.keep.current).problem


def test_a_file_that_cannot_be_read_for_a_while_says_what_it_said(app: MemoryApp) -> None:
    rule(app, SKIP_ALL)
    app.do(app.host.pull_tools.keep.current)
    app.world.tasks.seconds += 61
    app.world.expecting.append(Expected("blob", KEEP_FILE, "busy"))
    assert pull(app).counts.copied == 0
    assert "cannot be read" in app.do(app.host.pull_tools.keep.current).problem


class TestTheBytesOfADay:
    def test_what_is_beyond_them_waits_for_the_next_day_and_spends_no_try(self, app: MemoryApp) -> None:
        one = len(app.world.center.batches[FAILURE][0].content)
        app.do(lambda: app.host.pull_tools.day.add(one * 10, 10, 1))
        rule(app, f"bytes-a-day = {one * 14}\n")
        pull(app)
        assert told(app) == {"held": 4}
        app.serve(FAILURE, 3)
        row = pull(app)
        assert (row.state.value, row.attempts, row.stalled, row.counts.copied) == ("Queued", 0, 0, 0)
        assert "allows a day are used" in row.last_error
        assert row.next_try_at
        assert row.next_try_at.date() == app.world.tasks.now().date() + timedelta(days=1)
        app.work_off()
        assert told(app) == {"held": 7}

    def test_they_hold_within_one_pull(self, app: MemoryApp) -> None:
        app.serve(FAILURE, 96)
        one = len(app.world.center.batches[FAILURE][0].content)
        app.do(lambda: app.host.pull_tools.day.add(one * 10, 10, 1))
        rule(app, f"bytes-a-day = {one * 40}\n")
        row = pull(app)
        assert row.state.value == "Queued"
        assert 25 <= told(app)["held"] <= 31
        app.work_off()
        assert told(app) == {"held": 100}

    def test_what_came_is_weighed_where_the_guess_of_the_day_is_used(self, app: MemoryApp) -> None:
        """Storage tells no length of what it copies: cabs of 50 MB that count for 1 MB pass the limit fifty times."""
        app.serve(FAILURE, 16)
        app.do(lambda: app.host.pull_tools.day.add(4, 4, 1))
        rule(app, "bytes-a-day = 10\n")
        assert pull(app).state.value == "Queued"
        held = sum(row.length or 0 for row in app.cabs(FAILURE).values())
        assert held > 10
        assert app.do(app.host.pull_tools.day.used).bytes == 4 + held

    def test_what_is_less_than_was_guessed_keeps_nothing_from_coming(self, app: MemoryApp) -> None:
        rule(app, "bytes-a-day = 2_500_000\n")
        today = app.world.tasks.now().date()
        pull(app)
        app.work_off()
        assert (told(app), app.world.tasks.now().date()) == ({"held": 4}, today)

    def test_a_cab_that_does_not_come_uses_none_of_them(self, app: MemoryApp) -> None:
        one = len(app.world.center.batches[FAILURE][0].content)
        for cab in app.serve(FAILURE, 20):
            cab.downloadable = False
        for cab in app.serve(FAILURE, 20):
            cab.gone_at = app.world.tasks.now()
        app.do(lambda: app.host.pull_tools.day.add(one * 10, 10, 1))
        rule(app, f"bytes-a-day = {one * 20}\n")
        row = pull(app)
        assert "allows a day are used" not in row.last_error
        assert told(app)["held"] == 4

    def test_a_cab_that_is_there_uses_none_of_them_though_its_row_is_gone(self, app: MemoryApp) -> None:
        one = len(app.world.center.batches[FAILURE][0].content)
        app.serve(FAILURE, 20)
        pull(app)
        app.world.tables["cabs"].rows.clear()
        app.world.tasks.seconds += 86_400
        app.do(lambda: app.host.pull_tools.day.add(one * 10, 10, 1))
        rule(app, f"bytes-a-day = {one * 20}\n")
        assert pull(app).state.value == "Completed"
        assert told(app) == {"held": 24}

    def test_what_expires_soon_goes_on_first(self, app: MemoryApp) -> None:
        urgent = Failure("1", "urgent")
        rule(app, "bytes-a-day = 1\n")
        app.do(lambda: app.host.pull_tools.day.add(1, 1, 1))
        for cab in app.serve(urgent, 1):
            cab.expires = app.world.tasks.now() + timedelta(hours=30)
            app.do(partial(app.host.pull_tools.cabs.list_new, urgent, {cab.name: NAMES}))
            app.change_cab(urgent, cab.name, expiry=cab.expires)
        for failure in (FAILURE, urgent):
            app.pull(failure)
        first, second = app.row(urgent).next_try_at, app.row(FAILURE).next_try_at
        assert first
        assert second
        assert first < second

    @pytest.mark.parametrize(("then", "goes_on"), [("", 1), ("bytes-a-day = 900\n", 1), ("bytes-a-day = 1\n", 0)])
    def test_what_waits_goes_on_the_same_day_where_more_is_allowed(
        self, app: MemoryApp, then: str, goes_on: int
    ) -> None:
        """Who raises the limit for cabs that expire must not find out at midnight."""
        rule(app, "bytes-a-day = 2\n")
        app.do(lambda: app.host.pull_tools.day.add(2, 1, 2))
        assert pull(app).state.value == "Queued"
        rule(app, then)
        assert [app.reconcile().messages_sent for _ in range(2)] == [goes_on, 0]
        before = app.world.tasks.now()
        app.work_off()
        done = app.row(FAILURE).completed_at
        assert done
        assert (done - before < timedelta(hours=1)) == bool(goes_on)
        assert (told(app), app.row(FAILURE).attempts) == ({"held": 4}, 0)
        assert app.reconcile().messages_sent == 0

    def test_one_cab_that_somebody_asks_for_comes_all_the_same_and_uses_none_of_them(self, app: MemoryApp) -> None:
        rule(app, f"bytes-a-day = 1\n{SKIP_ALL}")
        used = app.do(lambda: app.host.pull_tools.day.add(1, 1, 1))
        assert pull(app, "POST /api/pulls").state.value == "Queued"
        asked = PullMessage(FAILURE, app.window, "POST /api/cabs", cab=next(iter(app.states(FAILURE))))
        app.do(lambda: copy_cab(app.host.pull_tools, asked))
        assert app.states(FAILURE)[asked.cab] is CabState.COPIED
        assert app.do(app.host.pull_tools.day.used) == used

    def test_those_of_the_last_good_file_hold_while_it_is_wrong(self, app: MemoryApp) -> None:
        rule(app, "bytes-a-day = 1\n")
        app.do(lambda: app.host.pull_tools.day.add(1, 1, 1))
        rule(app, "bytes-a-day = [")
        assert pull(app).counts.copied == 0
        assert app.do(app.host.pull_tools.keep.current).bytes_a_day == 1


class TestAReport:
    SKIP = '[[rules]]\nname = "no 0x9F"\naction = "skip"\nfailure = "0x9f"\n'
    RARE = '[[rules]]\nname = "rare"\naction = "keep"\nat-least-hits = 3\n'

    def check(self, app: MemoryApp, *cabs: Cab) -> None:
        """Let a run of the report name cabs, and a check read it."""
        app.world.center.runs.append(Run(app.world.tasks.now(), cabs, is_finished=True))
        (*_, outcome) = app.do(lambda: check_reports(app.host.report_tools))
        assert outcome.outcome == "ingested"

    def test_names_a_failure_that_is_skipped_whole_and_queues_no_pull(self, app: MemoryApp) -> None:
        other = Failure("1", "other")
        pull(app)
        rule(app, self.SKIP)
        self.check(app, *app.serve(other, 3))
        assert not app.world.queue.messages
        assert set(app.states(other).values()) == {CabState.SKIPPED}
        tally = app.row(other).tally
        assert tally
        assert (tally.skipped, tally.missing, app.row(other).skipped_by) == (3, 0, "rule 'no 0x9F'")
        assert app.reconcile().queued_again == 0
        rule(app, "")
        assert app.reconcile().queued_again == 1
        app.work_off()
        assert set(app.states(other).values()) == {CabState.COPIED}

    def test_of_a_failure_that_happens_often_enough_by_now_brings_all_cabs(self, app: MemoryApp) -> None:
        other = Failure("1", "other")
        pull(app)
        rule(app, self.RARE)
        cabs = app.serve(other, 3)
        self.check(app, *cabs[:2])
        assert (app.row(other).skipped_by, app.row(other).hits) == ("rule 'rare': 2 hits are fewer than 3", 2)
        app.world.tasks.seconds += 3_600
        self.check(app, *cabs)
        app.work_off()
        assert (app.row(other).skipped_by, app.row(other).hits) == ("", 3)
        assert set(app.states(other).values()) == {CabState.COPIED}
        assert app.reconcile().queued_again == 0

    @pytest.mark.parametrize("state", ["Completed", "Failed"])
    def test_that_counts_too_few_of_a_failure_that_was_pulled_holds(self, app: MemoryApp, state: str) -> None:
        """The rows said how often it had happened once: each reconcile brought what each report had left out."""
        other = Failure("1", "other")
        pull(app)
        rule(app, self.RARE)
        self.check(app, *app.serve(other, 3))
        app.work_off()
        app.change_pull(other, state=state)
        app.world.tasks.seconds += 3_600
        self.check(app, *app.serve(other, 1))
        assert app.row(other).hits == 1
        app.reconcile()
        app.work_off()
        assert Counter(app.states(other).values()) == {CabState.COPIED: 3, CabState.SKIPPED: 1}
        row = app.row(other)
        assert (row.state.value, row.skipped_by) == ("Completed", "rule 'rare': 1 hits are fewer than 3")
        assert row.tally
        assert (row.tally.held, row.tally.skipped) == (3, 1)

    def test_that_counts_enough_at_last_brings_what_was_left_of_a_failure(self, app: MemoryApp) -> None:
        """It names no cab that is new, and the failure was looked at within the week."""
        other = Failure("1", "other")
        pull(app)
        rule(app, f'{self.RARE}version = "1.*"\n')
        cabs = app.serve(other, 2)
        for more, state in ((), CabState.SKIPPED), ((), CabState.SKIPPED), (cabs[:1], CabState.COPIED):
            self.check(app, *cabs, *more)
            app.work_off()
            assert set(app.states(other).values()) == {state}
            app.world.tasks.seconds += 3_600
        assert app.row(other).hits == 3

    @pytest.mark.parametrize(
        ("kind", "words", "mishap", "state"),
        [
            ("devcenter", "cabdownloadbatch", "unauthorized", "Failed"),
            ("devcenter", "cabdownload?", "html", "Completed"),
        ],
    )
    def test_of_a_failure_that_a_person_is_still_owed_leaves_no_cab_out(
        self, app: MemoryApp, kind: Called, words: str, mishap: str, state: str
    ) -> None:
        """They were skipped, and stood in no number, until a reconcile looked for whom the pull is."""
        other = Failure("1", "other")
        rule(app, self.SKIP)
        cab, *_ = app.serve(other, 2)
        cab.has_url = False
        app.world.expecting.append(Expected(kind, words, mishap))
        app.request(other)
        app.work_off()
        assert app.row(other).state == state
        (new,) = app.serve(other, 1)
        cab.has_url = True
        self.check(app, cab, new)
        assert app.states(other)[new.name] is CabState.LISTED
        app.work_off()
        assert set(app.states(other).values()) == {CabState.COPIED}
        assert (app.row(other).requested_by, app.row(other).skipped_by) == ("the test", "")

    def test_that_a_rule_came_after_ends_what_was_listed(self, app: MemoryApp) -> None:
        other = Failure("1", "other")
        self.check(app, *app.serve(other, 2))
        rule(app, self.SKIP)
        app.work_off()
        assert set(app.states(other).values()) == {CabState.SKIPPED}
        assert app.row(other).skipped_by == "rule 'no 0x9F'"

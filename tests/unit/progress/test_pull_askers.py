"""What a person asked for is pulled for that person, whatever a machine asks before, meanwhile or after."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

import pytest

from shared.core.failure import Failure, Window
from shared.progress.asked_pulls import AskedPulls
from shared.progress.messages import PullMessage
from shared.progress.pull_leases import PullLeases
from shared.progress.pull_row import PullRow
from shared.progress.pulls import PullRows
from shared.storage.lease import RowLease
from tests.simulation.tables import MemoryTable, Table

FAILURE = Failure("1", "a", "driver")
DAYS, MORE = Window(date(2026, 11, 1), date(2026, 11, 28)), Window(date(2026, 9, 1), date(2026, 11, 28))
EARLIER, LONG_AGO = Window(date(2026, 10, 1), date(2026, 10, 28)), Window(date(2026, 8, 1), date(2026, 8, 28))
REPORT, CHECK, PERSON = "report 43000 2026-11-28", "check of application 1", "ada@contoso.com (POST /api/pulls)"
OTHER = "bob@contoso.com (POST /api/pulls)"


class Asked:
    """A table of pulls, and the messages that are on their way."""

    def __init__(self) -> None:
        self.table = MemoryTable(Table("pulls"), self)
        self.pulls, self.asked = PullRows(self.table), AskedPulls(self.table)
        self.leases = PullLeases(self.table, timedelta(seconds=60))
        self.messages: list[PullMessage] = []
        self.before_write: list[Callable[[], object]] = []

    def call[T](self, how: str, _what: str, do: Callable[[], T]) -> T:
        """Let the table answer, though somebody may write right before."""
        if how == "write" and self.before_write:
            self.before_write.pop()()
        return do()

    def ask(self, asks: str, window: Window = DAYS) -> None:
        """Let somebody ask for the pull, and send what message that needs."""
        versions = self.asked.queue([FAILURE], window, asks)
        self.messages += [PullMessage(FAILURE, window, asks, version) for version in versions.values()]

    def take(self, place: int = 0) -> RowLease:
        """Let a message begin its pull."""
        message = self.messages.pop(place)
        assert message.window
        lease = self.leases.take(message, message.window)
        assert isinstance(lease, RowLease)
        return lease

    def end(self, lease: RowLease, state: str = "Completed", **columns: int) -> None:
        """Let a run end; what is left of it goes on in a message of its own."""
        lease.release({"state": state, **columns})
        if state == "Queued":
            row = PullRow.of(lease.row)
            self.messages.append(PullMessage(FAILURE, row.window, row.requested_by, lease.row.etag, resumes=True))

    def runs(self) -> list[str]:
        """Let all that is asked for be pulled to its end; return for whom each run was."""
        made = []
        while self.messages:
            message = self.messages.pop(0)
            assert message.window
            lease = self.leases.take(message, message.window)
            if isinstance(lease, RowLease):
                made.append(lease.row.text("requestedBy"))
                lease.release({"state": "Completed"})
        return made

    @property
    def row(self) -> PullRow:
        """The pull as it stands."""
        row = self.pulls.get(FAILURE)
        assert row
        return row


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_a_run_that_is_handed_on_begins_anew_for_a_person_who_asked_meanwhile(asked: Asked) -> None:
    """Rules may have left out what lies before its checkpoint, and the person's message is used up by going on."""
    asked.ask(REPORT)
    first = asked.take()
    asked.ask(PERSON)
    asked.end(first, "Queued", skip=400)
    lease = asked.take()
    row = PullRow.of(lease.row)
    assert (row.requested_by, row.skip, row.asked_again) == (PERSON, 0, {})
    asked.end(lease, "Queued", skip=400)
    assert asked.take(1).row.number("skip") == 400, "once, and no more"
    assert asked.row.requested_by == PERSON


@pytest.mark.parametrize("others", [(REPORT, PERSON), (PERSON, REPORT), (PERSON, PERSON, REPORT, PERSON)])
@pytest.mark.parametrize("state", ["Completed", "Queued"])
def test_the_run_that_is_owed_is_made_for_the_person_among_those_who_asked(
    asked: Asked, others: tuple[str, ...], state: str
) -> None:
    """One message is sent for all of them, which may be the report's."""
    asked.ask(REPORT)
    first = asked.take()
    for each in others:
        asked.ask(each)
    assert len(asked.messages) == 1
    asked.end(first, state)
    assert asked.runs()[-1] == PERSON
    assert asked.row.asked_again == {}


def test_who_asked_for_other_days_is_still_owed_them(asked: Asked) -> None:
    asked.ask(REPORT)
    first = asked.take()
    asked.ask(REPORT)
    asked.ask(PERSON, MORE)
    asked.ask(REPORT)
    asked.end(first)
    assert asked.runs()[-1] == PERSON
    assert (asked.row.window, asked.row.asked_again) == (MORE, {})


@pytest.mark.parametrize("turn", [1, -1])
def test_days_that_a_report_alone_asked_for_stay_the_reports(asked: Asked, turn: int) -> None:
    """Rules leave out what they leave out: for a person who asked for other days, all of it would be copied."""
    asked.ask(REPORT)
    first = asked.take()
    for who, window in [(PERSON, DAYS), (REPORT, LONG_AGO), (OTHER, EARLIER)][::turn]:
        asked.ask(who, window)
    asked.end(first)
    assert asked.runs() == [PERSON, REPORT, OTHER][::turn]


def test_where_the_first_version_wrote_nobody_down_no_person_is_made_up(asked: Asked) -> None:
    """For a person no rule leaves anything out: that would be a bill."""
    asked.ask(REPORT)
    first = asked.take()
    asked.ask(REPORT, LONG_AGO)
    first.write({"askedAgainBy": "", "askedBy": ""})
    assert asked.row.asked_again == {LONG_AGO: REPORT}


@pytest.mark.parametrize("written", ["", PERSON], ids=["who asked last", "one person for all"])
def test_who_asked_is_known_where_an_earlier_version_wrote_it_down(asked: Asked, written: str) -> None:
    asked.ask(REPORT)
    first = asked.take()
    asked.ask(PERSON)
    asked.ask(PERSON, LONG_AGO)
    first.write({"askedAgainBy": written})
    asked.messages = [PullMessage(FAILURE, DAYS, REPORT)]
    asked.end(first)
    assert asked.row.asked_again == {DAYS: PERSON, LONG_AGO: PERSON}
    assert asked.runs() == [PERSON]


@pytest.mark.parametrize(
    ("state", "left", "then"),
    [("Queued", 0, PERSON), ("Failed", 0, PERSON), ("Completed", 1, PERSON), ("Completed", 0, REPORT)],
)
def test_what_a_person_has_not_got_yet_is_pulled_for_the_person(asked: Asked, state: str, left: int, then: str) -> None:
    asked.ask(PERSON, MORE)
    if state != "Queued":
        asked.end(asked.take(), state, failed=2 + left, unreadable=2)
    asked.messages.clear()
    asked.ask(REPORT)
    assert asked.runs() == [then]
    assert asked.row.window == (MORE if then == PERSON else DAYS)
    assert asked.row.asked_by == REPORT, "who asked last is told as ever"


@pytest.mark.parametrize(("left", "told"), [(1, ""), (0, "rule 'none'")])
def test_no_rule_is_said_to_skip_what_a_person_is_still_owed(asked: Asked, left: int, told: str) -> None:
    """Who asked was told that nobody had asked Microsoft, by a check of failures that came after."""
    asked.ask(PERSON)
    asked.end(asked.take(), failed=left)
    asked.asked.note_skipped({FAILURE: {"skippedBy": "rule 'none'"}}, DAYS, CHECK, {}, {FAILURE: 7})
    assert (asked.row.skipped_by, asked.row.hits) == (told, 7)


def test_wider_days_of_a_report_are_pulled_for_the_person_who_asked_before(asked: Asked) -> None:
    asked.ask(PERSON)
    asked.ask(REPORT, MORE)
    assert asked.runs()[0] == PERSON


def test_a_note_whose_message_could_not_be_sent_is_taken_back_though_its_row_just_changes(asked: Asked) -> None:
    """Whoever asked meanwhile would be told that a message is on its way."""
    asked.ask(REPORT)
    lease = asked.take()
    asked.ask(PERSON)
    asked.before_write = [partial(lease.write, {"skip": 100})]
    asked.asked.take_back_note(FAILURE, DAYS, PERSON)
    assert (asked.row.asked_again, asked.row.skip) == ({}, 100)
    assert asked.asked.queue([FAILURE], DAYS, PERSON) == {FAILURE: ""}


def test_a_note_on_which_somebody_else_counts_by_now_is_not_taken_back(asked: Asked) -> None:
    asked.ask(REPORT)
    asked.take()
    asked.ask(REPORT)
    asked.ask(PERSON)
    asked.asked.take_back_note(FAILURE, DAYS, REPORT)
    assert asked.row.asked_again == {DAYS: PERSON}

"""What a pull decides, and how it ends, without storage: each wrong decision here loses a cab or never ends."""

from __future__ import annotations

import itertools
from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest

from shared.cabs.creation import Copied
from shared.core.clock import moment_of
from shared.core.errors import (
    AgainLater,
    AgainNow,
    BadInput,
    CabferryError,
    CabUnavailable,
    CircuitOpen,
    FreshUrl,
    NeedsPerson,
    Never,
    OutOfTime,
)
from shared.progress.cab_row import CabRow, CabState
from shared.progress.pull_row import queued
from tests.unit.devcenter.devcenter_client import WINDOW

from .pull_game import LINK, NOW, SETTINGS, Game, batch, cab, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.devcenter.cursor import PageRequest
    from shared.devcenter.pages import BatchPage
    from shared.pull.state import CopyCab

PAST, FUTURE = "2026-11-10 00:00:00", "2026-12-10 00:00:00"


def failing(error: Exception, *numbers: int) -> Callable[[CopyCab], Copied]:
    """Return a copy that fails for some cabs; for all where none is named."""
    names = {cab(number).cab_id_hash for number in numbers}

    def copy(order: CopyCab) -> Copied:
        if not names or order.cab.cab_id_hash in names:
            raise error
        return Copied(1)

    return copy


def by_itself(outcome: Copied | CabferryError) -> Callable[[CopyCab], Copied]:
    """Return a copy to which all URLs of the batch are dead, and what becomes of a cab that is asked for by itself."""

    def copy(order: CopyCab) -> Copied:
        if order.cab.url is not None:
            raise FreshUrl("expired")
        if isinstance(outcome, CabferryError):
            raise outcome
        return outcome

    return copy


def one_after_the_other(*answers: Callable[[PageRequest], BatchPage]) -> Callable[[PageRequest], BatchPage]:
    """Return a Dev Center that answers each request in another way."""
    waiting = iter(answers)

    def answer(request: PageRequest) -> BatchPage:
        return next(waiting)(request)

    return answer


@pytest.mark.parametrize("cabs", [0, 1, 100, 101, 950])
def test_every_cab_is_copied_once(cabs: int) -> None:
    game = Game(batch([cab(number) for number in range(cabs)]))
    assert game.run().columns["state"] == "Completed"
    assert len(game.copied) == len(set(game.copied)) == cabs
    assert (game.row.counts.copied, game.row.counts.seen) == (cabs, cabs)
    assert len(game.asked) == max(1, -(-cabs // 100))


@pytest.mark.parametrize(("rows", "most"), [(100, 800), (3_000, 3_799)])
def test_no_more_is_begun_than_memory_should_hold(rows: int, most: int) -> None:
    """A page of the analytics may have 10,000 rows, and nine of them were held at once."""
    game = Game(batch([cab(number) for number in range(9_500)], rows=rows), page_rows=rows, pages_first=True)
    assert game.run().columns["state"] == "Completed"
    assert len(game.copied) == len(set(game.copied)) == 9_500
    assert game.most_copying <= most


def test_a_url_that_was_asked_for_right_now_is_not_asked_for_again_where_the_cab_is_gone() -> None:
    """Of an application each is a call of the API; only a SAS that ended meanwhile is worth another."""
    gone = [replace(cab(number, expires=PAST), url=None) for number in range(3)]
    game = Game(batch(gone), failing(CabUnavailable("404")))
    assert game.run().columns["state"] == "Completed"
    assert set(game.states.values()) == {CabState.EXPIRED}
    assert (len(game.tries), game.asked_again) == (3, [])
    refused = Game(batch([replace(cab(0), url=None)]), failing(FreshUrl("403")))
    assert refused.run().columns["state"] == "Queued"
    assert (len(refused.tries), refused.asked_again) == (2, [])


def test_what_is_held_is_not_copied_again() -> None:
    game = Game(batch([cab(number) for number in range(250)]))
    game.run()
    game.moment, game.copied, game.columns = NOW + timedelta(days=1), [], dict(queued(WINDOW, "a second pull"))
    assert game.run().columns["state"] == "Completed"
    assert game.copied == []
    assert game.row.counts.already_held == 250


class TestTheBatch:
    @pytest.mark.parametrize("empty", [0, 1, 2])
    @pytest.mark.parametrize("told", [True, False])
    def test_a_page_without_rows_ends_nothing(self, empty: int, told: bool) -> None:
        answer = batch([cab(number) for number in range(350)], told=told)

        def with_a_gap(request: PageRequest) -> BatchPage:
            whole = answer(request)
            return replace(whole, rows=0, cabs=()) if request.skip == empty * 100 else whole

        game = Game(with_a_gap)
        assert game.run().columns["state"] == "Completed"
        assert len(game.copied) == 250

    @pytest.mark.parametrize("told", [True, False])
    def test_a_row_that_moved_onto_a_page_that_was_read_is_found(self, told: bool) -> None:
        """One that leaves between two pages moves all behind it up, and one of them past the reader."""
        cabs = [cab(number) for number in range(250)]

        def leaving(request: PageRequest) -> BatchPage:
            if request.skip == 100 and len(cabs) == 250:
                del cabs[0]
            return batch(cabs, told=told)(request)

        game = Game(leaving)
        assert game.run().columns["state"] == "Completed"
        assert set(game.states) == {cab(number).cab_id_hash for number in range(250)}
        assert len(game.copied) == 250

    def test_who_is_interrupted_as_it_reads_a_batch_of_fewer_rows_anew_begins_it_anew(self) -> None:
        cabs = [cab(number) for number in range(250)]

        def leaving(request: PageRequest) -> BatchPage:
            if request.skip == 100 and len(cabs) == 250:
                del cabs[0]
            elif len(cabs) == 249 and not request.skip:
                raise AgainLater("busy")
            return batch(cabs)(request)

        game = Game(leaving)
        assert game.run().columns["state"] == "Queued"
        assert (game.row.skip, game.row.counts.copied) == (0, 249)
        game.answer = batch(cabs)
        assert game.run().columns["state"] == "Completed"
        assert game.row.counts.copied == 250

    def test_one_that_the_second_look_found_and_that_must_be_tried_again_is(self) -> None:
        """The checkpoint stands behind it by then."""
        cabs = [cab(number) for number in range(250)]

        def leaving(request: PageRequest) -> BatchPage:
            if request.skip == 100 and len(cabs) == 250:
                del cabs[0]
            return batch(cabs, told=False)(request)

        game = Game(leaving, failing(AgainLater("busy"), 100))
        assert game.run().columns["state"] == "Queued"
        game.copy = failing(Never("no"), 999)
        assert game.run().columns["state"] == "Completed"
        assert game.row.counts.copied == 250

    def test_a_failed_cab_is_not_tried_again_by_the_second_look(self) -> None:
        tried: list[str] = []

        def copy(order: CopyCab) -> Copied:
            tried.append(order.cab.cab_id_hash)
            raise Never("no")

        game = Game(batch([cab(number) for number in range(150)], told=False), copy)
        game.run()
        assert len(game.asked) == 4
        assert len(tried) == 150

    @pytest.mark.parametrize("told", [True, False], ids=["read once", "read twice, to be sure"])
    @pytest.mark.parametrize(("tries", "state"), [(0, "Completed"), (3, "Completed"), (20, "Failed")])
    def test_a_row_that_cannot_be_read_counts_once_however_often_it_is_read(
        self, tries: int, state: str, told: bool
    ) -> None:
        """A batch without a total was read twice, and each try began before the row: all were summed, and stored."""
        good, left = batch([cab(number) for number in range(250)], told=told), [tries]

        def answer(request: PageRequest) -> BatchPage:
            came = good(request)
            if request.skip != 100:
                return came
            return replace(came, rows=came.rows + 1, unreadable=("no id",), without_cab=1)

        def copy(order: CopyCab) -> Copied:
            if order.cab.cab_id_hash == cab(170).cab_id_hash and left[0]:
                left[0] -= 1
                raise AgainLater("busy")
            return Copied(1)

        game = Game(answer, copy)
        while game.run().columns["state"] == "Queued":
            assert game.row.counts.unreadable == 0, "it is behind the checkpoint, and read again"
        counts = game.row.counts
        assert (game.row.state, counts.unreadable, counts.failed) == (state, 1, 1 + (state == "Failed"))
        assert counts.seen == 251
        assert game.row.without_cab == (state == "Completed")

    @pytest.mark.parametrize("link", [LINK.format(0), LINK.format(100), "driver/cabdownloadbatch?token=x"])
    def test_a_page_that_links_to_itself_ends_as_failed_with_the_reason(self, link: str) -> None:
        cabs = [cab(number) for number in range(100)]
        game = Game(lambda _: page(cabs, link, 100))
        endings = [game.run()]
        while not endings[-1].is_failure:
            assert len(endings) < 30, "it never ends"
            endings.append(game.run())
        assert game.row.counts.copied == 100
        assert "leads there again" in game.row.last_error
        assert game.row.attempts <= SETTINGS.pull_max_attempts + 2

    @pytest.mark.parametrize("cabs", [100, 30])
    def test_a_batch_without_end_ends_as_failed_with_the_reason(self, cabs: int) -> None:
        """A row that comes again once counted as progress, and so the tries grew for ever."""
        rows = [cab(number) for number in range(cabs)]
        links = iter(range(10**6))
        game = Game(lambda _: page(rows, f"driver/cabdownloadbatch?token={next(links)}"))
        while not (ending := game.run()).is_failure:
            assert game.row.attempts < 30, "it never ends"
        assert "nothing new" in ending.told
        assert game.row.counts.copied == cabs

    def test_pages_that_bring_held_cabs_again_are_no_progress(self) -> None:
        rows = [cab(number) for number in range(100)]
        game = Game(lambda _: page(rows, LINK.format(100), 100))
        game.table.rows = {
            each.cab_id_hash: CabRow(CabState.COPIED, "x", 1, settled_at=NOW - timedelta(days=3)) for each in rows
        }
        while not game.run().is_failure:
            assert game.row.attempts < 30, "it never ends"


class TestOneCab:
    @pytest.mark.parametrize(
        "error", [ValueError("http://["), OverflowError("year 99999999999"), RecursionError(), KeyError("x")], ids=repr
    )
    def test_what_nobody_foresaw_is_its_own_failure(self, error: Exception) -> None:
        """One cab's odd answer once ended the pull, with 700 good cabs beside it never copied."""
        game = Game(batch([cab(number) for number in range(250)]), failing(error, 17))
        assert game.run().columns["state"] == "Completed"
        assert len(game.copied) == 249
        row = game.table.rows[cab(17).cab_id_hash]
        assert row.state is CabState.FAILED
        assert type(error).__name__ in row.error
        assert game.row.counts.failed == 1

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (Never("no"), CabState.FAILED),
            (CabUnavailable("gone"), CabState.UNAVAILABLE),
            (AgainLater("busy"), CabState.FAILED),
            (AgainNow("broke"), CabState.FAILED),
        ],
        ids=repr,
    )
    def test_its_state_says_what_became_of_it(self, error: CabferryError, state: CabState) -> None:
        game = Game(batch([cab(number) for number in range(250)]), failing(error, 17))
        is_later = isinstance(error, (AgainLater, AgainNow))
        assert game.run().columns["state"] == ("Queued" if is_later else "Completed")
        assert game.states[cab(17).cab_id_hash] is state
        assert game.table.rows[cab(17).cab_id_hash].error == str(error)
        assert len(game.copied) == 249
        assert game.row.skip == (0 if is_later else 250)

    def test_the_checkpoint_stays_before_the_page_of_one_that_must_be_tried_again(self) -> None:
        game = Game(batch([cab(number) for number in range(350)]), failing(AgainLater("busy"), 217))
        game.run()
        assert game.row.skip == 200
        game.copy, game.copied = failing(Never("no"), 999), []
        game.run()
        assert game.copied == [cab(217).cab_id_hash]
        assert game.row.counts.copied == 350

    def test_where_nothing_works_not_everything_is_tried(self) -> None:
        tried: list[str] = []

        def copy(order: CopyCab) -> NoReturn:
            tried.append(order.cab.cab_id_hash)
            raise AgainLater("busy")

        game = Game(batch([cab(number) for number in range(5_000)]), copy)
        assert game.run().columns["state"] == "Queued"
        assert len(tried) <= 100, "those of the page that was begun"
        assert len(game.asked) < 12

    @pytest.mark.parametrize("between", [Copied(1), Never("no")], ids=["copied", "its own failure"])
    def test_while_some_work_all_are_tried(self, between: Copied | Never) -> None:
        tried: list[str] = []

        def copy(order: CopyCab) -> Copied:
            tried.append(order.cab.cab_id_hash)
            if len(tried) % 2:
                raise AgainLater("busy")
            if isinstance(between, Never):
                raise between
            return between

        Game(batch([cab(number) for number in range(300)]), copy).run()
        assert len(tried) == 300

    @pytest.mark.parametrize("error", [NeedsPerson("403"), OutOfTime("late")], ids=repr)
    def test_what_is_not_its_own_failure_leaves_it_as_it_was(self, error: CabferryError) -> None:
        game = Game(batch([cab(number) for number in range(150)]), failing(error, 120))
        game.run()
        assert cab(120).cab_id_hash not in game.states
        assert game.row.skip == 100


class TestFreshUrls:
    def test_one_page_serves_all_its_cabs_and_no_copy_waits_for_it(self) -> None:
        """Two copy threads once waited behind one slow request for fresh URLs."""

        def copy(order: CopyCab) -> Copied:
            if not order.is_fresh:
                raise FreshUrl("expired")
            return Copied(1)

        game = Game(batch([cab(number) for number in range(250)]), copy)
        assert game.run().columns["state"] == "Completed"
        assert len(game.copied) == 250
        assert [request.skip for request in game.asked_again] == [0, 100, 200]

    @pytest.mark.parametrize("refused", [0, 2], ids=["before the time is up", "after it"])
    def test_where_time_is_up_a_cab_that_needs_a_fresh_url_is_left_to_the_next_run(self, refused: int) -> None:
        """The checkpoint stays before its page, though the copies that were under way ended well."""

        def copy(order: CopyCab) -> Copied:
            if order.cab.cab_id_hash == cab(1).cab_id_hash:
                game.seconds += 10_000
            if order.cab.cab_id_hash == cab(refused).cab_id_hash and not game.row.counts.copied:
                raise FreshUrl("expired")
            return Copied(1)

        game = Game(batch([cab(number) for number in range(4)]), copy)
        game.run()
        assert (game.row.state, game.row.skip, game.row.counts.copied, game.asked_again) == ("Queued", 0, 3, [])
        assert game.run().columns["state"] == "Completed"
        assert game.row.counts.copied == 4

    def test_where_only_a_person_can_help_no_page_is_asked_for_again(self) -> None:
        def copy(order: CopyCab) -> NoReturn:
            raise NeedsPerson("403") if order.cab.cab_id_hash == cab(0).cab_id_hash else FreshUrl("expired")

        game = Game(batch([cab(number) for number in range(3)]), copy)
        assert game.run().is_failure
        assert (game.asked_again, dict(game.states)) == ([], {})

    def test_one_that_is_never_fresh_is_tried_again_later(self) -> None:
        game = Game(batch([cab(0)]), failing(FreshUrl("refused")))
        ending = game.run()
        assert (ending.columns["state"], len(game.asked_again)) == ("Queued", 1)
        assert "although its URL is fresh" in ending.told

    def test_a_page_that_fails_tells_each_of_its_cabs(self) -> None:
        def busy(_request: PageRequest) -> NoReturn:
            raise AgainLater("busy")

        game = Game(one_after_the_other(batch([cab(0), cab(1)]), busy), failing(FreshUrl("expired")))
        assert game.run().columns["lastError"] == "busy"
        assert set(game.states.values()) == {CabState.FAILED}

    @pytest.mark.parametrize("fresh", [batch([cab(0)]), batch([])], ids=["a dead URL", "no URL"])
    def test_where_its_page_has_none_that_works_a_cab_is_asked_for_by_itself(
        self, fresh: Callable[[PageRequest], BatchPage]
    ) -> None:
        game = Game(one_after_the_other(batch([cab(0)]), fresh), by_itself(Copied(1)))
        assert game.run().columns["state"] == "Completed"
        assert (game.row.counts.copied, len(game.asked_again)) == (1, 1)

    @pytest.mark.parametrize("error", [FreshUrl("dead"), BadInput("nowhere"), CabUnavailable("404"), AgainLater("429")])
    def test_by_itself_it_is_asked_for_once_and_tried_again_later(self, error: CabferryError) -> None:
        """The call for one cab may be gone: what it answers must not end a cab that the batch may yet give."""
        game = Game(batch([cab(0)]), by_itself(error))
        ending = game.run()
        assert (ending.columns["state"], len(game.asked_again)) == ("Queued", 1)
        assert str(error) in ending.told
        assert game.tries == [cab(0).cab_id_hash] * 3

    def test_one_that_is_nowhere_to_be_had_ends_no_pull_of_the_others(self) -> None:
        copy = by_itself(BadInput("404"))
        game = Game(
            batch([cab(0), cab(1)]), lambda order: copy(order) if order.cab.cab_id_hash == "cab-00000" else Copied(1)
        )
        states = [game.run().columns["state"] for _ in range(SETTINGS.pull_max_attempts)]
        assert states[-1] == "Completed"
        assert set(states[:-1]) == {"Queued"}
        assert game.states == {"cab-00000": CabState.FAILED, "cab-00001": CabState.COPIED}


class TestExpiry:
    @pytest.mark.parametrize("refusal", [FreshUrl("expired"), CabUnavailable("404")], ids=repr)
    def test_a_cab_is_asked_for_once_more_before_it_is_called_expired(self, refusal: CabferryError) -> None:
        game = Game(batch([cab(0, expires=PAST)]), failing(refusal))
        assert game.run().columns["state"] == "Completed"
        assert len(game.asked_again) == 1
        assert game.row.counts.expired == 1

    @pytest.mark.parametrize("refusal", [FreshUrl("expired"), CabUnavailable("404")], ids=repr)
    def test_it_may_be_there_after_all(self, refusal: CabferryError) -> None:
        def copy(order: CopyCab) -> Copied:
            if not order.is_fresh:
                raise refusal
            return Copied(1)

        game = Game(batch([cab(0, expires=PAST)]), copy)
        game.run()
        assert (game.row.counts.expired, game.row.counts.copied) == (0, 1)

    def test_one_that_the_batch_names_no_more_by_then_is_expired(self) -> None:
        game = Game(one_after_the_other(batch([cab(0, expires=PAST)]), batch([])), failing(FreshUrl("expired")))
        game.run()
        assert game.row.counts.expired == 1

    @pytest.mark.parametrize(
        ("recorded", "named", "wanted"),
        [
            (PAST, PAST, False),
            (PAST, FUTURE, True),
            ("1970-01-01 00:00:00", PAST, True),  # a wrong expiry, that was mended since
            (FUTURE, FUTURE, True),  # a host whose clock was ahead had called it expired
            (PAST, "never", False),
            (PAST, "", False),
        ],
    )
    def test_one_that_was_called_expired_is_tried_again_where_the_batch_says_otherwise(
        self, recorded: str, named: str, wanted: bool
    ) -> None:
        game = Game(batch([cab(0, expires=named)]))
        known = CabRow(CabState.EXPIRED, settled_at=NOW - timedelta(days=3), error="gone")
        known.expires = moment_of(recorded)
        game.table.rows = {cab(0).cab_id_hash: known}
        assert game.run().columns["state"] == "Completed"
        assert len(game.copied) == wanted
        counts = game.row.counts
        assert (counts.copied, counts.expired, counts.seen) == (wanted, not wanted, 1)


class TestTheNewest:
    SOME = replace(SETTINGS, max_cabs_per_failure=2_150)

    def test_a_pull_with_many_cabs_of_its_own_in_front_goes_on_after_a_kill(self) -> None:
        """Its own cabs were once taken for a server that sends in circles, and the pull could never complete."""
        cabs = [cab(number) for number in range(2_300)]
        game = Game(batch(cabs), settings=self.SOME)
        game.columns |= {"skip": 2_100, "copied": 2_100, "seen": 2_100, "startedAt": NOW - timedelta(hours=1)}
        game.table.rows = {
            each.cab_id_hash: CabRow(CabState.COPIED, "x", 1, settled_at=NOW - timedelta(minutes=9))
            for each in cabs[:2_100]
        }
        assert game.run().columns["state"] == "Completed"
        assert game.row.counts.copied >= 2_150 - 200

    def test_the_newest_are_those_by_their_dates_however_these_are_ordered(self) -> None:
        dates = ["2026-11-0", "2026-10-1"]
        cabs = [cab(number, date=f"{dates[number % 2]}{number % 9 + 1} 00:00:00") for number in range(300)]
        game = Game(batch(cabs), settings=replace(SETTINGS, max_cabs_per_failure=150))
        game.run()
        assert set(game.copied) == {each.cab_id_hash for each in cabs if each.date.startswith("2026-11")}
        assert (game.row.counts.seen, game.row.counts.copied) == (300, 150)

    @pytest.mark.parametrize("why", ["stop", "time"])
    def test_their_listing_ends_with_the_process_and_the_time_budget(self, why: str) -> None:
        game = Game(batch([cab(number) for number in range(2_300)]), settings=self.SOME)
        answer = game.answer

        def slow(request: PageRequest) -> BatchPage:
            game.seconds += 500
            game.is_stopping = why == "stop"
            return answer(request)

        game.answer = slow
        ending = game.run()
        assert (ending.columns["state"], ending.again_in) == ("Queued", timedelta())
        assert len(game.asked) < 6

    def test_a_listing_that_never_fits_the_budget_is_told(self) -> None:
        game = Game(batch([cab(number) for number in range(2_300)]), settings=self.SOME)
        answer = game.answer

        def slow(request: PageRequest) -> BatchPage:
            game.seconds += 500
            return answer(request)

        game.answer = slow
        endings = [game.run() for _ in range(SETTINGS.pull_max_attempts)]
        assert [each.is_failure for each in endings] == [False] * 9 + [True]
        assert "PULL_TIME_BUDGET" in game.row.last_error


class TestTime:
    def test_what_is_left_when_time_is_up_is_handed_on(self) -> None:
        game = Game(batch([cab(number) for number in range(1_000)]))

        def slow(_order: CopyCab) -> Copied:
            game.seconds += 3
            return Copied(1)

        game.copy = slow
        runs = 0
        while (ending := game.run()).again_in is not None:
            assert ending.again_in == timedelta()
            runs += 1
        assert 1 <= runs <= 4
        assert len(set(game.copied)) == 1_000
        assert (game.row.attempts, game.row.stalled, game.row.state) == (0, 0, "Completed")

    def test_a_stop_hands_on_and_is_no_try(self) -> None:
        game = Game(batch([cab(0)]), is_stopping=True)
        for _ in range(30):
            assert game.run().again_in == timedelta()
        assert (game.row.attempts, game.row.stalled) == (0, 0)


def throttled(seconds: float) -> AgainLater:
    return AgainLater("429", timedelta(seconds=seconds))


class TestWaits:
    def play(self, game: Game, until: timedelta, error: Exception) -> list[tuple[timedelta, bool]]:
        """Let every page fail for a while; return when each run was, and whether it failed."""
        good, seen = game.answer, list[tuple[timedelta, bool]]()

        def answer(request: PageRequest) -> BatchPage:
            if game.moment - NOW < until:
                raise error
            return good(request)

        game.answer = answer
        while True:
            ending = game.run()
            seen.append((game.moment - NOW, ending.is_failure))
            if ending.again_in is None:
                return seen
            game.moment += ending.again_in

    def test_a_throttle_of_minutes_is_outlasted_in_a_few_calls(self) -> None:
        """Eight pulls were Failed after 23 s, with eighty calls, though 2 s was all that was asked for."""
        game = Game(batch([cab(0)]))
        seen = self.play(game, timedelta(seconds=75), throttled(2))
        assert game.row.state == "Completed"
        assert len(seen) <= 9
        assert seen[-1][0] < timedelta(minutes=4)
        assert game.row.stalled == 0

    def test_a_wait_is_never_shorter_than_was_asked(self) -> None:
        game = Game(batch([cab(0)]))
        seen = self.play(game, timedelta(hours=2), throttled(600))
        waits = [after[0] - before[0] for before, after in itertools.pairwise(seen)]
        assert min(waits) >= timedelta(seconds=600)
        assert max(waits) <= timedelta(hours=1.5)

    def test_those_who_wait_do_not_come_back_together(self) -> None:
        firsts = {self.play(Game(batch([cab(0)])), timedelta(seconds=1), throttled(2))[1][0] for _ in range(8)}
        assert len(firsts) == 8

    def test_a_throttle_of_days_is_told_at_last(self) -> None:
        game = Game(batch([cab(0)]))
        seen = self.play(game, timedelta(days=30), throttled(2))
        assert seen[-1][1]
        assert timedelta(hours=3) < seen[-1][0] < timedelta(days=2)
        assert "429" in game.row.last_error

    def test_a_new_cab_begins_the_patience_anew(self) -> None:
        game = Game(batch([cab(number) for number in range(150)]), failing(throttled(2), 120))
        game.columns |= {"stalled": 9, "waitingSince": NOW - timedelta(days=1)}
        game.run()
        assert (game.row.stalled, game.row.waiting_since) == (0, NOW)

    def test_a_circuit_that_is_open_is_no_try(self) -> None:
        game = Game(batch([cab(0)]))
        self.play(game, timedelta(days=3), CircuitOpen("open", timedelta(minutes=10)))
        assert (game.row.state, game.row.attempts) == ("Completed", 0)


class TestEndings:
    @pytest.mark.parametrize(
        ("error", "kind"), [(NeedsPerson("403: give the role"), "person"), (Never("400"), "never")], ids=repr
    )
    def test_what_no_try_mends_ends_at_once_and_what_was_read_is_copied(self, error: Exception, kind: str) -> None:
        good = batch([cab(number) for number in range(350)])

        def answer(request: PageRequest) -> BatchPage:
            if request.skip == 200:
                raise error
            return good(request)

        game = Game(answer)
        ending = game.run()
        assert (ending.is_failure, ending.again_in) == (True, None)
        assert (game.row.last_error_kind, game.row.last_error) == (kind, str(error))
        assert (game.row.counts.copied, game.row.skip) == (200, 200)

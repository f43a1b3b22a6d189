"""A pull without threads, storage and Dev Center: the policy alone, played by one who does what it says."""

from __future__ import annotations

from collections import deque
from copy import replace
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from shared.cabs.creation import Copied
from shared.core import clock
from shared.core.keep import Rules
from shared.core.settings import Settings
from shared.devcenter.pages import BatchCab, BatchPage
from shared.progress.pull_row import PullRow, queued
from shared.pull import beginnings, endings, policy
from shared.pull.keeping import Keeping, subject_of
from shared.pull.ledger import CabLedger
from shared.pull.state import AskPage, CabEnded, PageEnded
from shared.storage.table_rows import Row
from tests.unit.devcenter.devcenter_client import FAILURE, WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Executor

    from shared.core.failure import Failure
    from shared.devcenter.cursor import PageRequest
    from shared.progress.cab_row import CabRow, CabState
    from shared.progress.cabs import CabRows
    from shared.pull.endings import Ending
    from shared.pull.state import CopyCab, Event, Order, Pull

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINK = "driver/cabdownloadbatch?applicationId=1&failureHash=a&top=100&skip={}"
SETTINGS = Settings.from_environment({"CAB_STORAGE": "AccountName=a;AccountKey=a2V5", "DEVCENTER_ACCESS_TOKEN": "x"})


def cab(number: int, date: str = "2026-11-01 13:53:43", expires: str = "2026-12-01 13:53:43") -> BatchCab:
    """Return a row of the batch."""
    return BatchCab(f"cab-{number:05}", f"https://x/{number}", "", date, expires, downloadable=True)


def page(cabs: Iterable[BatchCab], link: str | None = None, total: int = -1) -> BatchPage:
    """Return a page of the batch."""
    rows = tuple(cabs)
    return BatchPage(len(rows), (), link or "", has_link_key=True, total=total, cabs=rows)


def batch(cabs: list[BatchCab], *, told: bool = True, rows: int = 100) -> Callable[[PageRequest], BatchPage]:
    """Return a Dev Center that lists cabs, so many a page."""

    def answer(request: PageRequest) -> BatchPage:
        end = request.skip + rows
        link = LINK.format(end) if end < len(cabs) else None
        return page(cabs[request.skip : end], link, len(cabs) if told else -1)

    return answer


class _Table:
    """The rows of the cabs, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, CabRow] = {}

    def of(self, _failure: Failure) -> Iterator[tuple[str, CabRow]]:
        yield from ((name, replace(row)) for name, row in self.rows.items())

    def write(self, _failure: Failure, rows: Iterable[tuple[str, CabRow]]) -> None:
        self.rows |= {name: replace(row) for name, row in rows}


class Inline:
    """Threads that do at once what they are given."""

    def map(self, call: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        """Do it for each."""
        return map(call, items)


class _ClockOf(clock.Clock):
    def __init__(self, game: Game) -> None:
        self._game = game

    def now(self) -> datetime:
        return self._game.moment


@dataclass
class Game:
    """One failure, its tables, and the time.

    Args:
        answer: The Dev Center.
        copy: What becomes of a copy; raises where it fails.
        settings: The app's.
        rules: What is worth keeping.
        asked_by: What asks for the pull.
        page_rows: How many rows are asked for at once.
        pages_first: Whether pages come sooner than every copy.
        most_copying: How many copies were ever under way or waiting.
    """

    answer: Callable[[PageRequest], BatchPage]
    copy: Callable[[CopyCab], Copied] = lambda _: Copied(1)
    settings: Settings = SETTINGS
    rules: Rules = field(default_factory=Rules)
    asked_by: str = "report 1"
    page_rows: int = 100
    pages_first: bool = False
    most_copying: int = 0
    moment: datetime = NOW
    seconds: float = 0.0
    is_stopping: bool = False
    table: _Table = field(default_factory=_Table)
    columns: dict[str, Any] = field(default_factory=lambda: dict(queued(WINDOW, "a test")))
    asked: list[PageRequest] = field(default_factory=list)
    asked_again: list[PageRequest] = field(default_factory=list)
    tries: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)

    @property
    def row(self) -> PullRow:
        """The pull's row, as the last run left it."""
        return PullRow.of(Row.written(FAILURE.application_id, FAILURE.failure_hash, self.columns, "etag"))

    @property
    def states(self) -> Mapping[str, CabState]:
        """The states of the cabs' rows."""
        return {name: row.state for name, row in self.table.rows.items()}

    def run(self) -> Ending:
        """Play one run of the pull, to what its row becomes."""
        with clock.using(_ClockOf(self)):
            return self._run()

    def _run(self) -> Ending:
        row = self.row
        started_at = row.started_at or self.moment
        self.columns |= {"startedAt": started_at, "state": "Running"}
        ledger = CabLedger(cast("CabRows", self.table), FAILURE, started_at, cast("Executor", Inline()))
        ledger.load()
        rules = self.rules.and_at_most(self.settings.max_cabs_per_failure, "MAX_CABS_PER_FAILURE")
        keeping = Keeping.of(rules, subject_of(row), self.settings, for_whom=self.asked_by)
        pull = beginnings.begun(row, ledger, keeping, self.page_rows, self.seconds)
        beginnings.apply_rules(pull)
        self._play(pull)
        error = pull.end or pull.again
        assert error is None or isinstance(error, Exception)
        ledger.write()
        ending = endings.ending_of(pull, error, self.moment)
        self.columns |= ending.columns
        return ending

    def _play(self, pull: Pull) -> None:
        orders: deque[Order] = deque(policy.orders(pull, self.moment))
        while not policy.is_over(pull):
            assert orders, f"it waits for nothing: {pull}"
            page = next((each for each in orders if isinstance(each, AskPage)), None)
            order = page if page and self.pages_first else orders[0]
            orders.remove(order)
            orders += policy.take_in(pull, self._done(order), self.seconds, self.moment)
            policy.look_at_clock(pull, self.seconds, is_stopping=self.is_stopping)
            orders += policy.orders(pull, self.moment)
            self.most_copying = max(self.most_copying, pull.copying)

    def _done(self, order: Order) -> Event:
        if isinstance(order, AskPage):
            (self.asked_again if order.again else self.asked).append(order.request)
            try:
                return PageEnded(order, self.answer(order.request))
            except Exception as error:  # noqa: BLE001 - as the run does
                return PageEnded(order, error)
        self.tries.append(order.cab.cab_id_hash)
        try:
            outcome: tuple[str, Copied] | BaseException = (f"x/{order.cab.cab_id_hash}", self.copy(order))
            self.copied.append(order.cab.cab_id_hash)
        except Exception as error:  # noqa: BLE001 - likewise
            outcome = error
        return CabEnded(order, outcome)

"""What must be so after every step: no cab lost, none twice, nothing stuck, and each row true."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.failure import Failure
from shared.progress.cab_row import CabRow, CabState
from shared.progress.pull_row import PullRow, PullState

from .catalog import catalogued
from .center import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .center import Cab
    from .tasks import Task
    from .world import World

_MISSED = {CabState.EXPIRED, CabState.UNAVAILABLE, CabState.FAILED}
# What anybody may write into a row that somebody works on.
_NOTES = {"askedAgain", "askedAgainBy", "askedAt", "askedBy"}
_UNFINISHED = {PullState.QUEUED, PullState.RUNNING}
# A pull that was queued by a process that died before it sent the message gets one from the reconcile, which waits for
# an hour to be sure.
_QUIET = timedelta(hours=1, minutes=5)
# As the reconcile: what no batch has named by then is gone.
_GIVEN_UP = timedelta(days=31)


# Pulls that are asked for twice make two messages, and lost answers some more; more than these come of a loop.
_MOST_MESSAGES = 60


class BrokenPromise(Exception):
    """A game has found what must not be."""


@dataclass(slots=True)
class Promise:
    """Watch a world.

    Args:
        world: The world.
        made: How often the blob of each cab was made.
        taken_away: How often somebody took it away.
        disturbed_at: When something happened to a failure that no single pull can be asked to see through.
        odd_at: When a cab's source last gave something else than the cab.
        alone: The tasks that bring one cab that somebody asked for by itself.
    """

    world: World
    made: Counter[str] = field(default_factory=Counter)
    taken_away: Counter[str] = field(default_factory=Counter)
    disturbed_at: dict[Failure, datetime] = field(default_factory=dict)
    odd_at: dict[str, datetime] = field(default_factory=dict)
    alone: set[Task] = field(default_factory=set)
    _settled_alone: set[str] = field(default_factory=set)
    _told: dict[str, tuple[CabState, datetime | None]] = field(default_factory=dict)
    _told_at: dict[str, datetime] = field(default_factory=dict)
    _broken: BaseException | None = None
    _is_dirty: bool = False
    _owners: dict[str, str] = field(default_factory=dict)
    _completed_at: dict[Failure, datetime | None] = field(default_factory=dict)
    _alone_since: dict[Failure, datetime] = field(default_factory=dict)

    def break_with(self, what: str, error: Exception | None = None) -> None:
        """Note that the promise does not hold; the game ends after this step."""
        if self._broken is None:
            where = "".join(traceback.format_exception(error)) if error else ""
            self.world.tell("PROMISE", what)
            self._broken = BrokenPromise(f"{what}\n{where}" if where else what)

    def watching(self, table: str) -> Callable[[str, str, Mapping[str, Any]], None]:
        """Return what is to be called with the keys of each row that is written, and its columns before."""

        def written(partition: str, key: str, before: Mapping[str, Any]) -> None:
            self._is_dirty = True
            if (partition, key) not in self.world.tables[table].rows:
                return
            try:
                if table == "pulls":
                    self._check_owner(partition, key, before)
                    self._pull_written(partition, key)
                elif table == "cabs":
                    self._cab_written(partition, key)
            except AssertionError as broken:
                self.break_with(str(broken))

        return written

    def message_removed(self) -> None:
        """Look, after this step, whether it was the last that makes a pull go on."""
        self._is_dirty = True

    def blob_created(self, name: str) -> None:
        """Look at a blob that was just made."""
        application_id, failure_hash, file = name.split("/")
        cab = self.world.center.cabs.get(file.split(".")[0])
        if cab is None or (cab.failure.application_id, cab.failure.failure_hash) != (application_id, failure_hash):
            self.break_with(f"{name} is no cab that was ever served")
            return
        self.made[cab.name] += 1
        if self.made[cab.name] > 1 + self.taken_away[cab.name]:
            self.break_with(f"{name} was copied {self.made[cab.name]} times")
        if self.world.container.blobs[name].content != cab.content:
            self.break_with(f"{name} is not the cab that was served")

    def check_step(self) -> None:
        """Check what must be so between two steps.

        Raises:
            BrokenPromise: It is not.
        """
        if self._is_dirty:
            self._is_dirty = False
            try:
                self._check_messages()
            except AssertionError as broken:
                self.break_with(str(broken))
        if self._broken:
            raise self._broken

    def check_reconciled(self, began: datetime) -> None:
        """Check what must be so when a reconcile has come to its end.

        No pull is left without a message for long, and the catalog tells what the table told before.
        """
        self._check_messages()
        self._check_catalog(began)
        now = self.world.tasks.now()
        if any(message.visible_at + timedelta(minutes=1) < now for message in self.world.queue.messages):
            return  # Nobody takes messages right now, so that one of this pull may be among them for all that is known.
        for failure, since in self._alone_since.items():
            pull = self.pull_row(failure)
            written = max(since, pull.updated_at or since) if pull else began
            if written + _QUIET < began:
                self.break_with(f"the pull of {failure} has had no message since {since}, and no reconcile sent one")

    def _check_catalog(self, began: datetime) -> None:
        told, oldest = catalogued(self.world.catalog), self.world.tasks.now() - self.world.settings.retention
        for failure in self.world.center.batches:
            for cab, row in self.cab_rows(failure).items():
                # A state that is of sooner may have been written since: the reconcile has read the rows by then.
                is_old = row.settled_at and oldest < row.settled_at and self._told_at[cab] < began
                is_due = is_old and row.state is not CabState.RETIRED
                if is_due and told.get(cab, {}).get("state") != row.state:
                    self.break_with(f"cab {cab} is {row.state}, and the catalog tells {told.get(cab)}")

    def is_anything_unfinished(self) -> bool:
        """Tell whether a pull is still to come to its end."""
        return any(columns.get("state") in _UNFINISHED for columns, _ in self.world.tables["pulls"].rows.values())

    def check_end(self) -> None:
        """Check what must be so when nothing has happened for days, and all was asked for once more.

        Raises:
            BrokenPromise: It is not.
        """
        try:
            for failure in self.world.center.batches:
                self._check_settled(failure)
            for run in self.world.center.runs:
                row = self.world.tables["reports"].row("1", f"{run.made_at:%Y-%m-%dT%H:%M:%S}")
                is_recent = run.made_at + self.world.settings.report_lookback > self.world.tasks.now()
                is_ingested = row is not None and row.moment("ingestedAt") is not None
                assert is_ingested or not (run.is_finished and is_recent), f"the run of {run.made_at} was never read"
            self._check_secrets()
        except AssertionError as broken:
            self.break_with(str(broken))
        self.check_step()

    def cab_rows(self, failure: Failure) -> dict[str, CabRow]:
        """Return the rows of a failure's cabs."""
        rows = self.world.tables["cabs"]
        return {
            key: CabRow.of(row)
            for partition, key in sorted(rows.rows)
            if partition == failure.cabs_partition and (row := rows.row(partition, key))
        }

    def pull_row(self, failure: Failure) -> PullRow | None:
        """Return the row of a failure's pull."""
        row = self.world.tables["pulls"].row(failure.application_id, failure.failure_hash)
        return PullRow.of(row) if row else None

    def blob_of(self, cab: Cab) -> str:
        """Return the name of a cab's blob; empty where it has none."""
        name = f"{cab.failure.prefix}{cab.name}.ext.zip"
        return name if name in self.world.container.blobs else ""

    def _check_owner(self, partition: str, key: str, before: Mapping[str, Any]) -> None:
        """Nobody writes into a row that another process holds, but for a note that it is asked for again.

        Who holds one that is Failed is the reconcile, which reads the container back: a person may queue it meanwhile.
        """
        task, row = self.world.tasks.current, self.world.tables["pulls"].row(partition, key)
        assert row is not None
        process, now = task.process.name if task else "nobody", self.world.tasks.now()
        holder = self._owners.get(before.get("owner", ""), process)
        is_held = before.get("leaseUntil", now) > now
        changed = {name for name, value in row.columns.items() if before.get(name) != value}
        is_failed = before.get("state") == PullState.FAILED
        assert changed <= _NOTES or not is_held or holder == process or is_failed, (
            f"{process} writes {', '.join(sorted(changed))} of the pull {key}, which {holder} holds"
        )
        if owner := row.text("owner"):
            self._owners.setdefault(owner, process)

    def _pull_written(self, partition: str, key: str) -> None:
        failure = Failure(partition, key)
        pull = self.pull_row(failure)
        assert pull is not None
        if pull.state is PullState.FAILED:
            assert pull.last_error, f"the pull of {failure} is Failed without a reason"
            assert pull.completed_at, f"the pull of {failure} is Failed without a time"
        if pull.state is PullState.COMPLETED and pull.completed_at != self._completed_at.get(failure):
            self._check_completed(failure, pull)
        self._completed_at[failure] = pull.completed_at

    def _check_completed(self, failure: Failure, pull: PullRow) -> None:
        """A pull that is Completed has left nothing out."""
        started, rows = pull.started_at, self.cab_rows(failure)
        assert pull.window, f"the pull of {failure} is Completed without days"
        # It may have been asked for again while its owner stood still: then its new message makes it once more.
        # And where a rule keeps nothing of it, nobody has asked what there is.
        if started is None or self._was_disturbed(failure, started) or pull.skipped_by:
            return
        for cab in self.world.center.batches.get(failure, []):
            is_owed = cab.arrived_at < started and pull.window.start <= cab.dated.date() <= pull.window.end
            if is_owed and not self.world.settings.max_cabs_per_failure:
                self._check_cab(cab, rows.get(cab.name), started)
        settled = {cab: row.state for cab, row in rows.items() if row.settled_at and row.settled_at >= started}
        # What a message of one cab alone has written meanwhile, the pull has read or not: it may stand in any count.
        alone = settled.keys() & self._settled_alone
        sure = Counter(settled[cab] for cab in settled.keys() - alone)
        states = (CabState.COPIED, CabState.UNAVAILABLE, CabState.FAILED)
        told = (pull.counts.copied, pull.counts.unavailable, pull.counts.failed)
        more = [count - sure[state] for state, count in zip(states, told, strict=True)]
        told_well = min(more) >= 0 and sum(more) <= len(alone)
        assert told_well, (
            f"the pull of {failure} counts {told}, its rows {[*map(Counter(settled.values()).get, states)]}"
        )

    def _was_disturbed(self, failure: Failure, since: datetime) -> bool:
        moments = (self.world.center.moved_at.get(failure), self.disturbed_at.get(failure))
        return any(moment and moment >= since for moment in moments)

    def _check_cab(self, cab: Cab, row: CabRow | None, started: datetime) -> None:
        assert row is not None, f"{cab.name} was listed, and nobody knows of it"
        assert row.state is not CabState.LISTED, f"{cab.name} was listed, and nothing became of it"
        assert row.state is not CabState.SKIPPED or row.error, f"{cab.name} is skipped without a reason"
        if row.state in _MISSED:
            odd_at = self.odd_at.get(cab.name)
            if odd_at is not None and odd_at >= started:
                return
            assert not cab.can_be_copied, f"{cab.name} is served, and is {row.state}: {row.error}"
            assert not self.blob_of(cab), f"{cab.name} is there, and is said to be {row.state}: {row.error}"

    def _cab_written(self, partition: str, key: str) -> None:
        row = self.world.tables["cabs"].row(partition, key)
        assert row is not None
        told, cab = CabRow.of(row), self.world.center.cabs.get(key)
        assert cab is not None, f"{key} is a row of a cab that was never served"
        assert told.settled_at, f"{key} is {told.state} without a time"
        before, self._told[key] = self._told.get(key), (told.state, told.settled_at)
        if before == self._told[key]:
            return  # It says nothing new but names: the blob may have gone since, by its retention.
        self._told_at[key] = self.world.tasks.now()
        (self._settled_alone.add if self.world.tasks.current in self.alone else self._settled_alone.discard)(key)
        match told.state:
            case CabState.COPIED:
                assert self.blob_of(cab) or self.taken_away[key], f"{key} is said to be copied, and is not there"
                assert told.length in {None, len(cab.content)}, f"{key} is said to have {told.length} bytes"
            case CabState.EXPIRED:
                assert not cab.is_there or cab.left_at, f"{key} is said to be expired, and is served"
            case CabState.RETIRED:
                assert not self.blob_of(cab), f"{key} is said to be retired, and is there"
            case _:
                pass
        if told.state in _MISSED:
            assert told.error, f"{key} is {told.state} without a reason"

    def _check_messages(self) -> None:
        """A pull that has begun and has not ended goes on by itself: a message is there, or a host has one."""
        texts = [message.text for queue in (self.world.queue, self.world.poison) for message in queue.messages]
        assert len(texts) < _MOST_MESSAGES, f"{len(texts)} messages wait for {len(self.world.center.batches)} failures"
        now = self.world.tasks.now()
        before, self._alone_since = self._alone_since, {}
        for (partition, key), (columns, _) in self.world.tables["pulls"].rows.items():
            failure = Failure(partition, key)
            if columns.get("state") not in _UNFINISHED or any(f'"{key}"' in text for text in texts):
                continue
            pull = self.pull_row(failure)
            assert pull is not None
            assert not pull.started_at, f"the pull of {failure} is {pull.state}, and no message makes it go on"
            self._alone_since[failure] = before.get(failure, now)

    def _check_settled(self, failure: Failure) -> None:
        """Nothing is still to come: what can be had is there, what cannot says why."""
        world, rows, pull = self.world, self.cab_rows(failure), self.pull_row(failure)
        assert pull is not None, f"{failure} was asked for, and has no row"
        assert pull.state is PullState.COMPLETED, f"the pull of {failure} is {pull.state}: {pull.last_error}"
        window, now = pull.window, world.tasks.now()
        assert window
        for cab in (each for each in world.center.cabs.values() if each.failure == failure):
            row = rows.get(cab.name)
            state = row.state if row else None
            if self.blob_of(cab):
                assert state is CabState.COPIED, f"{cab.name} is there, and its row says {state}"
            elif cab.can_be_copied and window.start <= cab.dated.date() <= window.end:
                wanted = state is CabState.RETIRED or world.settings.max_cabs_per_failure
                assert wanted, f"{cab.name} can be had and is not there; its row says {state}"
            elif cab.left_at is None and window.start <= cab.dated.date() <= window.end:
                known = state in {*_MISSED, CabState.RETIRED}
                assert known, f"{cab.name} is listed and cannot be had, and its row says {state}"
            elif row and state is CabState.LISTED:
                assert now < cab.dated + _GIVEN_UP, f"{cab.name} is gone for long, and its row still says {state}"
            else:
                assert state is not CabState.COPIED, f"{cab.name} is said to be copied, and is not there"

    def _check_secrets(self) -> None:
        """Nothing that people can read holds a signature or a token."""
        rows: list[Any] = [columns for table in self.world.tables.values() for columns, _ in table.rows.values()]
        text = repr(rows) + repr([blob.labels for blob in self.world.container.blobs.values()])
        assert "sig=" not in text.replace("sig=[redacted]", ""), "a signature is stored"
        assert TOKEN not in text, "a token is stored"

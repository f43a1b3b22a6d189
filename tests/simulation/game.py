"""One game: a seed draws the world, what happens in it, and in which order; at last all is calm and must be well."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core.failure import Failure
from shared.pull.keep_file import KEEP_FILE

from .center import Cab, Form, Run
from .mishaps import BEFALLS
from .promise import BrokenPromise
from .tasks import in_place
from .world import DAY, Storm, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .lines import Called

_FAILURES = (Failure("100", "aa"), Failure("100", "bb"), Failure("200", "cc"))
_STORMY: tuple[Called, ...] = ("read", "write", "send", "copy", "blob", "devcenter", "devcenter", "source")
# What somebody may write; the last is no TOML, and keeps everything.
_KEEP = (
    "",
    'rules = [{name = "none", action = "skip"}]',
    'rules = [{name = "few", action = "keep", at-most-cabs = 2}]',
    'rules = [{name = "new", action = "skip", version = "1.*"}, {name = "often", action = "keep", at-least-hits = 3}]',
    "bytes-a-day = 500",
    "rules = [",
)
# What no weather does for long: each of these has done something.
_ONCE = {"killed", "killed after", "frozen", "slow", "twice", "lost"}
_SHORTEST = 3  # mishaps of a story that is not worth making shorter


@dataclass(frozen=True, slots=True)
class Played:
    """How a game went.

    Args:
        seed: Its seed.
        pulls: How many messages of pulls were handled.
        mishaps: The numbers of the mishaps that happened.
        broken: What was found; None where the promise held.
        story: What happened, where it was told.
    """

    seed: int
    pulls: int
    mishaps: tuple[int, ...]
    broken: BrokenPromise | None
    story: tuple[str, ...] = ()


def play(seed: int, left_out: frozenset[int] = frozenset(), *, told: bool = False) -> Played:
    """Play one game.

    Args:
        seed: Draws it.
        left_out: Mishaps that do not happen, though they are drawn.
        told: Whether its story is kept.
    """
    world = World(seed, left_out, [] if told else None)
    broken = None
    with in_place(world.tasks, seed), _log_told(world):
        try:
            Game(world).play()
        except BrokenPromise as error:
            broken = error
    happened, story = tuple(world.chance.happened), tuple(world.story or ())
    return Played(seed, world.pulls_run, happened, broken, story)


def shortest(found: Played) -> Played:
    """Return the story of a game that broke the promise, told with as few mishaps as break it still."""
    best, kept, out = found, list(found.mishaps), frozenset[int]()
    size = max(1, len(kept) // 2)
    while size:
        for start in range(0, len(kept), size):
            without = out | {*kept[start : start + size]}
            if without != out and _kind_of(shorter := play(found.seed, without)) == _kind_of(found):
                best, out = shorter, without
        kept = [each for each in best.mishaps if each not in out]
        size = size // 2 if len(kept) > _SHORTEST or size > 1 else 0
    return play(found.seed, out, told=True)


def _kind_of(played: Played) -> str:
    """Return what was found without names and numbers."""
    return re.sub(r"\w*\d\w*", "#", str(played.broken).split(": ")[0])


class Game:
    """What is drawn.

    Args:
        world: A new one.
    """

    def __init__(self, world: World) -> None:
        self.world, self._drawn = world, world.chance.drawn
        self._cabs = 0

    def play(self) -> None:
        """Play to the end."""
        self._begin()
        for _ in range(self._drawn.randint(6, 18)):
            self._drawn.choice(_ACTS)(self)
            self.world.run(self._drawn.choice((2, 20, 20, 120, 900, 4 * 3600, 20 * 3600)))
        self._end()

    def _begin(self) -> None:
        drawn, world = self._drawn, self.world
        form = Form(
            page=drawn.choice((2, 3, 3, 5)),
            link=drawn.choice(("none", "relative", "absolute")),
            total=drawn.random() < 0.7,
            sas=timedelta(seconds=drawn.choice((40, 900, 2 * DAY))),
        )
        if form.link == "none" and not form.total:
            form = Form(link="relative", total=False)
        world.configure(
            form,
            PULL_LEASE_SECONDS=drawn.choice(("20", "60")),
            PULL_TIME_BUDGET=drawn.choice(("5", "1200")),
            PULL_MAX_ATTEMPTS=drawn.choice(("4", "10")),
            RETENTION_DAYS=drawn.choice(("2", "30")),
        )
        world.container.copied_at_once = drawn.choice((256, 10_000))
        world.chance.rate = drawn.choice((0.0, 0.005, 0.02, 0.06))
        for failure in _FAILURES[: drawn.randint(1, 3)]:
            self.arrive(failure, drawn.randint(1, 9))
        world.begin(hosts=drawn.randint(1, 2))
        world.ask(*world.center.batches)

    def _end(self) -> None:
        """Let nothing happen any more, and ask for all once more."""
        world = self.world
        world.tell("", "from here on all is calm")
        world.calm_down()
        world.rule("")
        world.run(DAY / 2)
        world.ask(*world.center.batches)
        world.run(DAY / 2 + 60)  # What is due at the stroke of the hour comes to its end as well.
        if world.promise.is_anything_unfinished():
            # What had waited for the bytes of a day began only then, and may have ten tries before it.
            world.run(DAY / 2)
        world.promise.check_end()

    def arrive(self, failure: Failure, count: int, *, first: bool = False) -> None:
        """Let cabs come to the Dev Center."""
        for _ in range(count):
            self._cabs += 1
            drawn, now = self._drawn, self.world.tasks.now()
            dated = now - timedelta(hours=drawn.choice((3, 3, 24 * 8, 24 * 20)))
            cab = Cab(
                name=f"{failure.failure_hash}{self._cabs:02}",
                failure=failure,
                dated=dated,
                expires=max(dated + timedelta(days=30), now + timedelta(hours=1)),
                content=b"PK\x03\x04" + bytes([self._cabs % 256]) * drawn.choice((20, 100, 300, 700)),
                has_url=drawn.random() > 0.03,
                is_dead=drawn.random() < 0.03,
                downloadable=drawn.random() > 0.03,
                arrived_at=now,
            )
            if drawn.random() < 0.08:
                cab.expires = now + timedelta(seconds=drawn.choice((-60, 5, 300, 90_000)))
            if drawn.random() < 0.03:
                cab.gone_at = now
            self.world.center.arrive(cab, first=first)
        self.world.tell("microsoft", f"{count} cabs of {failure.failure_hash} arrive{' in front' if first else ''}")

    def some_cabs(self) -> None:
        """Let cabs come, behind the others or in front."""
        self.arrive(self._failure(), self._drawn.randint(1, 4), first=self._drawn.random() < 0.3)

    def cab_deleted(self) -> None:
        """Let Microsoft delete a cab's bytes, or its row as well."""
        there = [cab for cab in self.world.center.cabs.values() if cab.gone_at is None and cab.left_at is None]
        if there:
            cab = self._drawn.choice(there)
            cab.gone_at = self.world.tasks.now()
            if self._drawn.random() < 0.5:
                self.world.center.leave(cab)
            self.world.tell("microsoft", f"deletes {cab.name}{', and its row' if cab.left_at else ''}")

    def report(self) -> None:
        """Let a report name most cabs, soon or now."""
        cabs = [cab for cab in self.world.center.cabs.values() if cab.left_at is None and self._drawn.random() < 0.8]
        run = Run(self.world.tasks.now().replace(microsecond=0), tuple(cabs), is_finished=self._drawn.random() < 0.7)
        if cabs and all(each.made_at != run.made_at for each in self.world.center.runs):
            self.world.center.runs.append(run)
            self.world.tell("microsoft", f"makes a report of {len(cabs)} cabs")
            self.world.check()

    def finish_reports(self) -> None:
        """Let reports that were pending be finished."""
        for run in self.world.center.runs:
            run.is_finished = True
        self.world.check()

    def ask(self) -> None:
        """Let a person ask for pulls, maybe twice."""
        failures = [self._failure() for _ in range(self._drawn.randint(1, 2))]
        for _ in range(self._drawn.choice((1, 1, 2))):
            self.world.ask(*failures)

    def ask_one(self) -> None:
        """Let a person ask for one cab, which may be gone, or held."""
        if cabs := sorted(self.world.center.cabs):
            self.world.ask_one(self.world.center.cabs[self._drawn.choice(cabs)])

    def retry(self) -> None:
        """Let a person retry."""
        self.world.retry(self._failure())

    def reconcile(self) -> None:
        """Let the timer come early."""
        self.world.reconcile()

    def kill(self) -> None:
        """Let a host die."""
        if self.world.hosts:
            self.world.kill(self._drawn.choice(self.world.hosts))

    def stop(self) -> None:
        """Ask a host to end."""
        if host := self.world.any_host():
            self.world.stop(host)

    def freeze(self) -> None:
        """Let a host stand still for longer than a lease."""
        if host := self.world.any_host():
            host.frozen_until = self.world.tasks.seconds + self._drawn.choice((30, 100, 700))
            self.world.tell(host.name, "stands still")

    def storm(self) -> None:
        """Let every call of a kind fail for a while."""
        kind = self._drawn.choice(_STORMY)
        lasting = [each for each in BEFALLS[kind] if each not in _ONCE]
        mishap = self._drawn.choice(lasting)
        lasts = self._drawn.choice((5, 60, 600, 4 * 3600))
        self.world.chance.mishaps += 1
        if self.world.chance.mishaps not in self.world.chance.left_out:
            self.world.chance.happened.append(self.world.chance.mishaps)
            self.world.storms.append(Storm(frozenset({kind}), mishap, self.world.tasks.seconds + lasts, lasts))
            self.world.tell("", f"every {kind} is now {mishap.upper()} for {lasts} s")

    def take_blob(self) -> None:
        """Let somebody delete a blob."""
        if names := sorted({*self.world.container.blobs} - {KEEP_FILE}):
            name = self._drawn.choice(names)
            del self.world.container.blobs[name]
            cab = self.world.center.cabs[name.split("/")[-1].split(".")[0]]
            self.world.promise.taken_away[cab.name] += 1
            self.world.promise.disturbed_at[cab.failure] = self.world.tasks.now()
            self.world.tell("somebody", f"deletes {name}")

    def take_row(self) -> None:
        """Let somebody delete the row of a pull."""
        rows = self.world.tables["pulls"].rows
        if rows:
            keys = self._drawn.choice(sorted(rows))
            del rows[keys]
            self.world.promise.disturbed_at[Failure(*keys)] = self.world.tasks.now()
            self.world.tell("somebody", f"deletes the row of the pull {keys[1]}")

    def rule(self) -> None:
        """Let somebody say what is worth keeping, or that all is."""
        self.world.rule(self._drawn.choice(_KEEP))

    def _failure(self) -> Failure:
        return self._drawn.choice(sorted(self.world.center.batches))


_ACTS: tuple[Callable[[Game], None], ...] = (
    Game.some_cabs,
    Game.some_cabs,
    Game.cab_deleted,
    Game.report,
    Game.finish_reports,
    Game.ask,
    Game.ask,
    Game.ask_one,
    Game.retry,
    Game.reconcile,
    Game.kill,
    Game.stop,
    Game.freeze,
    Game.storm,
    Game.take_blob,
    Game.take_row,
    Game.rule,
)


@contextmanager
def _log_told(world: World) -> Iterator[None]:
    """Let the app's log be part of the story; where there is none, let it cost nothing."""
    log = logging.getLogger("shared")
    before, passed_on, handler = log.level, log.propagate, _StoryHandler(world)
    log.setLevel(logging.INFO if world.story is not None else logging.CRITICAL + 1)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = passed_on


class _StoryHandler(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        task = self._world.tasks.current
        self._world.tell(task.process.name if task else "", f"  log: {record.getMessage()}")

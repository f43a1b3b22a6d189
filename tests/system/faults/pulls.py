"""Pulls side by side, each with a fault of its own: first with the fault, then, asked for again, without it."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from local.simulator.catalogue import Failure
from local.simulator.faults import FaultKind
from tests.support.waiting import wait_until
from tests.system.faults.cells import ASK_FOR_TIME, KINDS, Call, Cell, Outcome
from tests.system.faults.stage import SLOW_SECONDS, Observed, Seen, Stage
from tests.system.faults.storage_proxy import StorageFault
from tests.system.playground import ENDED, SMALL
from tests.system.stored import Entity, creations

_CABS = 1
_AT_ONCE = 100
_SECONDS = 90.0
# A look reads the rows of all trials.
_PAUSE = 1.0
_KEPT = "its message is sent again"
# PULL_MAX_ATTEMPTS of these apps: by then, what does not wait is Failed.
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell, on one failure."""

    cell: Cell
    failure: Failure

    @property
    def failure_hash(self) -> str:
        """What its requests name."""
        return self.failure.key.failure_hash


def observe(stage: Stage, cells: Iterable[Cell]) -> Observed:
    """Pull one failure for each cell, and return what was seen.

    Args:
        stage: Where.
        cells: What goes wrong.
    """
    builder = stage.playground.simulator.builder
    trials = [Trial(cell, builder.failure(_CABS, SMALL)) for cell in sorted(cells, key=_is_slow_to_ask, reverse=True)]
    stage.playground.simulator.publish()
    alone = [trial for trial in trials if _keeps_all_waiting(trial.cell)]
    seen: dict[Cell, Seen] = {}
    for some in ([trial for trial in trials if trial not in alone], *([trial] for trial in alone)):
        seen |= _tried(stage, some)
    _ask_again(stage, [trial for trial in trials if seen[trial.cell].reason])
    _compare(stage, trials, seen)
    return seen


def _tried(stage: Stage, trials: Sequence[Trial]) -> dict[Cell, Seen]:
    """Pull some at once, each with its fault, and return what was seen; then no fault is left."""
    for trial in trials:
        _inject(stage, trial)
    answers = dict(zip((trial.cell for trial in trials), _asked(stage, trials), strict=True))
    seen = {cell: _refused(answer) for cell, answer in answers.items() if not answer.ok}
    seen |= _settled(stage, [trial for trial in trials if trial.cell not in seen])
    for trial in trials:
        if seen[trial.cell].outcome is not Outcome.WAITS:
            seen[trial.cell].calls = _calls(stage, trial)
        stage.proxy.remove(trial.cell.call, trial.failure_hash)
    stage.playground.simulator.faults.clear()
    return seen


def _keeps_all_waiting(cell: Cell) -> bool:
    """Tell whether the Dev Center asks for a wait again and again, which the pulls of all other cells would keep."""
    return cell.call is Call.CAB_BATCH and cell.lasts and cell.fault in ASK_FOR_TIME


def _is_slow_to_ask(cell: Cell) -> bool:
    return cell.call in {Call.ASKED, Call.MESSAGE}


def _inject(stage: Stage, trial: Trial) -> None:
    cell, times = trial.cell, None if trial.cell.lasts else 1
    kind = KINDS[cell.fault]
    if cell.call is Call.CAB_BATCH:
        stage.playground.fail(trial.failure, kind, times, delay=SLOW_SECONDS)
        return
    if cell.call is Call.NEXT_MESSAGE:
        # There is a next try only where something went wrong before it, which asks for no wait: all would keep it.
        stage.playground.fail(trial.failure, FaultKind.UNAVAILABLE)
    stage.proxy.add(cell.call, trial.failure_hash, StorageFault(kind, times, SLOW_SECONDS))


def _asked(stage: Stage, trials: Sequence[Trial]) -> list[requests.Response]:
    def ask(trial: Trial) -> requests.Response:
        key = trial.failure.key
        return stage.app.post("/api/pulls", {"applicationId": key.application_id, "failureHash": key.failure_hash})

    # All at once: some are kept waiting for their answer.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, trials))


def _refused(answer: requests.Response) -> Seen:
    return Seen(Outcome.REFUSED, f"{answer.status_code} {answer.json()['detail']}")


def _settled(stage: Stage, trials: Sequence[Trial]) -> dict[Cell, Seen]:
    """Wait until each pull has ended, or until its message is put off; return how that was."""
    seen: dict[Cell, Seen] = {}

    def look() -> bool:
        rows = _rows(stage)
        log = stage.app.log.splitlines()
        for trial in trials:
            if trial.cell not in seen and (found := _outcome(trial, rows.get(trial.failure_hash, {}), log)):
                # Who waits goes on to ask, ever more rarely, while others end.
                found.calls = _calls(stage, trial)
                seen[trial.cell] = found
        return len(seen) == len(trials)

    def left() -> str:
        rows = _rows(stage)
        return "\n".join(f"{each.cell}: {rows.get(each.failure_hash)}" for each in trials if each.cell not in seen)

    wait_until(look, "the end of every pull", _SECONDS, left, pause=_PAUSE)
    return seen


def _outcome(trial: Trial, row: Entity, log: Sequence[str]) -> Seen | None:
    if row.get("state") in ENDED:
        return Seen(_ended(trial, row), row["lastError"])
    is_asked_to_wait = trial.cell.lasts and trial.cell.fault in ASK_FOR_TIME
    if (
        is_asked_to_wait
        and row.get("state") == "Queued"
        and row["attempts"] >= _TRIES
        and "answered" in row["lastError"]
    ):
        return Seen(Outcome.WAITS, row["lastError"])
    if trial.cell.call is Call.LEASE:
        kept = [line for line in log if trial.failure_hash in line and _KEPT in line]
        return Seen(Outcome.WAITS, kept[0]) if kept else None
    return None


def _ended(trial: Trial, row: Entity) -> Outcome:
    if row["state"] == "Failed":
        return Outcome.FAILED
    if row["lastError"]:
        return Outcome.CAB_FAILED
    # A message that was sent although its answer was lost makes a second pull, whose row starts anew.
    return Outcome.LATER if row["attempts"] or trial.cell.call is Call.NEXT_MESSAGE else Outcome.COMPLETE


def _calls(stage: Stage, trial: Trial) -> int:
    if trial.cell.call is Call.CAB_BATCH:
        return len(stage.playground.api_requests(trial.failure))
    return stage.proxy.seen[trial.cell.call, trial.failure_hash]


def _ask_again(stage: Stage, trials: Sequence[Trial]) -> None:
    """Ask for what did not become complete, and wait until everything is."""
    waiting = list(trials)

    def is_asked() -> bool:
        # Those whose rows kept changing on a busy machine are told to ask again.
        nonlocal waiting
        answers = list(zip(waiting, _asked(stage, waiting), strict=True))
        waiting = [trial for trial, answer in answers if answer.status_code == requests.codes.unavailable]
        assert all(answer.ok for trial, answer in answers if trial not in waiting), [each.text for _, each in answers]
        return not waiting

    wait_until(is_asked, "an answer to every request")

    def is_complete(row: Entity) -> bool:
        return row.get("state") == "Completed" and not row["lastError"]

    def look() -> bool:
        rows = _rows(stage)
        return all(is_complete(rows.get(trial.failure_hash, {})) for trial in trials)

    def left() -> str:
        rows = {trial.cell: _rows(stage).get(trial.failure_hash, {}) for trial in trials}
        return "\n".join(f"{cell}: {row}" for cell, row in rows.items() if not is_complete(row))

    wait_until(look, "everything complete without the faults", _SECONDS, left, pause=_PAUSE)


def _compare(stage: Stage, trials: Sequence[Trial], seen: Mapping[Cell, Seen]) -> None:
    """Note each cab that is not in the container byte for byte, or that was made twice, or whose row is not true."""
    held, made = stage.playground.stored.listed(), creations(stage.playground.storage_requests())
    rows = {(row["PartitionKey"].split("_")[1], row["RowKey"]): row for row in stage.playground.stored.rows("cabs")}
    for trial in trials:
        wrong = seen[trial.cell].wrong
        for cab in stage.playground.simulator.world.cabs(trial.failure.key):
            name = f"{cab.failure.application_id}/{trial.failure_hash}/{cab.place.name}"
            expected = stage.playground.simulator.world.held[cab.cab_id_hash]
            if held.get(name) != expected:
                wrong.append(f"{name} is {held.get(name)} and not {expected}")
            if made[name] != 1:
                wrong.append(f"{name} was made {made[name]} times")
            row = rows.get((trial.failure_hash, cab.cab_id_hash), {})
            if (row.get("state"), row.get("length"), row.get("md5")) != ("copied", expected.length, expected.md5):
                wrong.append(f"the row of {name} is {row}")


def _rows(stage: Stage) -> dict[str, Entity]:
    return {row["RowKey"]: row for row in stage.playground.stored.rows("pulls")}

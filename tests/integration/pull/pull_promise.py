"""What Cabferry promises of every failure, checked in storage against what the Dev Center served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.progress.cabs import CabState
from shared.progress.messages import PullMessage
from shared.progress.pulls import PullState
from tests.integration.app import failure_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.progress.cabs import CabRow
    from shared.progress.pulls import PullRow
    from tests.integration.app import Blob

    from .pull_world import PullWorld, Watched

_MISSED = {CabState.EXPIRED, CabState.UNAVAILABLE, CabState.FAILED}


@dataclass(frozen=True, slots=True)
class Standing:
    """What storage holds of one failure.

    Args:
        row: Its pull; None where it was never asked for.
        cabs: Its cab rows.
        blobs: Its blobs, as the container lists them.
        messages: How many messages the queue has for it.
    """

    row: PullRow | None
    cabs: Mapping[str, CabRow]
    blobs: Mapping[str, Blob]
    messages: int


def check_promise(world: PullWorld) -> None:
    """Check every watched failure: each cab that was ever served is copied, or recorded, or still to come.

    Args:
        world: What there is, between two steps.
    """
    for watched in world.completed:
        _check_counts(world, watched)
    world.completed.clear()
    waiting = world.app.queue.peek_messages(32)
    asked = [PullMessage.decode(message.content.encode()).failure for message in waiting]
    for watched in world.watched:
        key = failure_of(watched.failure)
        app = world.app
        standing = Standing(
            app.services.pulls.get(key), app.cabs(watched.failure), app.listed(watched.failure), asked.count(key)
        )
        _check_blobs(world, watched, standing)
        _check_rows(watched, standing)
        _check_end(watched, standing)
        _check_text(world, watched, repr(standing))


def _check_blobs(world: PullWorld, watched: Watched, standing: Standing) -> None:
    """Each blob is a cab, byte for byte, and was copied once."""
    for cab, blob in standing.blobs.items():
        held = watched.held[cab]
        assert (blob.length, blob.md5) == (held.length, held.md5), f"{blob.name} is not the cab that was served"
        times = world.created(blob.name)
        assert times <= 1 + watched.taken_away.get(cab, 0), f"{blob.name} was copied {times} times"


def _check_rows(watched: Watched, standing: Standing) -> None:
    """Each row is true."""
    for cab, row in standing.cabs.items():
        if row.state is CabState.COPIED:
            blob = standing.blobs.get(cab)
            assert blob or cab in watched.missing, f"{cab} is said to be copied, and is not there"
            assert row.length in {None, watched.held[cab].length}
            assert row.md5 in {"", watched.held[cab].md5}
        if row.state in _MISSED:
            assert row.error, f"{cab} is {row.state} without a reason"
            assert row.settled_at, f"{cab} is {row.state} without a time"
        if row.state is CabState.EXPIRED:
            assert not watched.can_be_copied(cab), f"{cab} is said to be expired, and is served"
        if row.state is CabState.RETIRED:
            assert cab in watched.retired, f"{cab} is said to be retired, and was not"


def _check_end(watched: Watched, standing: Standing) -> None:
    """A pull that has not ended goes on by itself; one that has left nothing out."""
    row = standing.row
    if row is None:
        return
    match row.state:
        case PullState.QUEUED | PullState.RUNNING:
            assert standing.messages, f"the pull is {row.state}, and no message makes it go on: {row.last_error}"
        case PullState.FAILED:
            assert row.last_error, "the pull is Failed without a reason"
            assert row.completed_at, "the pull is Failed without a time"
        case PullState.COMPLETED:
            for cab in watched.owed:
                _check_cab(watched, standing, cab)


def _check_cab(watched: Watched, standing: Standing, cab: str) -> None:
    """A cab that was listed when a pull began is copied or recorded when it is Completed."""
    row = standing.cabs.get(cab)
    assert row is not None, f"{cab} was listed, and nobody knows of it"
    assert row.state is not CabState.LISTED, f"{cab} was listed, and nothing became of it"
    if row.state in _MISSED:
        had_no_url = row.state is CabState.FAILED and watched.url_was_missing
        assert had_no_url or cab not in standing.blobs, f"{cab} is said to be {row.state}, and is there"
        excused = had_no_url or not watched.can_be_copied(cab)
        assert excused, f"{cab} is served, and is {row.state}: {row.error}"


def _check_text(world: PullWorld, watched: Watched, text: str) -> None:
    """Nothing that people can read holds a signature, a token, or what names a device."""
    assert "sig=" not in text.replace("sig=[redacted]", "")
    token = world.app.settings.devcenter.access_token
    assert token
    assert token not in text
    for cab in watched.cabs.values():
        assert cab.machine.device_id not in text
        assert cab.machine.hardware_id not in text


def _check_counts(world: PullWorld, watched: Watched) -> None:
    """A pull that has just been Completed tells what its cab rows tell."""
    row, cabs = world.app.row(watched.failure), world.app.cabs(watched.failure)
    started = row.started_at
    assert started is not None
    mine = [cab for cab in cabs.values() if cab.settled_at and cab.settled_at >= started]
    counts = row.counts
    assert counts.copied == _of(mine, CabState.COPIED), "copied"
    assert counts.bytes == sum(cab.length or 0 for cab in mine if cab.state is CabState.COPIED), "bytes"
    assert counts.unavailable == _of(mine, CabState.UNAVAILABLE), "unavailable"
    assert counts.failed == _of(mine, CabState.FAILED), "failed"
    assert counts.expired == _of(cabs.values(), CabState.EXPIRED), "expired"
    if set(watched.cabs) == watched.owed:  # nothing arrived while it ran
        assert counts.seen == len(watched.owed), "seen"


def _of(rows: Iterable[CabRow], state: CabState) -> int:
    return sum(row.state is state for row in rows)

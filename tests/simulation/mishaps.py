"""What can befall a call: it is refused, its answer is lost, nonsense comes, the process stands still or dies."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from shared.core.errors import AgainLater, AgainNow
from shared.core.refusals import Refusal, Where
from shared.storage.refusals import RefusedError

from .center import Reply
from .tasks import Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from .lines import Called
    from .world import Host, World

# What can happen to which call; a name that comes twice is drawn twice as often.
_ANY = ("killed", "killed after", "frozen", "slow")
_TABLE = (*_ANY, "busy", "lost", "twice")
_COPY = (*_TABLE, "not verified", "not verified")
_HTTP = (*_ANY, "busy", "reset")
_CENTER = (*_HTTP, "throttled", "throttled", "quota", "unreachable", "unauthorized", "html", "half", "empty", "no urls")
BEFALLS: dict[Called, tuple[str, ...]] = {
    "read": (*_ANY, "busy"),
    "write": _TABLE,
    "send": _TABLE,
    "copy": _COPY,
    "blob": _TABLE,
    "devcenter": _CENTER,
    "source": (*_HTTP, "refused", "gone", "cut"),
    "report": (*_HTTP, "refused", "cut"),
}


@dataclass(slots=True)
class Chance:
    """What is drawn of a seed.

    Args:
        drawn: The draws.
        rate: How likely something happens to a call.
        left_out: The numbers of mishaps that do not happen, though they were drawn: so a story becomes shorter.
        mishaps: How many were drawn.
        happened: The numbers of those that happened.
    """

    drawn: Random
    rate: float = 0.0
    left_out: frozenset[int] = frozenset()
    mishaps: int = 0
    happened: list[int] = field(default_factory=list)

    def befalls(self, kind: Called) -> str:
        """Draw what happens to a call; mostly nothing."""
        if self.drawn.random() >= self.rate:
            return ""
        mishap = self.drawn.choice(BEFALLS[kind])
        self.mishaps += 1
        if self.mishaps in self.left_out:
            return ""
        self.happened.append(self.mishaps)
        return mishap


class HostLine:
    """The calls of one host, and what happens to them.

    Args:
        world: Where it happens.
        host: Who calls.
    """

    def __init__(self, world: World, host: Host) -> None:
        self._world, self._host, self._tasks = world, host, world.tasks

    def call[T](self, kind: Called, what: str, do: Callable[[], T]) -> T:
        """Let others run, then do it, unless something happens."""
        world = self._world
        self._tasks.sleep(world.chance.drawn.choice(_TAKES))
        mishap = world.befalls(kind, what)
        if mishap in {"frozen", "slow"}:
            self._wait(mishap)
        world.tell(self._host.name, f"{what} - {mishap.upper()}" if mishap else what)
        if mishap in {"", "frozen", "slow"}:
            return do()
        return self._befallen(mishap, what, do)

    def _wait(self, mishap: str) -> None:
        seconds = self._world.chance.drawn.choice((20.0, 70.0, 200.0))
        if mishap == "frozen":
            self._world.tell(self._host.name, f"stands still for {seconds:.0f} seconds")
            self._host.frozen_until = self._tasks.seconds + seconds
        self._tasks.sleep(seconds)

    def _befallen[T](self, mishap: str, what: str, do: Callable[[], T]) -> T:
        match mishap:
            case "killed":
                self._world.kill(self._host)
                raise Killed
            case "killed after":
                _tried(do)
                self._world.kill(self._host)
                raise Killed
            case "busy":
                message = f"{what}: answered 503"
                raise AgainLater(message)
            case "lost":
                _tried(do)
                message = f"{what}: no answer"
                raise AgainLater(message)
            case "twice":
                _tried(do)
                return do()
            case "not verified":
                status = self._world.chance.drawn.choice((403, 404, 500))
                raise RefusedError(
                    Refusal(Where.STORAGE, status, "CannotVerifyCopySource", "Could not verify the copy source.")
                )
            case "reset":
                message = f"{what}: the connection broke"
                raise AgainNow(message)
            case "unreachable":
                message = f"{what}: no connection"
                raise AgainNow(message, outage="unreachable")
            case _:
                return cast("T", self._told_otherwise(mishap, what, cast("Reply", do())))

    def _note_odd(self, cabs: Iterable[str]) -> None:
        """Note that something else was said of cabs than what is so: no pull can know better."""
        self._world.promise.odd_at |= dict.fromkeys(cabs, self._tasks.now())

    def _told_otherwise(self, mishap: str, what: str, reply: Reply) -> Reply:
        if fixed := _SAID.get(mishap):
            if mishap == "gone":
                self._note_odd([what.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]])
            if "/cabdownload?" in what:
                self._note_odd([what.rsplit("=", 1)[-1]])
            return fixed
        match mishap:
            case "throttled":
                return Reply(429, b"{}", {"Retry-After": self._world.chance.drawn.choice(("1", "2", "30", "600"))})
            case "half" | "cut":
                length = {"Content-Length": str(len(reply.body))}
                return Reply(reply.status, reply.body[: len(reply.body) // 2], {**reply.headers, **length})
            case _:
                page = json.loads(reply.body or b"{}")
                if "Value" in page and mishap == "no urls":
                    self._note_odd(row["cabIdHash"] for row in page["Value"])
                return _odd_page(mishap, reply, page) if "Value" in page else reply


_QUOTA = b'{"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 00:00:05."}'
_SAID = {
    "quota": Reply(403, _QUOTA, {"Retry-After": "5"}),
    "unauthorized": Reply(401, b'{"message": "Unauthorized"}'),
    "refused": Reply(403, b"", {"x-ms-error-code": "AuthenticationFailed"}),
    "gone": Reply(404, b"", {"x-ms-error-code": "BlobNotFound"}),
    "html": Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
}


def _odd_page(mishap: str, reply: Reply, page: dict[str, Any]) -> Reply:
    if mishap == "no urls":
        for row in page["Value"]:
            row.pop("cabUrl", None)
    elif "@nextLink" in page and page["Value"]:
        # The rows come behind the link.
        rows = len(page["Value"])
        link = str(page["@nextLink"])
        before, _, skip = link.rpartition("skip=")
        page |= {"Value": [], "@nextLink": f"{before}skip={int(skip) - rows}&again=1"}
    return Reply(reply.status, json.dumps(page).encode(), reply.headers)


def _tried(do: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):  # nobody hears of it
        do()


# Seconds that a call takes.
_TAKES = (0.01, 0.02, 0.05, 0.1, 0.4)

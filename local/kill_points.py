"""Where a host is killed: at the k-th request of a kind, drawn from a seed, and never after a time.

What a kill cuts off is what comes next. So the kinds are the steps of a report check and of a pull.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Self

from local.azurite.access_log import StorageRequest
from local.azurite.server import Azurite
from local.simulator.faults import Call
from local.simulator.ledger import Ledger

CONTAINER, QUEUE = "failure-cabs", "cab-pulls"
_MESSAGES = f"/{QUEUE}/messages"


# What is counted, and the highest k that is drawn.
_KINDS: dict[str, tuple[Callable[[StorageRequest], bool] | Call, int]] = {
    "message sent": (lambda asked: asked.method == "POST" and asked.path == _MESSAGES, 12),
    "rows written": (lambda asked: asked.method == "POST" and asked.path == "/$batch", 3),
    "page served": (Call.CAB_BATCH, 6),
    "pull row written": (
        lambda asked: asked.method in {"PUT", "PATCH", "MERGE"} and asked.path.startswith("/pulls("),
        12,
    ),
    "cab copied": (lambda asked: asked.method == "PUT" and asked.path.startswith(f"/{CONTAINER}/"), 40),
    "container read back": (
        lambda asked: (asked.method, asked.path, asked.comp) == ("GET", f"/{CONTAINER}", "list"),
        4,
    ),
    "message done": (lambda asked: asked.method == "DELETE" and asked.path.startswith(f"{_MESSAGES}/"), 4),
}
_OF_ASKING, _OF_PULLING = tuple(_KINDS)[:2], tuple(_KINDS)[1:]


@dataclass(frozen=True, slots=True)
class KillPoint:
    """The moment after so many requests of a kind.

    Args:
        kind: A key of the kinds above.
        times: How many.
    """

    kind: str
    times: int

    @classmethod
    def drawn(cls, chance: Random, *, while_asking: bool) -> Self:
        """Draw one.

        Args:
            chance: The seeded generator.
            while_asking: Whether pulls are being asked for; else they run.
        """
        kind = chance.choice(_OF_ASKING if while_asking else _OF_PULLING)
        return cls(kind, chance.randint(1, _KINDS[kind][1]))

    def watch(self, azurite: Azurite, ledger: Ledger, account: str) -> Callable[[], bool]:
        """Return what tells whether the moment has come, counted from now on.

        Args:
            azurite: Where the account is; it records its requests.
            ledger: Of the Dev Center.
            account: The account that the app fills.
        """
        what, _ = _KINDS[self.kind]
        if isinstance(what, Call):
            enough = ledger.answers(what) + self.times
            return lambda: ledger.answers(what) >= enough
        return azurite.watch(lambda request: request.account == account and what(request), self.times).is_set

    def __str__(self) -> str:
        return f"{self.kind} {self.times}"

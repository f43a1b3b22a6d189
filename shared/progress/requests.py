"""Ask for pulls: the row first, so that it can be looked at, then the message that makes it happen."""

from __future__ import annotations

from itertools import batched, groupby
from types import MappingProxyType
from typing import TYPE_CHECKING

from shared.core.errors import CabferryError
from shared.core.failure import GUID, Failure
from shared.progress.messages import PullMessage, new_pull_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import Executor

    from shared.core.facts import CabFacts
    from shared.core.failure import Window
    from shared.progress.asked_pulls import AskedPulls
    from shared.progress.pull_row import PullState
    from shared.progress.pulls import PullRows
    from shared.progress.queue import PullQueue

# Messages on their way at once; each is a request of its own, since the queue takes no batches.
_AT_ONCE = 64
# So many failures of one application are looked up together, in one request, and fewer each by itself.
_MANY = 2


class PullRequests:
    """Queue pulls.

    Args:
        pulls: The rows that are there.
        asked: Writes into them.
        queue: Where the messages go.
        executor: Sends some messages side by side.
    """

    def __init__(self, pulls: PullRows, asked: AskedPulls, queue: PullQueue, executor: Executor) -> None:
        self._pulls, self._asked, self._queue, self._executor = pulls, asked, queue, executor

    def as_stored(self, failures: Iterable[Failure]) -> list[Failure]:
        """Return each failure in the spelling that its pull is stored under (`PullRows.as_stored`), in their order."""
        named, found = list(failures), dict[Failure, Failure]()
        for application_id, of_one in groupby(sorted(set(named)), key=lambda failure: failure.application_id):
            some = list(of_one)
            if len(some) >= _MANY and not GUID.fullmatch(application_id):
                found |= self._pulls.all_as_stored(application_id, some)
            else:
                found |= zip(some, self._executor.map(self._pulls.as_stored, some), strict=True)
        return [found[failure] for failure in named]

    def make(
        self,
        failures: Iterable[Failure],
        window: Window,
        requested_by: str,
        pull_id: str = "",
        facts: Mapping[Failure, CabFacts] = MappingProxyType({}),
        hits: Mapping[Failure, int] = MappingProxyType({}),
    ) -> str:
        """Queue a pull for each failure.

        A crash between the rows and the messages leaves rows that say Queued without a message. Whoever asked asks
        again, since this did not return: a report run is not marked as ingested, a call of the API was not answered.

        Args:
            failures: What to pull; each is queued once. The messages go out in this order, `_AT_ONCE` at a time: none
                overtakes one that stands so many places before it.
            window: The days to ask for.
            requested_by: What asks.
            pull_id: What more pulls of the same request are found by in the log; empty for the first ones.
            facts: What is known of failures by now: one of which no cab ever comes is named by them.
            hits: How often they happened, where that was counted.

        Returns:
            What these pulls are found by in the log.
        """
        pull_id = pull_id or new_pull_id()
        places = {failure: place for place, failure in enumerate(dict.fromkeys(failures))}
        versions = self._asked.queue(places, window, requested_by, facts, hits)

        def send(failure: Failure) -> None:
            try:
                self._queue.send(PullMessage(failure, window, requested_by, versions[failure], pull_id=pull_id))
            except CabferryError:
                # Who asks again must get a message then.
                self._asked.take_back_note(failure, window, requested_by)
                raise

        for some in batched(sorted(versions, key=places.__getitem__), _AT_ONCE, strict=False):
            list(self._executor.map(send, some))
        return pull_id

    def make_one(self, failure: Failure, cab_id_hash: str, requested_by: str) -> None:
        """Send the message that copies one cab by itself; the pull of its failure stays as it is."""
        self._queue.send(PullMessage(failure, None, requested_by, cab=cab_id_hash))

    def retry(self, failure: Failure, otherwise: Window, requested_by: str) -> PullState | None:
        """Queue a Failed pull again, with the days that it had; one in another state stays as it is.

        Args:
            failure: Whose pull.
            otherwise: The days to ask for where its row names none.
            requested_by: What asks.

        Returns:
            The state that the pull was in; None where nobody ever asked for it.
        """
        known, queued = self._asked.retry(failure, otherwise, requested_by)
        if known and queued:
            try:
                self._queue.send(PullMessage(failure, known.window or otherwise, known.requested_by, queued.etag))
            except CabferryError:
                # Only a Failed pull can be retried: one that says Queued without a message could not be.
                self._asked.take_back(queued, known)
                raise
        return known.state if known else None

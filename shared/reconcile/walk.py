"""Walk past every failure that the pulls, the cab rows or the container know, with all that is known of each.

Three streams are merged: the table `pulls`, the table `cabs` and the container's listing, application by application,
each of them sorted by failureHash. What is held at once is one failure of each stream and a page of each answer.

A listing sorts `a-b/` before `a/`, a table sorts `a` before `a-b`. Where one failureHash begins another so, which no
GUID does, the shorter one's blobs are asked for by themselves, and passed over when the listing comes to them.
"""

from __future__ import annotations

import heapq
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from shared.core.errors import BadInput
from shared.core.failure import Failure
from shared.core.values import Mutable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.cabs.container import CabContainer, StoredCab
    from shared.progress.cabs import CabRows
    from shared.progress.pulls import PullRows
    from shared.storage.table_rows import Row


class FailureSeen(Mutable):
    """A failure, and what each of the three holds of it, as it was when the stream came past.

    Args:
        application_id: As it is spelled there, not checked.
        failure_hash: Likewise.
        pull: The row of its pull, not decoded; None where there is none.
        cabs: The rows of its cabs, not decoded.
        blobs: Its blobs.
    """

    application_id: str
    failure_hash: str
    pull: Row | None = None
    cabs: list[Row] = msgspec.field(default_factory=list)
    blobs: list[StoredCab] = msgspec.field(default_factory=list)

    def __str__(self) -> str:
        return f"failure {self.failure_hash} of application {self.application_id}"


class FailureWalk:
    """Walk through one cab storage.

    Args:
        pulls: The table `pulls`.
        cabs: The table `cabs`.
        container: The container.
    """

    def __init__(self, pulls: PullRows, cabs: CabRows, container: CabContainer) -> None:
        self._pulls, self._cabs, self._container = pulls, cabs, container

    def failures(self) -> Iterator[FailureSeen]:
        """Yield each failure.

        The cost: for each application five requests, and one more for each 1,000 rows and each 5,000 blobs.

        Raises:
            CabferryError: One of the three cannot be read.
        """
        of_blobs = (each for each in self._container.applications() if _is_failure(each, "0"))
        known = {*self._pulls.applications(), *self._cabs.applications(), *of_blobs}
        for application_id in sorted(known):
            yield from self._of_application(application_id)

    def rows(self) -> Iterator[FailureSeen]:
        """Yield each failure that the tables know, without its blobs."""
        for application_id in sorted({*self._pulls.applications(), *self._cabs.applications()}):
            yield from self._rows_seen(application_id)

    def _of_application(self, application_id: str) -> Iterator[FailureSeen]:
        listing = self._blobs_seen(application_id)
        head, looked_up = next(listing, None), set[str]()
        for seen in self._rows_seen(application_id):
            while head and head.failure_hash < seen.failure_hash:
                if head.failure_hash not in looked_up:
                    yield head
                looked_up.discard(head.failure_hash)
                head = next(listing, None)
            if head and head.failure_hash == seen.failure_hash:
                seen.blobs = head.blobs
                head = next(listing, None)
            elif head and head.failure_hash.startswith(tuple(seen.failure_hash + each for each in _BEFORE_SLASH)):
                seen.blobs = list(self._container.stored(f"{application_id}/{seen.failure_hash}/"))
                looked_up.add(seen.failure_hash)
            yield seen
        while head:
            if head.failure_hash not in looked_up:
                yield head
            head = next(listing, None)

    def _rows_seen(self, application_id: str) -> Iterator[FailureSeen]:
        tables = heapq.merge(self._pulls_seen(application_id), self._cabs_seen(application_id), key=_HASH)
        for failure_hash, parts in groupby(tables, key=_HASH):
            whole = FailureSeen(application_id, failure_hash)
            for part in parts:
                whole.pull, whole.cabs = whole.pull or part.pull, part.cabs or whole.cabs
            yield whole

    def _pulls_seen(self, application_id: str) -> Iterator[FailureSeen]:
        for row in self._pulls.of_application(application_id):
            yield FailureSeen(application_id, row.key, pull=row)

    def _cabs_seen(self, application_id: str) -> Iterator[FailureSeen]:
        for partition, rows in groupby(self._cabs.of_application(application_id), key=attrgetter("partition")):
            yield FailureSeen(application_id, partition.split("_", 1)[1], cabs=list(rows))

    def _blobs_seen(self, application_id: str) -> Iterator[FailureSeen]:
        """Group the listing; a blob that no cab could be called like is somebody else's, and passed over."""
        listing = self._container.stored(f"{application_id}/")
        for failure_hash, blobs in groupby(listing, key=lambda blob: blob.name.split("/")[1]):
            cabs = [blob for blob in blobs if blob.name.count("/") == _CAB_SLASHES]
            if cabs and _is_failure(application_id, failure_hash):
                yield FailureSeen(application_id, failure_hash, blobs=cabs)


def _is_failure(application_id: str, failure_hash: str) -> bool:
    """Tell whether these can be the names of a failure."""
    try:
        Failure(application_id, failure_hash)
    except BadInput:
        return False
    return True


_HASH = attrgetter("failure_hash")
_CAB_SLASHES = 2
# What a failureHash may hold that sorts before the slash behind it.
_BEFORE_SLASH = "-."

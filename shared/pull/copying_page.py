"""A page of the batch while its cabs are being copied."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.cabs.creation import Copied
from shared.devcenter.batch import BatchCab, BatchPage

if TYPE_CHECKING:
    from collections.abc import Sequence

# A cab, and what its copy will tell: the blob's name, and what is in it.
type Copy = tuple[BatchCab, Future[tuple[str, Copied]]]


@dataclass(slots=True)
class CopyingPage:
    """A page and the copies that were begun for it.

    `copied` is done when every copy has ended, well or not: a future for the page, so that whoever waits for it beside
    other things is woken once and not by each cab.

    Args:
        page: As the API gave it.
        copies: Of the cabs that were not held.
        already_held: How many held cabs were seen up to its end.
    """

    page: BatchPage
    copies: Sequence[Copy]
    already_held: int
    copied: Future[None] = field(init=False)

    def __post_init__(self) -> None:
        self.copied = _when_all_ended([copy for _, copy in self.copies])


def _when_all_ended(copies: Sequence[Future[tuple[str, Copied]]]) -> Future[None]:
    all_ended: Future[None] = Future()
    lock, left = threading.Lock(), len(copies)

    def count(_: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        all_ended.set_result(None)

    for copy in copies:
        copy.add_done_callback(count)
    if not copies:
        all_ended.set_result(None)
    return all_ended

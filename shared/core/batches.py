"""Batches of things that differ much in what they weigh, so that memory stays flat whichever come together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def weighed[T](items: Iterable[T], count: int, weight: int, weigh: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield some items at a time, in their order.

    Args:
        items: Any number.
        count: The most of a batch.
        weight: What these weigh together at most; one alone may weigh more.
        weigh: Tells what one weighs.
    """
    some, together = list[T](), 0
    for each in items:
        its_own = weigh(each)
        if some and (len(some) == count or together + its_own > weight):
            yield some
            some, together = [], 0
        some.append(each)
        together += its_own
    if some:
        yield some

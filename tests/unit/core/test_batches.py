"""Whoever takes some failures at a time holds the cabs of all: a few may have most of them."""

import pytest

from shared.core.batches import weighed


@pytest.mark.parametrize(
    ("items", "batches"),
    [
        ([], []),
        ([9], [[9]]),
        ([9, 5, 1, 0, 0, 0], [[9], [5, 1, 0], [0, 0]]),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([0, 7, 0], [[0], [7], [0]]),
        ([3, 3, 3], [[3, 3], [3]]),
    ],
)
def test_a_batch_has_no_more_items_nor_weighs_more_than_is_allowed(items: list[int], batches: list[list[int]]) -> None:
    assert list(weighed(items, 3, 6, int)) == batches

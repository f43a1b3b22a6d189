"""Blocks of two versions, or of two runs that cut a source in other places, never make one blob."""

from azure.storage.blob import BlobBlock
from hypothesis import given
from hypothesis import strategies as st

from shared.cabs.blocks import SourceBlocks

SIZES = st.lists(st.integers(1, 2**40), min_size=1, max_size=20)


def held(version: str, sizes: list[int]) -> list[BlobBlock]:
    """Return what storage tells of the blocks of these sizes."""
    blocks, told = SourceBlocks(version), list[BlobBlock]()
    for size in sizes:
        block = BlobBlock(blocks.next_id(size))
        block.size = size
        told.append(block)
        blocks.add(size)
    return told


@given(SIZES, st.randoms(use_true_random=False))
def test_the_next_run_goes_on_after_the_last_block(sizes: list[int], random: st.DataObject) -> None:
    told = held("a", sizes)
    random.shuffle(told)  # type: ignore[attr-defined]
    blocks = SourceBlocks("a")
    blocks.go_on_with(told)
    assert blocks.length == sum(sizes)
    assert [block.id for block in blocks.ids] == [block.id for block in held("a", sizes)]
    assert len({len(block.id) for block in told}) == 1


@given(SIZES)
def test_nothing_is_taken_over_of_another_version(sizes: list[int]) -> None:
    for version in ("b", ""):
        blocks = SourceBlocks(version)
        blocks.go_on_with(held("a", sizes))
        assert (blocks.length, blocks.ids) == (0, [])
    unknown = SourceBlocks("")
    unknown.go_on_with(held("", sizes))
    assert unknown.length == 0


@given(SIZES, st.data())
def test_a_block_that_is_not_there_ends_what_is_taken_over(sizes: list[int], data: st.DataObject) -> None:
    told = held("a", sizes)
    missing = data.draw(st.integers(0, len(sizes) - 1))
    blocks = SourceBlocks("a")
    blocks.go_on_with([block for number, block in enumerate(told) if number != missing])
    assert blocks.length == sum(sizes[:missing])


def test_a_block_that_was_staged_with_other_bytes_is_not_taken() -> None:
    (first, second) = held("a", [8, 8])
    first.size = 1
    blocks = SourceBlocks("a")
    blocks.go_on_with([first, second])
    assert blocks.length == 0


def test_blocks_of_an_earlier_version_of_the_app_are_passed_over() -> None:
    """All ids of a blob have one length, so new ones must have that of what may be there still."""
    old = BlobBlock("00000000")
    old.size = 8
    blocks = SourceBlocks("a")
    blocks.go_on_with([old])
    assert blocks.length == 0
    assert len(blocks.next_id(8)) == len(old.id)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.errors import SemnetError
from napari_semnet.restoration.blocks import BlockGrid, Shard, block_sides

shapes = st.tuples(st.integers(1, 3), st.integers(1, 90), st.integers(1, 90))


@given(shapes, st.integers(1, 40), st.integers(1, 40))
def test_blocks_cover_each_pixel_once(shape: tuple[int, ...], height: int, width: int) -> None:
    grid = BlockGrid(shape, (height, width))
    seen = np.zeros(shape, int)
    for number in range(len(grid)):
        block = grid[number]
        assert block.number == number
        seen[(*block.index, *block.core.slices)] += 1
    assert (seen == 1).all()
    with pytest.raises(IndexError):
        grid[len(grid)]


@given(st.integers(0, 200), st.integers(1, 30))
def test_parts_share_out_all_blocks_about_evenly(total: int, of: int) -> None:
    shares = [Shard(number, of).share(total) for number in range(1, of + 1)]
    assert [n for share in shares for n in share] == list(range(total))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_is_none_is_refused(part: tuple[int, int]) -> None:
    with pytest.raises(SemnetError, match="counted from 1"):
        Shard(*part)


@given(st.integers(1, 5000), st.integers(1, 600))
def test_no_sliver_is_left_of_an_axis_that_is_hardly_longer_than_a_block(
    length: int, side: int
) -> None:
    height, width = block_sides((length, 4 * side + 1), side)
    assert width == side
    assert height == (length if length <= 2 * side else side)

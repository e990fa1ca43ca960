"""What is looked at comes first, and everything comes once."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.imaging.geometry import Region
from napari_semnet.restoration.blocks import BlockGrid
from napari_semnet.restoration.tiles import Box
from napari_semnet.restoration.viewing import View, ViewedFirst, nearest_first, view_of


@st.composite
def grids_and_views(draw: st.DrawFn) -> tuple[BlockGrid, View]:
    leading = draw(st.lists(st.integers(1, 5), max_size=2))
    plane = draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    grid = BlockGrid((*leading, *plane), draw(st.tuples(st.integers(8, 40), st.integers(8, 40))))
    return grid, draw(views(grid))


@st.composite
def views(draw: st.DrawFn, grid: BlockGrid) -> View:
    index = tuple(draw(st.integers(0, n - 1)) for n in grid.shape[:-2])
    sides = []
    for length in grid.shape[-2:]:
        start = draw(st.integers(0, length - 1))
        sides += [start, draw(st.integers(start + 1, length))]
    return View(index, Box(*sides))


def rings_away(grid: BlockGrid, view: View, number: int) -> int:
    """Steps from a block to the nearest one in view, found by trying all of those."""
    block = grid[number]
    in_plane = []
    for other in range(len(grid)):
        seen = grid[other]
        if seen.index == view.index and view.meets(seen.where, 2):
            rows = abs(seen.core.top - block.core.top) // grid.block[0]
            columns = abs(seen.core.left - block.core.left) // grid.block[1]
            in_plane.append(max(rows, columns))
    slices = sum(abs(i - j) for i, j in zip(block.index, view.index, strict=True))
    return min(in_plane) + slices


@given(grids_and_views())
def test_every_block_comes_once_and_none_before_one_that_is_nearer(
    case: tuple[BlockGrid, View],
) -> None:
    grid, view = case
    order = list(nearest_first(grid, view))
    assert sorted(order) == list(range(len(grid)))
    rings = [rings_away(grid, view, number) for number in order]
    assert rings == sorted(rings)
    assert rings[0] == 0


@given(grids_and_views())
def test_the_first_block_is_the_one_in_the_middle_of_the_view(case: tuple[BlockGrid, View]) -> None:
    grid, view = case
    seen = [n for n in range(len(grid)) if view.meets(grid[n].where, 2)]
    box = view.window
    middle = np.array([(box.top + box.bottom) / 2, (box.left + box.right) / 2])

    def distance(number: int) -> float:
        core, (height, width) = grid[number].core, grid.block
        at = np.array([core.top + height / 2, core.left + width / 2])
        return float(((at - middle) ** 2).sum())

    assert distance(next(nearest_first(grid, view))) == min(map(distance, seen))


@given(st.data())
def test_however_the_view_moves_each_block_left_is_given_once(data: st.DataObject) -> None:
    grid, view = data.draw(grids_and_views())
    left = data.draw(st.sets(st.integers(0, len(grid) - 1)))
    order = ViewedFirst(grid, left, view)
    given_out = []
    for number in order:
        given_out.append(number)
        if data.draw(st.booleans()):
            order.look(data.draw(views(grid)))
    assert sorted(given_out) == sorted(left)


def test_a_new_view_is_followed_at_once() -> None:
    grid = BlockGrid((3, 640, 640), (64, 64))
    order = ViewedFirst(grid, range(len(grid)), View((0,), Box(0, 64, 0, 64)))
    assert next(order) == 0
    order.look(View((2,), Box(600, 640, 600, 640)))
    assert next(order) == len(grid) - 1
    order.look(View((0,), Box(0, 64, 0, 64)))
    nearest = {1, 10, 11, 100}  # right, below, both, next slice
    assert set(itertools.islice(order, 4)) == nearest


def test_beginning_takes_no_longer_for_millions_of_blocks() -> None:
    grid = BlockGrid((100_000, 4096, 4096), (512, 512))
    first = nearest_first(grid, View((50_000,), Box(0, 4096, 0, 4096)))
    assert {grid[n].index for n in itertools.islice(first, 64)} == {(50_000,)}
    assert {grid[n].index for n in itertools.islice(first, 128)} == {(49_999,), (50_001,)}


@given(grids_and_views(), st.data())
def test_a_view_lies_in_the_region_and_shows_what_is_seen_of_it(
    case: tuple[BlockGrid, View], data: st.DataObject
) -> None:
    grid, seen = case
    start = tuple(data.draw(st.integers(0, n - 1)) for n in grid.shape)
    stop = tuple(
        data.draw(st.integers(first + 1, n)) for first, n in zip(start, grid.shape, strict=True)
    )
    within = Region(start, stop)
    box = seen.window
    view = view_of(
        Region(
            (*seen.index, box.top, box.left),
            (*(i + 1 for i in seen.index), box.bottom, box.right),
        ),
        within,
    )
    for place, length in zip(view.index, within.shape, strict=False):
        assert 0 <= place < length
    for axis, (first, last, low, high) in enumerate(
        (
            (view.window.top, view.window.bottom, box.top, box.bottom),
            (view.window.left, view.window.right, box.left, box.right),
        ),
        start=-2,
    ):
        assert 0 <= first < last <= within.shape[axis]
        if max(low, start[axis]) < min(high, stop[axis]):
            assert first == max(low, start[axis]) - start[axis]
            assert last == min(high, stop[axis]) - start[axis]

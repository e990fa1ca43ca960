"""Tiles: every pixel once, halos that are real image, and sizes that fit."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_semnet.restoration.tiles import (
    Box,
    choose_tile,
    count_tiles,
    halves,
    largest_read,
    plan_tiles,
)

planes = st.tuples(st.integers(1, 60), st.integers(1, 60))
cores = st.tuples(st.integers(1, 70), st.integers(1, 70))
halos = st.integers(0, 20)


@given(plane=planes, core=cores, halo=halos)
def test_cores_cover_every_pixel_once(plane, core, halo) -> None:
    covered = np.zeros(plane, int)
    for tile in plan_tiles(plane, core, halo):
        covered[tile.core.slices] += 1
        assert tile.core.shape[0] <= core[0]
        assert tile.core.shape[1] <= core[1]
    assert (covered == 1).all()


@given(plane=planes, core=cores, halo=halos)
def test_a_halo_is_complete_or_ends_at_the_border(plane, core, halo) -> None:
    for tile in plan_tiles(plane, core, halo):
        assert tile.read.top == max(0, tile.core.top - halo)
        assert tile.read.left == max(0, tile.core.left - halo)
        assert tile.read.bottom == min(plane[0], tile.core.bottom + halo)
        assert tile.read.right == min(plane[1], tile.core.right + halo)


@given(plane=planes, core=cores, halo=halos)
def test_what_is_kept_of_a_tile_is_what_is_written(plane, core, halo) -> None:
    numbers = np.arange(4 * math.prod(plane)).reshape(2 * plane[0], 2 * plane[1])
    for tile in plan_tiles(plane, core, halo):
        seen = numbers[tile.read.enlarged().slices]
        np.testing.assert_array_equal(seen[tile.kept], numbers[tile.where])


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 3), *[st.integers(1, 30)] * 2), core=cores)
def test_tiles_are_counted_without_making_them(shape, core) -> None:
    assert count_tiles(shape, core) == len(list(plan_tiles(shape, core, 3)))


def test_tiles_come_in_reading_order_slice_by_slice() -> None:
    tiles = list(plan_tiles((2, 10, 10), (5, 5), 1))
    places = [(*t.index, t.core.top, t.core.left) for t in tiles]
    assert places == sorted(places)
    assert tiles[5].source == (1, slice(0, 6), slice(4, 10))
    assert tiles[5].where == (slice(1, 2), slice(0, 10), slice(10, 20))


def test_all_tiles_but_the_last_have_the_same_core() -> None:
    heights = [t.core.shape[0] for t in plan_tiles((101, 5), (30, 5), 0)]
    assert heights == [26, 26, 26, 23]


@given(plane=planes, core=cores, halo=halos)
def test_halves_are_the_tile_again(plane, core, halo) -> None:
    for tile in plan_tiles(plane, core, halo):
        parts = halves(tile, halo, plane)
        if parts is None:
            assert max(tile.core.shape) < 32
            continue
        covered = np.zeros(plane, int)
        for part in parts:
            covered[part.core.slices] += 1
            assert part.core.grown(halo, plane) == part.read
            assert part.read.pixels <= tile.read.pixels
            inside = part.read.within(tile.read)
            assert min(inside.top, inside.left) >= 0
        covered[tile.core.slices] -= 1
        assert (covered == 0).all()


@given(
    plane=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    halo=st.integers(0, 94),
    largest=st.integers(64**2, 2**22),
)
def test_a_chosen_tile_fits(plane, halo, largest) -> None:
    core = choose_tile(plane, halo, largest)
    assert 1 <= core[0] <= plane[0]
    assert 1 <= core[1] <= plane[1]
    assume(largest >= (16 + 2 * halo) ** 2)
    assert largest_read(plane, core, halo) <= largest


@given(plane=planes, halo=halos)
def test_an_image_that_fits_is_one_tile(plane, halo) -> None:
    assert choose_tile(plane, halo, math.prod(plane)) == plane


def test_a_wide_tile_limit_gives_strips_and_a_wide_halo_square_tiles() -> None:
    assert choose_tile((4000, 600), 12, 2**20)[1] == 600
    core = choose_tile((8192, 8192), 94, 2**20)
    assert core[1] < 8192
    assert largest_read((8192, 8192), core, 94) <= 2**20


def test_a_chosen_tile_computes_little_twice() -> None:
    plane, halo = (8192, 8192), 12
    core = choose_tile(plane, halo, 900_000)
    read = sum(tile.read.pixels for tile in plan_tiles(plane, core, halo))
    assert read < 1.1 * math.prod(plane)


def test_too_little_room_gives_the_smallest_tile_instead_of_none() -> None:
    assert choose_tile((500, 9), 94, 100) == (16, 9)


def test_a_box_enlarged_covers_twice_the_pixels_along_each_axis() -> None:
    assert Box(1, 3, 5, 6).enlarged() == Box(2, 6, 10, 12)

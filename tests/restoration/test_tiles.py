"""Tiles: every pixel once, halos that are real image, and sizes that fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_semnet.restoration.tiles import (
    Box,
    Surround,
    WidthCost,
    choose_tile,
    count_tiles,
    halves,
    largest_read,
    plan_tiles,
)

planes = st.tuples(st.integers(1, 60), st.integers(1, 60))
cores = st.tuples(st.integers(1, 70), st.integers(1, 70))
halos = st.integers(0, 20)
margins = st.integers(0, 20)


@given(plane=planes, core=cores, halo=halos)
def test_cores_cover_every_pixel_once(plane, core, halo) -> None:
    covered = np.zeros(plane, int)
    for tile in plan_tiles(plane, core, halo):
        covered[tile.core.slices] += 1
        assert tile.core.shape[0] <= core[0]
        assert tile.core.shape[1] <= core[1]
    assert (covered == 1).all()


@given(plane=planes, core=cores, halo=halos, margin=margins)
def test_a_halo_is_complete_or_ends_where_the_margin_does(plane, core, halo, margin) -> None:
    surround = Surround(plane, halo, margin)
    for planned in plan_tiles(plane, core, halo, margin):
        tile = surround.tile((), planned.core)
        box, read = tile.core, tile.read
        assert read.within(planned.read).grown(0, planned.read.shape) == read.within(planned.read)
        for place, seen in ((box.top, read.top), (box.left, read.left)):
            assert seen == (-margin if place == 0 else max(-margin, place - halo))
        for place, seen, length in (
            (box.bottom, read.bottom, plane[0]),
            (box.right, read.right, plane[1]),
        ):
            end = length + margin
            assert seen == (end if place == length else min(end, place + halo))


@given(plane=planes, core=cores, halo=halos, left=st.integers(0, 20))
def test_with_a_margin_like_the_halo_tiles_that_are_nearly_as_large_are_of_one_kind(
    plane, core, halo, left
) -> None:
    later = ((min(halo, left), min(halo, left)), (0, 0))
    tiles = list(plan_tiles(plane, core, halo, halo, later))
    usual = tiles[0].core.shape
    alike = [
        tile
        for tile in tiles
        if all(side >= 7 / 8 * most for side, most in zip(tile.core.shape, usual, strict=True))
    ]
    assert len({(tile.read.shape, tile.kept_maps) for tile in alike}) == 1
    assert len({(tile.read.shape, tile.kept_maps) for tile in tiles}) <= 4


def test_a_last_core_that_is_a_little_smaller_is_computed_further_in_as_well() -> None:
    *_, last = plan_tiles((40, 59), (40, 20), 3, 3)
    assert last.core == Box(0, 40, 40, 59)
    assert last.read == Box(-3, 43, 36, 62)
    assert last.kept == (slice(6, 86), slice(8, 46))


@given(plane=planes, halo=halos, margin=margins)
def test_an_image_in_one_tile_is_read_with_its_margin_whatever_the_halo(
    plane, halo, margin
) -> None:
    (tile,) = plan_tiles(plane, plane, halo, margin)
    assert tile.read == Box(-margin, plane[0] + margin, -margin, plane[1] + margin)


@given(plane=planes, core=cores, halo=halos, margin=margins)
def test_what_is_kept_of_a_tile_is_what_is_written(plane, core, halo, margin) -> None:
    numbers = np.arange(4 * math.prod(plane)).reshape(2 * plane[0], 2 * plane[1])
    extended = np.pad(numbers, 2 * margin)
    for tile in plan_tiles(plane, core, halo, margin):
        read = tile.read.within(Box(-margin, 0, -margin, 0)).enlarged()
        np.testing.assert_array_equal(extended[read.slices][tile.kept], numbers[tile.where])


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 3), *[st.integers(1, 30)] * 2), core=cores)
def test_tiles_are_counted_without_making_them(shape, core) -> None:
    assert count_tiles(shape, core) == len(list(plan_tiles(shape, core, 3)))


def test_tiles_come_in_reading_order_slice_by_slice() -> None:
    tiles = list(plan_tiles((2, 10, 10), (5, 5), 1))
    places = [(*t.index, t.core.top, t.core.left) for t in tiles]
    assert places == sorted(places)
    assert tiles[5].index == (1,)
    assert tiles[5].read == Box(0, 6, 4, 10)
    assert tiles[5].where == (slice(1, 2), slice(0, 10), slice(10, 20))


def test_all_tiles_but_the_last_have_the_same_core() -> None:
    heights = [t.core.shape[0] for t in plan_tiles((101, 5), (30, 5), 0)]
    assert heights == [26, 26, 26, 23]


@given(plane=planes, core=cores, halo=halos, margin=margins)
def test_halves_are_the_tile_again(plane, core, halo, margin) -> None:
    surround = Surround(plane, halo, margin)
    for tile in plan_tiles(plane, core, halo, margin):
        parts = halves(tile, surround)
        if parts is None:
            assert max(tile.core.shape) < 32
            continue
        covered = np.zeros(plane, int)
        for part in parts:
            covered[part.core.slices] += 1
            assert surround.tile(part.index, part.core) == part
            assert part.read.pixels <= tile.read.pixels
            inside = part.read.within(tile.read)
            assert min(inside.top, inside.left) >= 0
        covered[tile.core.slices] -= 1
        assert (covered == 0).all()


@given(
    plane=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    halo=st.integers(0, 94),
    margin=st.integers(0, 24),
    largest=st.integers(64**2, 2**22),
    width_cost=st.sampled_from((None, WidthCost((96, 384), (1.0, 1.5)))),
)
def test_a_chosen_tile_fits(plane, halo, margin, largest, width_cost) -> None:
    surround = Surround(plane, halo, margin)
    core = choose_tile(surround, largest, width_cost)
    assert 1 <= core[0] <= plane[0]
    assert 1 <= core[1] <= plane[1]
    assume(largest >= (48 + 2 * max(halo, margin)) ** 2)
    assert largest_read(surround, core) <= largest


@given(plane=planes, core=cores, halo=halos, margin=margins)
def test_the_largest_read_is_that_of_the_largest_tile(plane, core, halo, margin) -> None:
    largest = max(tile.read.pixels for tile in plan_tiles(plane, core, halo, margin))
    assert largest_read(Surround(plane, halo, margin), core) == largest


@given(plane=planes, core=cores, halo=halos, margin=margins, left=st.integers(0, 20))
def test_later_rrdbs_see_less_of_a_tile_and_all_of_its_core(
    plane, core, halo, margin, left
) -> None:
    later = ((min(halo, left), min(margin, left)), (0, 0))
    tiles = list(plan_tiles(plane, core, halo, margin, later))
    surround = Surround(plane, halo, margin, later, tiles[0].core.shape)
    for tile in tiles:
        assert tile == surround.tile((), tile.core)
        sizes = [box.pixels for box in (tile.read, *tile.narrowed)]
        assert sizes == sorted(sizes, reverse=True)
        assert replace(surround, core=(0, 0)).tile((), tile.core).narrowed[-1] == tile.core
        rows, columns = tile.kept
        assert (rows.stop - rows.start, columns.stop - columns.start) == tile.core.enlarged().shape
    seen = np.array([[box.shape for box in (tile.read, tile.narrowed[0])] for tile in tiles])
    rows, columns = (surround.spans(axis, core[axis]) for axis in range(2))
    areas = np.einsum("by,bx->byx", rows, columns).reshape(2, -1)
    np.testing.assert_array_equal(seen.prod(-1).T, areas)


def test_tiles_are_smaller_where_little_of_the_halo_is_kept() -> None:
    narrowed = tuple((keeps, keeps) for keeps in (8, 4, 2))
    large = choose_tile(Surround((2048, 2048), 48, 24), 2**20, STEADY)
    small = choose_tile(Surround((2048, 2048), 48, 24, narrowed), 2**20, STEADY)
    assert math.prod(small) < math.prod(large)


@given(plane=planes, halo=halos, margin=margins)
def test_an_image_that_fits_is_one_tile(plane, halo, margin) -> None:
    pixels = (plane[0] + 2 * margin) * (plane[1] + 2 * margin)
    assert choose_tile(Surround(plane, halo, margin), pixels) == plane


def test_a_wide_tile_limit_gives_strips_and_a_wide_halo_square_tiles() -> None:
    assert choose_tile(Surround((4000, 600), 12, 12), 2**20)[1] == 600
    wide = Surround((8192, 8192), 94, 12)
    core = choose_tile(wide, 2**20)
    assert core[1] < 8192
    assert min(core) > 400
    assert largest_read(wide, core) <= 2**20


def test_a_chosen_tile_computes_little_twice() -> None:
    plane, halo = (8192, 8192), 12
    core = choose_tile(Surround(plane, halo, halo), 900_000)
    read = sum(tile.read.pixels for tile in plan_tiles(plane, core, halo, halo))
    assert read < 1.1 * math.prod(plane)


def test_strips_are_as_tall_as_what_is_read_around_them_allows() -> None:
    surround = Surround((712, 600), 24, 24)
    assert choose_tile(surround, (356 + 48) * (600 + 48)) == (356, 600)
    assert choose_tile(surround, (356 + 48) * (600 + 48) - 1) != (356, 600)


STEADY = WidthCost((1, 801), (1.0, 2.0))
COSTLY = WidthCost((96, 192, 384), (1.0, 1.0, 1.4))


def test_where_width_costs_tiles_are_narrow_but_not_narrower_than_their_halo_allows() -> None:
    height, width = choose_tile(Surround((2048, 2048), 12, 12), 2**20, STEADY)
    assert 80 <= width <= 256
    assert height > 2 * width
    wider = choose_tile(Surround((2048, 2048), 48, 24), 2**20, STEADY)[1]
    assert wider > width


def test_tiles_are_as_wide_as_they_can_be_before_width_costs_suddenly() -> None:
    step = WidthCost((96, 252, 256, 384), (1.0, 1.0, 1.3, 1.3))
    surround = Surround((4096, 4096), 23, 18)
    _, width = choose_tile(surround, 90_000, step)
    assert surround.spans(1, width).max() <= 252
    assert surround.spans(1, width).max() > 220


def test_what_width_costs_lies_between_what_was_measured_and_never_falls_beyond_it() -> None:
    found = COSTLY.at(np.array([10, 96, 192, 288, 576]))
    np.testing.assert_allclose(found, [1, 1, 1, 1.2, 1.8])
    assert WidthCost((96, 192), (1.0, 0.5)).at(np.array([1000])) == 0.5


def test_too_little_room_gives_the_smallest_tile_instead_of_none() -> None:
    assert choose_tile(Surround((500, 9), 94), 100) == (16, 9)


@pytest.mark.parametrize(
    ("core", "parts"),
    [
        (Box(100, 180, 40, 100), (Box(100, 140, 40, 100), Box(140, 180, 40, 100))),
        (Box(100, 160, 40, 120), (Box(100, 160, 40, 80), Box(100, 160, 80, 120))),
        (Box(100, 133, 40, 60), (Box(100, 116, 40, 60), Box(116, 133, 40, 60))),
    ],
)
def test_a_tile_is_halved_across_its_longer_side(core: Box, parts: tuple[Box, Box]) -> None:
    surround = Surround((300, 300), 8, 4)
    found = halves(surround.tile((3,), core), surround)
    assert found is not None
    assert tuple(part.core for part in found) == parts
    assert {part.index for part in found} == {(3,)}
    assert found[0].read == parts[0].grown(8, (300, 300))


def test_a_moved_box_keeps_its_size() -> None:
    assert Box(10, 20, 31, 45).moved(3, -5) == Box(13, 23, 26, 40)


def test_a_box_enlarged_covers_twice_the_pixels_along_each_axis() -> None:
    assert Box(1, 3, 5, 6).enlarged() == Box(2, 6, 10, 12)


def test_a_grown_box_ends_where_the_image_does() -> None:
    box = Box(10, 20, 31, 40)
    assert box.grown(3, (100, 200)) == Box(7, 23, 28, 43)
    assert box.grown(0, (100, 200)) == box
    assert box.grown(11, (100, 200)) == Box(0, 31, 20, 51)
    assert box.grown(32, (100, 200)) == Box(0, 52, 0, 72)
    assert box.grown(5, (22, 43)) == Box(5, 22, 26, 43)


def test_a_box_knows_its_size_and_its_place_in_another() -> None:
    box = Box(10, 20, 31, 45)
    assert (box.shape, box.pixels) == ((10, 14), 140)
    assert box.slices == (slice(10, 20), slice(31, 45))
    assert box.within(Box(7, 99, 11, 99)) == Box(3, 13, 20, 34)

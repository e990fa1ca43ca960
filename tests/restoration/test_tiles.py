"""Tiles: every pixel once, halos that are real image, and sizes that fit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_semnet.restoration.tile_size import WidthCost, choose_tile, largest_read, suited
from napari_semnet.restoration.tiles import (
    Box,
    Surround,
    Tile,
    count_tiles,
    halves,
    part_length,
    plan_tiles,
)

planes = st.tuples(st.integers(1, 60), st.integers(1, 60))
cores = st.tuples(st.integers(1, 70), st.integers(1, 70))
halos = st.integers(0, 20)
arounds = st.integers(0, 20)


@given(plane=planes, core=cores, halo=halos)
def test_cores_cover_every_pixel_once(plane, core, halo) -> None:
    covered = np.zeros(plane, int)
    for tile in plan_tiles(plane, core, halo):
        covered[tile.core.slices] += 1
        for read, side in zip(tile.read.shape, core, strict=True):
            assert read <= side + 2 * halo
    assert (covered == 1).all()


@given(plane=planes, core=cores, halo=halos, around=arounds)
def test_a_halo_is_complete_or_ends_where_the_image_does(plane, core, halo, around) -> None:
    surround = Surround(plane, halo, around=around)
    for planned in plan_tiles(plane, core, halo):
        tile = surround.tile((), planned.core)
        box, read = tile.core, tile.read
        for place, seen in ((box.top, read.top), (box.left, read.left)):
            assert seen == max(-around, place - halo)
        for place, seen, length in (
            (box.bottom, read.bottom, plane[0]),
            (box.right, read.right, plane[1]),
        ):
            assert seen == min(length + around, place + halo)


@given(plane=planes, core=cores, halo=halos, left=st.integers(0, 20))
def test_there_is_one_kind_of_tile_for_each_border_that_is_near(plane, core, halo, left) -> None:
    later = (min(halo, left), 0)
    tiles = list(plan_tiles(plane, core, halo, later))
    usual = Surround(plane, halo, later).wider

    def near(tile: Tile) -> tuple[int, ...]:
        box, (height, width) = tile.core, plane
        distances = (box.top, height - box.bottom, box.left, width - box.right)
        return tuple(min(usual, distance) for distance in distances)

    alike = {near(tile) for tile in tiles}
    # A last core that is shorter is one more kind along each axis.
    assert len({tile.kind for tile in tiles}) <= 4 * len(alike)
    inside = {tile.kind for tile in tiles if set(near(tile)) == {usual} and usual}
    assert len(inside) <= 1


def test_tiles_at_the_border_have_larger_cores_and_read_as_much_as_the_others() -> None:
    tiles = list(plan_tiles((640, 640), (200, 640), 29))
    assert [tile.core.shape[0] for tile in tiles] == [223, 194, 223]
    assert [tile.read.shape[0] for tile in tiles] == [252, 252, 252]


def test_a_last_core_that_is_a_little_smaller_is_computed_further_in_as_well() -> None:
    last = Surround((40, 59), 3, core=(40, 20)).tile((), Box(0, 40, 40, 59))
    assert last.read == Box(0, 40, 36, 59)
    assert last.kept == (slice(0, 80), slice(8, 46))


@given(plane=planes, halo=halos)
def test_an_image_in_one_tile_is_read_as_it_is_whatever_the_halo(plane, halo) -> None:
    (tile,) = plan_tiles(plane, plane, halo)
    assert tile.read == Box(0, plane[0], 0, plane[1])


@given(plane=planes, core=cores, halo=halos)
def test_what_is_kept_of_a_tile_is_what_is_written(plane, core, halo) -> None:
    numbers = np.arange(4 * math.prod(plane)).reshape(2 * plane[0], 2 * plane[1])
    for tile in plan_tiles(plane, core, halo):
        read = numbers[tile.read.enlarged().slices]
        np.testing.assert_array_equal(read[tile.kept], numbers[tile.where])


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 3), *[st.integers(1, 30)] * 2), core=cores)
def test_tiles_are_counted_without_making_them(shape, core) -> None:
    assert count_tiles(shape, core, 3) == len(list(plan_tiles(shape, core, 3)))


def test_tiles_come_in_reading_order_slice_by_slice() -> None:
    tiles = list(plan_tiles((2, 10, 10), (4, 4), 1))
    places = [(*t.index, t.core.top, t.core.left) for t in tiles]
    assert places == sorted(places)
    assert tiles[5].index == (1,)
    assert tiles[5].read == Box(0, 6, 4, 10)
    assert tiles[5].where == (slice(1, 2), slice(0, 10), slice(10, 20))


def test_all_tiles_but_the_last_have_the_same_core() -> None:
    heights = [t.core.shape[0] for t in plan_tiles((101, 5), (30, 5), 0)]
    assert heights == [26, 26, 26, 23]


@given(plane=planes, core=cores, halo=halos)
def test_halves_are_the_tile_again(plane, core, halo) -> None:
    surround = Surround(plane, halo)
    for tile in plan_tiles(plane, core, halo):
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
    around=st.integers(0, 94),
    largest=st.integers(64**2, 2**22),
    width_cost=st.sampled_from((None, WidthCost((96, 384), (1.0, 1.5)))),
)
def test_a_chosen_tile_fits(plane, halo, around, largest, width_cost) -> None:
    surround = Surround(plane, halo, around=around)
    core = choose_tile(surround, largest, width_cost)
    assert 1 <= core[0] <= plane[0]
    assert 1 <= core[1] <= plane[1]
    assume(largest >= (48 + 2 * max(halo, around)) ** 2)
    assert largest_read(surround, core) <= largest


@given(plane=planes, core=cores, halo=halos)
def test_the_largest_read_is_that_of_the_largest_tile(plane, core, halo) -> None:
    heights, widths = zip(*(tile.read.shape for tile in plan_tiles(plane, core, halo)), strict=True)
    assert largest_read(Surround(plane, halo), core) == max(heights) * max(widths)


@given(plane=planes, core=cores, halo=halos, left=st.integers(0, 20))
def test_later_rrdbs_see_less_of_a_tile_and_all_of_its_core(plane, core, halo, left) -> None:
    later = (min(halo, left), 0)
    tiles = list(plan_tiles(plane, core, halo, later))
    sides = zip(plane, core, strict=True)
    usual = tuple(part_length(length, side, halo) for length, side in sides)
    surround = Surround(plane, halo, later, (usual[0], usual[1]))
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
    large = choose_tile(Surround((2048, 2048), 48), 2**20, STEADY)
    small = choose_tile(Surround((2048, 2048), 48, (8, 4, 2)), 2**20, STEADY)
    assert math.prod(small) < math.prod(large)


@given(plane=planes, halo=halos, around=arounds)
def test_an_image_that_fits_is_one_tile(plane, halo, around) -> None:
    more = 2 * min(halo, around)
    pixels = (plane[0] + more) * (plane[1] + more)
    assert choose_tile(Surround(plane, halo, around=around), pixels) == plane


def test_a_wide_tile_limit_gives_strips_and_a_wide_halo_square_tiles() -> None:
    assert choose_tile(Surround((4000, 600), 12), 2**20)[1] == 600
    wide = Surround((8192, 8192), 94)
    core = choose_tile(wide, 2**20)
    assert core[1] < 8192
    assert min(core) > 400
    assert largest_read(wide, core) <= 2**20


def test_a_chosen_tile_computes_little_twice() -> None:
    plane, halo = (8192, 8192), 12
    core = choose_tile(Surround(plane, halo), 900_000)
    read = sum(tile.read.pixels for tile in plan_tiles(plane, core, halo))
    assert read < 1.1 * math.prod(plane)


def test_strips_are_as_tall_as_what_is_read_around_them_allows() -> None:
    surround = Surround((712, 600), 24)
    assert choose_tile(surround, (332 + 48) * 600) == (332, 600)
    assert choose_tile(surround, (332 + 48) * 600 - 1) != (332, 600)


STEADY = WidthCost(tuple(range(1, 802)), tuple(1 + n / 800 for n in range(801)))
COSTLY = WidthCost((96, 192, 384), (1.0, 1.0, 1.4))


def test_where_width_costs_tiles_are_narrow_but_not_narrower_than_their_halo_allows() -> None:
    height, width = choose_tile(Surround((2048, 2048), 12), 2**20, STEADY)
    assert 80 <= width <= 256
    assert height > 2 * width
    wider = choose_tile(Surround((2048, 2048), 48), 2**20, STEADY)[1]
    assert wider > width


def test_tiles_are_as_wide_as_they_can_be_before_width_costs_suddenly() -> None:
    step = WidthCost((96, 252, 256, 384), (1.0, 1.0, 1.3, 1.3))
    surround = Surround((4096, 4096), 23)
    _, width = choose_tile(surround, 90_000, step)
    assert surround.spans(1, width).max() <= 252
    assert surround.spans(1, width).max() > 220


def test_of_tiles_that_take_as_long_those_of_the_fewest_kinds_are_chosen() -> None:
    surround = Surround((480, 640), 29, (28, 26, 23, 19, 12, 2))
    step = WidthCost((96, 252, 256, 384), (1.0, 1.0, 1.3, 1.3))
    assert choose_tile(surround, 130_000, step) == (480, 194)
    inside = replace(surround, plane=(512, 512), around=29)
    fastest = choose_tile(inside, 130_000, step)
    assert math.prod(fastest) < 512 * 512 / 3, "inside a larger image all tiles are of one kind"


def test_between_two_measured_widths_it_costs_what_the_slower_one_does() -> None:
    found = COSTLY.at(np.array([10, 96, 97, 192, 193, 288, 384, 576]))
    np.testing.assert_allclose(found, [1, 1, 1, 1, 1.4, 1.4, 1.4, 1.8])
    falling = WidthCost((96, 192), (1.0, 0.5))
    np.testing.assert_allclose(falling.at(np.array([[50, 96], [191, 192]])), [[1, 1], [1, 0.5]])


def test_what_width_costs_never_falls_beyond_what_was_measured() -> None:
    assert WidthCost((96, 192), (1.0, 0.5)).at(np.array([1000])) == 0.5


STAIRS = WidthCost((96, 216, 224, 254, 256, 384), (1.2, 1.2, 1.0, 1.0, 1.3, 1.3))


def test_more_of_the_halo_is_kept_where_that_is_faster_and_never_less_than_is_needed() -> None:
    surround = Surround((4096, 4096), 29, (28, 26, 23, 19, 12, 2))
    assert suited(surround, 193, STAIRS).later == (28, 26, 23, 19, 16, 2)
    assert suited(surround, 195, STAIRS).later == (28, 26, 23, 19, 15, 2)
    assert suited(surround, 140, STAIRS).later == surround.later
    assert suited(surround, 193, STEADY) == surround


@given(
    later=st.lists(st.integers(0, 40), max_size=6).map(lambda kept: sorted(kept, reverse=True)),
    core=st.integers(1, 400),
    times=st.lists(st.floats(0.5, 2), min_size=6, max_size=6),
)
def test_what_is_kept_to_be_faster_never_rises_from_one_rrdb_to_the_next(
    later, core, times
) -> None:
    surround = Surround((2048, 2048), 40, tuple(later))
    cost = WidthCost(STAIRS.widths, tuple(times))
    kept = suited(surround, core, cost).later
    assert list(kept) == sorted(kept, reverse=True)
    assert all(least <= more <= 40 for least, more in zip(later, kept, strict=True))
    for least, more in zip(later, kept, strict=True):
        widths = core + 2 * np.array([least, more])
        needed, chosen = widths * cost.at(widths)
        assert chosen <= needed


def test_tiles_are_chosen_so_that_narrowed_ones_are_fast_as_well() -> None:
    surround = Surround((4096, 4096), 29, (28, 26, 23, 19, 12, 2))
    _, width = choose_tile(surround, 130_000, STAIRS)
    assert 186 <= width <= 196


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
    surround = Surround((300, 300), 8)
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

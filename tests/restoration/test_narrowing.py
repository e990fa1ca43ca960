"""Narrowing: what is let go further into the network is what cannot be seen any more."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semnet.model import Card, Halo, Model
from napari_semnet.network import Architecture
from napari_semnet.restoration.backends import TorchBackend, run_through
from napari_semnet.restoration.choice import ARRANGEMENTS
from napari_semnet.restoration.dense import ArrangementError
from napari_semnet.restoration.halo import HaloMeasured, Picture, measure_halo
from napari_semnet.restoration.narrowing import narrowest, reaches, surround_of
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.runtime import describe_device
from napari_semnet.restoration.tiles import Box, Surround
from tests.restoration.conftest import reduced_model

THREE = Architecture(features=8, growth=4, blocks=3, rdb_per_block=1, conv_per_rdb=3)
"""Reaches 13 pixels, and then 9, 6 and 3."""
PLANE = (60, 50)
UNIT = {"precision": "fp32", "intensity": (0.0, 1.0)}


@pytest.fixture(scope="module")
def deep() -> Model:
    return reduced_model(THREE)


def picture(shape: tuple[int, int] = PLANE) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def test_semnet_needs_fifteen_pixels_less_after_each_rrdb() -> None:
    assert reaches(Architecture()) == (94, 78, 63, 48, 33, 18, 3)


@settings(max_examples=30)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_narrowed_tiles_equal_the_whole_image_that_is_not_narrowed(deep, size, tile) -> None:
    tile = (max(tile[0], size[0] // 3), max(tile[1], size[1] // 3))
    image = picture(size)
    tiled = Restorer(deep, Settings(**UNIT, halo="exact", tile=tile)).restore(image).pixels
    backend = TorchBackend(deep.network, describe_device("cpu"), "fp32")
    whole = run_through(backend.restore_tile(image))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_arrangement_narrows_and_what_is_left_is_the_same(deep, name, precision) -> None:
    core = Box(20, 40, 10, 33)
    surround = surround_of(deep.card, PLANE, deep.card.architecture.exact_halo)
    tile = surround.tile((), core)
    sizes = [box.pixels for box in (tile.read, *tile.narrowed)]
    assert sizes == sorted(set(sizes), reverse=True)
    seen = picture()[tile.read.slices]
    try:
        backend = TorchBackend(
            deep.network, describe_device("cpu"), precision, ARRANGEMENTS[name], name
        )
    except ArrangementError:
        pytest.skip(f"{name} is not installed")
    whole = run_through(backend.restore_tile(seen))[replace(tile, narrowed=()).kept]
    kept = run_through(backend.restore_tile(seen, tile.kept_maps))
    assert kept.shape == tuple(2 * n for n in tile.narrowed[-1].shape)
    assert backend.name == name
    limit = 1e-5 if precision == "fp32" else 2e-2
    np.testing.assert_allclose(kept[tile.kept], whole, rtol=0, atol=limit)


def test_keeping_less_than_is_needed_is_seen_and_so_the_comparison_can_fail(deep) -> None:
    tile = Surround(PLANE, 13, (4, 2, 1)).tile((), Box(20, 40, 10, 33))
    seen = picture()[tile.read.slices]
    backend = TorchBackend(deep.network, describe_device("cpu"), "fp32")
    whole = run_through(backend.restore_tile(seen))[replace(tile, narrowed=()).kept]
    kept = run_through(backend.restore_tile(seen, tile.kept_maps))[tile.kept]
    assert np.abs(kept - whole).max() > 1e-4


def test_what_was_measured_counts_only_with_the_halo_it_was_measured_for() -> None:
    halo = Halo(pixels=8, bound=0.05, later=(6, 3, 1))
    card = Card(name="narrow", architecture=THREE, halo=halo)
    assert surround_of(card, PLANE, 8) == Surround(PLANE, 8, (6, 3, 1))
    assert surround_of(card, PLANE, 7).later == (7, 6, 3)
    assert surround_of(card, PLANE, 13).later == (9, 6, 3)


@pytest.mark.parametrize("later", [(), (6, 3), (6, 3, 1, 1)])
def test_a_card_without_such_figures_keeps_all_that_can_be_reached(later) -> None:
    card = Card(name="old", architecture=THREE, halo=Halo(pixels=8, bound=0.05, later=later))
    assert surround_of(card, PLANE, 8) == Surround(PLANE, 8, (8, 6, 3))


def test_figures_of_a_card_that_rise_are_not_followed() -> None:
    card = Card(name="odd", architecture=THREE, halo=Halo(pixels=8, bound=0.05, later=(2, 6, 1)))
    assert surround_of(card, PLANE, 8).later == (2, 2, 1)


changes = st.lists(st.floats(0, 100), min_size=8, max_size=8).map(
    lambda values: sorted(values, reverse=True)
)


@given(
    pictures=st.integers(1, 5).flatmap(
        lambda places: st.lists(
            st.lists(changes, min_size=places, max_size=places), min_size=1, max_size=3
        )
    ),
    bound=st.floats(0.01, 50),
    most=st.integers(8, 10),
)
def test_what_is_chosen_keeps_the_sum_of_all_changes_below_the_bound(pictures, bound, most) -> None:
    kept = narrowest(pictures, bound, [most] * len(pictures[0]))
    assert all(one >= other for one, other in pairwise(kept))
    assert all(pixels < 8 or pixels == most for pixels in kept)
    for differences in pictures:
        pairs = zip(kept, differences, strict=True)
        assert sum(known[pixels] for pixels, known in pairs if pixels < 8) < bound


FAR = [16.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125]


def test_where_it_changes_least_most_is_let_go() -> None:
    assert narrowest([[FAR, [2.0, 0.0]]], 1.0, (8, 2)) == (5, 1)
    assert narrowest([[FAR]], 100.0, (8,)) == (0,)
    assert narrowest([[FAR]], 0.1, (20,)) == (20,)


def test_a_small_picture_that_changes_too_little_to_matter_does_not_keep_all() -> None:
    assert narrowest([[FAR]], 0.2, (20,)) == (7,)
    assert narrowest([[FAR, FAR]], 0.2, (20, 20)) == (20, 20)
    assert narrowest([[FAR], [[*FAR, 0.125, 0.0625]]], 0.2, (20,)) == (7,)


def test_changes_add_up_within_a_picture_and_not_across_pictures() -> None:
    near = [0.1] * 8
    assert narrowest([[FAR, FAR]], 1.9, (8, 8)) == (5, 5)
    assert narrowest([[FAR, near], [near, FAR]], 1.9, (8, 8)) == (4, 4)


def test_a_measured_model_keeps_its_tiles_within_the_bound(deep) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (70, 90), np.uint8)
    *_, last = measure_halo(deep, [Picture("grey", grey)], bound=1.0)
    assert isinstance(last, HaloMeasured)
    halo = last.halo
    assert len(halo.later) == 3
    assert halo.later[-1] < halo.pixels < 13
    assert any(one < most for one, most in zip(halo.later, (9, 6, 3), strict=True))
    measured = Model(
        deep.network, deep.card.model_copy(update={"halo": halo}), deep.sha256, deep.path
    )
    chosen = {"precision": "fp32", "intensity": (0.0, 255.0)}
    floats = grey.astype(np.float32)
    whole = Restorer(measured, Settings(**chosen, halo="exact")).restore(floats).pixels
    tiled = Restorer(measured, Settings(**chosen, tile=(16, 16))).restore(floats)
    assert tiled.plan.halo == halo.pixels
    assert 1e-3 < np.abs(tiled.pixels - whole).max() < 1.0

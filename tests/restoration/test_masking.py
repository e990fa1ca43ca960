"""Gaps: filled from near pixels only, and marked again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.imaging.intensity import given_range
from napari_semnet.restoration.host import TileReader
from napari_semnet.restoration.masking import FILL_REACH, fill_missing, mark_missing
from napari_semnet.restoration.tiles import plan_tiles


def test_known_pixels_are_kept() -> None:
    rng = np.random.default_rng(0)
    values, missing = rng.random((20, 20), np.float32), rng.random((20, 20)) < 0.3
    filled = fill_missing(values, missing)
    np.testing.assert_array_equal(filled[~missing], values[~missing])


def test_a_gap_in_a_constant_is_filled_with_it() -> None:
    values = np.full((15, 15), 0.3, np.float32)
    missing = np.zeros((15, 15), bool)
    missing[3:11, 4:12] = True
    values[missing] = np.nan
    np.testing.assert_allclose(fill_missing(values, missing), 0.3, rtol=1e-6)


def test_nothing_known_gives_mid_grey() -> None:
    missing = np.ones((4, 5), bool)
    np.testing.assert_array_equal(fill_missing(np.zeros((4, 5), np.float32), missing), 0.5)


@given(seed=st.integers(0, 2**31), share=st.floats(0, 1))
def test_what_is_filled_depends_on_near_pixels_only(seed, share) -> None:
    rng = np.random.default_rng(seed)
    values, missing = rng.random((40, 30), np.float32), rng.random((40, 30)) < share
    missing[10:30] |= rng.random() < 0.5
    whole = fill_missing(values, missing)
    part = slice(7, 33), slice(3, 28)
    inner = slice(FILL_REACH, -FILL_REACH), slice(FILL_REACH, -FILL_REACH)
    filled = fill_missing(values[part], missing[part])
    np.testing.assert_array_equal(filled[inner], whole[part][inner])
    assert np.isfinite(whole).all()


def test_each_missing_pixel_marks_its_four() -> None:
    pixels = np.zeros((4, 6), np.float32)
    missing = np.zeros((2, 3), bool)
    missing[1, 2] = True
    mark_missing(pixels, missing)
    assert np.isnan(pixels[2:, 4:]).all()
    assert np.isnan(pixels).sum() == 4


@pytest.mark.parametrize("core", [(40, 50), (9, 50), (7, 8)])
def test_gaps_are_filled_alike_in_every_tile(core) -> None:
    image = np.random.default_rng(0).random((40, 50), np.float32)
    image[0, 3], image[20:30, 0:14] = np.nan, np.nan
    reader = TileReader(image, given_range(0, 1), "mask")
    (whole,) = plan_tiles(image.shape, image.shape, 10)
    expected, _ = reader.read(whole)
    assert np.isfinite(expected).all()
    for tile in plan_tiles(image.shape, core, 4):
        values, missing = reader.read(tile)
        np.testing.assert_array_equal(values, expected[tile.read.slices])
        np.testing.assert_array_equal(missing, np.isnan(image[tile.core.slices]))

"""Beyond the border: the mirror image, of any image, without making it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.imaging.intensity import given_range
from napari_semnet.restoration.border import Mirrored, mirrored
from napari_semnet.restoration.host import TileReader
from napari_semnet.restoration.tiles import Box, plan_tiles

planes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(length=st.integers(1, 12), margin=st.integers(0, 50))
def test_pixels_beyond_the_border_are_those_of_numpys_reflection(length, margin) -> None:
    expected = np.pad(np.arange(length), margin, mode="reflect")
    np.testing.assert_array_equal(mirrored(-margin, length + margin, length), expected)


@given(plane=planes, margin=st.integers(0, 30), data=st.data())
def test_any_rectangle_is_a_piece_of_the_mirrored_image(plane, margin, data) -> None:
    rows = sorted(data.draw(st.tuples(*[st.integers(-margin, plane[0] + margin)] * 2)))
    columns = sorted(data.draw(st.tuples(*[st.integers(-margin, plane[1] + margin)] * 2)))
    box = Box(rows[0], rows[1] + 1, columns[0], columns[1] + 1)
    image = np.random.default_rng(0).random(plane, np.float32)
    seen = Mirrored(box, plane)
    wide = np.pad(image, margin + 1, mode="reflect")
    expected = wide[box.within(Box(-margin - 1, 0, -margin - 1, 0)).slices]
    np.testing.assert_array_equal(seen.laid_out(image[seen.real.slices]), expected)
    assert seen.real.pixels <= box.pixels or min(plane) < 2


def test_no_more_is_read_than_what_is_shown() -> None:
    assert Mirrored(Box(-12, 30, 40, 60), (1000, 1000)).real == Box(0, 30, 40, 60)
    assert Mirrored(Box(-12, 4, 0, 9), (1000, 9)).real == Box(0, 13, 0, 9)


@pytest.mark.parametrize("core", [(40, 50), (9, 50), (7, 8)])
def test_gaps_are_filled_before_the_image_is_mirrored(core) -> None:
    image = np.random.default_rng(0).random((40, 50), np.float32)
    image[0, 3], image[20:30, 0:14] = np.nan, np.nan
    reader = TileReader(image, given_range(0, 1), "mask")
    (whole,) = plan_tiles(image.shape, image.shape, 10, 10)
    expected, _ = reader.read(whole)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(expected, np.pad(expected[10:-10, 10:-10], 10, mode="reflect"))
    for tile in plan_tiles(image.shape, core, 4, 10):
        values, missing = reader.read(tile)
        part = tile.read.within(Box(-10, 0, -10, 0)).slices
        np.testing.assert_array_equal(values, expected[part])
        np.testing.assert_array_equal(missing, np.isnan(image[tile.core.slices]))

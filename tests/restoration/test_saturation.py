"""Saturated areas: kept where a whole neighbourhood is at the end of the range, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.imaging.intensity import IntensityRange, given_range, measure_range, to_unit
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import bicubic_double
from napari_semnet.model import Model
from napari_semnet.restoration.restorer import Restorer, Settings
from napari_semnet.restoration.saturation import REACH, range_ends, with_saturation
from napari_semnet.restoration.tiles import Box, Tile, plan_tiles

EIGHT_BITS = IntensityRange(0, 255, "dtype")
ENDS = (0.0, 1.0)


def patchy(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Intensities with areas of 0 and of 1 that have holes in them."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.1, 0.9, shape).astype(np.float32)
    for end in (0, 1, 0, 1):
        top, left = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        values[top : top + rng.integers(1, 14), left : left + rng.integers(1, 14)] = end
    holes = rng.random(shape) < 0.01
    values[holes] = 0.5
    return values


def enlarged(area: np.ndarray) -> np.ndarray:
    return np.kron(area, np.ones((2, 2), bool))


def whole(values: np.ndarray, restored: np.ndarray) -> np.ndarray:
    box = Box(0, values.shape[0], 0, values.shape[1])
    return with_saturation(restored, values, Tile((), box, box), ENDS)


def by_definition(values: np.ndarray, end: float) -> np.ndarray:
    """Pixels with a neighbour, or being one, all of whose 5 x 5 pixels are at the end."""
    height, width = values.shape
    area = np.zeros(values.shape, bool)
    for y in range(height):
        for x in range(width):
            square = values[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            if (square == end).all():
                area[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = True
    return area


shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, 2**31)


@given(seed=seeds, shape=shapes)
def test_the_middles_of_saturated_squares_and_their_neighbours_are_set(seed, shape) -> None:
    values = patchy(seed, shape)
    restored = np.random.default_rng(seed).random((2 * shape[0], 2 * shape[1]), np.float32)
    found = whole(values, restored)
    expected = restored.copy()
    for end in ENDS:
        area = by_definition(values, end)
        assert (values[area] == end).all(), "never beyond what was recorded at the end"
        expected[enlarged(area)] = end
    np.testing.assert_array_equal(found, expected)


@given(
    seed=seeds,
    shape=shapes,
    core=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    halo=st.integers(REACH, 9),
)
def test_tiles_are_set_as_the_whole(seed, shape, core, halo) -> None:
    values = patchy(seed, shape)
    restored = np.random.default_rng(seed).random((2 * shape[0], 2 * shape[1]), np.float32)
    expected = whole(values, restored)
    for tile in plan_tiles(shape, core, halo):
        part = restored[tile.where]
        found = with_saturation(part, values[tile.read.slices], tile, ENDS)
        np.testing.assert_array_equal(found, expected[tile.where])


@given(seed=seeds, shape=shapes)
def test_more_saturated_pixels_never_give_a_smaller_area(seed, shape) -> None:
    values = patchy(seed, shape)
    more = np.where(np.random.default_rng(seed).random(shape) < 0.2, np.float32(1), values)
    restored = np.full((2 * shape[0], 2 * shape[1]), 0.5, np.float32)
    before, after = whole(values, restored) == 1, whole(more, restored) == 1
    assert not (before & ~after).any()


def test_bright_noise_is_not_taken_for_saturation() -> None:
    rng = np.random.default_rng(0)
    values = np.minimum(1, rng.normal(0.97, 0.03, (200, 200))).astype(np.float32)
    assert (values == 1).mean() > 0.1
    restored = rng.random((400, 400), np.float32)
    np.testing.assert_array_equal(whole(values, restored), restored)


@pytest.mark.parametrize(
    ("dtype", "intensity", "ends"),
    [
        (np.uint8, EIGHT_BITS, (0, 1)),
        (np.int8, IntensityRange(-128, 127, "dtype"), (0, 1)),
        (np.uint16, given_range(0, 4095), (0, 1, 65535 / 4095)),
        (np.int16, given_range(-100, 32767), (-32668 / 32867, 0, 1)),
        (np.float32, given_range(0, 255), (0, 1)),
    ],
)
def test_a_recording_ends_where_its_range_or_its_type_does(dtype, intensity, ends) -> None:
    assert range_ends(intensity, np.dtype(dtype)) == pytest.approx(ends)


def squares(dtype: str, black: float, white: float) -> np.ndarray:
    """A specimen with a black and a white square of 16 x 16 pixels."""
    image = black + (white - black) * acquire(particles((48, 64), 3)).astype(float) / 300
    image[8:24, 8:24], image[20:36, 36:52] = black, white
    return image.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "black", "white"),
    [
        ("uint8", 0, 255),
        ("int8", -128, 127),
        ("uint16", 0, 65535),
        ("uint16", 100, 4095),
        ("int16", -32768, 32767),
        ("uint32", 0, 2**32 - 1),
        ("float32", -1.5, 2e-3),
        ("float64", 0, 255),
    ],
)
@pytest.mark.parametrize("tile", ["auto", 12])
def test_saturated_squares_stay_at_the_end_in_every_type(
    model: Model, dtype: str, black: float, white: float, tile: object
) -> None:
    image = squares(dtype, black, white)
    settings = Settings(device="cpu", precision="fp32", halo="exact", tile=tile)  # type: ignore[arg-type]
    found = Restorer(model, settings).restore(image).pixels.astype(float)
    level = (white - black) / 255
    assert np.abs(found[18:46, 18:46] - black).max() < level / 100
    assert np.abs(found[42:70, 74:102] - white).max() < level / 100
    # Of the outermost pixels of the square nothing is demanded.
    assert np.abs(found[42:70, 72] - white).max() > level


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_picture_at_the_end_of_the_range_stays_as_it_is(model: Model, level: int) -> None:
    flat = np.full((21, 30), level, np.uint8)
    found = Restorer(model, Settings(device="cpu", precision="fp32")).restore(flat).pixels
    np.testing.assert_array_equal(found, level)


def test_a_gap_in_a_saturated_area_does_not_disturb_it(model: Model) -> None:
    image = squares("float32", 0, 255)
    image[28, 44] = np.nan
    settings = Settings(device="cpu", precision="fp32", halo="exact", non_finite="mask", tile=17)
    found = Restorer(model, settings).restore(image).pixels
    square = found[42:70, 74:102]
    assert np.isnan(square).sum() == 4
    np.testing.assert_allclose(square[np.isfinite(square)], 255, rtol=1e-6)


def test_no_strength_is_still_bicubic_enlargement(model: Model) -> None:
    image = squares("float32", 0, 255)
    settings = Settings(device="cpu", precision="fp32", strength=0)
    found = Restorer(model, settings).restore(image).pixels
    np.testing.assert_allclose(found, bicubic_double(image), atol=1e-3)


def test_the_least_and_greatest_values_of_an_ordinary_image_are_no_saturation() -> None:
    image = np.random.default_rng(1).normal(1000, 50, (64, 64)).astype(np.float32)
    values = to_unit(image, measure_range(image))
    restored = np.full((128, 128), 0.5, np.float32)
    np.testing.assert_array_equal(whole(values, restored), restored)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.phantom import acquire, fibres, particles, step_edge
from napari_semnet.imaging.plane import Grid, Plane
from napari_semnet.imaging.registration import fit_intensity, register, registered_pair


def window(specimen: np.ndarray, y: float, x: float, size: int = 128) -> np.ndarray:
    """A part of the specimen from a place that need not be a whole pixel."""
    moved = ndimage.shift(specimen, (-y, -x), order=3)
    return moved[32 : 32 + size, 32 : 32 + size]


TRUTH = 255 * ndimage.gaussian_filter(particles((120, 120), 5).truth.astype(float), 1.0)
EDGE = 255 * step_edge((64, 64)).truth


@given(y=st.floats(-9, 9), x=st.floats(-9, 9))
@settings(max_examples=15)
def test_a_known_drift_is_found_to_a_twentieth_of_a_pixel(y: float, x: float) -> None:
    found = register(window(TRUTH, y, x), window(TRUTH, 0, 0))
    assert found == (pytest.approx(y, abs=0.05), pytest.approx(x, abs=0.05))


def test_independent_noise_moves_the_shift_by_no_more_than_a_fifth_of_a_pixel() -> None:
    found = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        pictures = (
            window(TRUTH, y, x) + 30 * generator.normal(size=(128, 128))
            for y, x in ((2.3, -1.6), (0, 0))
        )
        found.append(register(*pictures))
    error = np.array(found) - (2.3, -1.6)
    assert np.sqrt((error**2).mean()) < 0.2
    assert np.abs(error.mean(axis=0)).max() < 0.1


def test_pictures_of_two_places_are_refused() -> None:
    noise = np.random.default_rng(0).normal(size=(160, 160))
    with pytest.raises(ImageError, match="same place"):
        register(noise, 255 * fibres((80, 80), 1).truth)


def test_a_negative_is_not_taken_for_the_picture() -> None:
    with pytest.raises(ImageError, match="same place"):
        register(-EDGE, EDGE)


def test_flat_pictures_have_nothing_to_be_laid_over_one_another_by() -> None:
    with pytest.raises(ImageError, match="same place"):
        register(np.full((64, 64), 7.0), np.full((64, 64), 9.0))


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(ImageError, match="32"):
        register(np.zeros((20, 90)), np.zeros((20, 90)))


def test_a_pair_is_compared_only_where_both_show_the_specimen() -> None:
    grid = Grid.upright((128, 128), (4.0, 4.0))
    image = Plane("image", window(TRUTH, 3.4, -5.7), grid)
    reference = Plane("reference", window(TRUTH, 0, 0), grid)
    pair = registered_pair(image, reference, reference.grid)
    assert pair.image.shape == pair.reference.shape == (128 - 6, 128 - 8)
    # Inside, what is left is the error of the two interpolations.
    assert np.abs(pair.image - pair.reference).max() < 8
    assert np.abs(pair.image - pair.reference).std() < 0.1 * pair.reference.std()
    assert pair.shift == (pytest.approx(-4 * 3.4, abs=0.2), pytest.approx(4 * 5.7, abs=0.2))


def test_a_raw_picture_and_its_truth_on_the_finer_grid_lie_over_one_another() -> None:
    specimen = particles((100, 120), 1)
    grid = Grid.upright((100, 120), (2.0, 2.0))
    raw = Plane("raw", acquire(specimen, electrons=2000, read_noise=0), grid)
    truth = Plane("truth", 255 * specimen.truth, grid.refined(2))
    pair = registered_pair(raw, truth, truth.grid)
    # A quarter pixel of the raw image, 0.5 nm, is the error of forgetting the grids' offset.
    assert np.abs(pair.shift).max() < 0.06
    assert pair.grid.pixel_size == (1.0, 1.0)


def test_turned_pictures_are_refused() -> None:
    angle = np.deg2rad(10)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    image = Plane("image", TRUTH, Grid(TRUTH.shape, matrix))
    with pytest.raises(ImageError, match="rotated"):
        registered_pair(image, Plane("reference", TRUTH, Grid.upright(TRUTH.shape)), image.grid)


@given(gain=st.floats(0.2, 5), offset=st.floats(-100, 100))
def test_a_change_of_brightness_and_contrast_is_taken_out(gain: float, offset: float) -> None:
    np.testing.assert_allclose(fit_intensity(gain * TRUTH + offset, TRUTH), TRUTH, atol=0.05)


def test_a_flat_picture_is_fitted_by_the_mean() -> None:
    assert fit_intensity(np.zeros(4), np.array([1, 2, 3, 6])).tolist() == [3, 3, 3, 3]

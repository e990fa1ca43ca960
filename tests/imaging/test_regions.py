from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import Grid, Plane
from napari_semnet.imaging.regions import (
    contrast_to_noise,
    ellipse_outline,
    region_statistics,
)

GENERATOR = np.random.default_rng(0)
PIXELS = np.hstack([GENERATOR.normal(60, 5, (100, 50)), GENERATOR.normal(100, 5, (100, 50))])
PLANE = Plane("halves", PIXELS, Grid.upright((100, 100), (2.0, 2.0), (1.0, 1.0)))


def box(top: float, left: float, bottom: float, right: float) -> np.ndarray:
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)])


def test_a_rectangle_measures_the_pixels_whose_centres_it_holds() -> None:
    found = region_statistics(PLANE, box(20, 10, 60, 90))
    expected = PIXELS[10:30, 5:45]
    assert found.count == expected.size
    assert found.mean == pytest.approx(expected.mean())
    assert found.deviation == pytest.approx(expected.std(ddof=1))
    assert found.area == pytest.approx(40 * 80)


def test_the_same_region_of_a_finer_picture_has_the_same_area_and_mean() -> None:
    fine = Plane("fine", np.kron(PIXELS, np.ones((2, 2))), PLANE.grid.refined(2))
    one, two = (region_statistics(plane, box(20, 10, 60, 90)) for plane in (PLANE, fine))
    assert (two.area, two.mean) == (pytest.approx(one.area), pytest.approx(one.mean))
    assert two.count == 4 * one.count


def test_contrast_to_noise_of_two_halves_is_their_distance_in_deviations() -> None:
    left, right = (region_statistics(PLANE, box(0, x, 200, x + 90)) for x in (2, 106))
    assert contrast_to_noise(left, right) == pytest.approx(40 / 5, rel=0.05)
    assert contrast_to_noise(left, right) == contrast_to_noise(right, left)


def test_flat_regions_have_no_noise_to_compare_with() -> None:
    flat = Plane("flat", np.repeat([[0.0, 9.0]], 20, 0).repeat(10, 1), Grid.upright((20, 20)))
    left, right = (region_statistics(flat, box(0, x, 19, x + 8)) for x in (0, 11))
    assert contrast_to_noise(left, right) == math.inf
    assert contrast_to_noise(left, left) == 0


@given(half_y=st.floats(8, 60), half_x=st.floats(8, 60))
def test_an_ellipse_has_the_area_of_an_ellipse(half_y: float, half_x: float) -> None:
    outline = ellipse_outline(box(100 - half_y, 100 - half_x, 100 + half_y, 100 + half_x))
    found = region_statistics(PLANE, outline)
    assert found.area == pytest.approx(math.pi * half_y * half_x, rel=0.12)


@pytest.mark.parametrize("outline", [box(900, 900, 950, 950), box(20, 20, 21, 21)])
def test_regions_with_hardly_a_pixel_are_refused(outline: np.ndarray) -> None:
    with pytest.raises(ImageError, match="larger"):
        region_statistics(PLANE, outline)

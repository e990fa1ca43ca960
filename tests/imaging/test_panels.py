from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.imaging.panels import (
    DIVERGING,
    colour_table,
    error_text,
    length_text,
    nearest,
    panel_grid,
    panel_pixels,
    scale_bar,
    tinted,
)
from napari_semnet.imaging.plane import Grid, Plane, block_mean


@given(width=st.floats(1e-3, 1e9), share=st.floats(0.1, 1.0))
def test_a_scale_bar_is_the_longest_round_length_that_fits(width: float, share: float) -> None:
    bar = scale_bar(width, share=share)
    mantissa = bar.length / 10 ** np.floor(np.log10(bar.length * (1 + 1e-9)))
    assert min(abs(mantissa - step) for step in (1, 2, 5)) < 1e-6
    assert share * width / 2.5 <= bar.length * (1 + 1e-6)
    assert bar.length <= share * width * (1 + 1e-6)


@pytest.mark.parametrize(
    ("length", "unit", "text"),
    [
        (200, "nm", "200 nm"),
        (1000, "nm", "1 µm"),
        (2.5, "nm", "2.5 nm"),
        (5000, "px", "5000 px"),
        (12345, "nm", "12.35 µm"),
    ],
)
def test_lengths_are_written_with_their_unit(length: float, unit: str, text: str) -> None:
    assert length_text(length, unit) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (12.3456, 0.8123, "12.35 ± 0.81 nm"),
        (1.0, 0.12, "1.00 ± 0.12 nm"),
        (123.4, 12.3, "123 ± 12 nm"),
        (5.0, 0.0, "5 nm"),
        (5.0, float("inf"), "5 nm"),
    ],
)
def test_a_value_is_written_to_the_second_digit_of_its_error(
    value: float, error: float, text: str
) -> None:
    assert error_text(value, error, "nm") == text


def test_all_panels_share_the_pixels_of_the_finest_picture() -> None:
    raw = Plane("raw", np.arange(12.0).reshape(3, 4), Grid.upright((3, 4), (2.0, 2.0)))
    fine = Plane("fine", np.arange(48.0).reshape(6, 8), raw.grid.refined(2))
    grid = panel_grid(raw.grid, [raw, fine])
    np.testing.assert_allclose(grid.corners(), raw.grid.corners())
    np.testing.assert_array_equal(panel_pixels(fine, grid), fine.pixels)
    np.testing.assert_array_equal(panel_pixels(raw, grid), np.kron(raw.pixels, np.ones((2, 2))))


def test_large_pictures_are_averaged_down_to_a_size_that_a_figure_can_use() -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (600, 400))
    plane = Plane("large", pixels, Grid.upright(pixels.shape))
    grid = panel_grid(plane.grid, [plane], largest=300)
    assert grid.shape == (300, 200)
    np.testing.assert_allclose(panel_pixels(plane, grid), block_mean(pixels), rtol=1e-5)


def test_a_panel_is_empty_where_a_picture_does_not_reach() -> None:
    plane = Plane("part", np.ones((2, 2)), Grid.upright((2, 2), (1.0, 1.0), (1.0, 1.0)))
    shown = nearest(plane, Grid.upright((4, 4)))
    assert np.isfinite(shown).sum() == 4
    assert np.isfinite(shown[1:3, 1:3]).all()


def test_colours_run_from_one_limit_to_the_other() -> None:
    grey = colour_table(np.array([(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]))
    shown = tinted([[10, 20, 30, 0, 99, np.nan]], (10, 30), grey)
    assert shown.dtype == np.uint8
    assert shown[0, :, 0].tolist() == [0, 128, 255, 0, 255, 128]
    assert shown.shape == (1, 6, 3)


def test_the_map_of_differences_is_white_in_the_middle_and_coloured_at_the_ends() -> None:
    table = colour_table(DIVERGING).astype(int)
    assert table[127:129].min() > 240
    assert table[0, 2] > table[0, 0] + 60  # blue
    assert table[-1, 0] > table[-1, 2] + 60  # red


def test_a_panel_keeps_the_unit_and_the_corners_of_its_place() -> None:
    place = Grid.upright((30, 40), (2.0, 3.0), (5.0, 7.0), unit="px")
    grid = panel_grid(place, [Plane("plane", np.zeros((30, 40)), place)], largest=20)
    assert grid.unit == "px"
    assert max(grid.shape) == 20
    np.testing.assert_allclose(grid.corners(), place.corners())

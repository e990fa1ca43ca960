from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import given_range
from napari_semnet.imaging.noise_level import NoiseLevel, measure_noise, noise_of_residual
from napari_semnet.imaging.phantom import acquire, particles


def scanned(
    generator: np.random.Generator,
    shape: tuple[int, int] = (256, 256),
    *,
    sigma: float = 10.0,
    lag: float = 0.0,
    rows: float = 0.0,
) -> NDArray[np.float32]:
    """A flat field as a slow detector scans it: correlated along rows, rows offset."""
    noise = generator.standard_normal(shape)
    for column in range(1, shape[1]):
        fresh = np.sqrt(1 - lag**2) * noise[:, column]
        noise[:, column] = lag * noise[:, column - 1] + fresh
    offsets = rows * generator.standard_normal((shape[0], 1))
    return (120 + sigma * noise + offsets).astype(np.float32)


def test_counting_noise_is_found_with_its_growth() -> None:
    noise = measure_noise(acquire(particles((320, 320), 3), electrons=100, read_noise=3))
    assert noise.source == "flat"
    # 255 / 100 grey levels of variance a grey level; 9 of the electronics, 1/12 of rounding.
    expected = 2.55 * np.array([60.0, 120.0, 180.0]) + 9 + 1 / 12
    np.testing.assert_allclose(noise.variance(np.array([60, 120, 180])), expected, rtol=0.12)


def test_correlation_and_row_offsets_are_told_apart() -> None:
    image = scanned(np.random.default_rng(0), (512, 512), lag=0.5, rows=4.0)
    noise = measure_noise(image, given_range(0, 255))
    assert noise.sigma == pytest.approx(10, rel=0.08)
    assert noise.row_sigma == pytest.approx(4, rel=0.15)
    np.testing.assert_allclose(noise.along_x[:4], [1, 0.5, 0.25, 0.125], atol=0.04)
    assert abs(noise.between_rows) < 0.05


def test_white_noise_has_no_correlation_at_all() -> None:
    noise = measure_noise(scanned(np.random.default_rng(1)))
    assert noise.along_x[1] == pytest.approx(0, abs=0.02)
    assert set(noise.along_x[2:]) == {0.0}


def test_the_error_grows_away_from_the_grey_levels_that_were_measured() -> None:
    noise = measure_noise(acquire(particles((320, 320), 3)))
    middle = (noise.darkest + noise.brightest) / 2
    near, far = noise.error(np.array([middle, noise.brightest + 150]))
    assert near < 0.1
    assert far > near


def test_a_picture_without_flat_places_gives_one_rough_figure() -> None:
    lines = np.where(np.arange(128) % 3 == 0, 200.0, 40.0)
    image = np.tile(lines, (128, 1)) + 5 * np.random.default_rng(2).standard_normal((128, 128))
    noise = measure_noise(image.astype(np.float32))
    assert noise.source == "whole"
    # Lines count as noise here, so that the figure may be too large, but not too small.
    assert noise.sigma > 0.8 * 5 * 255 / (image.max() - image.min())
    assert (noise.gain, noise.row_sigma, noise.between_rows) == (0, 0, 0)
    assert noise.along_x == (1.0,) + (0.0,) * (len(noise.along_x) - 1)
    assert noise.error(np.array([0.0, 200.0])) == pytest.approx(noise.error(np.array(100.0)))
    assert 0.1 < float(noise.error(np.array(100.0))) < 1


def test_the_error_is_that_of_a_line_whose_two_figures_are_uncertain_together() -> None:
    noise = NoiseLevel(2.0, 10.0, 20, 200, 0.0, (1.0, 0.0), 0.0, (0.04, -0.5, 90.0), "flat")
    assert noise.variance(np.array([0, 50])) == pytest.approx([12.5, 110])
    at = np.array([50.0, 150.0])
    expected = np.sqrt(0.04 * at**2 - 2 * 0.5 * at + 90) / (2 * at + 10)
    assert noise.error(at) == pytest.approx(expected, rel=0.06)
    assert (noise.error(at) > expected).all()
    assert (noise.sigma, noise.lag_one) == (pytest.approx(np.sqrt(230)), 0.0)


def test_rounding_to_whole_grey_levels_is_part_of_the_noise() -> None:
    exact = 25 + np.random.default_rng(6).standard_normal((512, 512))
    found = measure_noise(np.rint(exact).astype(np.uint8), given_range(0, 51))
    # A grey level of the picture is 5 of 255; rounding adds a twelfth of its square.
    assert float(found.variance(np.array(125.0))) == pytest.approx(25 + 25 / 12, rel=0.03)
    assert float(
        measure_noise(exact.astype(np.float32), given_range(0, 51)).variance(np.array(125.0))
    ) == pytest.approx(25, rel=0.03)


def test_what_a_restoration_took_away_is_measured_where_it_can_be_used() -> None:
    residual = 7 * np.random.default_rng(7).standard_normal((256, 256))
    guide = np.broadcast_to(np.linspace(20, 220, 256), residual.shape)
    usable = np.ones(residual.shape, bool)
    found = noise_of_residual(residual, guide, usable)
    assert found is not None
    assert found.source == "residual"
    assert found.sigma == pytest.approx(7, rel=0.03)
    assert found.darkest < 60
    assert found.brightest > 180
    assert noise_of_residual(residual, guide, ~usable) is None
    assert noise_of_residual(residual[:32], guide[:32], usable[:32]) is None


def test_pixels_without_a_value_are_left_out() -> None:
    image = scanned(np.random.default_rng(3), (256, 256))
    known = measure_noise(image)
    image[100:110, 100:110] = np.nan
    assert measure_noise(image).sigma == pytest.approx(known.sigma, rel=0.02)


def test_a_picture_that_is_black_or_white_all_over_is_refused() -> None:
    with pytest.raises(ImageError, match="black or white"):
        measure_noise(np.full((64, 64), 255, np.uint8))


def test_fine_upright_structure_is_not_taken_for_a_filter() -> None:
    lattice = 10 * np.sin(2 * np.pi * np.arange(256) / 2.5)
    image = (scanned(np.random.default_rng(4), sigma=12) + lattice).astype(np.float32)
    assert abs(measure_noise(image, given_range(0, 255)).between_rows) < 0.1

"""Noise by grey value: what is sorted into the table, and the line through it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semnet.errors import ImageError
from napari_semnet.imaging.noise_table import FEWEST, NoiseTable, fit_line, tabulate

SHAPE = (300, 400)
ENDS = (-np.inf, np.inf)


def table(mean: list[float], variance: list[float], error: list[float]) -> NoiseTable:
    values = [np.array(each, float) for each in (mean, variance, error)]
    zero = np.zeros(len(mean))
    return NoiseTable(values[0], zero + 0.1, values[1], zero, values[2], 0.0, 0.0, 0.0, 1.0)


def test_a_line_is_fitted_by_the_errors_of_its_points() -> None:
    exact = table([20, 60, 120, 200], [50, 130, 250, 410], [1, 2, 3, 5])
    (gain, floor), covariance = fit_line(exact)
    assert (gain, floor) == (pytest.approx(2), pytest.approx(10))
    weight = 1 / exact.error
    design = np.stack([exact.mean * weight, weight], axis=1)
    assert covariance == pytest.approx(np.linalg.inv(design.T @ design))
    # A point that nobody trusts does not matter, one that scatters makes all less certain.
    (gain, floor), _ = fit_line(table([20, 60, 120, 200], [50, 130, 250, 999], [1, 2, 3, 1e6]))
    assert (gain, floor) == (pytest.approx(2, rel=1e-3), pytest.approx(10, rel=1e-3))
    scattered = fit_line(table([20, 60, 120, 200], [60, 110, 270, 400], [1, 2, 3, 5]))[1]
    assert scattered[0, 0] > 4 * covariance[0, 0]


def test_the_gain_is_not_known_where_all_is_equally_bright() -> None:
    alike = replace(table([99, 100, 101], [40, 50, 60], [1, 2, 1]), mean_error=np.full(3, 2.0))
    (gain, floor), covariance = fit_line(alike)
    assert gain == 0
    assert floor == pytest.approx(np.average([40, 50, 60], weights=[1, 0.25, 1]))
    assert np.isinf(covariance[0, 0])
    assert covariance[1, 1] == pytest.approx(1 / 2.25)
    apart = replace(alike, mean_error=np.full(3, 0.2))
    assert np.isfinite(fit_line(apart)[1]).all()


def scan(lag: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose variance is half the grey level plus 5, and the grey levels."""
    local = np.broadcast_to(np.linspace(20, 220, SHAPE[1]), SHAPE)
    noise = np.random.default_rng(seed).standard_normal(SHAPE)
    for column in range(1, SHAPE[1] if lag else 0):
        fresh = np.sqrt(1 - lag**2) * noise[:, column]
        noise[:, column] = lag * noise[:, column - 1] + fresh
    return noise * np.sqrt(0.5 * local + 5), local


@pytest.mark.parametrize("lag", [0.0, 0.4])
def test_each_grey_level_has_its_variance_and_covariance(lag: float) -> None:
    noise, local = scan(lag)
    noise = noise - noise.mean(axis=1, keepdims=True)
    flat = np.ones(SHAPE, bool)
    found = tabulate(noise, local, flat, mean_share=0.01, ends=ENDS, rounding=0.25)
    assert len(found.mean) == 12
    expected = 0.5 * found.mean + 5
    assert found.variance + 0.25 == pytest.approx(expected, rel=0.06)
    assert np.mean((found.variance + 0.25) / expected) == pytest.approx(1, abs=0.012)
    assert found.covariance == pytest.approx(lag * expected, abs=0.06 * expected.max())
    assert found.mean_error == pytest.approx(np.sqrt(0.01 * expected), rel=0.05)
    within = np.abs(found.variance + 0.25 - expected) < 3 * found.error
    assert within.all()
    assert (found.error > 0.005 * expected).all()


def test_what_the_mean_of_a_short_row_takes_away_is_given_back() -> None:
    noise, local = (part[:, :24] for part in scan(0.4, 3))
    noise = np.tile(noise / np.sqrt(0.5 * local + 5), (20, 1))
    for row, fresh in enumerate(np.random.default_rng(5).permutation(len(noise))):
        noise[row] *= 1 if fresh % 2 else -1
    centred = noise - noise.mean(axis=1, keepdims=True)
    flat = np.ones(noise.shape, bool)
    found = tabulate(
        centred, np.full(noise.shape, 100.0), flat, mean_share=0, ends=ENDS, rounding=0
    )
    assert found.variance.mean() == pytest.approx(noise.var(), rel=0.05)
    assert centred.var() < 0.93 * noise.var()


def test_grey_levels_that_black_or_white_cut_off_are_left_out() -> None:
    noise, local = scan()
    flat = np.ones(SHAPE, bool)
    found = tabulate(noise, local, flat, mean_share=0, ends=(40, 200), rounding=0)
    reach = 3 * np.sqrt(0.5 * found.mean + 5)
    assert (found.mean - reach > 38).all()
    assert (found.mean + reach < 203).all()
    assert 3 < len(found.mean) < 12
    with pytest.raises(ImageError, match="clipped"):
        tabulate(noise, local, flat, mean_share=0, ends=(110, 130), rounding=0)


def test_few_flat_pixels_make_few_bins_and_the_others_do_not_count() -> None:
    noise, local = scan()
    noise = noise.copy()
    flat = np.zeros(SHAPE, bool)
    flat[:10, :180] = True
    noise[~flat] = 1e6
    found = tabulate(noise, local, flat, mean_share=0, ends=ENDS, rounding=0)
    assert len(found.mean) == 1800 // (2 * FEWEST)
    assert found.variance.max() < 200


def test_grey_levels_without_any_noise_are_left_out() -> None:
    noise = np.random.default_rng(3).normal(0, 2, (60, 400))
    noise[:, 200:] = 0
    local = np.broadcast_to(np.linspace(50, 200, 400), noise.shape)
    flat = np.ones(noise.shape, bool)
    table = tabulate(noise, local, flat, mean_share=0.0, ends=ENDS, rounding=0.0)
    assert table.mean.max() < 130
    assert table.error.min() > 0
    with pytest.raises(ImageError, match="no noise"):
        tabulate(0 * noise, local, flat, mean_share=0.0, ends=ENDS, rounding=0.0)

"""How noise hangs together, on noise that is made to hang together in a known way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_semnet.imaging.noise_correlation import (
    LAGS,
    correlation_along_x,
    row_variance_of,
    spread,
    vertical_lag_one_of,
    without_rows,
)
from napari_semnet.imaging.noise_table import FILTER

SHAPE = (400, 400)
EVERYWHERE = np.ones(SHAPE, bool)


def white(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def filtered(picture: np.ndarray) -> np.ndarray:
    return ndimage.correlate1d(picture, FILTER, axis=0)


def correlated(lag: float, seed: int = 0) -> np.ndarray:
    noise = white(seed)
    for column in range(1, SHAPE[1]):
        noise[:, column] = lag * noise[:, column - 1] + np.sqrt(1 - lag**2) * noise[:, column]
    return noise


def test_the_spread_is_the_deviation_whatever_a_few_outliers_do() -> None:
    values = 3 * white(1) + 50
    assert spread(values) == pytest.approx(3, rel=0.01)
    values[:4] = 1e9
    assert spread(values) == pytest.approx(3, rel=0.03)


@pytest.mark.parametrize("lag", [0.0, 0.5])
@pytest.mark.parametrize("rows", [0.0, 0.5, 2.0])
def test_offsets_of_rows_are_found_beside_the_noise_of_pixels(rows: float, lag: float) -> None:
    picture = 4 * correlated(lag) + rows * white(2, (SHAPE[0], 1))
    sigma = np.full(SHAPE, 4.0)
    found, error = row_variance_of(filtered(picture), EVERYWHERE, sigma)
    assert error < 0.25 * max(rows**2, 1)
    assert found == pytest.approx(rows**2, abs=4 * error)
    half = EVERYWHERE.copy()
    half[::2] = False
    assert row_variance_of(filtered(picture), half, sigma)[1] > error


@pytest.mark.parametrize("outlier", [1e4, -1e4])
def test_an_outlier_in_most_rows_does_not_make_them_offset(outlier: float) -> None:
    noise = filtered(4 * white())
    noise[np.random.default_rng(9).uniform(size=SHAPE) < 0.003] = outlier
    found, error = row_variance_of(noise, EVERYWHERE, np.full(SHAPE, 4.0))
    assert found == pytest.approx(0, abs=4 * error)
    assert error < 0.3


def test_offsets_of_rows_need_sixteen_of_them() -> None:
    noise, sigma = filtered(white()), np.ones(SHAPE)
    for rows, is_known in ((15, False), (16, True)):
        flat = np.zeros(SHAPE, bool)
        flat[:rows] = True
        found, error = row_variance_of(noise, flat, sigma)
        assert np.isfinite(error) is np.bool_(is_known)
        assert is_known or found == 0


def test_rows_are_centred_by_their_flat_pixels_and_bounded() -> None:
    picture = white() + 5 * white(3, (SHAPE[0], 1))
    picture[:, 7] = 100.0
    picture[:, 9] = -100.0
    flat = EVERYWHERE.copy()
    flat[:, :20] = False
    left = without_rows(picture, flat, np.full(SHAPE, 20.0))
    assert (left[:, 20:].mean(axis=1)) == pytest.approx(np.zeros(SHAPE[0]), abs=1e-9)
    assert (left.min(), left.max()) == (-80, 80)
    assert left[:, 20:].std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("lag", [0.0, 0.3, 0.6])
def test_correlation_along_x_is_that_of_the_detector_and_ends_where_it_is_not_seen(
    lag: float,
) -> None:
    noise = correlated(lag)
    found = correlation_along_x(noise - noise.mean(axis=1, keepdims=True), EVERYWHERE)
    assert found.shape == (LAGS,)
    assert found[0] == 1
    assert found[:3] == pytest.approx([1, lag, lag**2], abs=0.02)
    seen = np.flatnonzero(found)
    assert (np.diff(seen) == 1).all()
    assert len(seen) < LAGS


@pytest.mark.parametrize("lag", [-0.3, 0.5])
def test_correlation_along_short_rows_is_what_it_was_before_their_mean_was_taken(
    lag: float,
) -> None:
    noise = white(4, (8000, 24))
    for column in range(1, 24):
        noise[:, column] = lag * noise[:, column - 1] + np.sqrt(1 - lag**2) * noise[:, column]
    centred = noise - noise.mean(axis=1, keepdims=True)
    found = correlation_along_x(centred, np.ones(noise.shape, bool))
    of_centred = (centred[:, 1:] * centred[:, :-1]).mean() / np.square(centred).mean()
    taken = (1 + max(of_centred, 0)) / (1 - max(of_centred, 0)) / 24
    assert found[1] == pytest.approx((of_centred + taken) / (1 + taken), abs=0.004)


def test_correlation_along_x_is_not_seen_in_a_few_pixels() -> None:
    flat = np.zeros(SHAPE, bool)
    flat[:1, :350] = True
    found = correlation_along_x(correlated(0.3), flat)
    assert found[0] == 1
    assert set(found[4:]) == {0.0}


@pytest.mark.parametrize(
    ("kernel", "expected"), [([1.0], 0.0), ([0.5, 0.5], 0.5), ([1, 2, 1], 2 / 3)]
)
def test_a_filter_along_y_shows_between_rows(kernel: list[float], expected: float) -> None:
    picture = ndimage.convolve1d(white(), np.array(kernel), axis=0)
    assert vertical_lag_one_of(picture, EVERYWHERE) == pytest.approx(expected, abs=0.02)


def test_only_pairs_of_flat_pixels_count_between_rows() -> None:
    picture = white()
    flat = np.random.default_rng(8).uniform(size=SHAPE) < 0.5
    rough = ndimage.convolve1d(picture, np.array([0.5, 0.5]), axis=0)
    few = np.zeros(SHAPE, bool)
    few[::2] = True
    assert vertical_lag_one_of(rough, few) == pytest.approx(0, abs=0.03)
    assert vertical_lag_one_of(rough, flat) == pytest.approx(0.5, abs=0.03)


def test_offsets_of_rows_and_upright_structure_do_not_show_between_rows() -> None:
    lattice = 2 * np.sin(2 * np.pi * np.arange(SHAPE[1]) / 2.5)
    picture = white() + lattice + 5 * white(3, (SHAPE[0], 1))
    assert vertical_lag_one_of(picture, EVERYWHERE) == pytest.approx(0, abs=0.03)
    assert vertical_lag_one_of(np.zeros(SHAPE), EVERYWHERE) == 0
    assert vertical_lag_one_of(picture[:9], EVERYWHERE[:9]) == pytest.approx(0, abs=0.2)

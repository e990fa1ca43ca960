"""Noise measured from pictures, pairs of frames and residuals whose noise is known."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import given_range
from napari_semnet.imaging.noise_measurement import (
    measure_pair,
    measure_picture,
    measure_residual,
)
from napari_semnet.imaging.noise_table import NoiseTable, fit_line

RANGE = given_range(0, 255)
SIDE = 192


def white(seed: int, shape: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def ramp(shape: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """From dark to bright along x, as flat as it gets."""
    return np.broadcast_to(np.linspace(40, 200, shape[1]), shape)


def scan(seed: int, field: np.ndarray) -> np.ndarray:
    """Noise whose variance is half the grey level plus 5."""
    return (field + np.sqrt(0.5 * field + 5) * white(seed, field.shape)).astype(np.float32)


def assert_same(one: NoiseTable, other: NoiseTable, rel: float = 1e-12) -> None:
    for each in fields(NoiseTable):
        if each.name != "shift":
            found, expected = getattr(one, each.name), getattr(other, each.name)
            assert found == pytest.approx(expected, rel=rel, abs=1e-9), each.name


def rough(shape: tuple[int, int], seed: int = 5) -> np.ndarray:
    """Texture of eight pixels, from dark to bright."""
    coarse = np.random.default_rng(seed).uniform(40, 200, tuple(n // 8 + 1 for n in shape))
    return np.kron(coarse, np.ones((8, 8)))[: shape[0], : shape[1]]


# ----- one picture -----------------------------------------------------------------------------


def test_the_table_of_a_ramp_is_its_line() -> None:
    found = measure_picture(scan(0, ramp()), RANGE)
    (gain, floor), covariance = fit_line(found)
    assert gain == pytest.approx(0.5, abs=4 * np.sqrt(covariance[0, 0]))
    assert floor == pytest.approx(5, abs=4 * np.sqrt(covariance[1, 1]))
    assert found.variance == pytest.approx(0.5 * found.mean + 5, rel=0.15)
    assert (found.mean.min(), found.mean.max()) == (
        pytest.approx(47, abs=4),
        pytest.approx(193, abs=4),
    )
    assert found.flat_share == pytest.approx(1, abs=0.005)
    assert found.row_variance == pytest.approx(0, abs=4 * found.row_error)
    assert 0 < found.row_error < 2
    assert abs(found.vertical_lag_one) < 0.03
    assert found.shift is None
    # A Gaussian of two pixels leaves 1 / (16 pi) of the variance in the local mean.
    share = (found.variance / (16 * np.pi)) ** 0.5
    assert found.mean_error == pytest.approx(share, rel=1e-6)


def test_grey_levels_are_those_of_the_range_whatever_the_data_type() -> None:
    eight = np.clip(np.rint(scan(1, ramp())), 0, 255).astype(np.uint8)
    sixteen = 100 * eight.astype(np.uint16) + 7
    exact = measure_picture(eight.astype(np.float32), RANGE)
    for pixels, unit in ((eight, 1.0), (sixteen, 0.01)):
        low = 0 if pixels is eight else 7
        intensity = given_range(low, low + 255 / unit)
        found = measure_picture(pixels, intensity)
        assert found.mean == pytest.approx(exact.mean, rel=1e-5)
        assert found.variance == pytest.approx(exact.variance - unit**2 / 12, rel=1e-3)
    assert_same(measure_picture(eight), measure_picture(eight, RANGE))


def test_a_slope_and_a_step_do_not_count_as_noise() -> None:
    step = np.where(np.arange(SIDE)[:, None] < SIDE / 2, 60.0, 180.0) + 0.2 * np.arange(SIDE)
    found = measure_picture((step + 4 * white(2)).astype(np.float32), RANGE)
    assert found.variance == pytest.approx(16, rel=0.15)
    assert found.variance.mean() == pytest.approx(16, rel=0.03)
    assert found.flat_share == pytest.approx(1 - 14 / SIDE, abs=0.04)


def test_only_the_flat_part_of_a_picture_is_measured() -> None:
    field = np.full((SIDE, SIDE), 110.0)
    field[:, : SIDE // 2] = rough((SIDE, SIDE // 2))
    found = measure_picture((field + 6 * white(3)).astype(np.float32), RANGE)
    assert found.flat_share == pytest.approx(0.5, abs=0.05)
    assert found.mean == pytest.approx(110, abs=6)
    assert found.variance.mean() == pytest.approx(36, rel=0.04)


def test_the_middle_of_a_large_picture_is_measured() -> None:
    for shape, cut in (((1700, 80), np.s_[82:1618, :]), ((80, 1700), np.s_[:, 82:1618])):
        image = 120 + 5 * white(4, shape).astype(np.float32)
        outside = np.ones(shape, bool)
        outside[cut] = False
        image[outside] *= 1.5
        assert_same(measure_picture(image, RANGE), measure_picture(image[cut], RANGE))


def test_offsets_of_rows_and_a_slow_detector_are_told_from_the_noise() -> None:
    noise = white(5, (256, 256))
    for column in range(1, 256):
        noise[:, column] = 0.5 * noise[:, column - 1] + np.sqrt(0.75) * noise[:, column]
    image = 120 + 8 * noise + 5 * white(6, (256, 1))
    found = measure_picture(image.astype(np.float32), RANGE)
    assert found.variance.mean() == pytest.approx(64, rel=0.08)
    assert found.covariance.mean() == pytest.approx(32, rel=0.1)
    assert found.row_variance == pytest.approx(25, abs=4 * found.row_error)
    assert found.along_x[:3] == pytest.approx([1, 0.5, 0.25], abs=0.04)
    assert found.flat_share > 0.9


def test_correlation_is_that_of_noise_of_one_strength_and_no_texture() -> None:
    noise = white(11)
    for column in range(1, SIDE):
        noise[:, column] = 0.6 * noise[:, column - 1] + 0.8 * noise[:, column]
    field = np.broadcast_to(np.where(np.arange(SIDE) < SIDE / 2, 60.0, 190.0), noise.shape)
    field = ndimage.gaussian_filter1d(field, 8, axis=1)
    found = measure_picture((field + (field / 20) * noise).astype(np.float32), RANGE)
    assert found.along_x[:4] == pytest.approx(0.6 ** np.arange(4), abs=0.05)
    assert found.flat_share > 0.95
    across = measure_picture((120 + 6 * noise.T).astype(np.float32), RANGE)
    assert across.flat_share < 0.9


def test_the_rounding_of_a_short_scale_is_no_noise() -> None:
    for low in (0, 60, 180):
        image = np.rint(low + 30 + 2 * white(12)).astype(np.uint8)
        intensity = given_range(low, low + 51)
        whole, exact = (measure_picture(each, intensity) for each in (image, image.astype(float)))
        assert exact.variance - whole.variance == pytest.approx(25 / 12, rel=1e-3)


def test_a_filter_along_y_shows_in_the_table() -> None:
    smooth = ndimage.convolve1d(white(7), np.array([1.0, 0.25]), axis=0)
    found = measure_picture((120 + 6 * smooth).astype(np.float32), RANGE)
    assert found.vertical_lag_one == pytest.approx(0.25 / (1 + 0.25**2), abs=0.04)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("end", ["black", "white"])
def test_what_is_cut_off_at_the_end_of_the_scale_is_left_out(end: str, dtype: type) -> None:
    """Twelve bits in sixteen, and floats, end at a value of their own."""
    field = ramp().copy()
    field[: SIDE // 2] = 3 if end == "black" else 252
    image = np.clip(np.rint(field + 6 * white(8)), 0, 255)
    found = measure_picture(image.astype(dtype), RANGE)
    assert found.variance == pytest.approx(36, rel=0.2)
    assert found.mean.min() > 18
    assert found.mean.max() < 237
    assert found.flat_share < 0.6


@pytest.mark.parametrize("level", [25, 230])
def test_few_pixels_at_an_end_are_cut_off_where_the_data_type_ends_there(level: int) -> None:
    whole = np.clip(np.rint(level + 7.5 * white(9)), 0, 255).astype(np.uint8)
    at_end = np.count_nonzero((whole == 0) | (whole == 255))
    assert 0 < at_end < 1e-3 * whole.size
    lost, kept = (measure_picture(pixels, RANGE) for pixels in (whole, whole.astype(np.float32)))
    assert kept.flat_share == pytest.approx(1, abs=0.005)
    # The filter looks at two pixels up and down, and one to each side is left out with it.
    expected = at_end * 15 / whole.size
    assert kept.flat_share - lost.flat_share == pytest.approx(expected, abs=0.3 * expected)
    assert kept.variance.mean() == pytest.approx(7.5**2 + 1 / 12, rel=0.03)


def test_pixels_without_a_value_are_left_out_and_the_rest_is_as_before() -> None:
    image = scan(10, ramp())
    known = measure_picture(image, RANGE)
    image[50:60, 70:80] = np.nan
    image[0, 0] = np.inf
    found = measure_picture(image, RANGE)
    assert found.variance == pytest.approx(known.variance, rel=0.05)
    assert 100 < (known.flat_share - found.flat_share) * image.size < 500


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_what_is_cut_off_is_seen_beside_a_pixel_without_a_value(missing: float) -> None:
    field = ramp().copy()
    field[: SIDE // 2] = 3
    image = np.clip(field + 6 * white(8), 0, 255).astype(np.float32)
    known = measure_picture(image, RANGE)
    image[100, 100] = missing
    found = measure_picture(image, RANGE)
    assert found.flat_share == pytest.approx(known.flat_share, abs=0.002)
    assert found.mean.min() > 18


def test_a_picture_without_any_value_is_refused() -> None:
    with pytest.raises(ImageError, match="black or white"):
        measure_picture(np.full((64, 64), np.nan), RANGE)


def test_pictures_that_show_no_noise_are_refused_with_the_reason() -> None:
    with pytest.raises(ImageError, match="64 × 64"):
        measure_picture(np.zeros((63, 64), np.uint8))
    with pytest.raises(ImageError, match="64 × 64"):
        measure_picture(np.zeros((2, 64, 64), np.uint8))
    with pytest.raises(ImageError, match="few flat places"):
        measure_picture((40.0 * white(11) ** 3 * (white(12) > 1)).astype(np.float32), RANGE)
    clipped = np.where(white(13) > 0, 0, 255).astype(np.uint8)
    with pytest.raises(ImageError, match="black or white"):
        measure_picture(clipped, RANGE)
    assert measure_picture(scan(14, ramp((64, 64))), RANGE).variance.mean() > 30


# ----- two frames ------------------------------------------------------------------------------


def test_structure_drops_out_of_two_frames() -> None:
    field = 120 + 220 * ndimage.gaussian_filter(white(0), 4)
    assert field.std() > 8
    one, two = ((field + 5 * white(seed)).astype(np.float32) for seed in (1, 2))
    found = measure_pair(one, two, RANGE)
    assert found.variance.mean() == pytest.approx(25, rel=0.06)
    assert found.shift == pytest.approx((0, 0), abs=0.3)
    # Of one frame, fewer places are flat enough.
    assert found.flat_share > 1.2 * measure_picture(one, RANGE).flat_share
    # The mean of two frames has half the noise of one.
    share = (found.variance / (32 * np.pi)) ** 0.5
    assert found.mean_error == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("drift", [(3, -5), (-4, 2), (0, 6)])
def test_frames_that_drifted_are_laid_over_one_another(drift: tuple[int, int]) -> None:
    y, x = drift
    field = ramp((256, 256)) + 0.15 * rough((256, 256))
    one = scan(1, field[20 : 20 + SIDE, 20 : 20 + SIDE])
    two = scan(2, field[20 + y : 20 + y + SIDE, 20 + x : 20 + x + SIDE])
    found = measure_pair(one, two, RANGE)
    assert found.shift == pytest.approx((y, x), abs=0.3)
    here = one[max(y, 0) : SIDE + min(y, 0), max(x, 0) : SIDE + min(x, 0)]
    there = two[max(-y, 0) : SIDE - max(y, 0), max(-x, 0) : SIDE - max(x, 0)]
    assert_same(found, measure_pair(here, there, RANGE))


def test_black_in_either_frame_is_left_out() -> None:
    field = ramp().copy()
    field += rough(field.shape) * 0.02
    one, two = (np.rint(scan(seed, field)).astype(np.uint8) for seed in (3, 4))
    known = measure_pair(one, two, RANGE).flat_share
    for frame in (one, two):
        blackened = frame.copy()
        blackened[40:60, 40:60] = 0
        pair = (blackened, two) if frame is one else (one, blackened)
        found = measure_pair(*pair, RANGE)
        assert found.flat_share < known - 400 / SIDE**2
        assert found.variance == pytest.approx(0.5 * found.mean + 5, rel=0.2)


def test_both_frames_share_one_range_and_the_rounding_of_one() -> None:
    field = ramp() * 0.6 + 0.1 * rough((SIDE, SIDE))
    one, two = (np.rint(0.2 * scan(seed, field) + 60).astype(np.uint8) for seed in (5, 6))
    low, high = (float(f(np.stack([one, two]))) for f in (np.min, np.max))
    assert measure_pair(one, two).variance.shape == measure_pair(two, one).variance.shape
    intensity = given_range(60, 60 + 51)
    found = measure_pair(one, two, intensity)
    # A step is 5 grey levels of 255: rounding adds a twelfth of its square to each frame.
    assert found.variance == pytest.approx(0.5 * found.mean + 5, rel=0.25)
    assert np.mean(found.variance / (0.5 * found.mean + 5)) == pytest.approx(1, abs=0.06)
    assert low < 75 < 90 < high


def test_frames_that_are_no_pair_are_refused() -> None:
    one = scan(7, ramp())
    with pytest.raises(ImageError, match="alike"):
        measure_pair(one, one[:-2])
    with pytest.raises(ImageError, match="alike"):
        measure_pair(one, one.astype(np.float64))
    with pytest.raises(ImageError, match="same picture"):
        measure_pair(one, one.copy())


def test_the_middle_of_large_frames_is_measured() -> None:
    field = np.zeros((1600, 96)) + 0.2 * rough((1600, 96)) + 90
    one, two = (scan(seed, field) for seed in (8, 9))
    found = measure_pair(one, two, RANGE)
    assert_same(found, measure_pair(one[32:1568], two[32:1568], RANGE))


# ----- a residual ------------------------------------------------------------------------------


def test_a_residual_is_measured_by_the_grey_level_of_its_guide() -> None:
    guide = ramp()
    residual = np.sqrt(0.5 * guide + 5) * white(1)
    everywhere = np.ones(guide.shape, bool)
    found = measure_residual(residual, guide, everywhere)
    assert found.variance == pytest.approx(0.5 * found.mean + 5, rel=0.15)
    (gain, floor), _ = fit_line(found)
    assert (gain, floor) == (pytest.approx(0.5, abs=0.08), pytest.approx(5, abs=8))
    assert found.flat_share == 1
    assert set(found.mean_error) == {0.0}
    assert found.row_variance == pytest.approx(0, abs=4 * found.row_error)
    assert abs(found.vertical_lag_one) < 0.03
    assert found.along_x[0] == 1
    assert set(found.along_x[2:]) == {0.0}


def test_offsets_and_correlation_of_a_residual_are_found() -> None:
    noise = white(2)
    for column in range(1, SIDE):
        noise[:, column] = 0.5 * noise[:, column - 1] + np.sqrt(0.75) * noise[:, column]
    residual = 8 * noise + 5 * white(3, (SIDE, 1))
    found = measure_residual(residual, np.full(noise.shape, 100.0), np.ones(noise.shape, bool))
    assert found.variance.mean() == pytest.approx(64, rel=0.08)
    assert found.row_variance == pytest.approx(25, abs=4 * found.row_error)
    assert found.along_x[:3] == pytest.approx([1, 0.5, 0.25], abs=0.05)
    smooth = ndimage.convolve1d(white(4), np.array([0.5, 0.5]), axis=0)
    across = measure_residual(smooth, np.full(noise.shape, 100.0), np.ones(noise.shape, bool))
    assert across.vertical_lag_one == pytest.approx(0.5, abs=0.05)


def test_pixels_of_a_residual_that_cannot_be_used_do_not_matter() -> None:
    residual, guide = 7 * white(4), ramp()
    usable = white(5) < 2
    spoilt = np.where(usable, residual, 1e4 * white(6))
    found = measure_residual(spoilt, guide, usable)
    assert found.variance.mean() == pytest.approx(49, rel=0.05)
    # All five pixels that the filter looks at must be usable.
    assert found.flat_share == pytest.approx(usable.mean() ** 5, abs=0.01)
    rows = usable.copy()
    rows[:100] = False
    found = measure_residual(np.where(rows, residual, 1e4), guide, rows)
    assert found.variance.mean() == pytest.approx(49, rel=0.05)


def test_a_residual_is_too_small_or_hardly_usable() -> None:
    guide, usable = np.full((64, 64), 90.0), np.ones((64, 64), bool)
    residual = white(7, (64, 64))
    assert measure_residual(residual, guide, usable).variance.mean() == pytest.approx(1, rel=0.1)
    with pytest.raises(ImageError, match="flat"):
        measure_residual(residual[:63], guide[:63], usable[:63])
    for rows, is_enough in ((33, True), (32, False)):
        few = usable.copy()
        few[rows:] = False
        few[rows - 1, 44:] = False
        if is_enough:
            assert measure_residual(residual, guide, few).flat_share > 0.4
        else:
            with pytest.raises(ImageError, match="black or white"):
                measure_residual(residual, guide, few)


def test_the_middle_of_a_large_residual_is_measured() -> None:
    residual, guide = 5 * white(8, (70, 1600)), ramp((70, 1600))
    usable = white(9, residual.shape) < 2.5
    cut = np.s_[:, 32:1568]
    assert_same(
        measure_residual(residual, guide, usable),
        measure_residual(residual[cut], guide[cut], usable[cut]),
    )

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_semnet.errors import ImageError
from napari_semnet.imaging.phantom import acquire, particles, step_edge
from napari_semnet.imaging.quality import (
    edge_width,
    mean_bias,
    noise_sigma,
    psnr,
    radial_power_spectrum,
    ssim,
)


def _noise(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


def _pair(seed: int, dtype: type) -> tuple[NDArray[np.generic], NDArray[np.generic], float]:
    generator = np.random.default_rng(seed)
    data_range = {np.uint8: 255.0, np.uint16: 65535.0, np.float64: 1.0}[dtype]
    one = generator.uniform(0, data_range, (40, 33))
    other = np.clip(one + 0.1 * data_range * generator.standard_normal((40, 33)), 0, data_range)
    return one.astype(dtype), other.astype(dtype), data_range


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_psnr_and_ssim_equal_scikit_image(dtype: type, seed: int) -> None:
    one, other, data_range = _pair(seed, dtype)
    assert psnr(one, other, data_range) == pytest.approx(
        peak_signal_noise_ratio(other, one, data_range=data_range), rel=1e-12
    )
    assert ssim(one, other, data_range) == pytest.approx(
        structural_similarity(
            one,
            other,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        ),
        rel=1e-12,
    )


def test_psnr_and_ssim_of_equal_pictures_are_perfect() -> None:
    image = np.arange(400, dtype=np.uint16).reshape(20, 20)
    assert psnr(image, image, 65535) == math.inf
    assert ssim(image, image, 65535) == pytest.approx(1)


def test_psnr_of_a_known_error_is_its_formula() -> None:
    reference = np.full((20, 30), 100, np.uint8)
    assert psnr(reference + np.uint8(5), reference, 255) == pytest.approx(20 * math.log10(51))


def test_pictures_that_cannot_be_compared_are_refused() -> None:
    square = np.zeros((16, 16), np.uint8)
    with pytest.raises(ImageError, match="different sizes"):
        psnr(square, square[:8], 255)
    with pytest.raises(ImageError, match="11 x 11"):
        ssim(square[:10], square[:10], 255)
    assert ssim(square[:11, :11], square[:11, :11], 255) == 1
    with pytest.raises(ImageError, match="single grey"):
        psnr(np.zeros((3, 16, 16)), np.zeros((3, 16, 16)), 1)


def test_mean_bias_is_signed_and_takes_pictures_of_two_sizes() -> None:
    dark, bright = np.full((10, 10), 20, np.uint8), np.full((20, 20), 24, np.uint8)
    assert mean_bias(bright, dark) == 4
    assert mean_bias(dark, bright) == -4


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0, 15.0, 25.0])
def test_noise_of_a_flat_8_bit_picture_is_found_within_5_percent(sigma: float) -> None:
    image = np.clip(np.rint(128 + sigma * _noise((256, 256))), 0, 255).astype(np.uint8)
    with_rounding = math.hypot(sigma, math.sqrt(1 / 12))
    assert noise_sigma(image) == pytest.approx(with_rounding, rel=0.05)


def test_noise_scales_with_the_grey_levels_of_the_input() -> None:
    image = _noise((128, 128))
    assert noise_sigma(257 * image) == pytest.approx(257 * noise_sigma(image))


def test_noise_is_found_whatever_integers_the_picture_is_made_of() -> None:
    image = 0.5 + 0.05 * _noise((128, 128))
    for dtype in (np.uint8, np.uint16, np.int32, np.uint32):
        largest = float(np.iinfo(dtype).max)
        found = noise_sigma(np.rint(largest * image).astype(dtype))
        assert found / largest == pytest.approx(noise_sigma(image), rel=0.01), dtype


def test_edges_and_texture_do_not_pass_for_noise() -> None:
    truth = 255 * particles((160, 160), 3).truth.astype(np.float64)
    noisy = truth + 8 * _noise(truth.shape)
    assert noise_sigma(noisy) == pytest.approx(8, rel=0.08)
    # A plain median over all of the picture would say more.
    steps = ndimage.convolve(noisy, np.outer([1, -2, 1], [1, -2, 1]))
    assert noise_sigma(noisy) < np.median(np.abs(steps)) / (6 * 0.67449)


def test_saturated_areas_do_not_hide_the_noise() -> None:
    grey = 128 + 10 * _noise((128, 128))
    grey[:, :90] = 255
    assert noise_sigma(np.clip(np.rint(grey), 0, 255).astype(np.uint8)) == pytest.approx(
        10, rel=0.1
    )
    with pytest.raises(ImageError, match="black or white"):
        noise_sigma(np.zeros((32, 32), np.uint8))


def test_a_real_picture_gains_the_noise_that_is_added(shared: Path) -> None:
    path = sorted((shared / "sem-images" / "val").glob("*.png"))[0]
    image = np.asarray(Image.open(path)).astype(np.float64)[:512, :512]
    own = noise_sigma(image)
    more = noise_sigma(image + 20 * _noise(image.shape))
    assert more == pytest.approx(math.hypot(own, 20), rel=0.08)


@pytest.mark.parametrize("angle", [5.0, 12.0, 85.0, 185.0, -40.0])
@pytest.mark.parametrize(("levels", "per_sigma"), [((0.2, 0.8), 1.683), ((0.1, 0.9), 2.563)])
def test_edge_width_of_a_gaussian_blur_is_its_formula(
    angle: float, levels: tuple[float, float], per_sigma: float
) -> None:
    sharp = step_edge((60, 70), 2, angle_deg=angle).truth.astype(np.float64)
    blurred = ndimage.gaussian_filter(sharp, 2.0, mode="nearest")
    # The truth is averaged over each pixel, which blurs it a little by itself.
    expected = per_sigma * math.sqrt(2.0**2 + 1 / 12)
    assert edge_width(blurred, angle_deg=angle, levels=levels) == pytest.approx(expected, rel=0.03)
    assert edge_width(blurred, levels=levels) == pytest.approx(expected, rel=0.03)


def test_noise_hardly_changes_an_edge_width() -> None:
    sharp = 255 * step_edge((100, 140), 2).truth.astype(np.float64)
    blurred = ndimage.gaussian_filter(sharp, 2.0, mode="nearest")
    noisy = blurred + 15 * _noise(blurred.shape)
    assert edge_width(noisy, angle_deg=5.0) == pytest.approx(
        edge_width(blurred, angle_deg=5.0), rel=0.08
    )


def test_a_wider_blur_gives_a_wider_edge_on_an_acquired_picture() -> None:
    edge = step_edge((100, 140), 2)
    widths = [edge_width(acquire(edge, 100, 3, blur=blur)) for blur in (0.5, 3.0, 6.0)]
    assert widths == sorted(widths)
    assert widths[2] > 2 * widths[0]


@pytest.mark.parametrize(
    "image",
    [
        np.full((40, 40), 7.0),
        _noise((40, 40)),
        step_edge((20, 20), position_px=19.0).truth,
        100.0 * (np.add.outer(0.1 * np.arange(64), np.arange(64)) // 8 % 2) + np.arange(64),
    ],
    ids=["flat", "noise", "edge at the border", "many edges"],
)
def test_a_picture_without_an_edge_is_refused(image: NDArray[np.float64]) -> None:
    with pytest.raises(ImageError, match="edge"):
        edge_width(image)


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    frequency, power = radial_power_spectrum(3 * _noise((256, 200)) + 100)
    assert frequency[0] == 1 / 200
    assert frequency[-1] == 0.5
    # A ring of few frequencies scatters; the outer ones are averages of hundreds.
    assert power[40:] == pytest.approx(9, rel=0.3)
    assert power[10:].mean() == pytest.approx(9, rel=0.03)
    # Nothing of the mean of 100 is left beside the lowest frequency.
    assert power[:4].max() < 90


def test_a_wave_shows_at_its_frequency() -> None:
    wave = np.sin(2 * np.pi * np.arange(128) / 8)[None, :] + np.zeros((128, 1))
    frequency, power = radial_power_spectrum(wave)
    assert frequency[power.argmax()] == pytest.approx(1 / 8)

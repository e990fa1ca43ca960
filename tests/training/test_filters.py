"""Filters with one kernel a sample, against scipy's and torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from scipy import ndimage

from napari_semnet.training import filters


def pictures(count: int, rows: int, columns: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, rows, columns, generator=torch.Generator().manual_seed(seed))


def kernels() -> np.ndarray:
    major, minor = np.array([0.0, 1.0, 2.4, 2.4]), np.array([0.0, 1.0, 2.4, 0.9])
    return filters.gaussian_kernels(major, minor, np.array([0.0, 0.3, 0.0, 0.7]), 9)


def test_gaussian_kernels_have_the_sum_width_and_direction_asked_for() -> None:
    made = kernels().astype(np.float64)
    assert made.sum(axis=(1, 2)).tolist() == pytest.approx([1] * 4)
    axis = np.arange(-9, 10)
    xx, yy = (made * axis**2).sum(axis=(1, 2)), (made * axis[:, None] ** 2).sum(axis=(1, 2))
    xy = (made * axis * axis[:, None]).sum(axis=(1, 2))
    assert (made[0] > 0).sum() == 1
    # Cutting at 3.5 standard deviations takes 1.4 % of the variance.
    assert xx[1] == pytest.approx(1.0, rel=0.025)
    assert xx[2] == pytest.approx(2.4**2, rel=0.025)
    assert yy[2] == pytest.approx(xx[2], rel=1e-6)
    assert abs(xy[2]) < 1e-9
    matrix = np.array([[xx[3], xy[3]], [xy[3], yy[3]]])
    widths, directions = np.linalg.eigh(matrix)
    assert np.sqrt(widths).tolist() == pytest.approx([0.9, 2.4], rel=0.025)
    angle = np.arctan2(directions[1, 1], directions[0, 1]) % np.pi
    assert angle == pytest.approx(0.7, abs=0.02)


def test_filtering_is_correlation_with_mirrored_borders() -> None:
    images, made = pictures(4, 21, 26), kernels()
    filtered = filters.filter_each(images, torch.from_numpy(made)).numpy()
    for one, image, kernel in zip(filtered, images.numpy(), made, strict=True):
        exact = ndimage.correlate(image[0].astype(np.float64), kernel, mode="mirror")
        assert np.abs(one[0] - exact).max() < 1e-6


def test_the_two_ways_of_filtering_agree() -> None:
    padded, made = pictures(4, 30, 36), torch.from_numpy(kernels())
    one = filters._filter_one_by_one(padded, made)
    other = filters._filter_row_by_row(padded, made)
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_blur_takes_the_noise_it_should() -> None:
    sigma = 1.5
    kernel = filters.gaussian_kernels(*(np.array([value]) for value in (sigma, sigma, 0.0)), 6)
    noise = pictures(1, 300, 300) - 0.5
    blurred = filters.filter_each(noise, torch.from_numpy(kernel))
    # White noise through a Gaussian keeps 1 / (4 pi sigma^2) of its variance.
    share = float(blurred.var() / noise.var())
    assert share == pytest.approx(1 / (4 * np.pi * sigma**2), rel=0.05)


def resized(images: torch.Tensor, size: int, kernel: str, axis: int) -> torch.Tensor:
    count, before = len(images), images.shape[axis]
    taps = filters.resampling_taps(
        np.full(count, before), np.full(count, size), np.full(count, kernel), size
    )
    return filters.resample(images, taps, axis)


@pytest.mark.parametrize(("kernel", "mode"), [("linear", "bilinear"), ("cubic", "bicubic")])
@pytest.mark.parametrize("size", [13, 24, 31, 48])
def test_interpolation_is_that_of_image_libraries(kernel: str, mode: str, size: int) -> None:
    images = pictures(2, 24, 24)
    mine = resized(resized(images, size, kernel, 2), size, kernel, 3)
    other = functional.interpolate(images, (size, size), mode=mode, align_corners=False)
    torch.testing.assert_close(mine, other, atol=2e-5, rtol=0)


def test_area_resampling_keeps_the_mean_and_averages_whole_blocks() -> None:
    images = pictures(1, 24, 24)
    exact = functional.avg_pool2d(images, (2, 1))
    torch.testing.assert_close(resized(images, 12, "area", 2), exact, atol=1e-6, rtol=0)
    for size in (9, 14, 23):
        shrunk = resized(images, size, "area", 3)
        assert float(shrunk.mean()) == pytest.approx(float(images.mean()), rel=1e-5)


def test_samples_of_one_batch_may_have_sizes_of_their_own() -> None:
    images = pictures(3, 20, 20)
    sizes, names = np.array([11, 20, 37]), np.array(["area", "cubic", "linear"])
    taps = filters.resampling_taps(np.full(3, 20), sizes, names, 37)
    together = filters.resample(images, taps, 3)
    for i, (size, name) in enumerate(zip(sizes, names, strict=True)):
        alone = resized(images[i : i + 1], int(size), str(name), 3)
        assert torch.equal(together[i : i + 1, ..., :size], alone)


@pytest.mark.parametrize(
    ("outer", "mode", "antialias"),
    [(0.0, "bilinear", False), (0.125, "bilinear", True), (-0.09375, "bicubic", False)],
    ids=["area", "triangle", "cubic"],
)
def test_halving_is_that_of_image_libraries(outer: float, mode: str, antialias: bool) -> None:
    images = pictures(1, 24, 32)
    mine = filters.downsample(images, torch.full((1, 1, 1, 1), outer))
    other = functional.interpolate(
        images, scale_factor=0.5, mode=mode, antialias=antialias, align_corners=False
    )
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(mine[inner], other[inner], atol=1e-6, rtol=0)


def test_rows_move_by_whole_pixels_exactly() -> None:
    images = pictures(1, 3, 20)
    moved = filters.shift_rows(images, torch.tensor([[0.0, 2.0, -3.0]]))[0, 0]
    before = images[0, 0]
    assert torch.equal(moved[0], before[0])
    assert torch.equal(moved[1, 2:], before[1, :-2])
    assert torch.equal(moved[2, :-3], before[2, 3:])


@pytest.mark.parametrize("shift", [0.25, -0.6, 1.5])
def test_rows_move_by_parts_of_a_pixel(shift: float) -> None:
    x = torch.arange(80, dtype=torch.float32)
    wave = torch.sin(2 * torch.pi * x / 16).view(1, 1, 1, -1)
    moved = filters.shift_rows(wave, torch.tensor([[shift]]))[0, 0, 0]
    exact = torch.sin(2 * torch.pi * (x - shift) / 16)
    assert float((moved - exact)[4:-4].abs().max()) < 0.005

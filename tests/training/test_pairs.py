from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_semnet.errors import TrainingError
from napari_semnet.training.pairs import join_pair, seems_swapped
from tests.training.runs import scene

BIG = scene(3, 400, 420)


def view(y: float, x: float, rows: int = 256, columns: int = 272) -> np.ndarray:
    """Part of one specimen, from a corner that need not be on a pixel."""
    return ndimage.shift(BIG, (-y, -x), order=3)[:rows, :columns]


def halved(pixels: np.ndarray) -> np.ndarray:
    rows, columns = pixels.shape
    return pixels.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))


def noisy(pixels: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return pixels + np.random.default_rng(seed).normal(0, sigma, pixels.shape)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.4, -5.2), (-2.7, 0.6)])
def test_a_shifted_pair_is_registered_to_a_part_of_a_pixel(shift: tuple[float, float]) -> None:
    low = noisy(halved(view(20, 20)), 0.05)
    high = view(20 + shift[0], 20 + shift[1])
    pair = join_pair(low, high)
    # The good picture starts further down, so it has to move down: half, in poor pixels.
    assert pair.shift == pytest.approx((shift[0] / 2, shift[1] / 2), abs=0.06)
    assert pair.high.shape == (2 * pair.low.shape[0], 2 * pair.low.shape[1])
    residual = pair.low - halved(pair.high)
    assert residual[4:-4, 4:-4].std() == pytest.approx(0.05, rel=0.05)


def test_gain_and_offset_of_the_good_picture_are_matched_to_the_poor_one() -> None:
    high = view(10, 10)
    pair = join_pair(noisy(0.6 * halved(high) + 0.2, 0.05), high)
    assert pair.gain == pytest.approx(0.6, rel=0.02)
    assert pair.offset == pytest.approx(0.2, abs=0.01)


def test_pictures_of_equal_size_give_a_poor_one_of_half_the_pixels() -> None:
    high = view(10, 10)
    pair = join_pair(noisy(high, 0.1), high)
    assert pair.low.shape == (high.shape[0] // 2, high.shape[1] // 2)
    assert (pair.low - halved(pair.high))[4:-4, 4:-4].std() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_a_pair_the_wrong_way_round_is_told_from_a_good_one(seed: int) -> None:
    slow, fast = noisy(view(10, 10), 0.02), noisy(view(10, 10), 0.1, seed + 1)
    for low, high, wrong in ((fast, slow, False), (slow, fast, True), (slow, slow, False)):
        pair = join_pair(low, high)
        assert seems_swapped(pair.low, pair.high) is wrong


def test_what_is_too_small_or_saturated_is_not_called_swapped() -> None:
    assert not seems_swapped(np.zeros((6, 6)), np.ones((12, 12)))
    assert not seems_swapped(np.ones((64, 64)), np.ones((128, 128)))


def test_drift_within_the_scan_is_refused() -> None:
    high = view(10, 10)
    rows = np.arange(high.shape[0])[:, None] + np.zeros(high.shape)
    columns = np.arange(high.shape[1])[None, :] + 12.0 * rows / len(high)
    drifted = ndimage.map_coordinates(high, (rows, columns), order=3, mode="reflect")
    with pytest.raises(TrainingError, match="drifted"):
        join_pair(noisy(halved(drifted), 0.02), high)


def test_another_field_is_refused() -> None:
    other = scene(99, 256, 272)
    with pytest.raises(TrainingError, match=r"not show the same|drifted|laid over"):
        join_pair(halved(view(10, 10)), other)


def test_inverted_contrast_is_refused() -> None:
    high = view(10, 10, 100, 120)
    with pytest.raises(TrainingError, match=r"do not show the same|laid over"):
        join_pair(halved(high), 1 - high)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TrainingError, match="60 x 50 and 90 x 75 pixels"):
        join_pair(np.zeros((50, 60)), np.zeros((75, 90)))


def test_equally_noisy_frames_keep_their_contrast() -> None:
    clean = 0.5 + 0.03 * (scene(3, 256, 256) - 0.5) / scene(3, 256, 256).std()
    frames = (noisy(clean, 0.1, seed) for seed in (1, 2))
    assert join_pair(*frames, equally_noisy=True).gain == pytest.approx(1, abs=0.04)


def emptied(rows: slice, columns: slice, level: float = 0.3) -> np.ndarray:
    pixels = scene(3, 512, 512)
    pixels[rows, columns] = level
    return pixels


@pytest.mark.parametrize(
    "high",
    [
        emptied(slice(0, 256), slice(0, 256)),
        emptied(slice(0, 280), slice(0, 280)),
        emptied(slice(0, 280), slice(0, 280), level=0.0),
        emptied(slice(0, 270), slice(None)),
    ],
    ids=["a quarter", "more", "black", "half"],
)
def test_a_field_with_an_empty_part_is_a_good_pair(high: np.ndarray) -> None:
    pair = join_pair(noisy(halved(high), 0.05), noisy(high, 0.01, seed=1))
    assert pair.shift == pytest.approx((0, 0), abs=0.06)


def test_drift_is_seen_beside_an_empty_quarter() -> None:
    high = emptied(slice(0, 256), slice(0, 256))
    rows = np.arange(len(high))[:, None] + np.zeros(high.shape)
    columns = np.arange(high.shape[1])[None, :] + 12.0 * rows / len(high)
    drifted = ndimage.map_coordinates(high, (rows, columns), order=3, mode="reflect")
    with pytest.raises(TrainingError, match="drifted"):
        join_pair(noisy(halved(drifted), 0.02), high)

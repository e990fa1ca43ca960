from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_semnet.imaging.consistency import check_consistency
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import block_mean
from napari_semnet.imaging.projection import make_consistent, projected_bands, shift_blocks

SPECIMEN = particles((192, 224), 3)
IMAGE = acquire(SPECIMEN)
TRUTH = 255 * SPECIMEN.truth


def error(picture: np.ndarray) -> float:
    return float(np.sqrt(np.mean((picture.astype(float) - TRUTH) ** 2)))


def test_the_mean_of_four_pixels_is_the_denoised_input_to_half_a_grey_level() -> None:
    restored = np.rint(ndimage.gaussian_filter(TRUTH, 3)).astype(np.uint8)
    for band in projected_bands(IMAGE, restored):
        assert np.abs(block_mean(band.pixels) - band.wanted).max() <= 0.5


def test_detail_that_was_removed_comes_back() -> None:
    restored = np.rint(ndimage.gaussian_filter(TRUTH, 3)).astype(np.uint8)
    assert error(make_consistent(IMAGE, restored)) < 0.75 * error(restored)


def test_a_restoration_that_removed_only_noise_is_left_nearly_alone() -> None:
    restored = np.rint(TRUTH).astype(np.uint8)
    changed = make_consistent(IMAGE, restored).astype(int) - restored
    assert np.sqrt(np.mean(changed**2)) < 1


def test_a_change_of_brightness_is_taken_back() -> None:
    restored = np.rint(TRUTH).astype(np.uint8) + np.uint8(6)
    found = check_consistency(IMAGE, make_consistent(IMAGE, restored))
    assert abs(found.mean_shift) < 0.3


def test_bands_differ_only_near_their_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    restored = np.rint(ndimage.gaussian_filter(TRUTH, 3)).astype(np.uint8)
    whole = make_consistent(IMAGE, restored)
    monkeypatch.setattr("napari_semnet.imaging.consistency.BAND_ROWS", 96)
    banded = make_consistent(IMAGE, restored)
    away = np.abs(np.arange(len(whole)) - 192) > 20
    assert np.abs(banded[away].astype(int) - whole[away]).max() <= 1


@given(
    st.lists(st.integers(0, 255), min_size=4, max_size=4),
    st.floats(-300, 300, allow_nan=False),
)
def test_means_move_as_asked_and_stay_in_range(values: list[int], shift: float) -> None:
    block = np.array(values, float).reshape(2, 2)
    moved = shift_blocks(block, np.array([[shift]]), 0, 255)
    assert moved.min() >= 0
    assert moved.max() <= 255
    assert moved.mean() == pytest.approx(np.clip(block.mean() + shift, 0, 255), abs=1e-9)

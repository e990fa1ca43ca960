from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_semnet.imaging.consistency import check_consistency
from napari_semnet.imaging.intensity import measure_range
from napari_semnet.imaging.noise_level import NoiseLevel, measure_noise
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


@pytest.mark.parametrize("rows", [32, 64, 96, 160])
def test_bands_make_no_difference(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its brightness drifts, so that no two bands are wrong by the same amount.
    drift = np.linspace(0, 12, len(TRUTH))[:, None]
    restored = np.stack([ndimage.gaussian_filter(TRUTH, 3) - drift, TRUTH + drift])
    images = np.stack([IMAGE, IMAGE])
    whole = make_consistent(images, restored)
    monkeypatch.setattr("napari_semnet.imaging.consistency.BAND_ROWS", rows)
    np.testing.assert_allclose(make_consistent(images, restored), whole, rtol=0, atol=1e-9)


def test_stacks_of_floating_point_are_made_consistent_slice_by_slice() -> None:
    images = np.stack([IMAGE, IMAGE[::-1]])[None].astype(np.float32)
    restored = np.stack([TRUTH, TRUTH[::-1]])[None].astype(np.float32) + np.float32(6.25)
    bands = list(projected_bands(images, restored))
    assert bands[-1].done == 1
    assert [band.done for band in bands] == sorted(band.done for band in bands)
    slices = [tuple(each.start for each in band.where[:2]) for band in bands]
    assert sorted(set(slices)) == [(0, 0), (0, 1)]
    assert all(each.stop == each.start + 1 for band in bands for each in band.where[:2])
    consistent = make_consistent(images, restored)
    assert (consistent.shape, consistent.dtype) == (restored.shape, np.float32)
    assert (consistent - restored).mean(axis=(2, 3)) == pytest.approx(
        np.full((1, 2), -6.25), abs=0.3
    )
    # What one slice becomes does not depend on the others.
    alone = make_consistent(images[0, 0], restored[0, 0], measure_range(images), noise())
    assert np.array_equal(make_consistent(images, restored, noise=noise())[0, 0], alone)


def noise() -> NoiseLevel:
    return measure_noise(IMAGE)


def test_what_lies_within_the_noise_that_is_given_is_not_brought_back() -> None:
    restored = np.rint(ndimage.gaussian_filter(TRUTH, 3)).astype(np.uint8)
    strong = replace(noise(), floor=1e6)
    changed = make_consistent(IMAGE, restored, noise=strong).astype(int) - restored
    assert np.abs(changed).max() <= 1


def test_the_share_of_a_pixel_at_the_end_is_taken_by_the_others() -> None:
    block = np.array([[255.0, 0.0], [0.0, 0.0]])
    moved = shift_blocks(block, np.array([[0.5]]), 0, 255)
    assert moved == pytest.approx(np.array([[255, 2 / 3], [2 / 3, 2 / 3]]))
    assert shift_blocks(block, np.array([[-0.5]]), 0, 255) == pytest.approx(
        np.array([[253.0, 0.0], [0.0, 0.0]])
    )


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

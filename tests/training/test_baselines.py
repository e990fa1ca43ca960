from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.errors import SemnetError
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.quality import psnr, ssim
from napari_semnet.training.baselines import (
    BASELINES,
    bicubic,
    bm3d_is_installed,
    choose_baselines,
    gaussian,
    non_local_means,
    peak_of,
    psnr_of_sigmas,
    sigma_for_ssim,
)

SPECIMEN = particles((64, 72), 4)
NOISY = acquire(SPECIMEN, electrons=60, read_noise=5, seed=1)
TRUTH = np.rint(255 * SPECIMEN.truth).astype(np.uint8)


def test_bicubic_leaves_a_ramp_where_it_lies() -> None:
    ramp = np.tile(4 * np.arange(40, dtype=np.uint8) + 20, (12, 1))
    for image in (ramp, ramp.T):
        enlarged = bicubic(np.ascontiguousarray(image)).astype(float)
        along = enlarged[12] if image is ramp else enlarged[:, 12]
        expected = 4 * ((np.arange(80) + 0.5) / 2 - 0.5) + 20
        # Cubic convolution reproduces straight lines; only its support at the border does not.
        assert along[4:-4] == pytest.approx(expected[4:-4], abs=0.5)


@pytest.mark.parametrize("word", [w for w in BASELINES if w != "bm3d"] + ["gaussian"])
def test_no_method_shifts_a_picture(word: str) -> None:
    restored = _restore(word, NOISY).astype(float)
    truth = TRUTH.astype(float)
    blurred = [ndimage.gaussian_filter(picture, 2) for picture in (restored, truth)]
    errors = {
        (dy, dx): float(
            np.mean(
                (ndimage.shift(blurred[0], (dy, dx), order=3)[8:-8, 8:-8] - blurred[1][8:-8, 8:-8])
                ** 2
            )
        )
        for dy in (-0.5, -0.25, 0, 0.25, 0.5)
        for dx in (-0.5, -0.25, 0, 0.25, 0.5)
    }
    assert min(errors, key=lambda shift: errors[shift]) == (0, 0)


def _restore(word: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return gaussian(image, 1.0) if word == "gaussian" else BASELINES[word].restore(image)


@pytest.mark.parametrize("word", ["gaussian", "nlm", "bm3d"])
def test_each_method_denoises_and_doubles_the_pixels(word: str) -> None:
    if word == "bm3d" and not bm3d_is_installed():
        pytest.skip("bm3d is not installed.")
    restored = _restore(word, NOISY)
    assert restored.shape == TRUTH.shape
    assert restored.dtype == np.uint8
    assert psnr(restored, TRUTH, 255) > psnr(bicubic(NOISY), TRUTH, 255) + 0.4


def test_a_gaussian_of_no_width_is_bicubic() -> None:
    assert np.array_equal(gaussian(NOISY, 0), bicubic(NOISY))


def test_methods_that_measure_noise_take_pictures_without_any() -> None:
    flat = np.full((32, 32), 90, np.uint8)
    assert np.array_equal(non_local_means(flat), bicubic(flat))


def test_the_best_sigma_of_a_picture_beats_every_other() -> None:
    best = peak_of(psnr_of_sigmas(NOISY, TRUTH))
    reached = psnr(gaussian(NOISY, best), TRUTH, 255)
    others = [psnr(gaussian(NOISY, sigma), TRUTH, 255) for sigma in np.arange(0, 4, 0.05)]
    assert 0.3 < best < 3
    # Results are rounded to grey levels, so that the curve is not quite smooth.
    assert reached > max(others) - 0.003


def test_the_sigma_chosen_for_ssim_gives_more_of_it() -> None:
    for_psnr = peak_of(psnr_of_sigmas(NOISY, TRUTH))
    for_ssim = sigma_for_ssim(NOISY, TRUTH)
    reached = ssim(gaussian(NOISY, for_ssim), TRUTH, 255)
    assert reached >= ssim(gaussian(NOISY, for_psnr), TRUTH, 255) - 1e-4
    assert reached > max(ssim(gaussian(NOISY, s), TRUTH, 255) for s in np.arange(0, 4, 0.2)) - 0.003


def test_a_picture_without_noise_wants_no_gaussian() -> None:
    clean = acquire(SPECIMEN, electrons=1e9, read_noise=0)
    assert peak_of(psnr_of_sigmas(clean, TRUTH)) < 0.35


def test_peak_lies_between_the_points_of_a_grid() -> None:
    grid = (0.0, 1.0, 2.0, 3.0, 4.0)
    assert peak_of(-((np.array(grid) - 1.7) ** 2), grid) == pytest.approx(1.7, abs=0.01)


def test_words_choose_baselines_and_unknown_ones_are_refused() -> None:
    assert choose_baselines([]) == ("bicubic",)
    assert choose_baselines(["nlm", "gaussian"]) == ("bicubic", "gaussian", "nlm")
    assert choose_baselines(["all"]) == ("bicubic", "gaussian", "nlm", "bm3d")
    with pytest.raises(SemnetError, match=r"no baseline 'wiener'.*gaussian"):
        choose_baselines(["wiener"])


def test_a_reference_that_was_made_of_the_image_needs_no_blur() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 40), np.uint8)
    assert peak_of(psnr_of_sigmas(image, bicubic(image))) == 0.0

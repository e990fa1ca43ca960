from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_semnet.errors import ImageError
from napari_semnet.imaging.agreement import agreement, data_range
from napari_semnet.imaging.comparison import classical
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import Grid, Plane

SPECIMEN = particles((96, 112), 4)
TRUTH = np.rint(255 * SPECIMEN.truth).astype(np.uint8)
RAW = acquire(SPECIMEN, electrons=60)
GRID = Grid.upright(RAW.shape, (2.0, 2.0))
REFERENCE = Plane("reference", TRUTH, GRID.refined(2))


def test_figures_are_those_of_scikit_image_where_nothing_has_to_be_moved() -> None:
    noisy = TRUTH.astype(np.float32) + np.random.default_rng(0).normal(0, 12, TRUTH.shape)
    found = agreement(Plane("noisy", noisy, REFERENCE.grid), REFERENCE)
    assert np.abs(found.shift).max() < 0.05
    assert found.psnr_db == pytest.approx(
        peak_signal_noise_ratio(TRUTH.astype(float), noisy, data_range=255), abs=0.4
    )
    assert found.ssim == pytest.approx(
        structural_similarity(
            TRUTH.astype(float),
            noisy,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        ),
        abs=0.02,
    )


def test_drift_is_measured_and_does_not_lower_the_figures() -> None:
    planes = [
        Plane("still", classical(RAW, 0.7), GRID.refined(2)),
        Plane("drifted", ndimage.shift(classical(RAW, 0.7), (3.0, -5.0), order=3), GRID.refined(2)),
    ]
    still, drifted = (agreement(plane, REFERENCE) for plane in planes)
    # The drift is that of the picture against the reference, in nm of 1 nm pixels.
    assert np.subtract(drifted.shift, still.shift) == pytest.approx((3.0, -5.0), abs=0.1)
    assert drifted.psnr_db == pytest.approx(still.psnr_db, abs=0.3)
    assert drifted.pixels < still.pixels


def test_better_restorations_have_better_figures() -> None:
    raw = agreement(Plane("raw", RAW, GRID), REFERENCE)
    blurred = agreement(Plane("classical", classical(RAW, 0.8), GRID.refined(2)), REFERENCE)
    assert blurred.psnr_db > raw.psnr_db + 1
    assert blurred.ssim > raw.ssim


def test_another_setting_of_the_amplifier_is_fitted_away() -> None:
    dim = Plane("dim", 0.5 * classical(RAW, 0.8) + 60, GRID.refined(2))
    plain = agreement(Plane("plain", classical(RAW, 0.8), GRID.refined(2)), REFERENCE)
    found = agreement(dim, REFERENCE)
    assert found.psnr_db < plain.psnr_db - 2
    assert found.fitted_psnr_db == pytest.approx(plain.fitted_psnr_db, abs=0.1)
    assert found.fitted_ssim == pytest.approx(plain.fitted_ssim, abs=0.01)


def test_the_range_of_eight_bits_is_255_and_that_of_wider_pictures_is_measured() -> None:
    assert data_range(REFERENCE) == 255
    wide = Plane("wide", 16 * TRUTH.astype(np.uint16), REFERENCE.grid)
    assert 16 * int(np.ptp(TRUTH)) * 0.8 < data_range(wide) < 65535 / 4


def test_a_picture_is_not_measured_against_itself() -> None:
    with pytest.raises(ImageError, match="itself"):
        agreement(Plane("copy", REFERENCE.pixels, REFERENCE.grid), REFERENCE)

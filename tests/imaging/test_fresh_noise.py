from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_semnet.imaging.fresh_noise import draw_noise
from napari_semnet.imaging.noise_level import NoiseLevel

LEVEL = NoiseLevel(
    gain=2.0,
    floor=9.0,
    darkest=20,
    brightest=200,
    row_sigma=0.0,
    along_x=(1.0, *(0.0,) * 15),
    between_rows=0.0,
    covariance=(0, 0, 0),
    source="flat",
)
GREY = np.full((300, 310), 100.0)


def test_draws_are_as_strong_as_the_noise() -> None:
    drawn = draw_noise(GREY, LEVEL, seed=0, draw=0)
    assert drawn.std() == pytest.approx(np.sqrt(209), rel=0.02)
    assert abs(drawn.mean()) < 0.2


def test_draws_are_correlated_as_the_noise() -> None:
    slow = replace(LEVEL, along_x=(1.0, 0.6, 0.36, *(0.0,) * 13))
    drawn = draw_noise(GREY, slow, seed=0, draw=0)
    for distance, expected in ((1, 0.6), (2, 0.36), (3, 0.216)):
        found = np.corrcoef(drawn[:, distance:].ravel(), drawn[:, :-distance].ravel())[0, 1]
        assert found == pytest.approx(expected, abs=0.03)
    assert np.corrcoef(drawn[1:].ravel(), drawn[:-1].ravel())[0, 1] == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(np.sqrt(209), rel=0.02)


def test_rows_are_offset_as_in_the_picture() -> None:
    drawn = draw_noise(GREY, replace(LEVEL, row_sigma=5.0), seed=0, draw=0)
    assert drawn.mean(axis=1).std() == pytest.approx(5.0, rel=0.15)


def test_every_draw_and_slice_is_another() -> None:
    one = draw_noise(GREY, LEVEL, seed=0, draw=0)
    for other in (
        draw_noise(GREY, LEVEL, seed=0, draw=1),
        draw_noise(GREY, LEVEL, seed=1, draw=0),
        draw_noise(GREY, LEVEL, seed=0, draw=0, slice_number=1),
    ):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("lag", [0.0, 0.5])
def test_a_part_gets_the_noise_of_the_whole(lag: float) -> None:
    level = replace(LEVEL, along_x=(1.0, lag, *(0.0,) * 14), row_sigma=2.0)
    whole = draw_noise(GREY, level, seed=3, draw=2)
    part = draw_noise(GREY[70:200, 90:250], level, seed=3, draw=2, corner=(70, 90))
    np.testing.assert_allclose(part, whole[70:200, 90:250], atol=1e-9)

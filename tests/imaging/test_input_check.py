from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_semnet.imaging.input_check import Ranges, check_input
from napari_semnet.imaging.phantom import acquire, particles

RANGES = Ranges(noise=(2, 25), pixel_size_nm=(1, 50))
GOOD = acquire(particles((256, 256), 1), electrons=200, read_noise=4)


def words(image: np.ndarray, **known: object) -> str:
    return " ".join(check_input(image, RANGES, **known).warnings)  # type: ignore[arg-type]


def test_nothing_is_said_of_a_good_picture() -> None:
    found = check_input(GOOD, RANGES, pixel_size_nm=(5, 5))
    assert found.warnings == ()
    assert found.unstated == ()


def test_noise_outside_the_range_is_said() -> None:
    noise = 35 * np.random.default_rng(0).standard_normal((256, 256))
    strong = np.clip(np.rint(128 + noise), 0, 255).astype(np.uint8)
    assert "stronger than the model was trained on (2 to 25)" in words(strong)
    weak = acquire(particles((256, 256), 1), electrons=50_000, read_noise=0.4)
    assert "weaker" in words(weak)


def test_offset_rows_are_said() -> None:
    offsets = 12 * np.random.default_rng(0).standard_normal((256, 1))
    image = np.clip(np.rint(GOOD + offsets), 0, 255).astype(np.uint8)
    assert "horizontal streaks" in words(image)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.5])
def test_a_filter_that_was_applied_is_said(sigma: float) -> None:
    image = np.rint(ndimage.gaussian_filter(GOOD.astype(float), sigma)).astype(np.uint8)
    assert "filtered" in words(image)


def test_a_slow_detector_is_said() -> None:
    generator = np.random.default_rng(1)
    noise = generator.standard_normal((256, 256))
    for column in range(1, 256):
        noise[:, column] = 0.6 * noise[:, column - 1] + 0.8 * noise[:, column]
    assert "slow detector" in words(np.rint(120 + 10 * noise).astype(np.uint8))


@pytest.mark.parametrize(("value", "name"), [(0, "black"), (255, "white")])
def test_saturation_is_said(value: int, name: str) -> None:
    image = GOOD.copy()
    image[:40, :40] = value
    assert f"2.4 % of the pixels are {name}" in words(image)


def test_a_pixel_size_outside_the_range_is_said() -> None:
    assert "200 nm" in words(GOOD, pixel_size_nm=(200, 200))
    assert words(GOOD, pixel_size_nm=None) == ""


def test_a_card_without_ranges_is_owned_up_to() -> None:
    assert check_input(GOOD).unstated == ("noise", "pixel sizes")
    assert check_input(GOOD).warnings == ()

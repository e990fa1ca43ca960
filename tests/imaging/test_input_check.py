from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_semnet.imaging.input_check import Ranges, check_input
from napari_semnet.imaging.noise_level import NoiseLevel
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
    said = f"2.4 % of the pixels are {name}: what they showed is lost, and the grey level"
    assert said in words(image)


def test_a_picture_of_one_grey_level_is_neither_black_nor_white() -> None:
    found = check_input(np.full((200, 200), 7, np.uint8))
    assert found.warnings == (
        "All pixels have the same grey level: there is nothing in the image to restore.",
    )
    assert (found.black, found.white) == (0, 0)


def test_a_pixel_size_outside_the_range_is_said() -> None:
    assert "200 nm" in words(GOOD, pixel_size_nm=(200, 200))
    assert words(GOOD, pixel_size_nm=None) == ""


@pytest.mark.parametrize(
    ("size", "is_said"),
    [((54, 54), False), ((56, 56), True), ((5, 56), True), ((0.92, 5), False), ((0.88, 5), True)],
)
def test_pixel_sizes_are_said_from_a_tenth_outside_the_range_on(
    size: tuple[float, float], is_said: bool
) -> None:
    assert ("outside what the model" in words(GOOD, pixel_size_nm=size)) is is_said


def level(sigma: float, source: str, rows: float = 0.0) -> NoiseLevel:
    along = (1.0, 0.0, 0.0)
    return NoiseLevel(0.0, sigma**2, 20, 200, rows, along, 0.0, (0.0, 0.0, 0.0), source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sigma", "source", "said"),
    [
        (27, "flat", ""),
        (28, "flat", "stronger"),
        (28, "whole", ""),
        (60, "whole", "stronger"),
        (1.85, "flat", ""),
        (1.75, "flat", "weaker"),
        (1.75, "whole", "next to no noise"),
    ],
)
def test_a_rough_figure_of_the_noise_is_given_more_room(
    sigma: float, source: str, said: str
) -> None:
    found = words(GOOD, noise=level(sigma, source))
    assert (said in found) if said else found == ""


@pytest.mark.parametrize(("rows", "is_said"), [(2.9, False), (3.1, True)])
def test_rows_are_said_when_offset_by_a_third_of_the_noise(rows: float, is_said: bool) -> None:
    assert ("horizontal streaks" in words(GOOD, noise=level(10, "flat", rows))) is is_said
    assert "streaks" not in words(GOOD, noise=level(2.5, "flat", 0.9))


def test_a_card_without_ranges_is_owned_up_to() -> None:
    assert check_input(GOOD).unstated == ("noise", "pixel sizes")
    assert check_input(GOOD).warnings == ()


def test_a_lost_slice_in_the_middle_of_a_stack_says_nothing_of_the_others() -> None:
    stack = np.stack([GOOD, np.zeros_like(GOOD), GOOD])
    found = check_input(stack, RANGES, pixel_size_nm=(5, 5))
    assert found.warnings == ()
    assert found.black < 0.01

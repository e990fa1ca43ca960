from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.consistency import (
    check_consistency,
    noise_for_check,
    residual_bands,
    scale_ends,
)
from napari_semnet.imaging.intensity import IntensityRange, measure_range
from napari_semnet.imaging.noise_level import measure_noise
from napari_semnet.imaging.phantom import Specimen, acquire, fibres, grating, particles
from napari_semnet.imaging.plane import block_mean
from napari_semnet.imaging.whiteness import Tally, block_powers, expected_power

SHAPE = (256, 256)


def truth_of(specimen: Specimen) -> NDArray[np.uint8]:
    return np.rint(255 * specimen.truth).astype(np.uint8)


def blurred(specimen: Specimen, sigma: float) -> NDArray[np.uint8]:
    return np.rint(ndimage.gaussian_filter(255 * specimen.truth, sigma)).astype(np.uint8)


def test_the_truth_leaves_noise_alone() -> None:
    specimen = particles(SHAPE, 1)
    found = check_consistency(acquire(specimen), truth_of(specimen))
    assert found.spread == pytest.approx(1, abs=0.03)
    assert not found.whiteness.is_structured
    assert found.mean_shift == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("make", [particles, fibres])
def test_a_blur_leaves_structure(make: object) -> None:
    specimen = make(SHAPE, 1)  # type: ignore[operator]
    found = check_consistency(acquire(specimen), blurred(specimen, 2.5))
    assert found.whiteness.is_structured
    assert found.whiteness.windows > 0.05


def test_one_line_that_was_wiped_out_is_found_at_its_place() -> None:
    specimen = particles((256, 256), 1)
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    image = np.full(SHAPE, 100.0) + 8 * noise
    image[120:122, 60:100] += 40
    restored = np.full(tuple(2 * n for n in SHAPE), 100, np.uint8)
    found = check_consistency(np.rint(image).astype(np.uint8), restored)
    assert specimen.truth.shape == restored.shape
    assert found.whiteness.is_structured
    assert found.whiteness.place is not None
    y, x = found.whiteness.place
    assert found.whiteness.side in (16, 32)
    assert abs(y - 121) <= 16
    assert 44 <= x <= 116


def test_a_lattice_that_was_wiped_out_is_found_by_its_period() -> None:
    # A third of the noise: to the eye there is nothing.
    lattice = 3 * np.sin(2 * np.pi * np.arange(256) / 4)
    noise = 9 * np.random.default_rng(1).standard_normal(SHAPE)
    image = np.rint(100 + noise + lattice[None, :]).astype(np.uint8)
    found = check_consistency(image, np.full((512, 512), 100, np.uint8))
    assert found.whiteness.is_structured
    assert found.whiteness.period == pytest.approx(4, rel=0.15)


def test_offsets_of_rows_are_noise() -> None:
    generator = np.random.default_rng(2)
    image = 100 + 8 * generator.standard_normal(SHAPE) + 6 * generator.standard_normal((256, 1))
    found = check_consistency(np.rint(image).astype(np.uint8), np.full((512, 512), 100, np.uint8))
    assert not found.whiteness.is_structured


def test_noise_that_was_kept_is_no_structure() -> None:
    specimen = particles(SHAPE, 2)
    image = acquire(specimen)
    kept = image.repeat(2, 0).repeat(2, 1) * 0.3 + truth_of(specimen) * 0.7
    found = check_consistency(image, np.rint(kept).astype(np.uint8))
    assert found.spread < 0.8
    assert not found.whiteness.is_structured


def test_a_filtered_input_is_not_judged() -> None:
    specimen = particles(SHAPE, 3)
    image = np.rint(ndimage.gaussian_filter(acquire(specimen).astype(float), 0.8))
    found = check_consistency(image.astype(np.uint8), truth_of(specimen))
    assert found.whiteness.p_value is None
    assert "filtered" in found.whiteness.reason


def test_a_picture_without_flat_places_is_judged_by_its_residual() -> None:
    specimen = grating(SHAPE, 1, pitch_nm=24)
    found = check_consistency(acquire(specimen), truth_of(specimen))
    assert found.noise.source == "residual"
    assert found.spread == pytest.approx(1, abs=0.05)
    assert not found.whiteness.is_structured


def test_what_is_left_beyond_blocks_of_8_pixels_is_not_taken_for_saturated() -> None:
    specimen = particles((71, 79), 4)
    image = np.clip(acquire(specimen), 1, 254)
    assert check_consistency(image, truth_of(specimen)).whiteness.judged == 1


def test_a_picture_too_small_to_be_judged_is_not_called_saturated() -> None:
    image = np.random.default_rng(1).normal(100, 9, (40, 40)).astype(np.float32)
    restored = np.full((80, 80), image.mean(), np.float32)
    small = check_consistency(image, restored).whiteness
    assert (small.p_value, small.reason) == (None, "the picture is too small")
    assert small.judged == 1


def test_saturated_places_are_not_judged() -> None:
    image = acquire(particles(SHAPE, 4))
    image[:, :128] = 255
    restored = np.repeat(np.repeat(image, 2, 0), 2, 1)
    assert check_consistency(image, restored).whiteness.judged <= 0.5


LAGS = tuple(0.6**lag for lag in range(20))


def correlated(shape: tuple[int, int], seed: int) -> NDArray[np.float64]:
    """Noise of variance 1 whose pixels are correlated along x as `LAGS` says."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    for column in range(1, shape[1]):
        noise[:, column] = 0.6 * noise[:, column - 1] + 0.8 * noise[:, column]
    return noise


@pytest.mark.parametrize("scale", [1, 2])
def test_the_power_that_correlated_noise_has_is_what_it_is_compared_with(scale: int) -> None:
    noise = replace(measure_noise(acquire(particles(SHAPE, 1))), along_x=LAGS)
    pixels = correlated((1024, 1024), 3)
    if scale == 2:
        pixels = 2 * block_mean(pixels, 2).astype(np.float64)
    found = block_powers(pixels).mean(axis=(0, 1, 2))
    assert expected_power(noise, scale) == pytest.approx(found, rel=0.05)
    white = replace(noise, along_x=(1.0,))
    assert expected_power(white, scale) == pytest.approx(np.ones(8))


def test_a_verdict_counts_all_that_was_looked_at_and_doubts_as_much_as_the_noise() -> None:
    noise = replace(measure_noise(acquire(particles(SHAPE, 1))), along_x=(1.0,))
    values = np.random.default_rng(5).standard_normal((192, 192))
    values[64:80, 96:112] *= 1.5
    usable = np.ones(values.shape, bool)
    usable[:64] = False
    found = []
    for error in (0.0, 0.5):
        tally = Tally(noise)
        for top in (0, 64, 128):
            part = np.s_[top : top + 64]
            tally.add(values[part], usable[part], np.full((64, 192), error), top)
        found.append(tally.verdict())
    certain, doubtful = found
    assert certain.judged == doubtful.judged == pytest.approx(2 / 3)
    assert certain.is_structured
    assert (certain.place, certain.side) == ((72, 104), 16)
    # Noise that is known to half its variance only may well be that much stronger there.
    assert doubtful.p_value is not None
    assert certain.p_value is not None
    assert doubtful.p_value > 10 * certain.p_value


def test_half_of_the_false_alarms_are_left_to_periods_and_half_to_places() -> None:
    noise = replace(measure_noise(acquire(particles(SHAPE, 1))), along_x=(1.0,))
    chances = []
    for seed in range(120):
        tally = Tally(noise)
        values = np.random.default_rng(seed).standard_normal((96, 96))
        tally.add(values, np.ones(values.shape, bool), np.zeros(values.shape), 0)
        found = tally.verdict().p_value
        assert found is not None
        chances.append(found)
    # Of noise alone the chance is at most as often below a value as that value says.
    assert 0.05 < np.mean(np.array(chances) < 0.3) < 0.4


def test_bands_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    specimen = particles(SHAPE, 5)
    image, restored = acquire(specimen), blurred(specimen, 1.5)
    whole = check_consistency(image, restored)
    monkeypatch.setattr("napari_semnet.imaging.consistency.BAND_ROWS", 64)
    banded = check_consistency(image, restored)
    assert banded.spread == pytest.approx(whole.spread, rel=1e-9)
    assert banded.whiteness.p_value == pytest.approx(whole.whiteness.p_value, rel=1e-6)
    assert banded.whiteness.place == whole.whiteness.place
    assert banded.whiteness.windows == whole.whiteness.windows
    assert banded.whiteness.judged == whole.whiteness.judged
    assert whole.whiteness.judged > 0.9


def test_stacks_are_looked_at_slice_by_slice() -> None:
    specimens = [particles((128, 128), seed) for seed in range(3)]
    stack = np.stack([acquire(one) for one in specimens])
    restored = np.stack([truth_of(one) for one in specimens])
    intensity = measure_range(stack)
    bands = list(residual_bands(stack, restored, intensity, measure_noise(stack[1], intensity)))
    assert [band.index for band in bands] == [(0,), (1,), (2,)]
    assert check_consistency(stack, restored).spread == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("lost", [0, 100])
def test_a_stack_whose_middle_slice_is_lost_is_judged_by_its_neighbour(lost: int) -> None:
    specimens = [particles((128, 128), seed) for seed in range(3)]
    stack = np.stack([acquire(one) for one in specimens])
    restored = np.stack([truth_of(one) for one in specimens])
    stack[1] = restored[1] = lost
    intensity = IntensityRange(0, 255, "dtype")
    found = check_consistency(stack, restored, intensity)
    assert found.noise == noise_for_check(stack[0], restored[0], intensity)
    # Of a lost slice it must not be told which grey levels are cut off.
    assert scale_ends(stack) == (0, 255)


def test_sixteen_bits_are_judged_as_eight() -> None:
    specimen = particles(SHAPE, 6)
    image = acquire(specimen)
    eight = check_consistency(image, truth_of(specimen))
    sixteen = check_consistency(
        image.astype(np.uint16) * 257,
        np.rint(65535 * specimen.truth).astype(np.uint16),
    )
    assert sixteen.spread == pytest.approx(eight.spread, rel=0.02)
    assert sixteen.noise.sigma == pytest.approx(eight.noise.sigma, rel=0.1)


def test_another_size_is_refused_in_words() -> None:
    with pytest.raises(ImageError, match="databar"):
        check_consistency(np.zeros((64, 64), np.uint8), np.zeros((128, 100), np.uint8))

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.fourier_ring import fourier_ring_correlation
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.imaging.plane import Grid, Plane

SIZE = 256
NM = 2.0


def band_limited(seed: int, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """A random signal with the power spectrum exp(-(f / cutoff)^2), and that spectrum."""
    radius = np.hypot(*np.meshgrid(fft.fftfreq(SIZE, NM), fft.fftfreq(SIZE, NM), indexing="ij"))
    power = np.exp(-((radius / cutoff) ** 2))
    white = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    return fft.ifft2(fft.fft2(white) * np.sqrt(power)).real, power


def plane(name: str, pixels: np.ndarray, **kwargs: object) -> Plane:
    return Plane(name, pixels, Grid.upright(pixels.shape, (NM, NM), **kwargs))


def two_acquisitions(noise: float, cutoff: float = 0.1) -> tuple[Plane, Plane]:
    signal, _ = band_limited(0, cutoff)
    generator = np.random.default_rng(1)
    one, two = (signal + noise * generator.normal(size=signal.shape) for _ in range(2))
    return plane("first", one), plane("second", two)


@pytest.mark.parametrize("noise", [0.2, 0.5])
def test_the_curve_is_that_of_a_known_signal_in_known_noise(noise: float) -> None:
    cutoff = 0.1
    found = fourier_ring_correlation(*two_acquisitions(noise, cutoff))
    # Both pictures hold the signal's power S and independent noise N: correlation S / (S + N).
    power = np.exp(-((found.frequency / cutoff) ** 2))
    expected = power / (power + noise**2)
    some = found.frequency > 0.01
    assert np.abs(found.correlation - expected)[some].mean() < 0.05
    crossing = cutoff * np.sqrt(np.log(6 / noise**2))
    assert found.finest == pytest.approx(1 / crossing, rel=0.05)
    assert found.unit == "nm"


def test_frequencies_end_at_the_nyquist_frequency() -> None:
    found = fourier_ring_correlation(*two_acquisitions(0.3))
    assert found.frequency[-1] == pytest.approx(1 / (2 * NM), rel=0.01)


def test_pictures_of_noise_alone_do_not_agree_at_any_size() -> None:
    generator = np.random.default_rng(5)
    scene, _ = band_limited(0, 0.004)
    one, two = (
        plane(n, 2 * scene / scene.std() + generator.normal(size=(SIZE, SIZE))) for n in "ab"
    )
    found = fourier_ring_correlation(one, two)
    high = found.frequency > 0.05
    assert np.abs(found.correlation[high]).mean() < 0.1
    assert (found.correlation[high] < found.half_bit[high]).mean() > 0.95


def test_drift_between_the_acquisitions_is_taken_out() -> None:
    one, two = two_acquisitions(0.2)
    moved = plane("moved", ndimage.shift(two.pixels, (1.5, -2.25), order=5, mode="wrap"))
    still, drifted = (fourier_ring_correlation(one, other) for other in (two, moved))
    assert drifted.shift == (pytest.approx(-3.0, abs=0.2), pytest.approx(4.5, abs=0.2))
    assert drifted.finest == pytest.approx(still.finest, rel=0.1)


def test_a_blur_does_not_raise_the_resolution_of_two_acquisitions() -> None:
    one, two = two_acquisitions(0.3)
    blurred = [plane(p.name, ndimage.gaussian_filter(p.pixels, 1.0)) for p in (one, two)]
    sharp, soft = fourier_ring_correlation(one, two), fourier_ring_correlation(*blurred)
    assert soft.finest == pytest.approx(sharp.finest, rel=0.1)


def test_noise_makes_the_stated_resolution_worse() -> None:
    finest = [fourier_ring_correlation(*two_acquisitions(noise)).finest for noise in (0.2, 0.5, 1)]
    assert finest == sorted(finest)


def test_a_finer_picture_is_compared_on_the_grid_of_the_coarser() -> None:
    specimen = particles((128, 128), 2)
    grid = Grid.upright((128, 128), (4.0, 4.0))
    acquired = Plane("acquired", acquire(specimen), grid)
    noise = np.random.default_rng(0).normal(size=(256, 256))
    finer = Plane("finer", 255 * specimen.truth + 20 * noise, grid.refined(2))
    for pair in ((acquired, finer), (finer, acquired)):
        found = fourier_ring_correlation(*pair)
        assert found.frequency[-1] == pytest.approx(1 / 8, rel=0.02)
        assert np.abs(found.shift).max() < 0.3
        assert found.finest is not None


@pytest.mark.parametrize(
    "other",
    [
        lambda pixels: pixels,
        lambda pixels: pixels.copy(),
        lambda pixels: 3 * pixels + 5,
        lambda pixels: ndimage.gaussian_filter(pixels, 0.8),
        lambda pixels: np.roll(pixels, (3, 2), (0, 1)),
    ],
    ids=["itself", "copy", "other contrast", "blurred copy", "moved copy"],
)
def test_one_picture_and_a_copy_of_it_are_refused_with_the_reason(other: object) -> None:
    first = acquire(particles((128, 128), 2)).astype(float)
    with pytest.raises(ImageError, match="two separate acquisitions"):
        fourier_ring_correlation(plane("one", first), plane("two", other(first)))


def test_the_half_bit_curve_begins_near_one_and_ends_near_its_limit() -> None:
    found = fourier_ring_correlation(*two_acquisitions(0.3))
    assert found.half_bit[0] > 0.6
    assert found.half_bit[-1] == pytest.approx(0.2071 / 1.2071, abs=0.1)

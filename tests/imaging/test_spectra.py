from __future__ import annotations

import numpy as np
import pytest

from napari_semnet.errors import ImageError
from napari_semnet.imaging.plane import Grid, Plane
from napari_semnet.imaging.spectra import power_spectrum


def waves(count: int, pixel_nm: float, period_nm: float) -> Plane:
    """A wave along x whose pixels are ideal samples."""
    x = pixel_nm * (np.arange(count) + 0.5)
    pixels = np.tile(100 + 40 * np.sin(2 * np.pi * x / period_nm), (count, 1))
    return Plane(f"{pixel_nm} nm", pixels, Grid.upright((count, count), (pixel_nm, pixel_nm)))


def test_the_peak_of_a_wave_stands_at_its_frequency_in_cycles_per_nanometre() -> None:
    for plane in (waves(128, 2.0, 16.0), waves(256, 1.0, 16.0)):
        found = power_spectrum(plane)
        assert found.frequency[found.density.argmax()] == pytest.approx(1 / 16, rel=0.05)
        assert found.frequency[-1] == pytest.approx(0.5 / plane.grid.pixel_size[0], rel=0.01)
        assert (found.name, found.unit) == (plane.name, "nm")


def test_pictures_with_other_pixels_agree_in_the_density_where_both_resolve_the_specimen() -> None:
    generator = np.random.default_rng(0)
    spectrum = np.fft.rfft2(generator.normal(size=(64, 64)))
    # The same random waves, up to a quarter of the finer Nyquist frequency, on two grids.
    fine = np.zeros((256, 129), dtype=complex)
    coarse = np.zeros((128, 65), dtype=complex)
    for grid in (fine, coarse):
        grid[:32, :32], grid[-31:, :32] = spectrum[:32, :32], spectrum[-31:, :32]
    planes = [
        Plane(
            "",
            np.fft.irfft2(grid, s=(n, n)) * n**2,
            Grid.upright((n, n), (256 / n, 256 / n)),
        )
        for grid, n in ((fine, 256), (coarse, 128))
    ]
    one, two = (power_spectrum(plane) for plane in planes)
    shared = one.frequency < 0.1
    level = np.interp(one.frequency[shared], two.frequency, two.decibels)
    assert np.abs(one.decibels[shared] - level).max() < 1.5


def test_white_noise_has_one_density_at_every_frequency() -> None:
    noise = 5 * np.random.default_rng(0).normal(size=(256, 256))
    found = power_spectrum(Plane("noise", noise, Grid.upright(noise.shape, (3.0, 3.0))))
    assert found.density[5:].mean() == pytest.approx(25 * 9, rel=0.05)
    assert found.decibels[5:].mean() == pytest.approx(10 * np.log10(25 * 9), abs=0.4)


@pytest.mark.parametrize("kind", ["oblong", "not a number"])
def test_pictures_without_a_meaningful_spectrum_are_refused(kind: str) -> None:
    pixels = np.ones((32, 32))
    size = (1.0, 2.0) if kind == "oblong" else (1.0, 1.0)
    if kind == "not a number":
        pixels[3, 3] = np.nan
    with pytest.raises(ImageError, match=r"square|not numbers"):
        power_spectrum(Plane("picture", pixels, Grid.upright(pixels.shape, size)))


@pytest.mark.parametrize("wider", [0.1, 10.0])
def test_pixels_that_are_square_but_for_rounding_are_good_enough(wider: float) -> None:
    noise = np.random.default_rng(0).normal(size=(64, 64))
    for excess, is_square in ((0.008, True), (0.012, False)):
        size = (wider, wider * (1 + excess))
        plane = Plane("picture", noise, Grid.upright(noise.shape, size))
        if is_square:
            power = power_spectrum(plane).density[5:].mean()
            assert power == pytest.approx(noise.var() * size[0] * size[1], rel=0.1)
        else:
            with pytest.raises(ImageError, match="square"):
                power_spectrum(plane)

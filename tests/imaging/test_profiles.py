from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, special

from napari_semnet.errors import ImageError
from napari_semnet.imaging.phantom import grating, step_edge
from napari_semnet.imaging.plane import Grid, Plane, block_mean
from napari_semnet.imaging.profiles import EDGE_WIDTHS_PER_SIGMA, fit_edge, line_profile


def blurred_edge(sigma_nm: float, pixel_nm: float, noise: float = 0.0, seed: int = 0) -> Plane:
    """An edge down the middle of a 240 nm picture, from 50 to 150 grey levels."""
    count = round(240 / pixel_nm)
    grid = Grid.upright((count, count), (pixel_nm, pixel_nm), (pixel_nm / 2, pixel_nm / 2))
    x = pixel_nm * (np.arange(count) + 0.5)
    row = 50 + 100 * special.ndtr((x - 120) / sigma_nm)
    pixels = np.tile(row, (count, 1)) + noise * np.random.default_rng(seed).normal(
        size=(count, count)
    )
    return Plane(f"{pixel_nm} nm", pixels, grid)


@given(sigma=st.floats(3.0, 12.0), pixel=st.sampled_from([1.0, 1.5, 2.0]))
@settings(max_examples=15)
def test_the_edge_width_of_a_known_blur_is_found_within_five_per_cent(
    sigma: float, pixel: float
) -> None:
    edge = fit_edge(line_profile(blurred_edge(sigma, pixel), (120, 50), (120, 190)))
    assert edge.width == pytest.approx(EDGE_WIDTHS_PER_SIGMA * sigma, rel=0.05)
    assert edge.position == pytest.approx(70, abs=0.2)
    assert (edge.before, edge.after) == (pytest.approx(50, abs=2), pytest.approx(150, abs=2))


def test_pictures_with_other_pixels_have_the_edge_at_the_same_place() -> None:
    profiles = [
        line_profile(blurred_edge(6, pixel), (100, 30), (130, 200)) for pixel in (1.0, 2.0, 3.0)
    ]
    edges = [fit_edge(profile) for profile in profiles]
    assert [p.distance[-1] for p in profiles] == [pytest.approx(np.hypot(30, 170))] * 3
    assert np.ptp([edge.position for edge in edges]) < 0.2
    # A line at a slant crosses the edge over a longer way.
    slant = np.hypot(30, 170) / 170
    for edge in edges:
        assert edge.width == pytest.approx(slant * EDGE_WIDTHS_PER_SIGMA * 6, rel=0.06)


def test_noise_widens_the_error_and_not_the_width() -> None:
    quiet = fit_edge(line_profile(blurred_edge(5, 1.0), (120, 60), (120, 180)))
    noisy = [
        fit_edge(line_profile(blurred_edge(5, 1.0, 15, seed), (120, 60), (120, 180)))
        for seed in range(20)
    ]
    widths = np.array([edge.width for edge in noisy])
    errors = np.array([edge.width_error for edge in noisy])
    assert widths.mean() == pytest.approx(quiet.width, rel=0.15)
    assert errors.min() > quiet.width_error
    # The stated error is that which the widths really have, to a factor of two.
    assert 0.5 < widths.std() / errors.mean() < 2


def test_a_strip_averages_across_the_line() -> None:
    plane = blurred_edge(5, 1.0, 15)
    line = line_profile(plane, (120, 130), (120, 230))
    strip = line_profile(plane, (120, 130), (120, 230), width=24)
    flat = line.distance > 40
    assert strip.values[flat].std() < 0.4 * line.values[flat].std()
    assert strip.values[flat].mean() == pytest.approx(150, abs=1)


def test_a_strip_takes_a_line_from_every_row_of_pixels_that_it_covers() -> None:
    noise = np.random.default_rng(4).standard_normal((60, 4000))
    profile = line_profile(
        Plane("noise", noise, Grid.upright(noise.shape)), (30, 0), (30, 3999), 20
    )
    on_pixels = profile.values[::2]
    assert on_pixels == pytest.approx(noise[20:41].mean(axis=0))
    assert (profile.name, profile.unit, profile.spacing) == ("noise", "nm", 1)


def test_an_edge_explains_a_share_of_its_profile() -> None:
    clean, noisy = (
        fit_edge(line_profile(blurred_edge(6, 1.0, noise), (120, 50), (120, 190)))
        for noise in (0, 25)
    )
    assert clean.explained == pytest.approx(1, abs=1e-3)
    # The step has a variance of 50**2, the noise of a pixel interpolated to two one of 25**2.
    assert 0.6 < noisy.explained < 0.95


def test_a_profile_shows_the_pitch_of_a_grating_in_nanometres() -> None:
    specimen = grating((60, 200), pitch_nm=24.0, angle_deg=0.0, pixel_size_nm=0.8)
    fine = Grid.upright(specimen.truth.shape, (0.8, 0.8), (-0.2, -0.2))
    coarse = Grid.upright((60, 200), (1.6, 1.6), (0.2, 0.2))
    for plane in (
        Plane("truth", specimen.truth, fine),
        Plane("acquired", block_mean(specimen.truth), coarse),
    ):
        profile = line_profile(plane, (40, 20), (40, 20 + 240))
        values = profile.values - profile.values.mean()
        spectrum = np.abs(np.fft.rfft(values * np.hanning(len(values)), 2**14))
        step = profile.distance[1] - profile.distance[0]
        period = 1 / np.fft.rfftfreq(2**14, step)[spectrum.argmax()]
        assert period == pytest.approx(24.0, rel=0.01)


def test_a_slanted_phantom_edge_is_as_sharp_as_its_blur() -> None:
    specimen = step_edge((80, 80), angle_deg=5.0, position_px=0.0, pixel_size_nm=1.0)
    blurred = ndimage.gaussian_filter(specimen.truth.astype(float), 3.0)
    plane = Plane("edge", blurred, Grid.upright(blurred.shape))
    centre, normal = 79.5, np.deg2rad(5.0)
    across = 40 * np.array([np.sin(normal), np.cos(normal)])
    edge = fit_edge(line_profile(plane, tuple(centre - across), tuple(centre + across)))
    # The pixel's own width adds to the blur.
    assert edge.width == pytest.approx(EDGE_WIDTHS_PER_SIGMA * np.sqrt(9 + 2 / 12), rel=0.03)
    assert edge.position == pytest.approx(40, abs=0.2)


def test_a_profile_has_nan_where_the_line_leaves_the_picture() -> None:
    plane = blurred_edge(5, 2.0)
    profile = line_profile(plane, (120, -40), (120, 280))
    places = profile.distance - 40
    inside = (places >= 0) & (places <= 240)
    assert (np.isfinite(profile.values) == inside).all()


@pytest.mark.parametrize(
    ("start", "stop", "words"),
    [((10, 10), (10, 10.5), "shorter than one pixel"), ((900, 0), (900, 50), "does not touch")],
)
def test_lines_that_measure_nothing_are_refused(
    start: tuple[float, float], stop: tuple[float, float], words: str
) -> None:
    with pytest.raises(ImageError, match=words):
        line_profile(blurred_edge(5, 2.0), start, stop)


@pytest.mark.parametrize(
    "kind", ["flat", "noise", "spike", "two edges", "three edges", "edge at the end"]
)
def test_no_edge_width_is_stated_where_no_single_edge_stands_out(kind: str) -> None:
    plane = blurred_edge(5, 1.0)
    pixels = np.full(plane.grid.shape, 80.0)
    if kind == "noise":
        pixels += np.random.default_rng(1).normal(size=pixels.shape)
    if kind == "spike":
        pixels[:, 118:122] += 100
    if kind in ("two edges", "three edges"):
        pixels[:, 100:185] += 100
    if kind == "three edges":
        pixels[:, 192:] += 100
    stop = 200.0
    if kind == "edge at the end":
        pixels, stop = plane.pixels, 121.0
    profile = line_profile(Plane("none", pixels, plane.grid), (120, 40), (120, stop))
    with pytest.raises(ImageError, match="No single edge"):
        fit_edge(profile)

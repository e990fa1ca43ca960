from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.imaging.phantom import (
    SPECIMENS,
    acquire,
    edge_coverage,
    fibres,
    grating,
    particles,
    step_edge,
)

SMALL = (40, 56)


@given(st.floats(-1.5, 1.5), st.floats(-360, 360))
def test_both_sides_of_an_edge_cover_the_whole_pixel(distance: float, angle: float) -> None:
    sides = edge_coverage(np.array([distance, -distance]), angle)
    assert sides.sum() == pytest.approx(1, abs=1e-12)
    assert ((sides >= 0) & (sides <= 1)).all()


@pytest.mark.parametrize("angle", [0.0, 5.0, 30.0, 45.0, 90.0, 135.0, 200.0])
@pytest.mark.parametrize("distance", [-0.6, -0.45, -0.1, 0.0, 0.3, 0.69])
def test_coverage_equals_the_counted_area(distance: float, angle: float) -> None:
    samples = (np.arange(1000) + 0.5) / 1000 - 0.5
    x, y = np.meshgrid(samples, samples)
    inside = distance + x * np.cos(np.deg2rad(angle)) + y * np.sin(np.deg2rad(angle)) > 0
    covered = float(edge_coverage(np.array(distance), angle))
    assert covered == pytest.approx(inside.mean(), abs=2e-3)


@pytest.mark.parametrize("name", SPECIMENS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 50), SMALL])
def test_truth_has_twice_the_pixels_and_stays_within_black_and_white(
    name: str, shape: tuple[int, int]
) -> None:
    specimen = SPECIMENS[name](shape, 7)
    assert specimen.name == name
    assert specimen.truth.shape == (2 * shape[0], 2 * shape[1])
    assert specimen.truth.dtype == np.float32
    assert specimen.truth.min() > 0
    assert specimen.truth.max() < 1
    assert acquire(specimen, seed=1).shape == shape


@pytest.mark.parametrize("name", SPECIMENS)
def test_the_seed_alone_decides(name: str) -> None:
    first, again, other = (SPECIMENS[name](SMALL, seed) for seed in (3, 3, 4))
    assert first.truth.tobytes() == again.truth.tobytes()
    assert first.truth.tobytes() != other.truth.tobytes()
    assert acquire(first, seed=1).tobytes() == acquire(again, seed=1).tobytes()
    assert acquire(first, seed=1).tobytes() != acquire(first, seed=2).tobytes()


def test_another_process_draws_the_same_bytes() -> None:
    program = (
        "import hashlib; from napari_semnet.imaging.phantom import acquire, particles; "
        "print(hashlib.sha256(acquire(particles((40, 56), 3), seed=1).tobytes()).hexdigest())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    here = hashlib.sha256(acquire(particles(SMALL, 3), seed=1).tobytes()).hexdigest()
    assert answer.stdout.strip() == here


@given(st.floats(-40, 40), st.floats(-3, 3))
def test_step_edge_crosses_each_row_where_its_numbers_say(angle: float, position: float) -> None:
    specimen = step_edge((20, 60), angle_deg=angle, position_px=position, low=0.2, high=0.8)
    rows = (specimen.truth.astype(np.float64) - 0.2) / 0.6
    # The bright area right of the edge, counted from the picture's right border.
    measured = rows.shape[1] - 0.5 - rows.sum(axis=1)
    below_centre = np.arange(rows.shape[0]) - (rows.shape[0] - 1) / 2
    slanted = np.deg2rad(angle)
    expected = (rows.shape[1] - 1) / 2 + (position - below_centre * np.sin(slanted)) / np.cos(
        slanted
    )
    np.testing.assert_allclose(measured, expected, atol=1e-3)


def test_grating_repeats_with_its_pitch() -> None:
    truth = grating((10, 100), 2, pitch_nm=21.0, pixel_size_nm=1.5, angle_deg=0.0).truth
    np.testing.assert_allclose(truth[:, 14:], truth[:, :-14], atol=2e-5)


@given(st.floats(10.0, 40.0), st.floats(0.3, 0.7), st.integers(0, 5))
def test_grating_holds_pitch_and_line_width_to_a_fraction_of_a_pixel(
    pitch: float, duty: float, seed: int
) -> None:
    specimen = grating((2, 300), seed, pitch_nm=pitch, duty=duty, angle_deg=0.0, rim=0.0)
    row = (specimen.truth[0].astype(np.float64) - 0.25) / 0.4
    bright_up_to = np.append(0, np.cumsum(row))
    borders = np.arange(row.size + 1) - 0.5
    line = (row.size - 1) / 2 + specimen.known["phase_px"]
    middles_of_gaps = line - pitch * (1 - duty) / 2 + pitch * np.arange(-5, 6)
    lines = np.diff(np.interp(middles_of_gaps, borders, bright_up_to))
    np.testing.assert_allclose(lines, specimen.known["line_width_nm"], atol=2e-3)


def test_grating_has_brighter_rims_within_its_lines() -> None:
    plain = grating((4, 60), 1, angle_deg=3.0, rim=0.0).truth
    rimmed = grating((4, 60), 1, angle_deg=3.0, rim=0.2, rim_nm=2.0).truth
    added = rimmed - plain
    assert added.max() == pytest.approx(0.2, abs=1e-4)
    assert (added[plain < 0.26] < 0.02).all()
    assert added.mean() == pytest.approx(0.2 * 4.0 / 24.0, rel=0.1)


def test_particles_cover_what_they_say_and_come_in_many_sizes() -> None:
    specimen = particles((160, 160), 5, beam_px=0.0)
    assert specimen.known["cover"] == pytest.approx((specimen.truth > 0.45).mean(), abs=0.02)
    assert 0.3 < specimen.known["cover"] < 0.5
    assert specimen.known["count"] > 20


def test_particles_are_brightest_at_their_edges() -> None:
    from scipy import ndimage

    truth = particles((160, 160), 5, beam_px=0.0).truth
    depth = ndimage.distance_transform_edt(truth > 0.45)
    rim = truth[(depth > 1) & (depth < 2.5)].mean()
    middle = truth[depth > 8].mean()
    assert rim > middle + 0.05


def test_more_fibres_leave_less_background() -> None:
    few, many = (fibres((60, 60), 1, count=n).truth for n in (3, 30))
    assert many.mean() > few.mean() + 0.05


def test_beam_softens_what_it_scans() -> None:
    sharp, soft = (particles((60, 60), 1, beam_px=beam).truth for beam in (0.0, 2.0))
    assert np.abs(np.diff(soft, axis=1)).max() < 0.6 * np.abs(np.diff(sharp, axis=1)).max()
    assert soft.mean() == pytest.approx(sharp.mean(), abs=0.01)


def test_acquired_pixels_are_means_of_four_when_nothing_is_noisy() -> None:
    specimen = fibres(SMALL, 2)
    image = acquire(specimen, electrons=1e12, read_noise=0.0)
    rows, columns = SMALL
    mean = 255 * specimen.truth.reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    assert np.abs(image - mean).max() <= 0.51


def test_noise_has_the_variance_of_counting_and_reading() -> None:
    specimen = step_edge((200, 200), angle_deg=0.0, position_px=0.0, low=0.3, high=0.6)
    image = acquire(specimen, electrons=200.0, read_noise=4.0, seed=9).astype(float)
    for grey, half in ((0.3, image[:, :100]), (0.6, image[:, 100:])):
        expected = 255**2 * grey / 200 + 4**2 + 1 / 12
        assert half.var() == pytest.approx(expected, rel=0.05)
        assert half.mean() == pytest.approx(255 * grey, abs=0.6)


def test_blur_before_sampling_widens_an_edge() -> None:
    specimen = step_edge((8, 60), angle_deg=0.0)
    sharp, soft = (acquire(specimen, 1e12, 0.0, blur=blur).astype(int) for blur in (0.0, 4.0))
    assert np.diff(soft, axis=1).max() < 0.5 * np.diff(sharp, axis=1).max()


@pytest.mark.parametrize("bad", [{"electrons": 0}, {"read_noise": -1}, {"blur": -0.1}])
def test_impossible_acquisitions_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        acquire(step_edge((4, 4)), **bad)


@pytest.mark.parametrize("name", SPECIMENS)
def test_an_empty_shape_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        SPECIMENS[name]((0, 10), 1)


def test_what_is_not_asked_for_is_chosen_within_reason_and_known() -> None:
    edges = [step_edge((16, 16), seed).known for seed in range(40)]
    assert {tuple(known) for known in edges} == {("angle_deg", "position_px", "low", "high")}
    places = [known["position_px"] for known in edges]
    assert max(map(abs, places)) <= 1
    assert np.std(places) > 0.3
    # As many fibres as make a mat of the same density, whatever the shape of the picture.
    assert fibres((64, 256)).known == {"count": round(1.3 * 256 / 22)}
    assert fibres((64, 256), pixel_size_nm=2.0).known == {"count": round(1.3 * 256 / 11)}
    assert fibres((16, 16)).known == {"count": 3}

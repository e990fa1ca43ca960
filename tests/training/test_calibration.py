"""Noise of known strength, measured again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import scipy.signal
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_semnet.errors import ImageError
from napari_semnet.imaging.intensity import given_range
from napari_semnet.imaging.phantom import SPECIMENS, acquire, grating, step_edge
from napari_semnet.training.calibration import Calibration, combine, measure, measure_frames
from napari_semnet.training.degradation import degrade
from napari_semnet.training.edge_blur import edge_blur
from napari_semnet.training.profile import Profile

SHAPE = (320, 400)


@cache
def truth(name: str, seed: int = 3, shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    return SPECIMENS[name](shape, seed).truth


@dataclass(frozen=True, slots=True)
class Camera:
    """A detector of known noise, written down without the package's own stages."""

    electrons: float
    read: float = 0.0
    row: float = 0.0
    lag_one: float = 0.0
    black_level: float = 0.0

    def take(self, scene: NDArray[np.float32], draw: int) -> NDArray[np.uint8]:
        generator = np.random.default_rng(draw)
        rows, columns = (size // 2 for size in scene.shape)
        signal = scene.astype(float).reshape(rows, 2, columns, 2).mean(axis=(1, 3))
        rate = self.electrons / (1 - self.black_level)
        above = np.maximum(signal - self.black_level, 0)
        white = generator.poisson(rate * above) / rate - above
        white[:, 1:] *= np.sqrt(1 - self.lag_one**2)
        counted = scipy.signal.lfilter([1], [1, -self.lag_one], white, axis=1)
        grey = 255 * (signal + counted)
        grey += self.row * generator.standard_normal((rows, 1))
        grey += self.read * generator.standard_normal(signal.shape)
        return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def assert_recovered(
    found: Calibration, electrons: float, read: float, row: float, lag_one: float
) -> None:
    assert found.electrons is not None
    assert found.row_noise is not None
    assert found.lag_one is not None
    assert found.electrons.value == pytest.approx(electrons, rel=0.1)
    assert found.read_noise.value == pytest.approx(read, rel=0.1)
    assert found.row_noise.value == pytest.approx(row, rel=0.1)
    assert found.lag_one.value == pytest.approx(lag_one, rel=0.1)


def test_ordinary_pictures_tell_their_noise_within_ten_percent() -> None:
    camera = Camera(500, 7, 4, 0.4)
    names = ("particles", "fibres", "step_edge")
    found = combine([measure(camera.take(truth(name), i)) for i, name in enumerate(names)])
    assert_recovered(found, 500, 7, 4, 0.4)
    assert found.pictures == 3
    assert not found.remarks


def test_errors_that_are_stated_are_those_that_are_made() -> None:
    camera = Camera(300, 6, 0.01, 0)
    scene = truth("particles")
    deviations = []
    for draw in range(4):
        found = combine([measure(camera.take(scene, draw))])
        assert found.electrons is not None
        deviations.append((found.electrons.value - 300) / found.electrons.error)
        deviations.append((found.read_noise.value - 6) / found.read_noise.error)
    spread = np.sqrt(np.mean(np.square(deviations)))
    assert 0.4 < spread < 2


def test_pictures_of_the_phantoms_camera_tell_its_settings() -> None:
    pictures = [acquire(SPECIMENS[name](SHAPE, 5), 200, 7, 1) for name in ("particles", "fibres")]
    found = combine([measure(picture) for picture in pictures])
    assert found.electrons is not None
    assert found.electrons.value == pytest.approx(200, rel=0.1)
    assert found.read_noise.value == pytest.approx(7, rel=0.1)
    assert found.row_noise is not None
    assert not found.row_noise.seen
    assert found.lag_one is not None
    assert not found.lag_one.seen


def test_repeats_of_a_rough_field_tell_its_noise_although_it_drifts() -> None:
    camera = Camera(300, 8, 4, 0.4)
    scene = truth("particles", shape=(SHAPE[0] + 8, SHAPE[1] + 8))
    rows, columns = (2 * size for size in SHAPE)
    frames = []
    for draw, (y, x) in enumerate([(0, 0), (4, 2), (6, 8), (8, 6), (2, 2), (4, 4)]):
        frames.append(camera.take(scene[y : y + rows, x : x + columns], draw))
    found = combine([measure_frames(*frames[i : i + 2]) for i in (0, 2, 4)])
    assert_recovered(found, 300, 8, 4, 0.4)
    assert "drifted by up to 2.2 pixels" in " ".join(found.remarks)


def test_sixteen_bits_tell_what_eight_tell() -> None:
    picture = Camera(300, 6, 3, 0.3).take(truth("step_edge"), 1)
    eight = measure(picture).table
    sixteen = measure(picture.astype(np.uint16) * 257, given_range(0, 65535)).table
    # Rounding to 8 bits is known only where the type says it.
    assert sixteen.variance - 1 / 12 == pytest.approx(eight.variance, rel=1e-3)
    assert sixteen.row_variance == pytest.approx(eight.row_variance, rel=1e-3)


def test_electrons_are_counted_from_a_raised_black_level() -> None:
    camera = Camera(300, black_level=0.12)
    names = ("particles", "fibres", "step_edge")
    scenes = [0.15 + 0.8 * truth(name) for name in names]
    found = combine([measure(camera.take(scene, i)) for i, scene in enumerate(scenes)])
    assert found.black_level == pytest.approx(0.12, rel=0.1)
    assert found.electrons is not None
    assert found.electrons.value == pytest.approx(300, rel=0.1)
    assert not found.read_noise.seen
    assert "black" in " ".join(found.remarks)


@pytest.mark.parametrize("black_level", [0.0, 0.3])
def test_correlation_is_recovered_whatever_the_black_level(black_level: float) -> None:
    camera = Camera(300, lag_one=0.3, black_level=black_level)
    names = ("particles", "fibres", "step_edge")
    scenes = [black_level + 0.05 + (0.9 - black_level) * truth(name) for name in names]
    found = combine([measure(camera.take(scene, i)) for i, scene in enumerate(scenes)])
    assert found.lag_one is not None
    assert found.lag_one.value == pytest.approx(0.3, rel=0.1)


def test_noise_that_does_not_grow_is_all_of_the_electronics() -> None:
    camera = Camera(1e9, 9)
    scene = 0.2 + 0.6 * truth("particles")
    found = combine([measure(camera.take(scene, 1))])
    assert found.electrons is None
    assert found.lag_one is None
    assert found.read_noise.value == pytest.approx(9, rel=0.05)
    assert "does not grow" in " ".join(found.remarks)
    assert found.profile("lab").chains[0].shot is None


def test_a_flat_field_of_one_grey_level_states_no_dose() -> None:
    flat = np.full((2 * SHAPE[0], 2 * SHAPE[1]), 0.5, np.float32)
    found = combine([measure(Camera(300, 6, 3, 0).take(flat, 1))])
    assert found.electrons is None
    expected = np.sqrt(255**2 * 0.5 / 300 + 36)
    assert found.read_noise.value == pytest.approx(expected, rel=0.03)


def test_filtered_pictures_are_remarked_on() -> None:
    picture = Camera(300, 6, 0, 0).take(truth("step_edge"), 1)
    filtered = np.rint(ndimage.gaussian_filter(picture.astype(float), 0.5)).astype(np.uint8)
    assert "correlated between rows" in " ".join(combine([measure(filtered)]).remarks)


def test_a_profile_surrounds_what_was_measured_and_makes_such_noise_again() -> None:
    true = Camera(300, 6, 3, 0.3)
    names = ("particles", "step_edge")
    found = combine([measure(true.take(truth(name), i)) for i, name in enumerate(names)])
    profile = found.profile("lab")
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile
    (chain,) = profile.chains
    assert chain.shot is not None
    assert chain.gaussian is not None
    assert chain.row_noise is not None
    assert chain.correlation is not None
    for (low, high), value in (
        (chain.shot.electrons, 300),
        (chain.gaussian.sigma, 6),
        (chain.row_noise.sigma, 3),
        (chain.correlation.lag_one, 0.3),
    ):
        assert low < value < high
        assert high < 3 * low
    picture = torch.from_numpy(truth("step_edge"))[None, None]
    poor = degrade(picture, profile, seed=1, step=7)[0, 0].numpy()
    again = combine([measure(np.rint(poor * 255).astype(np.uint8))])
    assert again.electrons is not None
    assert chain.shot.electrons[0] * 0.9 < again.electrons.value < chain.shot.electrons[1] * 1.1


@pytest.mark.parametrize(
    ("picture", "word"),
    [
        (np.zeros((40, 200), np.uint8), "at least 64"),
        (np.zeros((3, 100, 100), np.float32), "single pictures"),
        (acquire(grating(SHAPE, 1), 2000, 2.0), "too few flat places"),
        (np.zeros((200, 200), np.uint8), "All grey values of the picture are the same"),
        (np.full((200, 200), 0.3, np.float32), "All grey values of the picture are the same"),
    ],
    ids=["small", "stack", "rough", "black", "constant"],
)
def test_pictures_that_tell_nothing_are_refused(picture: NDArray, word: str) -> None:
    with pytest.raises(ImageError, match=word):
        measure(picture)


def test_noise_clipped_at_black_is_not_believed() -> None:
    dark = np.full((2 * SHAPE[0], 2 * SHAPE[1]), 0.01, np.float32)
    with pytest.raises(ImageError, match="clipped"):
        measure(Camera(1000, 3, 0, 0).take(dark, 1))


def test_frames_that_are_no_repeats_are_refused() -> None:
    one = acquire(SPECIMENS["particles"](SHAPE, 1), 300, 5, 1)
    other = acquire(SPECIMENS["particles"](SHAPE, 2), 300, 5, 1)
    with pytest.raises(ImageError, match="same place"):
        measure_frames(one, other)
    with pytest.raises(ImageError, match="one and the same"):
        measure_frames(one, one)
    with pytest.raises(ImageError, match="alike"):
        measure_frames(one, other[1:])


@pytest.mark.parametrize("blur", [1.0, 2.0, 4.0])
def test_blur_of_an_edge_is_recovered_within_ten_percent(blur: float) -> None:
    picture = acquire(step_edge(SHAPE, 1), 1000, 3, 1, blur=blur)
    found = edge_blur(picture, 8.0)
    assert found == pytest.approx(blur / 2, rel=0.1)  # in pixels twice the truth's


@pytest.mark.parametrize(
    ("name", "blur"), [("particles", 0.0), ("fibres", 1.0), ("particles", 2.0), ("fibres", 4.0)]
)
def test_bound_of_the_blur_holds_where_edges_have_rims(name: str, blur: float) -> None:
    picture = acquire(SPECIMENS[name](SHAPE, 3), 1000, 3, 1, blur=blur)
    bound = combine([measure(picture)]).blur_bound
    assert bound is not None
    # The specimens are drawn with a beam of 0.8 pixels of the truth.
    beam = np.hypot(blur, 0.8) / 2
    assert beam < bound < beam + 0.7


def test_noise_alone_has_no_edges() -> None:
    noise = np.random.default_rng(1).normal(128, 20, SHAPE)
    assert edge_blur(noise, 20.0) is None

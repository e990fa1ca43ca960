"""The whole chain: reproducible, independent of the batch, and without any shift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semnet.errors import ImageError
from napari_semnet.training.degradation import PROFILES, degrade
from napari_semnet.training.profile import (
    Blur,
    Chain,
    Profile,
    Rescaling,
    RowJitter,
    Sampling,
    Shading,
    Shot,
    Streaks,
    Vibration,
)


def scene(count: int, rows: int = 48, columns: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    rough = torch.rand(count, 1, rows, columns, generator=generator)
    return torch.nn.functional.avg_pool2d(rough, 3, 1, 1)


@pytest.mark.parametrize("name", ["poster", "sem"])
def test_poor_picture_has_half_the_pixels_and_whole_grey_levels(name: str) -> None:
    poor = degrade(scene(6), PROFILES[name], seed=1, step=2)
    assert poor.shape == (6, 1, 24, 20)
    assert poor.dtype == torch.float32
    levels = poor * 255
    assert torch.equal(levels.round() / 255, poor)
    assert float(poor.min()) >= 0
    assert float(poor.max()) <= 1


@pytest.mark.parametrize("name", ["poster", "sem"])
def test_same_arguments_give_the_same_bits(name: str) -> None:
    pictures = scene(3)
    before = pictures.clone()
    first = degrade(pictures, PROFILES[name], seed=3, step=9)
    assert torch.equal(first, degrade(pictures, PROFILES[name], seed=3, step=9))
    assert torch.equal(pictures, before)


@pytest.mark.parametrize(("seed", "step", "first_sample"), [(4, 9, 0), (3, 8, 0), (3, 9, 1)])
def test_another_seed_step_or_sample_gives_another_picture(
    seed: int, step: int, first_sample: int
) -> None:
    pictures = scene(1)
    known = degrade(pictures, PROFILES["sem"], seed=3, step=9)
    other = degrade(pictures, PROFILES["sem"], seed=seed, step=step, first_sample=first_sample)
    assert not torch.equal(known, other)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["poster", "sem"]),
    step=st.integers(0, 2**40),
    count=st.integers(2, 7),
    cut=st.integers(1, 6),
)
def test_a_batch_split_over_processes_gives_the_same_bits(
    name: str, step: int, count: int, cut: int
) -> None:
    cut = min(cut, count - 1)
    pictures = scene(count)
    profile = PROFILES[name]
    whole = degrade(pictures, profile, seed=11, step=step)
    head = degrade(pictures[:cut], profile, seed=11, step=step)
    tail = degrade(pictures[cut:], profile, seed=11, step=step, first_sample=cut)
    assert torch.equal(whole, torch.cat([head, tail]))


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    # Large enough that torch splits every operation over its threads.
    pictures = scene(2, 300, 260)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(degrade(pictures, PROFILES["sem"], seed=2, step=13))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_autocast_around_it_changes_nothing() -> None:
    pictures = scene(2)
    plain = degrade(pictures, PROFILES["sem"], seed=2, step=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(plain, degrade(pictures, PROFILES["sem"], seed=2, step=1))


def test_no_gradient_flows_through_it() -> None:
    pictures = scene(1).requires_grad_()
    assert not degrade(pictures, PROFILES["poster"], seed=0, step=0).requires_grad


def centre_of_mass(pictures: torch.Tensor) -> np.ndarray:
    """Centres in units of the field's sides, which are alike before and after halving."""
    values = pictures[:, 0].numpy().astype(np.float64)
    total = values.sum(axis=(1, 2))
    rows = (np.arange(values.shape[1]) + 0.5) / values.shape[1]
    columns = (np.arange(values.shape[2]) + 0.5) / values.shape[2]
    y = (values.sum(axis=2) * rows).sum(axis=1) / total
    x = (values.sum(axis=1) * columns).sum(axis=1) / total
    return np.stack([y, x], axis=1)


@pytest.mark.parametrize(
    "chain",
    [
        Chain(bits=(16,)),
        Chain(sampling=Sampling(kernels=("area", "triangle", "cubic")), bits=(16,)),
        Chain(blur=Blur(sigma=(0.5, 2.4), isotropic=0.3), bits=(16,)),
        Chain(rescaling=Rescaling(scale=(0.5, 2.0)), bits=(16,)),
    ],
    ids=["area", "sampling", "blur", "rescaling"],
)
def test_poor_picture_stays_registered_to_the_good_one(chain: Chain) -> None:
    side, count = 96, 24
    axis = torch.arange(side, dtype=torch.float32) + 0.5
    # A blob wide enough that linear interpolation without anti-aliasing keeps its centre.
    y, x = axis[:, None] - 43.3, axis[None, :] - 50.8
    blob = torch.exp(-(x**2 + 1.3 * y**2) / (2 * 6.0**2)).expand(count, 1, side, side)
    poor = degrade(blob, Profile(name="alone", chains=(chain,)), seed=1, step=1)
    shift = (centre_of_mass(poor) - centre_of_mass(blob)) * (side / 2)
    assert np.abs(shift).max() < 0.02  # pixels of the poor picture


def alone(pictures: torch.Tensor, **stages: Any) -> np.ndarray:
    """What one stage makes of pictures, at 16 bits; shape (N, Y, X)."""
    profile = Profile(name="alone", chains=(Chain(bits=(16,), **stages),))
    return degrade(pictures, profile, seed=1, step=1)[:, 0].numpy().astype(np.float64)


def stripe(count: int, rows: int = 256, columns: int = 160) -> torch.Tensor:
    """A broad vertical line in the middle."""
    x = torch.arange(columns, dtype=torch.float32) + 0.5 - columns / 2
    return torch.exp(-(x**2) / (2 * 9.0**2)).expand(count, 1, rows, columns)


def displacements(poor: np.ndarray) -> np.ndarray:
    """Where the line lies in each row, from its place in the middle, in pixels."""
    columns = np.arange(poor.shape[-1]) + 0.5 - poor.shape[-1] / 2
    places: np.ndarray = (poor * columns).sum(-1) / poor.sum(-1)
    return places


def test_the_spot_blurs_by_the_deviation_it_is_given() -> None:
    pictures = stripe(4)
    plain, blurred = alone(pictures), alone(pictures, blur=Blur(sigma=(2.0, 2.0), isotropic=1))
    columns = np.arange(80) - 39.5
    width = [(poor * columns**2).sum(-1) / poor.sum(-1) for poor in (plain, blurred)]
    # 2 pixels of the good picture are 1 of the poor one.
    assert width[1] - width[0] == pytest.approx(np.full((4, 128), 1.0), abs=0.02)


def test_resizing_and_back_loses_what_lies_between_and_spares_who_is_not_meant() -> None:
    x = torch.arange(120, dtype=torch.float32)
    lines = (0.5 + 0.4 * torch.cos(2 * torch.pi * x / 5)).expand(40, 1, 64, 120)
    plain = alone(lines)
    quarter = Rescaling(scale=(0.25, 0.25), shrinking=("area",), probability=0.5)
    shrunk = alone(lines, rescaling=quarter)
    spared = np.all(shrunk == plain, axis=(1, 2))
    assert 8 <= spared.sum() <= 32
    assert shrunk[~spared][..., 8:-8].std() < 0.3 * plain[..., 8:-8].std()


def test_lines_jitter_by_the_deviation_it_is_given() -> None:
    moved = displacements(alone(stripe(16), row_jitter=RowJitter(sigma=(2.0, 2.0))))
    assert moved.std() == pytest.approx(2.0, rel=0.05)
    assert np.abs(np.corrcoef(moved[:, :-1].ravel(), moved[:, 1:].ravel())[0, 1]) < 0.1


def test_vibration_swings_as_far_and_as_often_as_it_is_told() -> None:
    vibration = Vibration(amplitude=(3.0, 3.0), period=(16.0, 16.0))
    moved = displacements(alone(stripe(6), vibration=vibration))
    assert moved.std(axis=1) == pytest.approx(np.full(6, 3.0 / np.sqrt(2)), rel=0.02)
    assert moved[:, 16:] == pytest.approx(moved[:, :-16], abs=0.02)
    assert moved[:, 8:] == pytest.approx(-moved[:, :-8], abs=0.02)


def test_streaks_add_what_their_number_height_and_length_come_to() -> None:
    streaks = Streaks(density=(0.01, 0.01), amplitude=(0.2, 0.2), length=(4.0, 4.0))
    flat = torch.full((24, 1, 160, 320), 0.25)
    added = alone(flat, streaks=streaks) - 0.25
    assert added.min() >= -1e-4
    # Far enough from the left border every streak that can reach a pixel has had its chance.
    expected = 0.01 * 0.2 / (1 - np.exp(-1 / 4.0))
    assert added[..., 40:].mean() == pytest.approx(expected, rel=0.05)


def test_shading_tilts_the_signal_by_its_share_from_the_middle_to_the_border() -> None:
    shaded = alone(torch.full((24, 1, 64, 64), 0.5), shading=Shading(amplitude=(0.3, 0.3))) / 0.5
    tilts = [np.diff(shaded, axis=axis).mean(axis=(1, 2)) * 16 for axis in (1, 2)]
    assert np.hypot(*tilts) == pytest.approx(np.full(24, 0.3), rel=1e-3)
    assert shaded.mean(axis=(1, 2)) == pytest.approx(np.ones(24), abs=1e-3)
    assert np.std(np.arctan2(*tilts)) > 1


def test_electrons_are_counted_only_where_they_are_meant_to_be() -> None:
    flat = torch.full((60, 1, 64, 64), 0.5)
    counted = alone(flat, shot=Shot(electrons=(100.0, 100.0), probability=0.5))
    spread = counted.std(axis=(1, 2))
    assert 15 <= (spread == 0).sum() <= 45
    # White is 100 electrons, so 0.5 is 50, with a deviation of its root.
    assert spread[spread > 0] == pytest.approx(np.sqrt(50) / 100, rel=0.1)


def test_a_flat_picture_stays_flat_without_noise() -> None:
    chain = Chain(
        blur=Blur(sigma=(0.0, 2.4)),
        rescaling=Rescaling(scale=(0.5, 2.0)),
        sampling=Sampling(kernels=("area", "triangle", "cubic")),
    )
    flat = torch.full((8, 1, 32, 32), 100 / 255)
    poor = degrade(flat, Profile(name="alone", chains=(chain,)), seed=1, step=1)
    assert torch.equal(poor, torch.full((8, 1, 16, 16), 100 / 255))


@pytest.mark.parametrize(
    ("shape", "dtype", "word"),
    [
        ((1, 1, 31, 32), torch.float32, "even"),
        ((1, 1, 32, 31), torch.float32, "even"),
        ((1, 1, 2, 32), torch.float32, "at least 4"),
        ((1, 1, 32, 2), torch.float32, "at least 4"),
        ((1, 32, 32), torch.float32, "shape"),
        ((1, 3, 32, 32), torch.float32, "one channel"),
        ((32, 32), torch.float32, "shape"),
        ((1, 1, 32, 32), torch.float64, "float32"),
        ((0, 1, 32, 32), torch.float32, "shape"),
    ],
)
def test_pictures_of_another_kind_are_refused(
    shape: tuple[int, ...], dtype: torch.dtype, word: str
) -> None:
    with pytest.raises(ImageError, match=word):
        degrade(torch.zeros(shape, dtype=dtype), PROFILES["poster"], seed=0, step=0)

"""The whole chain: reproducible, independent of the batch, and without any shift."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_semnet.errors import ImageError
from napari_semnet.training.degradation import PROFILES, degrade
from napari_semnet.training.profile import Blur, Chain, Profile, Rescaling, Sampling


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

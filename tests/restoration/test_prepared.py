"""The prepared network computes what SEMNet computes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_semnet.network import Architecture, SEMNet
from napari_semnet.restoration import prepared
from napari_semnet.restoration.backends import run_through
from napari_semnet.restoration.dense import Concatenated, Stacked
from napari_semnet.restoration.prepared import PreparedNetwork
from tests.restoration.conftest import REDUCED, reduced_network

CPU = torch.device("cpu")


def restored(
    network: SEMNet, image: Tensor, dtype: torch.dtype = torch.float32, arrange=Concatenated
) -> Tensor:
    with torch.inference_mode():
        return run_through(PreparedNetwork(network, CPU, dtype, arrange).steps(image))


def direct(network: SEMNet, image: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(image.expand(-1, network.architecture.in_channels, -1, -1))


@pytest.mark.parametrize("arrange", [Concatenated, Stacked])
@settings(max_examples=25)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_float32_equals_the_network(arrange, height, width, seed) -> None:
    network = reduced_network(seed=seed % 7)
    image = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    difference = restored(network, image, arrange=arrange) - direct(network, image)
    assert difference.abs().max() < 1e-6


@pytest.mark.parametrize("sizes", [(8, 4), (6, 4), (4, 8), (5, 3), (8, 8)])
def test_any_number_of_features_can_be_stacked(sizes) -> None:
    features, growth = sizes
    network = reduced_network(Architecture(features=features, growth=growth, blocks=2))
    image = torch.rand(1, 1, 11, 14)
    difference = restored(network, image, arrange=Stacked) - direct(network, image)
    assert difference.abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(70, 33), (16, 5), (17, 5), (100, 1)])
def test_bands_of_the_tail_cannot_be_seen(shape, monkeypatch) -> None:
    monkeypatch.setitem(prepared.TAIL_BAND_PIXELS, "cpu", 1)
    network = reduced_network()
    image = torch.rand(1, 1, *shape)
    assert (restored(network, image) - direct(network, image)).abs().max() < 1e-6


def test_channels_first_in_memory_gives_the_same(monkeypatch) -> None:
    network, image = reduced_network(), torch.rand(1, 1, 21, 18)
    ready = PreparedNetwork(network, CPU, torch.float32)
    monkeypatch.setattr(ready, "_layout", torch.contiguous_format)
    monkeypatch.setattr(ready._dense, "_layout", torch.contiguous_format)
    with torch.inference_mode():
        found = run_through(ready.steps(image))
    assert (found - direct(network, image)).abs().max() < 1e-6


def test_a_network_of_three_channels_is_folded_to_grey() -> None:
    network = reduced_network(Architecture(features=8, growth=4, blocks=1, in_channels=3))
    image = torch.rand(1, 1, 12, 15)
    expected = direct(network, image).mean(1, keepdim=True)
    assert (restored(network, image) - expected).abs().max() < 1e-6


@pytest.mark.parametrize("arrange", [Concatenated, Stacked])
def test_bfloat16_stays_close(arrange) -> None:
    network, image = reduced_network(), torch.rand(1, 1, 50, 50)
    error = restored(network, image, torch.bfloat16, arrange) - direct(network, image)
    assert 0 < error.square().mean().sqrt() < 2e-3


def test_the_model_keeps_its_own_weights() -> None:
    network = reduced_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    restored(network, torch.rand(1, 1, 8, 8), torch.bfloat16)
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(value.dtype == torch.float32 for value in after.values())
    assert before.keys() == after.keys()


@pytest.mark.parametrize("arrange", [Concatenated, Stacked])
def test_the_same_image_gives_the_same_bytes(arrange) -> None:
    image = torch.rand(1, 1, 40, 30)
    ready = PreparedNetwork(reduced_network(), CPU, torch.bfloat16, arrange)
    with torch.inference_mode():
        one, other = run_through(ready.steps(image)), run_through(ready.steps(image))
    assert torch.equal(one, other)


def test_steps_tell_the_part_that_is_done() -> None:
    ready = PreparedNetwork(reduced_network(), CPU, torch.float32)
    with torch.inference_mode():
        said = list(ready.steps(torch.rand(1, 1, 8, 8)))
    assert said == sorted(said)
    assert len(said) == REDUCED.blocks * REDUCED.rdb_per_block
    assert said[0] > 0
    assert said[-1] < 1

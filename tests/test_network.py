"""SEMNet is the poster's network, and it behaves as tiling needs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_semnet.network import RDB, Architecture, SEMNet

SMALL = Architecture(features=6, growth=3, blocks=1, rdb_per_block=1, conv_per_rdb=3)


def count(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


def test_it_has_the_layers_of_the_poster() -> None:
    network = SEMNet()
    assert count(network, nn.Conv2d) == 94
    assert count(network, nn.LeakyReLU) == 19
    assert sum(p.numel() for p in network.parameters()) == 4_391_617


def test_dense_blocks_start_small_and_the_rest_does_not() -> None:
    torch.manual_seed(0)
    network = SEMNet()
    block = next(m for m in network.modules() if isinstance(m, RDB))
    first = block.conv[0].weight
    assert first.std().item() == pytest.approx(0.1 * (2 / (64 * 9)) ** 0.5, rel=0.05)
    assert not block.conv[0].bias.any()
    assert network.trunk.weight.abs().max() > 0.03


@settings(max_examples=20)
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)), batch=st.integers(1, 3))
def test_the_output_has_twice_the_pixels(size, batch) -> None:
    with torch.inference_mode():
        assert SEMNet(SMALL)(torch.zeros(batch, 1, *size)).shape == (
            batch,
            1,
            2 * size[0],
            2 * size[1],
        )


def test_the_exact_halo_of_the_poster_is_94() -> None:
    assert Architecture().exact_halo == 94


@pytest.mark.parametrize(
    "architecture", [SMALL, Architecture(features=4, growth=2, blocks=2, rdb_per_block=1)]
)
def test_nothing_reaches_further_than_the_exact_halo(architecture) -> None:
    # Gradients tell which input pixels an output pixel depends on.
    network, halo = SEMNet(architecture), architecture.exact_halo
    side = 2 * halo + 9
    image = torch.rand(1, 1, side, side, requires_grad=True)
    centre = side // 2
    network(image)[0, 0, 2 * centre : 2 * centre + 2, 2 * centre : 2 * centre + 2].sum().backward()
    rows = image.grad[0, 0].abs().sum(1).nonzero().squeeze()
    reach = max(centre - rows.min().item(), rows.max().item() - centre)
    assert halo - 1 <= reach <= halo


def test_a_shifted_image_gives_a_shifted_result() -> None:
    network = SEMNet(SMALL).double()
    image, halo = torch.rand(1, 1, 40, 40, dtype=torch.float64), SMALL.exact_halo
    with torch.inference_mode():
        whole, shifted = network(image), network(image[:, :, 1:, 1:])
    inside = slice(2 * halo, -2 * halo)
    torch.testing.assert_close(
        whole[:, :, 2:, 2:][..., inside, inside], shifted[..., inside, inside]
    )


@pytest.mark.parametrize(
    "wrong", [{"features": 0}, {"growth": -1}, {"blocks": 0}, {"conv_per_rdb": 1}, {"scale": 4}]
)
def test_an_architecture_that_is_none_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"at least|doubles"):
        Architecture(**wrong)
